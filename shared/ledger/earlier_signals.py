"""Whether a party's ledger bears out that a plan takes its signals from an earlier one: a condition of its approval."""

from __future__ import annotations

from collections.abc import Mapping

from sealscore.shared.ledger.entries import kept_meaning
from sealscore.shared.ledger.serving_state import ReleaseState, TrainedPlan
from sealscore.shared.phases.kind import Kind
from sealscore.shared.phases.signal.meaning import signal_form
from sealscore.shared.plan.plan import Plan
from sealscore.shared.plan.settings import SignalsFrom, Split


def earlier_signal_problems(
    plan: Plan, party: str, plans: Mapping[str, TrainedPlan], releases: Mapping[str, ReleaseState]
) -> list[str]:
    """What is in the way of `signals_from`, each with the fix; empty where nothing is, and for a plan without it.

    The earlier plan is in the ledger of this party, was for the same purpose, as consents know it, and had the same
    features and form of towers. Under it levels went between this party and each of the other side; a platform's
    ledger says of what meaning. Levels of tokens are used for a purpose alone that a release named which this party
    approved, whose levels had that meaning.
    """
    source = plan.signals_from
    if source is None:
        return []
    earlier, train = plans.get(source.plan), "or leave signals_from out, so that towers are trained again"
    if earlier is None:
        return [
            f"signals_from.plan = {source.plan}: {party} never approved that plan; name the one under which levels "
            f"were told, {train}"
        ]
    found = []
    if earlier.plan.purpose_code != plan.purpose_code:
        found.append(
            f"purpose_code = {plan.purpose_code!r}: levels were told for {earlier.plan.purpose_code!r}, which is what "
            f"persons consented to; give this plan that purpose_code, {train}"
        )
    for group in plan.platforms:
        if group not in earlier.plan.platforms or signal_form(earlier.plan, group) != signal_form(plan, group):
            found.append(
                f"groups.{group}: its table or crosses, or [model], are not those of the earlier plan, so levels would "
                f"mean something else; copy them from it, {train}"
            )
    if source.retraining is not None and not any(_named(source, plan, party, one) for one in releases.values()):
        found.append(
            f"signals_from.retraining = {source.retraining!r}: no release that {party} approved names that purpose for "
            "levels of these meanings, so no consent can; leave it out, or name that of the release"
        )
    if lacking := sorted(_others(plan, party) - _met(plan, party, earlier)):
        found.append(
            f"signals_from.plan = {source.plan}: under it no levels of these meanings went between {party} and "
            f"{', '.join(lacking)}; name the plan under which they were told, leave {', '.join(lacking)} out, {train}"
        )
    return found


def earlier_score_problems(plan: Plan, party: str, plans: Mapping[str, TrainedPlan]) -> list[str]:
    """What is in the way of `scores_from`, each with the fix; empty where nothing is, and for a plan without it.

    The plan whose scores are kept is in the ledger of this party, with the same tables, model and outcome: else its
    columns would be read as others, and PDs would mean something else. It was for the same purpose, as consents know
    it; its test persons are still test persons, or, where the split is by date, those who came later; and levels are
    those that its own scores read.
    """
    source = plan.scores_from
    if source is None:
        return []
    earlier = plans.get(source.plan)
    if earlier is None:
        what = f"scores_from.plan = {source.plan}: {party} never approved that plan; name one whose score it knows"
        return [f"{what}, or leave scores_from out, so that a score is trained"]
    lenders, before = plan.lenders, earlier.plan
    if before.lenders != lenders:
        return [f"groups.{lenders}: the plan whose score is kept calls its lenders {before.lenders!r}; do as well"]
    group, group_before = plan.groups[lenders], before.groups[lenders]
    levels = None if plan.signals_from is None else plan.signals_from.plan
    levels_before = (before.signals_from.plan if before.signals_from else source.plan) if before.platforms else None
    same = {
        "purpose_code": plan.purpose_code == before.purpose_code,
        f"groups.{lenders}": (group.table, group.crosses) == (group_before.table, group_before.crosses),
        "evaluation.split": _as_far(before.evaluation.split, plan.evaluation.split),
        "signals_from.plan": levels == levels_before,
        "model": plan.model == before.model,
        "outcome": plan.outcome.meaning == before.outcome.meaning,
        "training": plan.training == before.training,
    }
    return [
        f"{key}: is not that of the plan whose score is kept, so its figures would be of something else; copy it from "
        "there"
        for key, alike in same.items()
        if not alike
    ]


def _as_far(before: Split, now: Split) -> bool:
    """Whether nobody whom the earlier plan may have trained on is a test person now."""
    days = before.first_test_day, now.first_test_day
    if before.kind == now.kind == "date" and days[0] is not None and days[1] is not None:
        return days[1] >= days[0]
    return before == now


def _named(source: SignalsFrom, plan: Plan, party: str, release: ReleaseState) -> bool:
    """Whether consents under a release can have named the purpose, for levels of this party's kind or of any."""
    group, told = plan.party(party).group, release.manifest.told
    groups = [group] if group in source.meanings else list(source.meanings)
    same = any(one in told and told[one].meaning == source.meanings[one] for one in groups)
    return same and release.manifest.retraining_code == source.retraining


def _others(plan: Plan, party: str) -> set[str]:
    """The parties with which it must have exchanged levels."""
    lends = plan.party(party).group == plan.lenders
    return {other.name for other in plan.parties if (other.group == plan.lenders) != lends}


def _met(plan: Plan, party: str, earlier: TrainedPlan) -> set[str]:
    """The parties to which it told levels of the plan's meaning, or at a lender those that told it levels."""
    group, meanings = plan.party(party).group, plan.signals_from.meanings if plan.signals_from else {}
    groups = {other.name: other.group for other in plan.parties}
    found = set()
    for told in earlier.disclosures:
        platforms = groups.get(told.peer) if group == plan.lenders else group
        # A lender never had the tower: its entry names the platform in place of the meaning.
        same = group == plan.lenders or kept_meaning(told.what) == meanings[group]
        if same and told.phase == f"{Kind.SIGNAL.value}:{platforms}":
            found.add(told.peer)
    return found
