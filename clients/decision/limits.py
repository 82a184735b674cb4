"""How much may be lent: the least of all limits, each reported."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Context, Decimal
from functools import lru_cache

from sealscore.clients.decision.facts import Applicant
from sealscore.clients.decision.policy.model import SKIP, Cell, PolicyProduct
from sealscore.shared.plan.schema import Sentence

PRODUCT, BAND, AFFORDABLE, EXPOSURE = "limit.product", "limit.band", "limit.affordable", "limit.exposure"
ADVANCE, STATUTORY = "limit.advance.", "limit.statutory."
# Powers of a decimal number by a whole one are the same on every machine, which those of floats are not.
_EXACT = Context(prec=34)

SENTENCES: Mapping[str, Sentence] = {
    PRODUCT: Sentence(en="The amount is above the most that this product lends.", zh="申请金额超过该产品的最高额度。"),
    BAND: Sentence(en="The score allows a lower amount.", zh="信用评分对应的额度较低。"),
    AFFORDABLE: Sentence(
        en="Income, less existing instalments, does not cover the instalment.",
        zh="收入扣除现有还款后不足以支付每期还款。",
    ),
    EXPOSURE: Sentence(
        en="Open loans and approvals with us leave less room.", zh="您在本机构的未结清贷款和已批准额度较高。"
    ),
    ADVANCE: Sentence(
        en="The amount is above the share that is lent on the receipts shown.",
        zh="申请金额超过可按所示款项借出的比例。",
    ),
    STATUTORY: Sentence(en="The amount is above what the law allows.", zh="申请金额超过法律规定的上限。"),
}
"""What an applicant is told of a limit, by the beginning of its id."""


def sentence_of(limit: str) -> Sentence:
    """The sentence of a limit by its id."""
    return next(words for begins, words in SENTENCES.items() if limit.startswith(begins))


@lru_cache(maxsize=4096)
def annuity(annual_rate: float, months: int) -> float:
    """Principal that one unit a month pays back over so many months: (1 - (1 + r)^-n) / r at r a month.

    The standard formula of an annuity in arrears; n where the rate is 0.
    """
    if annual_rate == 0:
        return float(months)
    rate = _EXACT.divide(Decimal(str(annual_rate)), Decimal(12))
    grown = _EXACT.power(_EXACT.add(Decimal(1), rate), -months)
    return float(_EXACT.divide(_EXACT.subtract(Decimal(1), grown), rate))


def monthly_income(product: PolicyProduct, one: Applicant, values: Mapping[str, Cell]) -> float | None:
    """The income, or the lower edge of the capacity band where it is missing; None where neither is there."""
    affordable = product.limits.affordable
    if affordable is None:
        return None
    own = _number(values[affordable.income])
    if own is not None:
        return own
    if affordable.capacity_unit is None or one.scored.capacity is None:
        return None
    return one.scored.capacity * affordable.capacity_unit


def values_of(product: PolicyProduct, given: Mapping[str, Cell]) -> tuple[dict[str, Cell], set[str]]:
    """Inputs as rules and limits read them, and the names of those that are missing.

    A value that is none of its input, NaN among them, is missing; an optional one that is has its neutral value, or
    None where that is to skip it.
    """
    found: dict[str, Cell] = {}
    missing = set()
    for name, declared in product.inputs.items():
        value = given.get(name)
        if value is None or declared.fault(value):
            missing.add(name)
            value = None if declared.required or declared.neutral == SKIP else declared.neutral
        found[name] = value
    return found, missing


def limits_of(product: PolicyProduct, one: Applicant, values: Mapping[str, Cell]) -> dict[str, int | None]:
    """Each limit by its id, in whole steps of the currency; None where what it needs is missing.

    `values` are those of `values_of`.
    """
    limits, band = product.limits, product.band(one.scored.points)
    found: dict[str, int | None] = {
        PRODUCT: limits.largest,
        BAND: band.largest,
        EXPOSURE: max(0, limits.exposure - one.exposure),
    }
    if limits.affordable is not None:
        income = monthly_income(product, one, values)
        service: float | None = 0.0
        if limits.affordable.debt_service is not None:
            service = _number(values[limits.affordable.debt_service])
        found[AFFORDABLE] = None
        if income is not None and service is not None:
            monthly = max(0.0, income * limits.affordable.share - service)
            found[AFFORDABLE] = math.floor(monthly * annuity(band.annual_rate, one.term))
    for advance in limits.advances:
        amount = _number(values[advance.input])
        found[ADVANCE + advance.input] = None if amount is None else math.floor(amount * advance.share)
    for cap in limits.statutory:
        if cap.principal is not None:
            found[STATUTORY + cap.id] = cap.principal
    return {id: None if amount is None else amount - amount % limits.step for id, amount in found.items()}


def _number(value: Cell) -> float | None:
    return float(value) if isinstance(value, int | float) else None
