"""The draft of a plan that an alert calls for, with its price in epsilon and bits; nothing is started."""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import tomli_w

from sealscore.clients.retraining.remedy import Remedy
from sealscore.clients.setup.bits_review import Bits
from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.ledger.budget_check import BudgetCheck, label_epsilon, released_labels
from sealscore.shared.ledger.state import LedgerState, PlanState
from sealscore.shared.phases.kind import Kind
from sealscore.shared.plan.derived import NewPlan, calibration_plan, head_plan, towers_plan
from sealscore.shared.plan.plan import FALLBACK, Plan
from sealscore.shared.serving.release import Release

DAYS = 90
_UNKNOWN = "0" * 64


@dataclass(frozen=True)
class Price:
    """What a plan would cost a person of this node's data set.

    `epsilon` is the plan's own at `delta`; `spent` what counts as answered, `after` what it could come to with this
    plan and all live ones, `ceiling` the operator's (None: none). `labels` are new label epsilon, `labels_spent` of
    `labels_ceiling`. `bits` are, by kind of platform, those of a person's levels: told to this lender so far, and
    needed; `bits_limit` is the plan's.
    """

    epsilon: float
    delta: float
    spent: float
    after: float
    ceiling: float | None
    labels: float
    labels_spent: float
    labels_ceiling: float | None
    bits: Mapping[str, Bits]
    bits_limit: int

    def obstacles(self) -> list[str]:
        """What does not fit as things are, with the fix; a platform's own limits are its operator's to know."""
        raised, found = "raise it in node.toml, then sealscore-node budget --why TEXT", []
        if self.ceiling is not None and self.after > self.ceiling * (1 + 1e-9):
            found.append(f"epsilon {self.after:.3g} is above this node's ceiling, {self.ceiling:g}; {raised}")
        if self.labels_ceiling is not None and self.labels_spent + self.labels > self.labels_ceiling * (1 + 1e-9):
            total = self.labels_spent + self.labels
            found.append(f"label epsilon {total:g} is above this node's ceiling, {self.labels_ceiling:g}; {raised}")
        if (most := max((bits.total for bits in self.bits.values()), default=0)) > self.bits_limit:
            found.append(
                f"privacy.signal_bits = {self.bits_limit} of the draft: {most} bits are told then; agree on {most}"
            )
        return found

    def lines(self) -> list[tuple[str, str]]:
        """As an operator reads it."""
        of = "no ceiling" if self.ceiling is None else f"{self.ceiling:g}"
        left = "" if self.ceiling is None else f", {max(0.0, self.ceiling - self.after):.3g} left"
        after = f"epsilon {self.after:.3g} of {of} at most{left}"
        if not math.isfinite(self.after):
            after = "no figure: the noise of all plans together takes all of the ceilings' delta"
        found = [
            ("epsilon", f"{self.epsilon:.3g} at delta {self.delta:g} for a person"),
            ("spent", f"epsilon {self.spent:.3g} of {of} over the life of the data set"),
            ("with this plan", after),
        ]
        if self.labels:
            ceiling = "no ceiling" if self.labels_ceiling is None else f"{self.labels_ceiling:g}"
            found.append(("labels", f"{self.labels:g} of label epsilon more, {self.labels_spent:g} spent of {ceiling}"))
        where = "the plan's signal_bits; its platforms' operators have limits of their own"
        found += [(f"bits of {kind}", bits.words(self.bits_limit, where)) for kind, bits in self.bits.items()]
        return found

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "epsilon": self.epsilon,
            "delta": self.delta,
            "spent": self.spent,
            "after": self.after if math.isfinite(self.after) else None,
            "ceiling": self.ceiling,
            "label_epsilon": self.labels,
            "bits": {
                kind: {"used": bits.used, "needed": bits.needed, "limit": self.bits_limit}
                for kind, bits in self.bits.items()
            },
            "obstacles": self.obstacles(),
        }


@dataclass(frozen=True)
class RetrainingProposal:
    """A draft and its price."""

    remedy: Remedy
    plan: Plan
    data: Mapping[str, Any]
    price: Price

    def toml(self) -> str:
        """The draft's file: why and at what price, then the plan."""
        head = [("remedy", f"{self.remedy.kind} ({self.remedy.code})"), ("why", self.remedy.why), *self.price.lines()]
        if self.plan.scores_from is not None:
            head.append(("scores_from.towers", "digests are put in by sealscore-server plan recalibrate"))
        comments = "".join(f"# {what}: {words}\n" for what, words in head)
        return f"{comments}\n{tomli_w.dumps(dict(self.data))}"


def proposed(remedy: Remedy, release: Release, name: str, state: LedgerState, today: date) -> RetrainingProposal:
    """The draft of a plan like that of a release, and its price by this node's ledger.

    Raises:
        ValueError: the remedy is none.
        PlanError: no such plan can be made of it; names the key.
    """
    old = release.plan
    new = NewPlan(name, secrets.randbelow(2**32), today + timedelta(days=DAYS))
    meanings = {group: tower.meaning for group, tower in release.content.towers.items()}
    code = release.manifest.retraining_code if old.platforms else None
    if remedy.kind == "recalibrate":
        towers = {old.lenders, *([FALLBACK] if old.model.fallback else [])}
        data = calibration_plan(old, new, meanings, dict.fromkeys(towers, _UNKNOWN), None, code)
    elif remedy.kind == "head" and old.platforms:
        data = head_plan(old, new, meanings, code)
    elif remedy.kind in ("head", "tower"):
        data = towers_plan(old, new, _label_epsilon(old, state))
    else:
        raise ValueError("nothing is proposed")
    plan = Plan.parse(data, name)
    return RetrainingProposal(remedy, plan, data, price_of(plan, state))


def _label_epsilon(old: Plan, state: LedgerState) -> float | None:
    """That of the plan, or of the one under which its levels were told."""
    source = None if old.signals_from is None else state.plans.get(old.signals_from.plan)
    return old.privacy.label_epsilon if source is None else source.plan.privacy.label_epsilon


def price_of(plan: Plan, state: LedgerState) -> Price:
    """What a plan that nobody approved yet would cost by a lender's ledger."""
    ceilings, check = state.ceilings, BudgetCheck()
    if ceilings is None:
        raise ValueError("a ledger that was not opened has no ceilings")
    needed = plan.privacy.label_epsilon
    released = needed is None or (plan.outcome.meaning, needed) in released_labels(state)
    trains = plan.signals_from is None
    bits = {group: Bits(_told(state, group), 0, plan.model.signal_bits if trains else 0) for group in plan.platforms}
    return Price(
        Mechanisms(plan).claim(),
        plan.privacy.delta,
        check.epsilon(state),
        check.outlook(state, PlanState(plan, 0, plan.hash, state.card.name)),
        ceilings.epsilon,
        0.0 if released or needed is None else needed,
        label_epsilon(state),
        ceilings.label_epsilon,
        bits,
        plan.privacy.signal_bits,
    )


def _told(state: LedgerState, group: str) -> int:
    """Bits of a person's levels that platforms of a kind told this lender: those of each tower once."""
    phase = f"{Kind.SIGNAL.value}:{group}"
    return sum(
        one.plan.model.signal_bits
        for one in state.plans.values()
        if any(disclosure.phase == phase for disclosure in one.disclosures)
    )


def next_commands(proposal: RetrainingProposal, old: str, draft: str, release: str) -> list[str]:
    """What is typed next, by whom: nothing of it happens by itself."""
    plan, name = proposal.plan, proposal.plan.name
    source = plan.signals_from
    code = f" --retraining {source.retraining}" if source is not None and source.retraining else ""
    if plan.scores_from is not None:
        made = f"sealscore-server plan recalibrate {name} --of {old}{code}"
    elif source is not None:
        made = f"sealscore-server plan retrain {name} --of {old}{code}"
    else:
        several = plan.platforms if len(plan.platforms) > 1 else ()
        groups = [f" --group {party.name}={party.group}" for party in plan.parties if party.group in several]
        records = [f" --records {party.name}={party.nominal_records}" for party in plan.parties]
        made = f"sealscore-server plan new {name} --like {draft}{''.join(groups)}{''.join(records)}"
    return [
        made,
        f"sealscore-server plan sign {name}",
        f"sealscore-node plan show {name}.json (each party; then plan approve)",
        f"sealscore-server run {name}",
        f"sealscore-server release new {name} --name {name}",
        "sealscore-node release approve FOLDER (each party)",
        f"sealscore-node release use {name} --shadow",
        f"sealscore-node release compare {release} {name}",
    ]
