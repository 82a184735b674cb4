"""What a ledger has spent of one person, composed over plans and compared with the operator's ceilings.

Formal guarantees. The epsilon given here bounds what all sums that count as answered, over all plans of a data set,
reveal of one person, at the delta of the ceilings, against whoever sees them all. Parts of persons compose in parallel
only where all plans divide persons by one and the same rule that never moves anybody (a list of ids, or a keyed hash,
of persons that are named alike), and in sequence otherwise, also within one plan. A plan that counts everybody, and
names persons like the others, divides nobody: all of it counts for the persons of each part. Sums of other groups that
this party's records move are among them, as often as the plan allows, from the first exchange with such a group on.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sealscore.shared.dp.accountant import Accountant, PldAccountant
from sealscore.shared.dp.events import Disclosure, Event, RandomizedResponse
from sealscore.shared.dp.noise_calibration import UnreachableBudget, borne_out
from sealscore.shared.ledger.entries import PARTS, Ceilings, Part, Reserve
from sealscore.shared.ledger.state import UNDIVIDED, Division, LedgerState, PlanState
from sealscore.shared.plan.plan import Plan

Spent = Mapping[Part, Counter[Event]]


class Overdrawn(ValueError):
    """A release that would exceed a ceiling; `ceiling` is its name, as "data-set"."""

    def __init__(self, ceiling: str, what: str) -> None:
        super().__init__(what)
        self.ceiling = ceiling


@dataclass(frozen=True)
class Used:
    """What one plan has used, or may use: its rule of division, its events by part, and its noise's distance."""

    division: Division | None
    events: Spent
    distance: float

    def times(self, entry: Reserve) -> int:
        """How often the event of a reservation is among the events of its part."""
        return self.events[entry.part][entry.event]

    @classmethod
    def of(cls, state: PlanState, planned: bool = False) -> Used:
        """What counts as answered under a plan, or with `planned` everything in its budget."""
        if planned:
            events = state.planned(state.plan.groups)
        else:
            elsewhere = state.elsewhere()
            events = {part: state.charged[part] + elsewhere[part] for part in PARTS}
        return cls(state.division, events, state.mechanisms.distance)


def composed_epsilon(
    used: Sequence[Used], delta: float, epsilon: float, accountant: Accountant, extra: Iterable[Event] = ()
) -> float:
    """Epsilon of everything that was used, at `delta`; `extra` is of everybody.

    The noise's distance takes from delta what it takes at `epsilon`, if the figure is not above that (see `borne_out`).

    Raises:
        UnreachableBudget: nothing of delta is left for the accountant.
    """
    used = [one for one in used if any(one.events.values())]
    everybody = list(extra)
    groups = [[*multiplied(counts), *everybody] for counts in _composing(used)]
    distance = sum(one.distance for one in used)
    # Where the distances of many plans would take most of delta at `epsilon`, the figure may be far below it.
    far = len(used) > 1 and (1 + math.exp(min(epsilon, 700.0))) * distance > delta / 2
    return borne_out(
        lambda at: max(accountant.epsilon(events, at) for events in groups), None if far else epsilon, delta, distance
    )


def _composing(used: Sequence[Used]) -> list[Counter[Event]]:
    """Events that compose with each other, with how often; no person is in more than one of the groups."""
    parallel = _alike(used)
    groups: tuple[tuple[Part, ...], ...] = (("training", "all"), ("test", "all")) if parallel else (PARTS,)
    found: list[Counter[Event]] = []
    for parts in groups:
        counts: Counter[Event] = Counter()
        for one in used:
            for part in parts:
                counts.update(one.events.get(part, Counter()))
        found.append(counts)
    return found


def _alike(used: Sequence[Used]) -> bool:
    """Whether no person is a training person of one plan and a test person of another."""
    divisions = [one.division for one in used]
    known = [one for one in divisions if one is not None]
    if len(known) < len(divisions) or len({(one.form, one.column) for one in known}) != 1:
        return False
    # An entry of such a plan names no part but everybody's; where one does, it has set somebody apart all the same.
    apart = [one for one in used if any(one.events.get(part, Counter()).total() for part in ("training", "test"))]
    rules = {one.division.split for one in apart if one.division is not None}
    return UNDIVIDED not in rules and len(rules) <= 1


def multiplied(counts: Counter[Event]) -> list[Event]:
    """Events with their counts put in."""
    return [event.model_copy(update={"count": event.count * times}) for event, times in counts.items() if times]


class BudgetCheck:
    """Compares a ledger's state with its ceilings; remembers what it has found to be within them."""

    def __init__(self, accountant: Accountant | None = None) -> None:
        self._accountant = accountant or PldAccountant()
        self._used: dict[str, tuple[int, Used]] = {}
        self._cleared: dict[str, tuple[Ceilings, list[Used]]] = {}

    def epsilon(self, state: LedgerState, chosen: Callable[[Plan], bool] = lambda plan: True) -> float:
        """Epsilon of what counts as answered under the chosen plans, at the delta of the ceilings.

        Raises:
            UnreachableBudget: so much is spent that the noise's distance alone exceeds delta.
        """
        ceilings = _ceilings(state)
        used = [Used.of(plan) for plan in state.plans.values() if chosen(plan.plan)]
        return composed_epsilon(used, ceilings.delta, ceilings.epsilon or 1.0, self._accountant)

    def check(self, state: LedgerState, plan: str, more: Reserve | None = None) -> None:
        """Check that what a plan has spent, and one reservation more, is within every ceiling.

        Raises:
            Overdrawn: it is not; nothing must be computed.
        """
        ceilings, own = _ceilings(state), state.plans[plan]
        if own.plan.privacy.noise == "none":
            if ceilings.epsilon is not None or ceilings.purposes:
                raise Overdrawn("data-set", "the plan adds no noise, and the data set has a ceiling")
            return
        scopes: dict[str, tuple[float | None, float, list[PlanState]]] = {
            "plan": (own.plan.privacy.epsilon, own.plan.privacy.delta, [own]),
            "purpose": (
                ceilings.purposes.get(own.plan.purpose_code),
                ceilings.delta,
                [p for p in state.plans.values() if p.plan.purpose_code == own.plan.purpose_code],
            ),
            "data-set": (ceilings.epsilon, ceilings.delta, list(state.plans.values())),
        }
        for name, (ceiling, delta, plans) in scopes.items():
            if ceiling is not None:
                self._check(name, ceiling, delta, ceilings, plans, own, more)

    def check_whole(self, state: LedgerState, plan: Plan) -> None:
        """Check that all of a plan that is not yet approved is within the ceilings, with the whole of every live plan.

        Raises:
            Overdrawn: it is not.
        """
        ceilings = _ceilings(state)
        new = PlanState(plan, 0, plan.hash, state.card.name)
        if plan.privacy.noise == "none":
            if ceilings.epsilon is not None or ceilings.purposes:
                raise Overdrawn("data-set", "the plan adds no noise, and the data set has a ceiling")
            return
        if plan.platforms and plan.party(state.card.name).group == plan.lenders and plan.privacy.label_epsilon:
            check_labels(state, RandomizedResponse(epsilon=plan.privacy.label_epsilon, count=1), plan.outcome.meaning)
        for scope, ceiling in (("purpose", ceilings.purposes.get(plan.purpose_code)), ("data-set", ceilings.epsilon)):
            if ceiling is None:
                continue
            figure = self.outlook(state, new, scope)
            if figure > ceiling * (1 + 1e-9):
                name = scope.replace("-", " ")
                raise Overdrawn(
                    scope, f"the plan exceeds the {name}'s epsilon ceiling: total {figure:.4g}, ceiling {ceiling:g}"
                )

    def outlook(
        self,
        state: LedgerState,
        new: PlanState | None = None,
        scope: str = "data-set",
        chosen: Callable[[Plan], bool] = lambda plan: True,
    ) -> float:
        """Epsilon if every live plan, and a new one, used all of its budget; infinite where delta does not suffice.

        Of the `chosen` plans.
        """
        ceilings = _ceilings(state)
        plans = [one for one in state.plans.values() if chosen(one.plan)]
        if new is not None and scope == "purpose":
            plans = [one for one in plans if one.plan.purpose_code == new.plan.purpose_code]
        plans = [one for one in plans if one.plan.privacy.noise != "none"]
        used = [Used.of(one, planned=one.state == "live") for one in plans]
        if new is not None:
            used.append(Used.of(new, planned=True))
        try:
            return composed_epsilon(used, ceilings.delta, ceilings.epsilon or 1.0, self._accountant)
        except UnreachableBudget:
            return math.inf

    def _check(
        self,
        scope: str,
        ceiling: float,
        delta: float,
        ceilings: Ceilings,
        plans: list[PlanState],
        own: PlanState,
        more: Reserve | None,
    ) -> None:
        key = f"{scope} {own.hash}"
        known = self._cleared.get(key)
        used = [self._of(plan) for plan in plans]
        place = next(place for place, plan in enumerate(plans) if plan is own)
        if known is not None and known[0] == ceilings and _within(used, known[1]):
            room = known[1][place]
            if more is None or used[place].times(more) + more.count <= room.times(more):
                return
        now = [*used[:place], _with(used[place], more), *used[place + 1 :]]
        # Where all live plans fit as a whole, or this one does, none of its later answers needs a look.
        live = [plan for plan in plans if plan.state == "live"]
        for planned in [live, [own]] if len(live) > 1 else [[own]]:
            whole = [Used.of(plan, planned=True) if plan in planned else self._of(plan) for plan in plans]
            if _within(now, whole) and self._fits(whole, ceiling, delta):
                break
        else:
            whole = now
            if not self._fits(now, ceiling, delta):
                what = f"what is asked exceeds the {scope.replace('-', ' ')}'s epsilon ceiling, {ceiling:g}"
                raise Overdrawn(scope, what)
        self._cleared[key] = (ceilings, whole)

    def _of(self, plan: PlanState) -> Used:
        known = self._used.get(plan.hash)
        if known is None or known[0] != plan.version:
            self._used[plan.hash] = known = (plan.version, Used.of(plan))
        return known[1]

    def _fits(self, used: list[Used], ceiling: float, delta: float) -> bool:
        try:
            return composed_epsilon(used, delta, ceiling, self._accountant) <= ceiling * (1 + 1e-9)
        except UnreachableBudget:
            return False


def check_labels(state: LedgerState, event: Event, what: str) -> None:
    """Check that releasing labels of that meaning is within the data set's ceiling of label epsilon.

    Raises:
        Overdrawn: it is not.
    """
    ceiling = _ceilings(state).label_epsilon
    if ceiling is None or not isinstance(event, RandomizedResponse):
        return
    epsilons = {key: released.epsilon for key, released in released_labels(state).items()}
    total = math.fsum((epsilons | {(what, event.epsilon): event.epsilon}).values())
    if total > ceiling * (1 + 1e-9):
        raise Overdrawn("labels", f"label epsilon exceeds the data set's ceiling: total {total:g}, ceiling {ceiling:g}")


def label_epsilon(state: LedgerState) -> float:
    """Label epsilon of a person over all releases: each outcome and epsilon counts once, to whomever it went."""
    return math.fsum(event.epsilon for event in released_labels(state).values())


def released_labels(state: LedgerState) -> dict[tuple[str, float], RandomizedResponse]:
    """Noisy labels of a person that were released, by what keys their coins: the outcome's meaning and the epsilon.

    The meaning is that of the plan, not the text in the entry, which ledgers of earlier versions have cut.
    """
    return {
        (plan.plan.outcome.meaning, disclosure.event.epsilon): disclosure.event
        for plan in state.plans.values()
        for disclosure in plan.disclosures
        if isinstance(disclosure.event, RandomizedResponse) and disclosure.fresh
    }


def bits_by_recipient(state: LedgerState) -> dict[str, int]:
    """The most bits that a recipient can have got of one person, over all plans: new values only."""
    bits: Counter[str] = Counter()
    for plan in state.plans.values():
        for disclosure in plan.disclosures:
            if isinstance(disclosure.event, Disclosure) and disclosure.fresh:
                bits[disclosure.event.recipient] += disclosure.event.bits * disclosure.event.count
    return dict(sorted(bits.items()))


def bits_by_kind(state: LedgerState) -> dict[tuple[str, str], int]:
    """The most bits of one person in training by what they are of and who got them: new values only.

    The kind is that of the phase, as `disclose_signal`.
    """
    bits: Counter[tuple[str, str]] = Counter()
    for plan in state.plans.values():
        for disclosure in plan.disclosures:
            if isinstance(disclosure.event, Disclosure) and disclosure.fresh:
                kind = disclosure.phase.partition(":")[0]
                bits[kind, disclosure.event.recipient] += disclosure.event.bits * disclosure.event.count
    return dict(sorted(bits.items()))


def _ceilings(state: LedgerState) -> Ceilings:
    if state.ceilings is None:
        raise ValueError("a ledger that was not opened has no ceilings")
    return state.ceilings


def _with(used: Used, more: Reserve | None) -> Used:
    if more is None:
        return used
    events = {part: Counter(counts) for part, counts in used.events.items()}
    events[more.part][more.event] += more.count
    return Used(used.division, events, used.distance)


def _within(some: list[Used], whole: list[Used]) -> bool:
    """Whether everything that is used is in `whole` too, as often or oftener."""
    if len(some) != len(whole):
        return False
    return all(one is other or _covered(one, other) for one, other in zip(some, whole, strict=True))


def _covered(one: Used, other: Used) -> bool:
    if one.division != other.division:
        return False
    return all(times <= other.events[part][event] for part in PARTS for event, times in one.events[part].items())
