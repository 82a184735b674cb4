"""From a policy's product and one applicant to exactly one proposal, with every rule reported. Pure: no file, no clock.

The order: what is missing goes to a person; then what declines; then too few points; then what goes to a person; then
the amount. So more debt, fewer points or less capacity never make a proposal better, random approvals left aside.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sealscore.clients.decision.facts import Applicant
from sealscore.clients.decision.limits import (
    BAND,
    EXPOSURE,
    PRODUCT,
    limits_of,
    monthly_income,
    sentence_of,
    values_of,
)
from sealscore.clients.decision.policy.model import MANY, Cell, PolicyProduct, PolicyRule, RoleCutoffs

ProposalKind = Literal["approve", "counter", "review", "decline-proposed"]
Report = dict[str, Any]
REPORT_KEYS = ("id", "hit", "value", "threshold", "effect")
_MISSING = "missing"


@dataclass(frozen=True)
class Proposal:
    """What a policy proposes. `limit` is the most that could be lent (None: not known), `amount` what is offered.

    `rules` report every rule: id, hit, value, threshold, effect. `random` says what the draw of random approvals was,
    where this applicant was in their band. Its `repr` has no value.
    """

    kind: ProposalKind
    amount: int = field(repr=False)
    limit: int | None = field(repr=False)
    annual_rate: float = field(repr=False)
    rules: tuple[Report, ...] = field(repr=False)
    reasons: tuple[dict[str, Any], ...] = field(repr=False)
    queue: str | None = None
    random: dict[str, Any] | None = field(default=None, repr=False)

    def plain(self) -> dict[str, Any]:
        """As the log keeps it, and as a replay compares it; rules as rows of `REPORT_KEYS`, which take less room."""
        return {
            "proposal": self.kind,
            "amount": self.amount,
            "limit": self.limit,
            "annual_rate": self.annual_rate,
            "rules": [list(rule.values()) for rule in self.rules],
            "reasons": list(self.reasons),
            "queue": self.queue,
            "random": self.random,
        }


class Evaluator:
    """Evaluates applicants for one product."""

    def __init__(self, product: PolicyProduct) -> None:
        self.product = product
        # In the order of names: policies of one hash propose the same, in whatever order a file declares inputs.
        self._inputs = sorted((name, declared.required) for name, declared in product.inputs.items())
        self._thresholds = [_threshold(rule) for rule in product.rules]
        edges: dict[str, set[float]] = {}
        for rule in product.rules:
            if rule.input is not None and rule.comparison and isinstance(rule.comparison[1], float):
                edges.setdefault(rule.input, set()).add(rule.comparison[1])
        self._edges = {name: sorted(of) for name, of in edges.items()}
        self._bands = {name: _bands(of) for name, of in self._edges.items()}

    def propose(self, role: str, one: Applicant, score_reasons: Sequence[Mapping[str, Any]] = ()) -> Proposal:
        """The proposal for an applicant; `role` chooses the cut-offs and is not read otherwise."""
        product, cutoffs = self.product, self.product.cutoffs(role)
        values, without = values_of(product, one.inputs)
        missing = self._missing(without, monthly_income(product, one, values))
        rows = zip(product.rules, self._thresholds, strict=True)
        own = [(rule, self._own(rule, threshold, one, values)) for rule, threshold in rows]
        other = one.scored.token_of_another
        stolen = _report("token.other-person", other, "yes" if other else "no", "yes", "review")
        finite = math.isfinite(one.scored.pd) and 0 <= one.scored.pd <= 1
        points = one.scored.points
        missing.append(_report("score.usable", not finite, "yes" if finite else "no", "no", "review"))
        low = _report("score.decline", points < cutoffs.review, points, cutoffs.review, "decline")
        grey = _report("score.review", cutoffs.review <= points < cutoffs.approve, points, cutoffs.approve, "review")
        limits = limits_of(product, one, values)
        capped = [self._limit(id, amount, one) for id, amount in limits.items()]
        known = [amount for amount in limits.values() if amount is not None]
        limit = min(known) if len(known) == len(limits) else None
        declines = any(report["hit"] and report["effect"] == "decline" for _, report in own)
        reviews = stolen["hit"] or any(report["hit"] and report["effect"] == "review" for _, report in own)
        gone = limit is None or any(report["hit"] for report in missing)
        lendable = limit is not None and limit >= product.limits.smallest
        drawn, random = self._random(one, cutoffs, open=lendable and not (gone or declines or reviews))
        kind, offered = self._decided(gone, declines, reviews or grey["hit"], low["hit"] and not random, limit, one)
        if random and product.random is not None:
            offered = min(offered, product.random.largest)
            kind = "approve" if offered == one.amount else "counter"
        rules = (*missing, *(report for _, report in own), stolen, low, grey, *capped)
        if drawn is not None:
            draw = _report("random.band", random, "drawn" if random else "not drawn", drawn["propensity"], "approve")
            rules = (*rules, draw)
        return Proposal(
            kind,
            offered,
            limit,
            product.band(points).annual_rate,
            rules,
            tuple(self._reasons(kind, [*missing, stolen], own, low["hit"] or grey["hit"], limits, one, score_reasons)),
            self._queue(kind, own),
            drawn,
        )

    def _decided(
        self, missing: bool, declines: bool, reviews: bool, low: bool, limit: int | None, one: Applicant
    ) -> tuple[ProposalKind, int]:
        if missing or limit is None:
            return "review", 0
        if declines or low or limit < self.product.limits.smallest:
            return "decline-proposed", 0
        if reviews:
            return "review", 0
        offered = min(limit, one.amount)
        return ("approve" if offered == one.amount else "counter"), offered

    def _missing(self, without: set[str], income: float | None) -> list[Report]:
        """A report for each input and for the income, whether it is there.

        An optional one that is missing has its neutral rule and never hits.
        """
        found = []
        for name, required in self._inputs:
            gone = name in without
            effect = "review" if required else "none"
            found.append(_report(f"input.{name}", gone and required, _MISSING if gone else "given", _MISSING, effect))
        if self.product.limits.affordable is not None:
            gone = income is None
            value = _MISSING if gone else "given"
            found.append(_report("input.monthly-income", gone, value, _MISSING, "review"))
        return found

    def _own(self, rule: PolicyRule, threshold: str, one: Applicant, values: Mapping[str, Cell]) -> Report:
        if rule.input is None:
            there = rule.counts(one.recent) if rule.event == MANY else rule.event in one.scored.events
            wanted = f"{threshold} in {rule.within_days} days" if rule.event == MANY else "yes"
            return _report(rule.id, there, "yes" if there else "no", wanted, rule.effect)
        value = values[rule.input]
        return _report(rule.id, rule.hits(value), self._shown(rule.input, value, rule), threshold, rule.effect)

    def _shown(self, name: str, value: Cell, rule: PolicyRule) -> Any:
        """A value as it is reported: the band between thresholds, or yes or no, where it is sensitive."""
        declared = self.product.inputs[name]
        if value is None:
            return _MISSING
        if declared.kind == "yes-no":
            return "yes" if value else "no"
        if not declared.sensitive:
            return value
        if not declared.numeric:
            return "among them" if rule.hits(value) else "another"
        return self._bands[name][bisect_right(self._edges[name], float(value))]

    def _limit(self, id: str, amount: int | None, one: Applicant) -> Report:
        """A limit as a rule: it hits where it allows less than is asked for."""
        limits = self.product.limits
        public = {PRODUCT: limits.largest, EXPOSURE: limits.exposure, BAND: amount}
        threshold = amount if id.startswith("limit.statutory.") else public.get(id)
        if amount is None:
            return _report(id, False, _MISSING, threshold, "counter")
        short = amount < one.amount
        effect = "decline" if amount < limits.smallest else "counter"
        return _report(id, short, "less than asked for" if short else "enough", threshold, effect)

    def _random(self, one: Applicant, cutoffs: RoleCutoffs, open: bool) -> tuple[dict[str, Any] | None, bool]:
        """What the draw says of one in the band of random approvals, and whether it is approved by it."""
        random = self.product.random
        if random is None or not open or not random.start <= one.scored.points < cutoffs.review:
            return None, False
        chosen = one.draw < random.propensity
        return {"series": random.series, "propensity": random.propensity, "chosen": chosen}, chosen

    def _queue(self, kind: ProposalKind, own: Sequence[tuple[PolicyRule, Report]]) -> str | None:
        if kind != "review":
            return None
        named = (rule.queue for rule, report in own if report["hit"] and rule.queue)
        return next(named, self.product.queue)

    def _reasons(
        self,
        kind: ProposalKind,
        fixed: Sequence[Report],
        own: Sequence[tuple[PolicyRule, Report]],
        score: bool,
        limits: Mapping[str, int | None],
        one: Applicant,
        score_reasons: Sequence[Mapping[str, Any]],
    ) -> Iterator[dict[str, Any]]:
        """Why it is no approval of what was asked for: those reasons alone that had a part in it."""
        if kind == "approve":
            return
        for report in fixed:
            if report["hit"]:
                yield {"source": "input", "code": report["id"], **fixed_words(report["id"])}
        for rule, report in own:
            if report["hit"]:
                yield {"source": "rule", "code": rule.id, "en": rule.reason.en, "zh": rule.reason.zh}
        short = [id for id, amount in limits.items() if amount is not None and amount < one.amount]
        if score or (short and BAND in short):
            yield from ({"source": "score", **reason} for reason in score_reasons)
        for id in short if kind in ("counter", "decline-proposed") else ():
            words = sentence_of(id)
            yield {"source": "limit", "code": id, "en": words.en, "zh": words.zh}


def fixed_words(id: str) -> dict[str, str]:
    """The sentences of what is looked at whatever a policy says: missing inputs, the score, somebody else's token."""
    if id == "token.other-person":
        return {"en": "The consent that came with it is another person's.", "zh": "随附的授权属于他人。"}
    name = id.partition(".")[2]
    return {"en": f"Information is missing: {name}.", "zh": f"缺少信息:{name}。"}


def _bands(edges: Sequence[float]) -> list[str]:
    """The bands between thresholds in words, the lowest first."""
    lows, highs = ["", *(f"from {edge:g}" for edge in edges)], [*(f"up to {edge:g}" for edge in edges), ""]
    return [" ".join(filter(None, both)) for both in zip(lows, highs, strict=True)]


def _threshold(rule: PolicyRule) -> str:
    """A rule's comparison as it is read: "at_least 3", "equals no"."""
    compares, threshold = rule.comparison or ("", None)
    if isinstance(threshold, bool):
        return f"{compares} {'yes' if threshold else 'no'}"
    if isinstance(threshold, float):
        return f"{compares} {threshold:g}"
    return f"{compares} {', '.join(threshold) if isinstance(threshold, tuple) else threshold}"


def _report(id: str, hit: bool, value: Any, threshold: Any, effect: str) -> Report:
    # In the order of REPORT_KEYS.
    return {"id": id, "hit": bool(hit), "value": value, "threshold": threshold, "effect": effect}
