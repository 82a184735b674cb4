"""The section on what the figures are if parties put together, in secret, what they know."""

from __future__ import annotations

import math
from collections.abc import Callable

from sealscore.compliance.figures.costs import Cost
from sealscore.compliance.figures.review import LedgerReview
from sealscore.compliance.ledger_report.budget_section import epsilon_text
from sealscore.compliance.pages.figures import Dot, Panel, dot_figure
from sealscore.compliance.pages.page import Column, Html, figure, join, paragraph, table
from sealscore.compliance.pages.svg import STYLES, Axis, Style
from sealscore.shared.text.numbers import listed, short, whole

_ROWS = 18


def collusion(review: LedgerReview) -> Html:
    """Both figures of every data set, and of its plans where they are few."""
    named = [(party.account.party, party.whole) for party in review.parties if party.whole is not None]
    said = paragraph(
        "Parties of a group share the noise of a sum, so that the model loses little. A plan states how many of them "
        f"may put together what they know, with the server or with one another{_allowed(review)}: up to so many, the "
        "first figure holds. The second holds even if all others do, and this party's own noise is all that is left. "
        "A party that adds all of the noise alone has the same figure twice."
    )
    if not named or not any(party.released for party in review.parties):
        return join([said, paragraph("Nothing has been released yet.")])
    rows = sorted(named, key=lambda pair: -pair[1].claim.epsilon_alone)[:_ROWS]
    if len(review.parties) == 1:
        account = review.parties[0].account
        plans = [cost for cost in review.parties[0].costs if cost.claim.scope == "plan"]
        rows = [("whole data set", rows[0][1])]
        if len(plans) < _ROWS:
            rows += [(account.plan_name(cost.claim.name), cost) for cost in plans]
    finite = [v for _, cost in rows for v in (cost.spent, cost.claim.epsilon_alone) if math.isfinite(v)]
    parts = [said]
    if finite and max(finite) > 0:
        parts.append(figure(_dots(rows, max(finite)), "Epsilon of a person,", "so far, by who colludes.", wide=True))
    columns = [
        "scope",
        Column("delta", number=True),
        Column("at most as many collude as the plans state", number=True),
        Column("all others collude", number=True),
        Column("ceiling", number=True),
    ]
    body = [
        (
            name,
            short(cost.claim.delta),
            epsilon_text(cost.spent),
            epsilon_text(cost.claim.epsilon_alone),
            "none" if cost.limit is None else short(cost.limit),
        )
        for name, cost in rows
    ]
    more = f", the {_ROWS} of {whole(len(named))} ledgers where it is highest" if len(named) > _ROWS else ""
    return join([*parts, table(columns, body, f"Epsilon of a person by who colludes{more}")])


def _allowed(review: LedgerReview) -> str:
    plans = review.plans
    counts = {plan.groups[name].max_colluding for plan in plans for name in plan.groups if len(plan.members(name)) > 1}
    return f" (here {listed([whole(count) for count in sorted(counts)], 'or')})" if counts else ""


def _dots(rows: list[tuple[str, Cost]], most: float) -> Html:
    def panel(label: str, pick: Callable[[Cost], float], style: Style) -> Panel:
        dots = []
        for name, cost in rows:
            value = pick(cost)
            shown = name if len(name) <= 38 else f"{name[:37]}…"
            dots.append(Dot(shown, value if math.isfinite(value) else None, epsilon_text(value), style))
        return Panel(Axis(label, 0, most * 1.05, short), dots)

    return dot_figure(
        "Epsilon by who colludes",
        [
            panel("as the plans state", lambda cost: cost.spent, STYLES[0]),
            panel(
                "all others collude", lambda cost: cost.claim.epsilon_alone, Style(STYLES[1].colour, marker="square")
            ),
        ],
    )
