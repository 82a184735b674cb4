"""What a plan asks of one node, for its operator: with whom, what it may cost, what is left, what is in the way."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from sealscore.clients.features.dictionary.row_local import obstacles as not_row_local
from sealscore.clients.frames import MAX_BODY
from sealscore.clients.roles.bands import told_in_words, told_names
from sealscore.clients.setup.bits_review import bits_lines
from sealscore.clients.setup.config import DataSection
from sealscore.clients.setup.plan_reading import reading
from sealscore.shared.crypto.alignment import padded_size
from sealscore.shared.crypto.psi import PrivateMatching
from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.identity.identity import Card
from sealscore.shared.ledger.budget_check import BudgetCheck, Overdrawn
from sealscore.shared.ledger.disclosure_store import DisclosureStore
from sealscore.shared.ledger.earlier_signals import earlier_score_problems, earlier_signal_problems
from sealscore.shared.ledger.state import LedgerState, PlanState
from sealscore.shared.monitoring.power import SHIFT, loans_a_month, power, too_weak
from sealscore.shared.phases.cautions import cautions
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.hazards import hazards, simulated_only
from sealscore.shared.plan.plan import Plan
from sealscore.shared.text.foreign import grouped, plain

# A message's own frame, seals and heads are around an alignment's bytes.
_MOST_ALIGNED = MAX_BODY - 2**18
# Characters of a plan's own words that are shown; what an operator cannot read whole cannot be approved.
_WORDS = 1000


@dataclass(frozen=True)
class PlanReview:
    """A plan as the operator of `party` should see it: (what, words) lines, and reasons why it cannot be approved.

    Words of the plan are visible and on one line in them (see `sealscore.shared.text.foreign`), and may look like
    markup.
    """

    plan: Plan
    party: str
    state: str
    lines: tuple[tuple[str, str], ...]
    obstacles: tuple[str, ...] = field(default=())


def review(
    plan: Plan,
    own: Card,
    trusted: Mapping[str, Card],
    ledger_state: LedgerState,
    data: DataSection,
    store: DisclosureStore | None = None,
    today: date | None = None,
) -> PlanReview:
    """Look at a plan from the side of the node with that card, ledger, data and disclosures; approves nothing.

    Without a `store` nothing was disclosed before.
    """
    known = ledger_state.plans.get(plan.hash)
    state = known.state if known is not None else "not approved"
    obstacles = list(_obstacles(plan, own, trusted, today or datetime.now(UTC).date()))
    if own.name in {party.name for party in plan.parties}:
        obstacles += not_row_local(plan, own.name, data.row_local)
        obstacles += data.persons.disagreeing(plan, own.name)
        obstacles += data.may_tell.obstacles(plan, own.name)
        obstacles += earlier_signal_problems(plan, own.name, ledger_state.plans, ledger_state.serving.releases)
        obstacles += earlier_score_problems(plan, own.name, ledger_state.plans)
    unsolved = _unsolved(plan)
    obstacles += unsolved
    bits: list[tuple[str, str]] = []
    if own.name in {party.name for party in plan.parties}:
        bits, unfit = bits_lines(plan, own.name, ledger_state, data, store or DisclosureStore())
        obstacles += unfit
    if known is None and not obstacles:
        try:
            BudgetCheck().check_whole(ledger_state, plan)
        except Overdrawn as error:
            obstacles.append(f"{error}; to raise it, change node.toml, then sealscore-node budget --why TEXT")
    member = own.name in {party.name for party in plan.parties}
    lines = _contract(plan, trusted, own)
    if member:
        lines += reading(plan, own.name, data)
    if not unsolved:
        lines += [*_cost(plan), *bits]
    lines += [("warning", caution.words) for caution in cautions(plan)]
    if not unsolved and member:
        lines += _left(plan, ledger_state, known)
    return PlanReview(plan, own.name, state, tuple(lines), tuple(obstacles))


def _obstacles(plan: Plan, own: Card, trusted: Mapping[str, Card], today: date) -> list[str]:
    found = []
    if own.name not in {party.name for party in plan.parties}:
        return [f"the plan has no party named {own.name!r}; its parties: {', '.join(p.name for p in plan.parties)}"]
    if not plan.enrolled:
        return ["the plan names no cards; the server's operator adds them: sealscore-server plan sign"]
    for name, card in plan.cards.items():
        if name == own.name:
            if (card.key, card.role) != (own.key, own.role):
                found.append(f"the plan's card of {name!r} is {card.fingerprint}, not this node's {own.fingerprint}")
        elif name not in trusted:
            found.append(f"no card of {name!r} is trusted; compare {card.fingerprint} with its holder, then peer trust")
        elif (trusted[name].key, trusted[name].role) != (card.key, card.role):
            found.append(f"the plan's card of {name!r} is {card.fingerprint}, but you trust another")
    if plan.expires is not None and plan.expires < today:
        found.append(f"the plan expired on {plan.expires}")
    for what, words in (("purpose", plan.purpose), ("outcome.definition", plan.outcome.definition)):
        if plain(words, _WORDS) != plain(words, 20 * len(words)):
            found.append(f"its {what} has {len(words):,} characters, more than are shown and anybody reads")
    if plan.bundle is None:
        found.append("the plan names no app bundle, so this node could not know which code may carry its messages")
    return found + simulated_only(plan) + too_weak(plan) + hazards(plan) + _alignments_too_large(plan, own.name)


def _alignments_too_large(plan: Plan, party: str) -> list[str]:
    """Known from the sizes in the plan; found in the run, it would have cost all that came before."""
    if plan.signals_from is not None:
        return []
    lenders = [member.name for member in plan.members(plan.lenders)]
    platforms = [member.name for group in plan.platforms for member in plan.members(group)]
    found = []
    for lender, platform in [(lender, platform) for lender in lenders for platform in platforms]:
        size, others = (padded_size(plan.party(name).nominal_records) for name in (lender, platform))
        needed = PrivateMatching(plan.alignment.identifier, size, others).response_bytes
        if party in (lender, platform) and needed > _MOST_ALIGNED:
            found.append(
                f"the private alignment of {lender} and {platform} is a message of {needed / 2**20:.1f} MiB, more than "
                f"{_MOST_ALIGNED / 2**20:.1f}: the plan's nominal_records of the two must be fewer"
            )
    return found


def _contract(plan: Plan, trusted: Mapping[str, Card], own: Card) -> list[tuple[str, str]]:
    parties = []
    for name, group in plan.groups.items():
        members = ", ".join(
            f"{p.name}{'' if p.name in trusted or p.name == own.name else ' (no trusted card)'}"
            for p in plan.members(name)
        )
        parties.append(f"{name} ({group.role}s): {members}")
    outcome = plan.outcome
    meaning = plain(outcome.definition, _WORDS)
    return [
        ("plan", plan.name),
        ("hash", grouped(plan.hash)),
        ("purpose", f"{plain(plan.purpose, _WORDS)} ({plan.purpose_code})"),
        ("parties", "; ".join(parties)),
        ("outcome", f"{meaning}; watched for {outcome.window_days} days, until {outcome.cutoff}"),
        ("expires", str(plan.expires or "never")),
        ("app bundle", grouped(plan.bundle) if plan.bundle else "none named"),
    ]


def _unsolved(plan: Plan) -> list[str]:
    """Why no noise gives what the plan claims, where none does."""
    try:
        Mechanisms(plan).claim()
    except PlanError as error:
        return error.problems
    return []


def _cost(plan: Plan) -> list[tuple[str, str]]:
    privacy = plan.privacy
    if privacy.noise == "none":
        return [("cost", "nothing bounds what the results reveal: the plan adds no noise")]
    claim = Mechanisms(plan).claim()
    factor = math.exp(claim)
    lines = [
        (
            "cost",
            f"epsilon {claim:.3g} at delta {privacy.delta:g} for a person, whatever the server does: the odds that "
            f"anybody gives on whether a person is among the records move by a factor of {factor:.3g} at most",
        ),
        (
            "rests on",
            "; ".join(
                f"at most {group.max_colluding} of the {len(plan.members(name))} {name} parties collude with the server"
                for name, group in plan.groups.items()
            ),
        ),
    ]
    if plan.monitoring is not None:
        found = power(plan)
        figure = f"a shift of PSI {SHIFT:g} in a month with the chance {found.chance:.3g}, by nominal counts"
        guess = "" if plan.counted.originations else f", if {plan.counted.passing:.3g} of loans pass 30 days (passing)"
        loans = f"{loans_a_month(plan):.3g} loans a month{guess}"
        lines.append(("shows", f"{figure}: {loans}; noise of standard deviation {found.noise:.3g} in a cell"))
    if plan.platforms and privacy.label_epsilon is not None:
        lines.append(("labels", f"randomized response at label epsilon {privacy.label_epsilon:g}, once a person"))
    if plan.signals_from is not None:
        what = "those that lenders were told under the plan named here; platforms tell nothing new"
        lines.append(("signals", f"{what}: {grouped(plan.signals_from.plan)}"))
        if code := plan.signals_from.retraining:
            lines.append(("levels of tokens", f"of persons not told of then, whose consent names {code}"))
    elif plan.platforms:
        lines.append(("signals", f"{plan.model.signal_bits} bits of each consented, aligned applicant, no epsilon"))
    if plan.scores_from is not None:
        what = "calibrated and evaluated again, no weight trained; by the server's word those of the plan named here"
        lines.append(("scores", f"{what}: {grouped(plan.scores_from.plan)}"))
    for name in plan.platforms:
        if told_names(plan, name):
            lines.append((f"bands disclosed by {name} parties", told_in_words(plan, name)))
    return lines


def _left(plan: Plan, ledger_state: LedgerState, known: PlanState | None) -> list[tuple[str, str]]:
    ceilings, budget_check = ledger_state.ceilings, BudgetCheck()
    if ceilings is None or ceilings.epsilon is None:
        return []
    spent = budget_check.epsilon(ledger_state)
    committed = budget_check.outlook(ledger_state)
    lines = [
        (
            "spent",
            f"epsilon {spent:.3g} of {ceilings.epsilon:g} over the life of the data set, with all that peers may have "
            "answered of it",
        ),
        ("committed", f"epsilon {committed:.3g} if every live plan uses all of its budget"),
    ]
    if known is None and plan.privacy.noise != "none":
        after = budget_check.outlook(ledger_state, PlanState(plan, 0, plan.hash, ledger_state.card.name))
        lines.append(("with this plan", f"epsilon {after:.3g} of {ceilings.epsilon:g} at most"))
    return lines
