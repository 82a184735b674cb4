"""The section on budgets: what was spent, set aside and left under every ceiling."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sealscore.compliance.figures.costs import Cost
from sealscore.compliance.figures.review import LedgerReview, PartyReview
from sealscore.compliance.pages.gauges import Gauge, gauges_figure
from sealscore.compliance.pages.page import Html, element, figure, figures, join, paragraph
from sealscore.compliance.verify.account import Account
from sealscore.shared.text.catalogue import marked, tr
from sealscore.shared.text.numbers import fixed, short

UNBOUNDED = marked("no bound")
_ROWS = 26
STATES = {"live": "live", "settled": "ended", "revoked": "revoked"}


def epsilon_text(value: float | None) -> str:
    """An epsilon; a word where nothing bounds it."""
    return tr(UNBOUNDED) if value is not None and math.isinf(value) else fixed(value)


def gauge(cost: Cost, label: str) -> Gauge:
    """A budget as a bar with its figures."""
    if math.isinf(cost.spent):
        return Gauge(label, cost.spent, cost.planned, cost.limit, tr("spent without any bound"))
    parts = [tr("{n} spent", n=fixed(cost.spent))]
    if cost.reserved > 0:
        parts.append(tr("{n} set aside", n=epsilon_text(cost.reserved)))
    if cost.limit is None:
        parts.append(tr("no ceiling"))
    elif cost.planned > cost.limit * (1 + 1e-9):
        parts.append(tr("over {limit} by {n}", limit=fixed(cost.limit), n=fixed(cost.planned - cost.limit)))
    else:
        parts.append(tr("{n} left of {limit}", n=fixed(cost.left), limit=short(cost.limit)))
    return Gauge(label, cost.spent, cost.planned, cost.limit, ", ".join(parts))


def budgets(review: LedgerReview) -> Html:
    """Spent, set aside and left, for every data set, purpose and plan."""
    said = paragraph(
        "Epsilon of one person. “Spent” counts every answer that was reserved, whether or not it was used. “Set "
        "aside” is what live plans may still answer, spare attempts among it. Losses compose more slowly than they "
        "add, so bars of plans add to more than the bar of their data set, and what is left is left by this reckoning "
        "today: the same plan costs less the more was spent before it."
    )
    return join([said, *(_budgets(party, len(review.parties) > 1) for party in review.parties)])


def _budgets(party: PartyReview, several: bool) -> Html:
    account = party.account
    title = element("h3", f"{account.party}, data set {account.data_set}") if several else ""
    wide = [cost for cost in party.costs if cost.claim.scope != "plan"]
    plans = [cost for cost in party.costs if cost.claim.scope == "plan"]
    if not wide:
        return join([title, paragraph("No ceilings can be read in this ledger.")])
    bars = gauges_figure("Budgets of the data set", [gauge(cost, _scope(cost)) for cost in wide])
    drawn = [figure(bars, "Over all plans,", _at(wide), wide=True)]
    for start in range(0, len(plans), _ROWS):
        some = plans[start : start + _ROWS]
        name = "Plan by plan" if len(plans) <= _ROWS else f"Plans {start + 1} to {start + len(some)}"
        bars = gauges_figure(name, [gauge(cost, _plan_label(account, cost)) for cost in some])
        drawn.append(figure(bars, f"{name},", f"{_at(some)} Ceilings are the plans' own.", wide=True))
    empty = "" if plans else paragraph("No plan has been approved yet: nothing is spent and nothing set aside.")
    return join([title, figures(*drawn), empty])


def _plan_label(account: Account, cost: Cost) -> str:
    return f"{account.plan_name(cost.claim.name)}, {STATES[cost.state]}"


def _scope(cost: Cost) -> str:
    return "whole data set" if cost.claim.scope == "data-set" else f"purpose: {cost.claim.name}"


def _at(costs: Sequence[Cost]) -> str:
    deltas = sorted({cost.claim.delta for cost in costs})
    return (
        f"at delta {short(deltas[0])}."
        if len(deltas) == 1
        else f"at the plans' own delta, {short(deltas[0])} to {short(deltas[-1])}."
    )
