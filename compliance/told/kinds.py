"""Every kind of thing that a party tells beside the sums of training: what it is, and what epsilon says of it.

One table: the report's sections, its list of what is not covered and the registry's record all go through it, so that
a kind with no row here is in none of them, which a test finds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from sealscore.shared.phases.kind import Kind as PhaseKind
from sealscore.shared.plan.plan import Plan
from sealscore.shared.serving.manifest import Kind as ServedKind
from sealscore.shared.serving.manifest import Told as ServedTold
from sealscore.shared.text.catalogue import tr

Limit = Literal["bits", "label epsilon", "epsilon"]
Fields = Callable[[Plan, str, ServedTold | None], tuple[str, ...]]


@dataclass(frozen=True)
class ToldKind:
    """A kind of disclosure: `limit` is in what it is counted.

    `title` names it, `learns` says what its recipient learns, and `beyond` what the claim does not cover of it; they
    are functions, since they depend on the language in force. `fields` gives the data fields that it is computed from,
    by the plan, the group of the platform and, for scoring, what the release tells.
    """

    key: str
    limit: Limit
    title: Callable[[], str]
    learns: Callable[[], str]
    beyond: Callable[[], str]
    fields: Fields


def _person(plan: Plan, group: str, told: ServedTold | None) -> tuple[str, ...]:
    tables = [plan.groups[name].table for name in dict.fromkeys((plan.lenders, group)) if name in plan.groups]
    named = (column for table in tables for column in (table.person or table.id, table.consent) if column)
    return tuple(dict.fromkeys(named))


def _outcome(plan: Plan, group: str, told: ServedTold | None) -> tuple[str, ...]:
    table = plan.groups[plan.lenders].table
    return tuple(column for column in (table.label, table.date) if column)


def _scored(plan: Plan, group: str, told: ServedTold | None) -> tuple[str, ...]:
    return tuple(feature.name for feature in plan.groups[group].table.scored) if group in plan.groups else ()


def _bands(plan: Plan, group: str, told: ServedTold | None) -> tuple[str, ...]:
    return plan.groups_at(group) if group in plan.groups else ()


def _capacity(plan: Plan, group: str, told: ServedTold | None) -> tuple[str, ...]:
    return (told.capacity.column,) if told and told.capacity else ()


def _flag(plan: Plan, group: str, told: ServedTold | None) -> tuple[str, ...]:
    return (told.flag.column,) if told and told.flag else ()


def _reasons(plan: Plan, group: str, told: ServedTold | None) -> tuple[str, ...]:
    return told.reasons if told else ()


def _counted(plan: Plan, group: str, told: ServedTold | None) -> tuple[str, ...]:
    asked = plan.monitoring
    return (*asked.by, *asked.events) if asked else ()


def _nothing(plan: Plan, group: str, told: ServedTold | None) -> tuple[str, ...]:
    return ()


OTHER = "other"
TOLD_KINDS: dict[str, ToldKind] = {
    kind.key: kind
    for kind in (
        ToldKind(
            "membership",
            "bits",
            lambda: tr("membership"),
            lambda: tr("that a consented person is with the sender: an applicant there, or a creator"),
            lambda: tr(
                "Membership: alignment tells a lender and a platform which consented persons both have. That is one "
                "bit without noise to each of them."
            ),
            _person,
        ),
        ToldKind(
            "labels",
            "label epsilon",
            lambda: tr("noisy labels"),
            lambda: tr("whether the loan went bad, flipped by a coin that the label epsilon sets"),
            lambda: tr(
                "Labels: a platform has a noisy label of each consented person. Epsilon of the sums alone does not "
                "cover it; the figure against a platform does."
            ),
            _outcome,
        ),
        ToldKind(
            "signal",
            "bits",
            lambda: tr("signal"),
            lambda: tr("one of a few levels of the platform's score"),
            lambda: tr(
                "Signal: a lender learns the level of each of its consented applicants, without noise. A server and a "
                "lender together can choose what its bits reveal, but not their number."
            ),
            _scored,
        ),
        ToldKind(
            "bands",
            "bits",
            lambda: tr("bands of protected attributes"),
            lambda: tr("in which bands a test person's protected attributes are"),
            lambda: tr(
                "Bands of protected attributes: where they are at a platform, a lender learns those of its consented "
                "test persons, without noise, to see how the score treats groups."
            ),
            _bands,
        ),
        ToldKind(
            "capacity",
            "bits",
            lambda: tr("capacity"),
            lambda: tr("in which band an amount lies, as the monthly inflow"),
            lambda: tr("Capacity: a lender learns the band of an amount of a person who agreed to be scored."),
            _capacity,
        ),
        ToldKind(
            "reasons",
            "bits",
            lambda: tr("reasons"),
            lambda: tr("which two features lowered the level most"),
            lambda: tr("Reasons: a lender learns which two features lowered the level of a person who is scored most."),
            _reasons,
        ),
        ToldKind(
            "flag",
            "bits",
            lambda: tr("flag"),
            lambda: tr("whether the platform's detector found the traffic anomalous"),
            lambda: tr("Flag: a lender learns what the platform's detector says of a person who agreed to that."),
            _flag,
        ),
        ToldKind(
            "watch",
            "bits",
            lambda: tr("watch"),
            lambda: tr("whether the level fell far, once a quarter after the loan"),
            lambda: tr("Watch: a lender learns one bit a quarter of a borrower who agreed to be watched."),
            _scored,
        ),
        ToldKind(
            "counts",
            "epsilon",
            lambda: tr("counts of monitoring"),
            lambda: tr("how many loans were opened or fell past due, by month and band, with noise"),
            lambda: tr(
                "Counts of monitoring: they are sums with noise, and epsilon covers them. It does not cover what is "
                "true of a whole band, or what their readers already know of it."
            ),
            _counted,
        ),
        ToldKind(
            OTHER,
            "bits",
            lambda: tr("something else"),
            lambda: tr("not known: the ledger names no phase of a plan"),
            lambda: tr("Something else: a ledger records disclosures that no plan of it has. Nobody can say of what."),
            _nothing,
        ),
    )
}
"""All kinds by their keys, in the order in which they are shown."""

OF_PHASE: Mapping[PhaseKind, str] = {
    PhaseKind.ALIGN: "membership",
    PhaseKind.LABELS: "labels",
    PhaseKind.SIGNAL: "signal",
    PhaseKind.GROUPS: "bands",
    PhaseKind.PASSAGES: "counts",
}
"""What a phase tells beside the sums of training, for the phases that do. `reuse_signal` tells nothing."""

OF_SERVING: Mapping[ServedKind, str] = {kind: kind for kind in ("signal", "capacity", "flag", "reasons", "watch")}
"""What is told for scoring, by the kind in a release."""


def kind_title(kind: str) -> str:
    """The title of a kind that a release tells; the kind itself where it is none of ours."""
    key = next((key for known, key in OF_SERVING.items() if known == kind), kind)
    return TOLD_KINDS[key].title() if key in TOLD_KINDS else kind
