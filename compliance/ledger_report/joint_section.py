"""The section on a person who is at several of the parties: what all ledgers together say of one."""

from __future__ import annotations

import math

from sealscore.compliance.figures.review import LedgerReview
from sealscore.compliance.ledger_report.budget_section import epsilon_text
from sealscore.compliance.pages.figures import Dot, Panel, dot_figure
from sealscore.compliance.pages.page import Column, Html, bullets, figure, join, paragraph, table
from sealscore.compliance.pages.svg import STYLES, Axis, Style
from sealscore.compliance.verify.account import plan_title
from sealscore.shared.text.numbers import fixed, listed, plural, short, whole

_BARS, _PLANS = 14, 20
_OWN, _TOGETHER, _LABELS = Style(STYLES[0].colour), Style("#000000", marker="diamond"), STYLES[1]


def joint(review: LedgerReview) -> Html:
    """How the ledgers compose for one person, plan by plan and over all plans."""
    if not review.joint:
        return paragraph("No plan has been approved yet, so there is nothing to compose.")
    parts = [_rules(review), _table(review), _everything(review)]
    return join(parts)


def _rules(review: LedgerReview) -> Html:
    how = [
        "A sum over several parties of one group is one release, however many ledgers speak of it. A person who is "
        "at several of them adds several records to it, as many as the plan allows, and its noise allows for that. So "
        "it counts once, with the most answers that any of the parties gave.",
    ]
    if any(claim.plan.platforms for claim in review.joint):
        how += [
            "Lenders and platforms release different sums, and a person can be in both: these compose. A ledger by "
            "itself takes all that the plan has for the other side's sums as answered; together they know what was.",
            "Noisy labels go to platforms only. All platforms get the same coin, so several learn no more than one; "
            "each lender's label of a person counts.",
            "What a lender learns by consent has no epsilon and does not compose with it: it is counted in bits.",
        ]
    how.append("Plans compose with one another, whoever took part in them.")
    said = paragraph("For a person with records at all parties of these ledgers:")
    return join([said, bullets(how)])


def _table(review: LedgerReview) -> Html:
    ran = review.run.run.plan.hash if review.run else None
    claim = review.run.privacy["epsilon"] if review.run else None
    alike = len({(one.parties, one.missing) for one in review.joint}) == 1
    rows = []
    for one in sorted(review.joint, key=lambda joint: -joint.epsilon)[:_PLANS]:
        own = [plan_title(one.plan, review.plans)]
        own += [] if alike else [_named(one.parties), _named(one.missing) or "none"]
        own += [
            epsilon_text(one.epsilon),
            short(one.delta),
            "no labels" if one.against_platforms is None else epsilon_text(one.against_platforms),
            "none" if one.plan.privacy.noise == "none" else short(one.plan.privacy.epsilon),
        ]
        if review.run:
            own.append(fixed(claim) if one.plan.hash == ran and claim is not None else "")
        rows.append(own)
    columns = [
        "plan",
        *([] if alike else ["ledgers given", "ledgers not given"]),
        Column("epsilon of the person", number=True),
        Column("delta", number=True),
        Column("against a platform", number=True),
        Column("the plan's ceiling", number=True),
        *([Column("the run's own claim", number=True)] if review.run else []),
    ]
    more = f", the {_PLANS} of {whole(len(review.joint))} plans that cost most" if len(review.joint) > _PLANS else ""
    where = "the parties of these ledgers" if review.missing else "all parties"
    parts = [table(columns, rows, f"One person at {where}, plan by plan{more}")]
    missing = sorted({name for one in review.joint for name in one.missing})
    if missing:
        parts.append(
            paragraph(
                f"Not given are ledgers of {_named(tuple(missing))}: of a group with no ledger here all that the plan "
                "has for its sums counts, if something was exchanged with it; else what only they record does not. A "
                "plan's ceiling holds for a person at all of its parties all the same, if each of them keeps to it."
            )
        )
    return join(parts)


def _named(parties: tuple[str, ...]) -> str:
    return listed(parties) if len(parties) <= 4 else f"{', '.join(parties[:3])} and {whole(len(parties) - 3)} more"


def _everything(review: LedgerReview) -> Html:
    """Epsilon over all plans of all ledgers, beside that of each ledger by itself."""
    found = review.together
    over = f"{plural(len(review.joint), 'plan')} and {plural(len(review.parties), 'ledger')}"
    labels = "" if found.platform is None else f", and {epsilon_text(found.platform)} against a platform"
    said = paragraph(
        f"Over {over}, epsilon of such a person is {epsilon_text(found.epsilon)} at delta {short(found.delta)}{labels}."
    )
    own = [(party.account.party, party.whole.spent) for party in review.parties if party.whole is not None]
    dots = [_dot(f"ledger of {name}", spent, _OWN) for name, spent in own[:_BARS]]
    every = "the ledgers given, as one" if review.missing else "all ledgers together"
    dots.append(_dot(every, found.epsilon, _TOGETHER, strong=True))
    if found.platform is not None:
        dots.append(_dot("the same against a platform", found.platform, _LABELS))
    finite = [dot.value for dot in dots if dot.value is not None]
    if not finite or max(finite) <= 0 or len(dots) <= 2:
        return said
    axis = Axis("epsilon of a person", 0, max(finite) * 1.05, short)
    drawn = dot_figure("One person at several parties", [Panel(axis, dots)])
    if review.missing:
        words = f"Without those of {_named(tuple(review.missing))}, which were not given: it may be more with them."
        return join([said, figure(drawn, "Ledgers alone, and those given as one.", words, wide=True)])
    words = "Each ledger by itself, and what they say together of one person; it is less than their sum."
    return join([said, figure(drawn, "Ledgers alone and together.", words, wide=True)])


def _dot(name: str, value: float, style: Style, strong: bool = False) -> Dot:
    return Dot(name, value if math.isfinite(value) else None, epsilon_text(value), style, strong=strong)
