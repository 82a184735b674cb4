"""What in the ledgers a reviewer should ask about, the gravest first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sealscore.compliance.figures.costs import Cost
from sealscore.compliance.figures.review import LedgerReview, PartyReview
from sealscore.compliance.verify.account import plan_title
from sealscore.shared.ledger.entries import Refuse, Withdraw
from sealscore.shared.text.catalogue import tr
from sealscore.shared.text.numbers import fixed, listed, percent, short, whole

ASKED = 3
"""So many things are asked on page one."""
# Above this part of a ceiling there is little room for another plan.
_NEARLY = 0.9
# Above this part, the noise of others carries much of the guarantee.
_LEANS = 1.25
# Above it, a bound allows near certainty about one person.
_SURE = 3.0


@dataclass(frozen=True)
class Worry:
    """Something unusual, and what to ask whom about it; nothing to ask where that changes nothing."""

    what: str
    ask: str = ""


def worries(review: LedgerReview) -> list[Worry]:
    """All that is unusual; empty where nothing is."""
    found = [*_failed(review), *_missing(review), *_sources(review), *_over(review), *_anchors(review)]
    found += [*_recipients(review), *_budgets(review), *_others(review), *_requests(review)]
    return [*found, *_rest(review), *_run(review)]


def _names(parties: list[PartyReview]) -> str:
    return few_names([party.account.party for party in parties])


def few_names(names: list[str], most: int = 4) -> str:
    """Names in a row; the last of many by their number."""
    return listed(names if len(names) <= most else [*names[: most - 1], tr("{n} more", n=whole(len(names) - most + 1))])


def _scope(party: PartyReview, cost: Cost) -> str:
    """Of what a figure is: the data set, a purpose, a plan."""
    claim = cost.claim
    if claim.scope == "data-set":
        return tr("the data set")
    if claim.scope == "purpose":
        return tr("the purpose {name}", name=claim.name)
    return tr("the plan {name}", name=party.account.plan_name(claim.name))


def _failed(review: LedgerReview) -> Iterator[Worry]:
    failed = [party for party in review.parties if not party.verification.ok]
    if failed:
        yield Worry(
            tr("The ledgers of {names} fail a check.", names=_names(failed)),
            tr(
                "Ask the operators of {names} what happened at the entries named under “Verification”, and for a copy "
                "of the ledger from before. Until then no figure here can be relied on.",
                names=_names(failed),
            ),
        )


def _missing(review: LedgerReview) -> Iterator[Worry]:
    if review.missing:
        names = few_names(review.missing)
        yield Worry(
            tr("Plans name {names}, whose ledgers were not given.", names=names),
            tr(
                "Ask for the ledgers of {names}: what only they record is in no figure here, and it may add to what is "
                "known of a person.",
                names=names,
            ),
        )


def _sources(review: LedgerReview) -> Iterator[Worry]:
    simulated = [party for party in review.parties if party.verification.simulation]
    if simulated:
        yield Worry(
            tr(
                "{names}: simulated, with keys and noise from a seed. Such a ledger protected nobody; the figures are "
                "those that the same plans give among real parties.",
                names=_names(simulated),
            )
        )
    bare = [p for p in review.parties if any(plan.plan.privacy.noise == "none" for plan in p.account.plans)]
    if bare:
        yield Worry(
            tr(
                "{names}: approved a plan without noise, which gives no guarantee of privacy whatever.",
                names=_names(bare),
            ),
            tr("Ask {names} why a plan without noise was approved, and on whose records it ran.", names=_names(bare)),
        )


def _over(review: LedgerReview) -> Iterator[Worry]:
    for party in review.parties:
        for cost in party.costs:
            if cost.limit is None or math.isinf(cost.spent) or cost.spent <= cost.limit * (1 + 1e-9):
                continue
            said = tr(
                "{party}: {scope} has spent {spent} and is over its ceiling of {limit}.",
                party=party.account.party,
                scope=_scope(party, cost),
                spent=fixed(cost.spent),
                limit=short(cost.limit),
            )
            yield Worry(said, tr("Ask {party} who allowed more than the ceiling.", party=party.account.party))


def _anchors(review: LedgerReview) -> Iterator[Worry]:
    loose = [p for p in review.parties if p.verification.entries > 1 and not p.verification.anchored.given]
    if loose:
        yield Worry(
            tr(
                "{names}: no anchor kept by somebody else was given that agrees, so a ledger that its own operator "
                "rewrote would pass.",
                names=_names(loose),
            ),
            tr(
                "Ask the server's operator, and a peer, for the anchors that they keep of {names}.", names=_names(loose)
            ),
        )
    for party in review.parties:
        anchored = party.verification.anchored
        after = party.verification.entries - anchored.up_to
        if anchored.given and after > 0:
            yield Worry(
                tr(
                    "{party}: the last anchor is of entry {last}; entries after it: {after}. Others could have been "
                    "cut off unseen.",
                    party=party.account.party,
                    last=whole(anchored.up_to),
                    after=whole(after),
                ),
                tr("Ask the server's operator for a later anchor of {party}.", party=party.account.party),
            )


def _recipients(review: LedgerReview) -> Iterator[Worry]:
    worst = next((one for one in review.recipients if one.labels), None)
    if worst is not None and worst.epsilon > _SURE and math.isfinite(worst.epsilon):
        names = few_names(list(worst.names))
        yield Worry(
            tr(
                "With the noisy labels that were sent to {names}, epsilon of a person is {epsilon}: the bound alone "
                "allows near certainty about one person.",
                names=names,
                epsilon=fixed(worst.epsilon),
            ),
            tr(
                "Ask the lenders why labels went to {names} at a label epsilon that allows this, and how {names} keep "
                "and delete them.",
                names=names,
            ),
        )


def _budgets(review: LedgerReview) -> Iterator[Worry]:
    for party in review.parties:
        for cost in party.costs:
            name, scope = party.account.party, _scope(party, cost)
            if cost.limit is None or math.isinf(cost.spent) or cost.claim.scope == "plan":
                continue
            if cost.spent <= cost.limit * (1 + 1e-9) < cost.planned:
                said = tr(
                    "{party}, {scope}: live plans may ask for more than its ceiling, and their nodes then stop "
                    "({planned} of {limit}).",
                    party=name,
                    scope=scope,
                    planned=fixed(cost.planned),
                    limit=short(cost.limit),
                )
                yield Worry(said)
            elif cost.limit >= cost.planned > _NEARLY * cost.limit:
                part = percent(cost.planned / cost.limit)
                said = tr(
                    "{party}, {scope}: {part} of its ceiling is spent or set aside; there is little room for another "
                    "plan.",
                    party=name,
                    scope=scope,
                    part=part,
                )
                yield Worry(said)
    unlimited = [party for party in review.parties if party.whole and party.whole.limit is None]
    if unlimited:
        yield Worry(
            tr(
                "{names}: no ceiling on what may be spent of a person over the life of the data set.",
                names=_names(unlimited),
            ),
            tr("Ask {names} to set a ceiling for the life of the data set.", names=_names(unlimited)),
        )


def _others(review: LedgerReview) -> Iterator[Worry]:
    leaning = [
        party
        for party in review.parties
        if party.whole
        and math.isfinite(party.whole.spent)
        and party.whole.claim.epsilon_alone > _LEANS * party.whole.spent
    ]
    worst = max(leaning, key=lambda party: party.whole.claim.epsilon_alone if party.whole else 0.0, default=None)
    if worst is not None and worst.whole is not None:
        alone, spent = worst.whole.claim.epsilon_alone, fixed(worst.whole.spent)
        party = worst.account.party
        opening = tr("Parties share their noise.")
        if math.isfinite(alone):
            said = tr(
                "If all others put together what they know, epsilon at {party} is {alone} instead of {spent}.",
                party=party,
                alone=fixed(alone),
                spent=spent,
            )
        else:
            said = tr("If all others put together what they know, nothing bounds epsilon at {party}.", party=party)
        yield Worry(f"{opening} {said}")


def _requests(review: LedgerReview) -> Iterator[Worry]:
    strange = {
        party.account.party: sum(e.plan not in party.account.state.plans for _, e in party.account.of(Refuse))
        for party in review.parties
    }
    if sum(strange.values()):
        yield Worry(
            tr("Requests came for plans that nobody there approved: {counts}.", counts=_counted(strange)),
            tr("Ask the server's operator who asked for plans that nobody approved."),
        )
    others = {party.account.party: party.refused - strange[party.account.party] for party in review.parties}
    if sum(others.values()):
        yield Worry(
            tr("Requests under approved plans were refused: {counts}.", counts=_counted(others)),
            tr("Ask the server's operator why the plans' rules were not kept; see “Refused and failed requests”."),
        )


def _counted(counts: Mapping[str, int]) -> str:
    """Parties with their counts, those with most first."""
    many = sorted(((count, name) for name, count in counts.items() if count), key=lambda one: (-one[0], one[1]))
    found = [tr("{count} at {party}", count=whole(count), party=name) for count, name in many]
    return few_names(found)


def _rest(review: LedgerReview) -> Iterator[Worry]:
    lost = {party.account.party: party.unrecorded for party in review.parties}
    if sum(lost.values()):
        said = tr(
            "Reserved answers without a record of being given, counted as given: {counts}.", counts=_counted(lost)
        )
        yield Worry(said)
    revoked = {p.account.party: sum(plan.state == "revoked" for plan in p.account.plans) for p in review.parties}
    if sum(revoked.values()):
        yield Worry(
            tr("Plans that operators revoked: {counts}.", counts=_counted(revoked)),
            tr("Ask the operators who revoked a plan for the reason."),
        )
    withdrawn = {p.account.party: sum(entry.persons for _, entry in p.account.of(Withdraw)) for p in review.parties}
    if sum(withdrawn.values()):
        yield Worry(
            tr(
                "Persons who withdrew a consent; what was released before stays charged: {counts}.",
                counts=_counted(withdrawn),
            )
        )
    for party in review.parties:
        if party.verification.warnings:
            yield Worry(f"{party.account.party}: {party.verification.warnings[0]}.")


def _run(review: LedgerReview) -> Iterator[Worry]:
    found = review.run
    if found is None:
        return
    for fault in found.faults:
        yield Worry(
            tr("The run's record contradicts its plan: {fault}.", fault=fault),
            tr("Ask the server's operator why the run's record contradicts its plan."),
        )
    if not any(found.run.plan.hash in party.account.state.plans for party in review.parties):
        title = plan_title(found.run.plan, review.plans)
        yield Worry(
            tr("The run is of the plan {plan}, which no ledger here approved.", plan=title),
            tr("Ask for the ledgers of the parties of {plan}.", plan=title),
        )
    below = sum(band.verdict == "below four fifths" for _, band in found.told)
    if below:
        yield Worry(
            tr(
                "Protected groups whose approval rate, with its interval, is below four fifths of that of the group "
                "approved most: {count}.",
                count=whole(below),
            ),
            tr("Ask the lenders how they will look into groups approved less often."),
        )
