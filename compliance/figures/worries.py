"""What in the ledgers a reviewer should ask about, the gravest first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from sealscore.compliance.figures.review import LedgerReview, PartyReview
from sealscore.compliance.verify.account import plan_title
from sealscore.shared.ledger.entries import Refuse, Withdraw
from sealscore.shared.text.numbers import fixed, listed, percent, plural, short, whole

_SHOWN = 9
# Above this part of a ceiling there is little room for another plan.
_NEARLY = 0.9
# Above this part, the noise of others carries much of the guarantee.
_LEANS = 1.25


def worries(review: LedgerReview) -> list[str]:
    """Sentences; none where nothing is unusual."""
    found = [*_sources(review), *_budgets(review), *_others(review), *_anchors(review), *_requests(review)]
    found += [*_rest(review), *_run(review)]
    if len(found) > _SHOWN:
        return [*found[: _SHOWN - 1], f"{plural(len(found) - _SHOWN + 1, 'thing')} more: see the sections below."]
    return found


def _names(parties: list[PartyReview]) -> str:
    names = [party.account.party for party in parties]
    return listed(names if len(names) <= 4 else [*names[:3], f"{whole(len(names) - 3)} more"])


def _sources(review: LedgerReview) -> Iterator[str]:
    simulated = [party for party in review.parties if party.verification.simulation]
    if simulated:
        yield (
            f"{_names(simulated)}: simulated, with keys and noise from a seed. Such a ledger protected nobody; the "
            "figures are those that the same plans give among real parties."
        )
    bare = [p for p in review.parties if any(plan.plan.privacy.noise == "none" for plan in p.account.plans)]
    if bare:
        yield f"{_names(bare)}: approved a plan without noise, which gives no guarantee of privacy whatever."


def _budgets(review: LedgerReview) -> Iterator[str]:
    for party in review.parties:
        for cost in party.costs:
            what = f"{party.account.party}: {cost.claim.title}"
            if cost.limit is None or math.isinf(cost.spent):
                continue
            if cost.spent > cost.limit * (1 + 1e-9):
                yield f"{what} has spent {fixed(cost.spent)} and is over its ceiling of {short(cost.limit)}."
            elif cost.claim.scope == "plan":
                continue
            elif cost.planned > cost.limit * (1 + 1e-9):
                over = "live plans may ask for more than its ceiling; their nodes then stop"
                yield f"{what}: {over} ({fixed(cost.planned)} of {short(cost.limit)})."
            elif cost.planned > _NEARLY * cost.limit:
                part = percent(cost.planned / cost.limit)
                yield f"{what}: {part} of its ceiling is spent or set aside; there is little room for another plan."
    unlimited = [party for party in review.parties if party.whole and party.whole.limit is None]
    if unlimited:
        yield f"{_names(unlimited)}: no ceiling on what may be spent of a person over the life of the data set."


def _others(review: LedgerReview) -> Iterator[str]:
    leaning = [
        party
        for party in review.parties
        if party.whole
        and math.isfinite(party.whole.spent)
        and party.whole.claim.epsilon_alone > _LEANS * party.whole.spent
    ]
    if leaning:
        worst = max(leaning, key=lambda party: party.whole.claim.epsilon_alone if party.whole else 0.0)
        if worst.whole:
            alone = worst.whole.claim.epsilon_alone
            shown = f"{fixed(alone)} instead of {fixed(worst.whole.spent)}" if math.isfinite(alone) else "without bound"
            yield (
                "Parties share their noise. If all others put together what they know, epsilon at "
                f"{worst.account.party} is {shown}."
            )


def _anchors(review: LedgerReview) -> Iterator[str]:
    loose = [p for p in review.parties if p.verification.entries > 1 and not p.verification.anchored.given]
    if loose:
        yield (
            f"{_names(loose)}: no anchor kept by somebody else was given, so a ledger that its own operator rewrote "
            "would pass. Ask the server or a peer for theirs."
        )
    for party in review.parties:
        anchored = party.verification.anchored
        after = party.verification.entries - anchored.up_to
        if anchored.given and after > 0:
            yield (
                f"{party.account.party}: the last anchor is of entry {whole(anchored.up_to)}, and "
                f"{plural(after, 'entry', 'entries')} came after it; others could have been cut off unseen."
            )


def _requests(review: LedgerReview) -> Iterator[str]:
    strange = {
        party.account.party: sum(e.plan not in party.account.state.plans for _, e in party.account.of(Refuse))
        for party in review.parties
    }
    if sum(strange.values()):
        yield f"Requests came for plans that nobody there approved: {_counted(strange)}."
    others = {party.account.party: party.refused - strange[party.account.party] for party in review.parties}
    if sum(others.values()):
        yield f"Requests under approved plans were refused: {_counted(others)}."


def _counted(counts: Mapping[str, int]) -> str:
    """Parties with their counts, those with most first."""
    found = [f"{whole(count)} at {name}" for name, count in sorted(counts.items(), key=lambda one: -one[1]) if count]
    return listed(
        found if len(found) <= 4 else [*found[:3], f"more at {plural(len(found) - 3, 'other party', 'others')}"]
    )


def _rest(review: LedgerReview) -> Iterator[str]:
    lost = {party.account.party: party.unrecorded for party in review.parties}
    if sum(lost.values()):
        yield f"Reserved answers without a record of being given, counted as given: {_counted(lost)}."
    revoked = {p.account.party: sum(plan.state == "revoked" for plan in p.account.plans) for p in review.parties}
    if sum(revoked.values()):
        yield f"Plans that operators revoked: {_counted(revoked)}."
    withdrawn = {p.account.party: sum(entry.persons for _, entry in p.account.of(Withdraw)) for p in review.parties}
    if sum(withdrawn.values()):
        yield f"Persons who withdrew a consent; what was released before stays charged: {_counted(withdrawn)}."
    for party in review.parties:
        if party.verification.warnings:
            yield f"{party.account.party}: {party.verification.warnings[0]}."


def _run(review: LedgerReview) -> Iterator[str]:
    found = review.run
    if found is None:
        return
    yield from (f"The run's record contradicts its plan: {fault}." for fault in found.faults)
    if not any(found.run.plan.hash in party.account.state.plans for party in review.parties):
        yield f"The run is of the plan {plan_title(found.run.plan)}, which no ledger here approved."
    below = sum(band.verdict == "below four fifths" for _, band in found.told)
    if below:
        yield f"{plural(below, 'protected group')} approved for sure below four fifths of the group approved most."
