"""The section on how epsilon grew, release by release, and the tables of plans behind it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise

from sealscore.compliance.figures.costs import CostMoment
from sealscore.compliance.figures.review import LedgerReview, PartyReview
from sealscore.compliance.ledger_report.budget_section import STATES, epsilon_text
from sealscore.compliance.ledger_report.told.disclosure_section import phase_words
from sealscore.compliance.ledger_report.told.scoring_section import release_title
from sealscore.compliance.pages.figures import Line, Rule, line_figure
from sealscore.compliance.pages.page import Column, Html, figure, figures, join, paragraph, soft, table
from sealscore.compliance.pages.svg import SMALL, STYLES, Axis, words_width
from sealscore.compliance.verify.account import Account
from sealscore.shared.ledger.entries import AdmitRelease, EndRelease, Limit, Reserve, Revoke, Settle
from sealscore.shared.text.foreign import GROUP
from sealscore.shared.text.numbers import fixed, short, whole

_SPAN_DAYS = 2.0
_WIDE, _SMALL = (800.0, 290.0), (400.0, 250.0)
# Above so many rows, answers by phase say less than they take room.
_PHASES = 40
_STARTS = 6
# Of all answers; shorter phases are not marked.
_LONG = 0.08


def timeline(review: LedgerReview) -> Html:
    """How epsilon grew, ledger by ledger."""
    said = paragraph(
        "Epsilon of one person over everything that was released so far, all plans together. It rises with every "
        "release and never falls."
    )
    told = [party for party in review.parties if party.moments]
    if not told:
        said = paragraph("Nothing has been released, so there is nothing to show.")
    drawn = [one for party in told for one in _growth(party, len(told) > 2)]
    tables = [_plans(review), _phases(review), _releases(review), _changes(review)]
    return join([said, figures(*drawn) if drawn else "", *tables])


def _growth(party: PartyReview, small: bool) -> Iterator[Html]:
    """By the number of answers, by the day where they are of several, or only one of them where there are many."""
    finite = [moment for moment in party.moments if math.isfinite(moment.epsilon)]
    name = party.account.party
    if len(finite) < 2:
        yield paragraph(f"{name}: what was released carries no noise, so there is no epsilon to show.")
        return
    at = [moment.at.timestamp() for moment in finite if moment.at is not None]
    # A clock that was set back must not draw a line to the left.
    days = [max(at[: place + 1]) for place in range(len(at))]
    dated = len(days) == len(finite) and days[-1] - days[0] > _SPAN_DAYS * 86400
    now = f"now {fixed(finite[-1].epsilon)}{_ceiling_above(party, finite)}."
    if finite[-1].answers == 0:
        yield paragraph(f"{name}: no answer of its own, but sums of others that its rows may move; epsilon {now}")
        return
    if dated and small:
        yield figure(_by_day(party, finite, days, small), f"{name}:", now)
        return
    rules, which = _starts(party.account, finite)
    yield figure(
        _by_answers(party, finite, rules, small), f"{name}, answer by answer:", f"{now} {which}", wide=not small
    )
    if dated:
        yield figure(
            _by_day(party, finite, days, small), f"{name}, by the day:", "as the party's clock had it.", wide=True
        )


def _shown_ceiling(party: PartyReview, moments: Sequence[CostMoment]) -> float | None:
    """The ceiling, unless it is so far above that it would press the line to the floor."""
    limit = party.whole.limit if party.whole else None
    return limit if limit is not None and limit < 4 * moments[-1].epsilon else None


def _ceiling_above(party: PartyReview, moments: Sequence[CostMoment]) -> str:
    limit = party.whole.limit if party.whole else None
    if limit is None or _shown_ceiling(party, moments) is not None:
        return ""
    return f", the ceiling of {short(limit)} lies far above"


def _up(party: PartyReview, moments: Sequence[CostMoment]) -> tuple[Axis, list[Rule]]:
    """The axis of epsilon, with the line of the ceiling."""
    limit = _shown_ceiling(party, moments)
    axis = Axis("epsilon of a person", 0, max(moments[-1].epsilon, limit or 0.0, 1e-3) * 1.12, short)
    return axis, [] if limit is None else [Rule(f"ceiling {short(limit)}", y=limit)]


def _by_answers(party: PartyReview, moments: Sequence[CostMoment], starts: Sequence[Rule], small: bool) -> Html:
    up, rules = _up(party, moments)
    line = Line("", [moment.answers for moment in moments], [moment.epsilon for moment in moments], STYLES[0])
    across = Axis("answers so far, plan after plan", 0, moments[-1].answers, whole)
    title = f"Epsilon by the number of answers at {party.account.party}"
    width, height = _SMALL if small else _WIDE
    return line_figure(title, across, up, [line], [*rules, *([] if small else starts)], (), width, height)


def _by_day(party: PartyReview, moments: Sequence[CostMoment], days: Sequence[float], small: bool) -> Html:
    first, last = days[0], days[-1]
    room = (last - first) * (0.16 if small else 0.07)
    marks = 2 if small else 5
    ticks = [_midnight(first + (last - first) * k / marks) for k in range(marks + 1)]
    across = Axis("day (UTC)", min(ticks[0], first) - room, last + room, _day, values=sorted(set(ticks)))
    up, rules = _up(party, moments)
    line = Line("", [*days, last + room], [*(m.epsilon for m in moments), moments[-1].epsilon], STYLES[0], step=True)
    width, height = _SMALL if small else _WIDE
    return line_figure(f"Epsilon by the day at {party.account.party}", across, up, [line], rules, (), width, height)


def _midnight(value: float) -> float:
    return datetime.fromtimestamp(value, UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


def _day(value: float) -> str:
    return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d")


def _starts(account: Account, moments: Sequence[CostMoment]) -> tuple[list[Rule], str]:
    """Where plans begin, or long phases where there is one plan; named if the names stay apart. And what they are."""
    several = len({moment.plan for moment in moments if moment.plan}) > 1
    rules: list[Rule] = []
    counts = Counter[str]()
    for before, moment in pairwise(moments):
        counts[moment.phase] += moment.answers - before.answers
    seen = {"", *(() if several else (name for name, many in counts.items() if many < _LONG * moments[-1].answers))}
    for before, moment in pairwise(moments):
        key = moment.plan if several else moment.phase
        if key in seen:
            continue
        seen.add(key)
        name = account.state.plans[moment.plan].plan.name if several else phase_words(moment.phase)
        rules.append(Rule(name, x=before.answers))
    if several and len(rules) > _STARTS:
        return [], ""
    pixels = 700.0 / moments[-1].answers
    free, kept = -math.inf, []
    # The last ones are named to the left, where there is no room to the right.
    for rule in rules:
        at = (rule.x or 0.0) * pixels
        size = words_width(rule.label, SMALL) + 12
        if at >= free and at + size < 690:
            kept.append(rule)
            free = at + size
        else:
            kept.append(Rule("", x=rule.x))
    return kept, f"Upright lines: the first release of {'a plan' if several else 'a phase'}."


def _plans(review: LedgerReview) -> Html:
    """The plans with their dates and what was answered under them."""
    rows = []
    for party in review.parties:
        account = party.account
        dates = _first_and_last(account)
        ends = {line.entry.plan: line.entry.why for line in account.lines if isinstance(line.entry, Settle | Revoke)}
        spent = {cost.claim.name: cost.spent for cost in party.costs if cost.claim.scope == "plan"}
        for key, plan in account.state.plans.items():
            first, last = dates.get(key, (soft("no release"), ""))
            state = f"{STATES[plan.state]}: {ends[key]}" if key in ends else STATES[plan.state]
            answers, epsilon = whole(sum(plan.spent.values())), epsilon_text(spent.get(key))
            own = (account.plan_name(key), plan.plan.purpose_code, first, last, answers, epsilon, state)
            rows.append((account.party, *own))
    columns = [
        *("ledger of", "plan", "purpose"),
        Column("first release", number=True),
        Column("last release", number=True),
        Column("answers", number=True),
        Column("epsilon", number=True),
        "state",
    ]
    return _table(review, columns, rows, "Plans")


def _table(review: LedgerReview, columns: Sequence[object], rows: Sequence[Sequence[object]], caption: str) -> Html:
    """A table whose first column names the ledger, which is left out where there is one."""
    if not rows:
        return Html("")
    skip = 0 if len(review.parties) > 1 else 1
    return table(columns[skip:], [row[skip:] for row in rows], caption)


def _first_and_last(account: Account) -> dict[str, tuple[object, object]]:
    found: dict[str, tuple[object, object]] = {}
    for line, entry in account.of(Reserve):
        found[entry.plan] = (found.get(entry.plan, (line.day, ""))[0], line.day)
    return found


def _phases(review: LedgerReview) -> Html:
    """Answers by phase, where they are few."""
    rows = []
    for party in review.parties:
        for plan in party.account.plans:
            recorded = Counter[str]()
            for reservation in plan.reservations.values():
                recorded[reservation.entry.phase] += reservation.answered
            for name, (_, phase) in plan.phases.items():
                if spent := plan.spent[name]:
                    lost = spent - recorded[name]
                    own = (plan.plan.name, phase_words(name), whole(spent), whole(phase.attempts), whole(lost))
                    rows.append((party.account.party, *own))
    columns = [
        *("ledger of", "plan", "phase"),
        Column("answers charged", number=True),
        Column("in the plan's budget", number=True),
        Column("charged without a record", number=True),
    ]
    return _table(review, columns, rows, "Answers by phase") if len(rows) <= _PHASES else Html("")


def _releases(review: LedgerReview) -> Html:
    """Releases of models for scoring, with the days of their approval and their end."""
    rows = []
    for party in review.parties:
        account = party.account
        ends = {entry.release: (line.day, entry.why) for line, entry in account.of(EndRelease)}
        for line, entry in account.of(AdmitRelease):
            known = account.state.serving.releases.get(entry.release)
            name = release_title(known) if known else entry.release[:GROUP]
            rows.append((account.party, name, line.day, *ends.get(entry.release, (soft("in force"), ""))))
    columns = ["ledger of", "release", Column("approved", number=True), Column("withdrawn", number=True), "why"]
    return _table(review, columns, rows, "Releases of models for scoring")


def _changes(review: LedgerReview) -> Html:
    """Ceilings that operators set later."""
    rows = [
        (party.account.party, whole(line.seq), line.day, _ceilings(entry), entry.why)
        for party in review.parties
        for line, entry in party.account.of(Limit)
    ]
    columns = ["ledger of", Column("entry", number=True), Column("date", number=True), "new ceilings", "why"]
    return _table(review, columns, rows, "Ceilings that operators changed")


def _ceilings(entry: Limit) -> str:
    ceilings = entry.ceilings
    whole_set = "no ceiling" if ceilings.epsilon is None else f"epsilon {short(ceilings.epsilon)}"
    purposes = [f"{name} {short(value)}" for name, value in sorted(ceilings.purposes.items())]
    labels = [] if ceilings.label_epsilon is None else [f"labels {short(ceilings.label_epsilon)}"]
    bits = f"signal {whole(ceilings.signal_bits)} bits"
    return "; ".join([f"data set: {whole_set} at delta {short(ceilings.delta)}", *purposes, *labels, bits])
