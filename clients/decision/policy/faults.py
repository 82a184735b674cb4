"""What is wrong with a policy although each of its values is allowed: contradictions, gaps, overlaps, unknown names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from sealscore.clients.decision.policy.model import (
    MANY,
    MOST_MANY,
    SKIP,
    Cell,
    DecisionPolicy,
    LoanLimits,
    PolicyInput,
    PolicyProduct,
    PolicyRule,
)

Fault = tuple[str, str]
"""The dotted place of a fault, and what is wrong with the fix."""
# An own input of these names could be filled from the answer to a score, which a policy may not read.
_RESERVED = {
    *("role", "model", "champion", "fallback", "signal", "signals", "status", "token", "tokens", "consent", "consents"),
    *("platform", "release", "points", "pd", "score"),
}
_UP, _DOWN = ("above", "at_least"), ("below", "at_most")


def faults(policy: DecisionPolicy) -> list[Fault]:
    """All of them, in the order of the file; none if the policy can be used."""
    found: list[Fault] = []
    for place in ("declines", "notice.queue"):
        queue = policy.declines if place == "declines" else policy.notice.queue
        found += _queue(policy, place, queue)
    for name, product in policy.products.items():
        at = f"products.{name}"
        found += _queue(policy, f"{at}.queue", product.queue)
        for number, rule in enumerate(product.rules):
            if rule.queue is not None:
                found += _queue(policy, f"{at}.rules.{number}.queue", rule.queue)
        wrong = [(f"inputs.{key}", what) for key, one in product.inputs.items() for what in _input(key, one)]
        # What rules hit can be said of sound inputs alone.
        found += [(f"{at}.{place}", what) for place, what in wrong or (*_rules(product), *_of_product(product))]
    return found


def _queue(policy: DecisionPolicy, place: str, queue: str) -> list[Fault]:
    if queue in policy.queues:
        return []
    return [(place, f"there is no queue {queue!r}; name one of {', '.join(policy.queues)}, or add [queues.{queue}]")]


def _input(name: str, one: PolicyInput) -> Iterator[str]:
    if name in _RESERVED:
        yield "a policy reads neither role, signals nor points by an own input; take it out"
    bounds = (one.lower, one.upper)
    if one.numeric:
        if one.lower is None or one.upper is None or one.lower >= one.upper:
            yield "a number needs lower and upper, the lower one first"
            return
        if one.levels:
            yield "levels go with kind = 'choice'; leave them out"
    elif bounds != (None, None):
        yield "lower and upper go with numbers; leave them out"
    if one.kind == "choice" and (len(one.levels) < 2 or len(set(one.levels)) != len(one.levels) or SKIP in one.levels):
        yield f"a choice needs at least two levels, each once and none of them {SKIP!r}"
    if one.kind == "yes-no" and one.levels:
        yield "levels go with kind = 'choice'; leave them out"
    if one.required and one.neutral is not None:
        yield "a required input has no neutral value: without a value there is a review; take one of both out"
    if not one.required and one.neutral is None:
        yield f"an optional input needs neutral: the value that stands for none, or {SKIP!r}"
    if one.neutral not in (None, SKIP) and (what := one.fault(one.neutral)):
        yield f"neutral {what}"


def _rules(product: PolicyProduct) -> Iterator[Fault]:
    for id, count in Counter(rule.id for rule in product.rules).items():
        if count > 1:
            yield f"rules.{_last(product, id)}.id", f"two rules are named {id!r}; rename one"
    good: list[tuple[int, PolicyRule]] = []
    for number, rule in enumerate(product.rules):
        wrong = list(_rule(product, rule))
        yield from ((f"rules.{number}", what) for what in wrong)
        if not wrong:
            good.append((number, rule))
    seen: dict[tuple[str, tuple[Cell, ...]], PolicyRule] = {}
    for number, rule in good:
        # What a rule hits follows from where it hits among the values between all thresholds.
        reads = str(rule.input) if rule.event is None else f"{rule.event} {rule.within_days} {rule.at_least}"
        hit: tuple[Cell, ...] = ()
        if rule.input is not None:
            hit = tuple(value for value in _probes(product, rule.input) if rule.hits(value))
        other = seen.setdefault((reads, hit), rule)
        if other is not rule:
            yield f"rules.{number}", _twins(other, rule)
    for name in product.inputs:
        of = [rule for _, rule in good if rule.input == name]
        if of and all(any(rule.hits(value) for rule in of) for value in _probes(product, name)):
            yield f"inputs.{name}", "its rules hit at every value, so nothing is ever approved; correct a threshold"


def _rule(product: PolicyProduct, rule: PolicyRule) -> Iterator[str]:
    if (rule.input is None) == (rule.event is None):
        yield "give input or event, and not both"
        return
    if rule.effect == "decline" and rule.queue is not None:
        yield "queue goes with effect = 'review'; declines have their own"
    compared = sum(getattr(rule, name) is not None for name in (*_UP, *_DOWN, "equals", "among"))
    if rule.event == MANY:
        yield from _many(rule, compared)
        return
    if rule.within_days is not None:
        yield f"within_days goes with event = {MANY!r}; leave it out"
    if rule.event is not None:
        if compared:
            yield "an event is there or it is not; leave the comparison out"
        return
    if compared != 1 or rule.comparison is None:
        yield "give one of above, at_least, below, at_most, equals, among"
        return
    name = str(rule.input)
    declared = product.inputs.get(name)
    if declared is None:
        known = ", ".join(product.inputs) or "none"
        yield f"there is no input {name!r} in this product; declare it, or name one of: {known}"
        return
    compares, threshold = rule.comparison
    if declared.numeric != (compares in (*_UP, *_DOWN)):
        wanted = "above, at_least, below or at_most" if declared.numeric else "equals or among"
        yield f"{name} is of kind {declared.kind!r}, which is compared by {wanted}"
        return
    values = threshold if compares == "among" else (threshold,)
    if not declared.numeric and any(declared.fault(value) for value in values):
        yield f"{compares} {declared.fault(next(value for value in values if declared.fault(value)))}"
        return
    probes = _probes(product, name)
    hits = [rule.hits(value) for value in probes]
    if not any(hits) or all(hits):
        yield f"it hits at {'every' if all(hits) else 'no'} value of {name} within its bounds; correct the threshold"


def _many(rule: PolicyRule, compared: int) -> Iterator[str]:
    least = rule.at_least
    if rule.within_days is None or least is None or compared != 1:
        yield f"{MANY} needs within_days and at_least, and no other comparison"
    elif not 2 <= least <= MOST_MANY or least != round(least):
        yield f"at_least is how many decisions on one person are many: a whole number from 2 to {MOST_MANY}"
    if rule.effect != "review":
        yield f"asking often is for a person to look at, and no reason to decline; write effect = 'review' for {MANY}"


def _twins(one: PolicyRule, other: PolicyRule) -> str:
    if one.effect == other.effect:
        return f"it hits exactly where {one.id!r} does, with the same effect; take one out"
    return f"it contradicts {one.id!r}, which hits exactly there with effect {one.effect!r}; take one out"


def _probes(product: PolicyProduct, name: str) -> list[Cell]:
    """Values of an input such that rules that hit the same of them hit the same of all."""
    declared = product.inputs[name]
    if declared.kind == "yes-no":
        return [False, True]
    if declared.kind == "choice":
        return list(declared.levels)
    lower, upper = float(declared.lower or 0), float(declared.upper or 0)
    edges = {lower, upper}
    for rule in product.rules:
        if rule.input == name and rule.comparison and isinstance(rule.comparison[1], float):
            edges.add(min(max(rule.comparison[1], lower), upper))
    found = sorted(edges)
    if declared.kind == "count":
        near = {round(edge) + step for edge in found for step in (-1, 0, 1)}
        return [*(float(value) for value in sorted(near) if lower <= value <= upper)]
    return [*sorted({*found, *((low + high) / 2 for low, high in pairwise(found))})]


def _of_product(product: PolicyProduct) -> Iterator[Fault]:
    for role in ("champion", "fallback"):
        cutoffs = product.cutoffs(role)
        if cutoffs.review > cutoffs.approve:
            yield f"{role}.review", "is above approve: points between would be both; lower it to approve or less"
    yield from _bands(product)
    yield from _limits(product.limits)
    yield from _reads(product)
    random, lowest = product.random, min(product.champion.review, product.fallback.review)
    if random is not None:
        if random.start >= lowest:
            yield "random.start", f"must be below both cut-offs for review, {lowest}: above them nobody is declined"
        if random.largest < product.limits.smallest:
            yield "random.largest", "is below limits.smallest; raise it"


def _bands(product: PolicyProduct) -> Iterator[Fault]:
    bands, limits = product.bands, product.limits
    if len({band.name for band in bands}) != len(bands):
        yield "bands", "two bands have one name; rename one"
    starts = [product.champion.review, product.fallback.review, *([product.random.start] if product.random else [])]
    if bands[0].start > min(starts):
        yield "bands.0.start", f"there is a gap: points from {min(starts)} on can be lent to, and no band has them"
    for number, (low, high) in enumerate(pairwise(bands), 1):
        if low.end is None or low.end > high.start:
            yield f"bands.{number}", f"overlaps {low.name!r}: its start must be the end of that one"
        elif low.end < high.start:
            yield f"bands.{number}", f"there is a gap from {low.end} to {high.start}: start where {low.name!r} ends"
        if high.largest < low.largest or high.annual_rate > low.annual_rate:
            yield f"bands.{number}", f"more points must not get less: lend at least what {low.name!r} does, as cheaply"
    for number, band in enumerate(bands):
        if band.end is not None and band.end <= band.start:
            yield f"bands.{number}.end", "must be above its start"
        for cap in limits.statutory:
            if cap.annual_rate is not None and band.annual_rate > cap.annual_rate:
                yield f"bands.{number}.annual_rate", f"is above what {cap.source} allows, {cap.annual_rate}"
    if bands[-1].end is not None:
        yield f"bands.{len(bands) - 1}.end", "there is a gap above the last band; leave its end out"


def _limits(limits: LoanLimits) -> Iterator[Fault]:
    if limits.smallest > limits.largest:
        yield "limits.smallest", "is above largest; lower it"
    if limits.largest > limits.exposure:
        yield "limits.exposure", "is below largest, which could never be lent; raise it, or lower largest"
    if limits.step > limits.smallest:
        yield "limits.step", "is above smallest; lower it"
    if len(set(limits.terms)) != len(limits.terms):
        yield "limits.terms", "a term stands twice; take it out once"
    ids = [cap.id for cap in limits.statutory]
    if len(set(ids)) != len(ids):
        yield "limits.statutory", "two caps have one id; rename one"
    for number, cap in enumerate(limits.statutory):
        if cap.principal is None and cap.annual_rate is None:
            yield f"limits.statutory.{number}", "caps nothing; give principal or annual_rate"


def _reads(product: PolicyProduct) -> Iterator[Fault]:
    """Who reads which input, and in which direction."""
    inputs, limits = product.inputs, product.limits
    read = {rule.input for rule in product.rules}
    wanted = [(f"limits.advances.{number}.input", one.input) for number, one in enumerate(limits.advances)]
    if (affordable := limits.affordable) is not None:
        wanted.append(("limits.affordable.income", affordable.income))
        if affordable.debt_service is not None:
            wanted.append(("limits.affordable.debt_service", affordable.debt_service))
    for place, name in wanted:
        read.add(name)
        declared = inputs.get(name)
        if declared is None or declared.kind != "amount" or (declared.lower or 0) < 0:
            yield place, f"there must be an input {name!r} of kind 'amount', with lower of 0 or more"
            continue
        fills = place.endswith("income") and affordable is not None and affordable.capacity_unit is not None
        if fills and declared.required:
            yield place, "capacity_unit is for a missing income, and this one is required; take one of both out"
        if not fills and not declared.required and declared.neutral == SKIP:
            yield place, "a limit needs its value: make it required, or give a neutral one"
        wrong = _UP if not place.endswith("debt_service") else _DOWN
        for number, rule in enumerate(product.rules):
            if rule.input == name and rule.comparison and rule.comparison[0] in wrong:
                yield f"rules.{number}", f"more of {name} would turn from {'worse' if wrong == _DOWN else 'better'}"
    for name in inputs:
        if name not in read:
            yield f"inputs.{name}", "no rule and no limit reads it; take it out, and do not collect it"


def _last(product: PolicyProduct, id: str) -> int:
    return max(number for number, rule in enumerate(product.rules) if rule.id == id)
