"""The section that states the claim completely, after NIST SP 800-226, "Guidelines for Evaluating Differential Privacy
Guarantees" (2025): unit, neighbouring relation, parameters, mechanisms, trust, and what is not covered."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from sealscore.compliance.figures.explain import chances, in_words
from sealscore.compliance.figures.recipients import Recipient
from sealscore.compliance.figures.review import LedgerReview
from sealscore.compliance.ledger_report.budget_section import epsilon_text
from sealscore.compliance.ledger_report.reviewer.overview_section import recipient_name
from sealscore.compliance.ledger_report.told.disclosure_section import phase_words
from sealscore.compliance.ledger_report.trust_section import beyond, trust
from sealscore.compliance.pages.page import Column, Html, bullets, element, join, pairs, paragraph, soft, table
from sealscore.compliance.told.kinds import TOLD_KINDS
from sealscore.compliance.verify.account import Account
from sealscore.shared.dp.accountant import DISCRETISATION, PldAccountant
from sealscore.shared.dp.events import Event, Gaussian, SampledGaussian
from sealscore.shared.ledger.entries import Disclose, Reserve
from sealscore.shared.phases.order import KINDS
from sealscore.shared.plan.plan import Plan
from sealscore.shared.plan.towers import group_of
from sealscore.shared.text.numbers import fixed, listed, percent, plural, short, whole

_ROWS = 60
# Above it, a bound says nothing that differs from certainty.
_TELLABLE = 50.0


_CLIPPED = {kind.value for kind, what in KINDS.items() if what.clips}


def claim(review: LedgerReview) -> Html:
    """The whole statement."""
    return join(
        [
            _words(),
            pairs(_stated(review)),
            _figures(review),
            _recipients(review),
            *_meaning(review),
            element("h3", "Sampling, clipping and noise of every mechanism"),
            _mechanisms(review),
            element("h3", "Who is trusted with what"),
            trust(review),
            element("h3", "What is not covered"),
            bullets(beyond(review)),
        ]
    )


def _words() -> Html:
    return paragraph(
        "For each data set, the sums that its party has answered over the life of its ledger, all plans together, are "
        "(epsilon, delta)-differentially private for a person: whatever somebody concludes from them has almost the "
        "same probability, within a factor of e to the epsilon and but for delta, as if that person had never been in "
        "the data. This holds for anybody who sees all results, whatever else they know, while the trust stated below "
        "is justified."
    )


def _stated(review: LedgerReview) -> list[tuple[object, object]]:
    plans = review.plans
    accountant = PldAccountant()
    stated: list[tuple[object, object]] = [
        ("protected unit", f"a person: all records of that person{_unit(plans)}"),
        ("neighbouring relation", "adding or removing one person with all records"),
        (
            "trust model",
            "distributed: each party adds its share of the noise before anything leaves it, and the server sees sums "
            "only (see “Who is trusted with what”)",
        ),
        (
            "accountant",
            f"{accountant.name} ({accountant.version}): privacy loss distributions, rounded against the claim at a "
            f"width of {short(DISCRETISATION)}; recomputed for this report from the entries of the ledgers",
        ),
        (
            "composition",
            "adaptive, over every answer that was reserved, used or not, of every plan, and over the sums of other "
            "groups that this party's rows move, in full, once something was exchanged with them. Training persons and "
            "test persons compose in parallel where all plans part them by one and the same rule that moves nobody (so "
            "never by date); otherwise everything adds up for everybody",
        ),
        (
            "inexact sampling",
            "noise is a discrete Gaussian on whole numbers; its distance from the exact one is charged to delta",
        ),
        ("random source", _sources(review)),
        (
            "post-processing",
            "models, their calibration and all figures of their quality, and what is read of counted loans, follow "
            "from the sums and cost nothing more",
        ),
        (
            "hyperparameters",
            "learning rates, bins and the like are in the plans and were chosen before; if private data was looked "
            "at to choose them, that is not counted",
        ),
    ]
    return stated


def _unit(plans: list[Plan]) -> str:
    if not plans:
        return ""
    records = max(plan.privacy.max_records_per_person for plan in plans)
    spreads = {plan.privacy.max_parties_per_person for plan in plans}
    where = (
        "any number of parties"
        if None in spreads
        else f"no more than {plural(max(spread for spread in spreads if spread), 'party', 'parties')}"
    )
    held = f"at most {plural(records, 'record')} in a release at a party (each party enforces it)"
    return f", {held}, at {where} of a plan (the plans state it; no party can check it)"


def _sources(review: LedgerReview) -> str:
    sources: Counter[str] = Counter()
    for party in review.parties:
        sources.update(line.entry.source for line in party.account.lines if isinstance(line.entry, Reserve | Disclose))
    if not sources:
        return "no release yet"
    if set(sources) == {"system"}:
        return "noise, samples and coins come from the parties' own cryptographic generators, by every entry"
    seeded = f"{plural(sources['seeded'], 'entry', 'entries')} of {whole(sum(sources.values()))}"
    return (
        f"{seeded} name a seed as the source: whoever knows it can take the noise off. Such entries are for "
        "simulations and protect nobody"
    )


def _figures(review: LedgerReview) -> Html:
    rows = []
    for party in review.parties:
        whole_set = party.whole
        if whole_set is None:
            continue
        rows.append(
            (
                f"{party.account.party}: {party.account.data_set}",
                epsilon_text(whole_set.spent),
                short(whole_set.claim.delta),
                epsilon_text(whole_set.planned),
                "none" if whole_set.limit is None else short(whole_set.limit),
                epsilon_text(whole_set.claim.epsilon_alone),
                "no labels" if party.platform is None else epsilon_text(party.platform),
            )
        )
    if len(rows) > 1:
        found = review.together
        platform = "no labels" if found.platform is None else epsilon_text(found.platform)
        total = (epsilon_text(found.epsilon), short(found.delta), "", "", "", platform)
        where = "these parties, without the ledgers not given" if review.missing else "all of these parties"
        rows.append((f"one person at {where}", *total))
    columns = [
        "ledger and data set",
        Column("epsilon spent", number=True),
        Column("delta", number=True),
        Column("with what is set aside", number=True),
        Column("ceiling", number=True),
        Column("if all others collude", number=True),
        Column("against a platform", number=True),
    ]
    return table(columns, rows, "The parameters, ledger by ledger") if rows else Html("")


def _recipients(review: LedgerReview) -> Html:
    """Who can learn how much of one person, the worst first."""
    rows = [
        (
            recipient_name(one, 8),
            _knows(one),
            epsilon_text(one.epsilon),
            "no bound" if math.isinf(one.factor) else short(one.factor),
            whole(one.total) if one.total else soft("none"),
        )
        for one in review.recipients
    ]
    columns = [
        *("recipient", "sees"),
        Column("epsilon", number=True),
        Column("odds move by at most", number=True),
        Column("bits beside it", number=True),
    ]
    return table(columns, rows, "Who can learn how much of one person, the one who can learn most first")


def _knows(one: Recipient) -> str:
    labels = ["noisy labels" + (", by the plan" if one.assumed else "")] if one.labels else []
    return listed([*labels, "all sums", *(TOLD_KINDS[kind].title() for kind, _ in one.bits)])


def _meaning(review: LedgerReview) -> list[Html]:
    """What the epsilon of all ledgers together means for one person."""
    epsilon, delta = review.together.epsilon, review.together.delta
    if not 0 < epsilon < _TELLABLE:
        return []
    rows = [
        (percent(one.rate), percent(one.most, 1), percent(one.least, 1), percent(one.blind, 1), percent(one.right, 1))
        for one in chances(epsilon, delta)
    ]
    columns = [
        Column("believed before", number=True),
        Column("believed after, at most", number=True),
        Column("at least", number=True),
        Column("guesses right without the results", number=True),
        Column("with them, at most", number=True),
    ]
    said = [paragraph(text) for text in in_words(epsilon, delta)]
    caption = f"Somebody who wonders whether a person was in the data, at epsilon {fixed(epsilon)}"
    return [element("h3", "What it means for one person"), *said, table(columns, rows, caption)]


@dataclass(frozen=True)
class _Mechanism:
    phase: str
    event: Event
    bound: str
    answers: int
    plans: int


def _mechanisms(review: LedgerReview) -> Html:
    found = list(_gathered([party.account for party in review.parties]))
    if not found:
        return paragraph("No sum has been answered yet.")
    rows = [(phase_words(one.phase), *_row(one)) for one in found[:_ROWS]]
    columns = [
        *("phase", "how one person's part is bounded", "sampling"),
        Column("noise over that bound", number=True),
        Column("answers", number=True),
        Column("plans", number=True),
    ]
    more = f"The first {_ROWS} of {whole(len(found))}: plans differ in their noise" if len(found) > _ROWS else ""
    said = paragraph(
        "“Noise” is the standard deviation in every coordinate of a sum, over the most that one person can change "
        "the sum. Answers are those of the party that gave most.",
        class_="note",
    )
    return join([said, table(columns, rows, more)])


def _row(one: _Mechanism) -> tuple[object, ...]:
    event = one.event
    if isinstance(event, SampledGaussian):
        taken = (
            "all records"
            if event.sample_rate == 1
            else f"Poisson, each record with probability {short(event.sample_rate)}"
        )
        several = f", up to {event.multiplicity} records a person" if event.multiplicity > 1 else ""
        noise = short(event.noise_multiplier, 4)
        return one.bound, f"{taken}{several}", noise, whole(one.answers), whole(one.plans)
    if isinstance(event, Gaussian):
        noise = short(event.noise_multiplier / event.sensitivity, 4)
        return one.bound, "all records", noise, whole(one.answers), whole(one.plans)
    return one.bound, "as the plan says", "no noise", whole(one.answers), whole(one.plans)


def _gathered(accounts: Iterable[Account]) -> Iterable[_Mechanism]:
    """Equal mechanisms of a phase, over all ledgers; answers of one plan are the most of any ledger."""
    most: dict[tuple[str, Event, str], Counter[str]] = {}
    for account in accounts:
        here: Counter[tuple[str, Event, str, str]] = Counter()
        for plan in account.plans:
            for reservation in plan.reservations.values():
                entry = reservation.entry
                bound = _bound(plan.plan, entry)
                here[entry.phase, entry.event, bound, plan.plan.hash] += reservation.spent
        for (phase, event, bound, key), count in here.items():
            known = most.setdefault((phase, event, bound), Counter())
            known[key] = max(known[key], count)
    for (phase, event, bound), counts in most.items():
        yield _Mechanism(phase, event, bound, sum(counts.values()), len(counts))


def _bound(plan: Plan, entry: Reserve) -> str:
    kind, _, tower = entry.phase.partition(":")
    if kind in _CLIPPED:
        return f"each record's gradient is clipped to norm {short(plan.clip_norm(group_of(plan, tower)))}"
    if isinstance(entry.event, Gaussian):
        return f"one person changes counts by at most {short(entry.event.sensitivity)} (L2 norm)"
    return "counts"
