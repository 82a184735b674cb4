"""The borrowers to contact first: a lender's own arrears rules, and the watch bits that hold today.

Nobody is listed who was erased. A bit whose consent was withdrawn or ended is gone from the log, so it lists nobody;
what a borrower owes by the lender's own table stays the lender's to know.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sealscore.clients.scoring.storage.watch_bits import WatchBit, expires_on
from sealscore.clients.warning.arrears import LoanArrears
from sealscore.clients.warning.ranking import newest, ranks
from sealscore.clients.warning.rules import PointsRule, ShareRule, WarningRules

URGENT, ARREARS, WATCHED, SCORED = 1, 2, 3, 4
PRIORITIES = {
    URGENT: "urgent: far in arrears, or in arrears with a watch bit",
    ARREARS: "in arrears",
    WATCHED: "a watch bit alone",
    SCORED: "a low score at the application alone, or a low rank",
}
_BY_BIT = {
    "en": "Contact the borrower first, and ask how things are. Change no limit, price or term by this bit alone.",
    "zh": "请先联系借款人了解情况。不得仅凭平台预警位调整额度、价格或期限。",
}
_BY_SCORE = {
    "en": "Contact the borrower before the next instalment, and ask how things are. Nothing is in arrears.",
    "zh": "请在下一期还款前联系借款人了解情况。目前没有逾期。",
}
_BY_ARREARS = {
    "en": "Contact the borrower first, and agree on how the open instalments are paid.",
    "zh": "请先联系借款人并协商逾期款项的还款安排。",
}


@dataclass(frozen=True)
class WarnedLoan:
    """A loan whose borrower is to be contacted. `reasons` have a code and a sentence in English and in Chinese; `until`
    is the last day of the watch bit, if one is among them; `rank` the share of running loans that rank no better, where
    a share is listed and nothing of the loan is in arrears. Its `repr` shows neither loan nor person.
    """

    loan: str = field(repr=False)
    person: str = field(repr=False)
    priority: int
    days_past_due: int
    missed: int
    reasons: tuple[Mapping[str, str], ...]
    until: str | None = None
    rank: float | None = None

    @property
    def contact(self) -> Mapping[str, str]:
        """What to do first, in both languages."""
        return _BY_BIT if self.until else _BY_SCORE if self.priority == SCORED else _BY_ARREARS

    @property
    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        names = ("loan", "person", "priority", "days_past_due", "missed", "until", "rank")
        found: dict[str, Any] = {name: getattr(self, name) for name in names}
        return found | {"reasons": [dict(one) for one in self.reasons], "contact": dict(self.contact)}

    @property
    def row(self) -> dict[str, Any]:
        """As a table has it: the sentences of a language in one cell."""
        found = {name: value for name, value in self.plain.items() if name not in ("reasons", "contact")}
        for key in ("code", "en", "zh"):
            found[f"reasons_{key}"] = "; ".join(one[key] for one in self.reasons)
        return found | {f"contact_{language}": words for language, words in self.contact.items()}


def warned_loans(
    loans: Iterable[LoanArrears],
    rules: WarningRules,
    bits: Sequence[WatchBit],
    names: Mapping[str, bytes],
    erased: Collection[bytes],
) -> list[WarnedLoan]:
    """The loans to look at, the most urgent first; `names` are what stands for persons in the log, by normal form."""
    held: dict[bytes, list[WatchBit]] = {}
    for bit in bits:
        held.setdefault(bit.person, []).append(bit)
    of_person = {person: held[name] for person, name in names.items() if name in held}
    loans = [loan for loan in loans if names[loan.person] not in erased]
    found, share = [], rules.share
    for loan in loans:
        set_bits = [bit for bit in of_person.get(loan.person, ()) if bit.value]
        if (warned := _warned(loan, rules, set_bits)) is not None:
            found.append(warned)
    if share is not None:
        quiet = [loan for loan in loans if not _late(loan, rules)]
        place = ranks(quiet, of_person, share)
        worst = (loan for loan in quiet if place[loan.loan] <= share.of)
        found += [_ranked(loan, share, place[loan.loan], of_person.get(loan.person, ())) for loan in worst]
    return sorted(found, key=lambda one: (one.priority, -one.days_past_due, -one.missed, one.rank or 0.0, one.loan))


def _late(loan: LoanArrears, rules: WarningRules) -> bool:
    return loan.days >= rules.arrears.days or loan.missed >= rules.arrears.missed


def _warned(loan: LoanArrears, rules: WarningRules, bits: Sequence[WatchBit]) -> WarnedLoan | None:
    """A loan that is listed by what is its own; `bits` are those of its person that are 1."""
    reasons, arrears, late = [], rules.arrears, _late(loan, rules)
    if not late and rules.share is not None:
        return None
    if loan.days >= arrears.days:
        days = loan.days
        reasons.append(_reason("arrears.days", f"An instalment is {days} days past due", f"有一期还款已逾期{days}天"))
    if loan.missed >= arrears.missed:
        missed = loan.missed
        words = f"{missed} instalments are open past their day"
        reasons.append(_reason("arrears.missed", words, f"已有{missed}期到期未还"))
    # Beside arrears a bit counts whatever the score was.
    bits = bits if late or _within(loan, rules.watch) else ()
    reasons += [_of_bit(bit) for bit in bits]
    if rules.score is not None and loan.points is not None and _within(loan, rules.score):
        points = loan.points
        reasons.append(_reason("score", f"The application was scored with {points} points", f"申请时评分为{points}分"))
    if not reasons:
        return None
    far = loan.days >= arrears.urgent_days or loan.missed >= arrears.urgent_missed
    priority = URGENT if late and (far or bits) else ARREARS if late else WATCHED if bits else SCORED
    return WarnedLoan(loan.loan, loan.person, priority, loan.days, loan.missed, tuple(reasons), _until(bits))


def _ranked(loan: LoanArrears, share: ShareRule, rank: float, bits: Sequence[WatchBit]) -> WarnedLoan:
    """A loan with nothing in arrears that is listed by its rank; `bits` are all of its person that hold."""
    of = f"{100 * share.of:.3g}"
    bits = [bit for bit in newest(bits) if bit.value and share.bit]
    reasons = [
        _reason(
            "rank", f"Of the loans that run it is among the {of} % that rank worst", f"在正常还款的贷款中排名居末{of}%"
        )
    ]
    reasons += [_of_bit(bit) for bit in bits]
    priority = WATCHED if bits else SCORED
    return WarnedLoan(loan.loan, loan.person, priority, loan.days, loan.missed, tuple(reasons), _until(bits), rank)


def _until(bits: Sequence[WatchBit]) -> str | None:
    return max((str(expires_on(bit.quarter)) for bit in bits), default=None)


def _within(loan: LoanArrears, rule: PointsRule) -> bool:
    """Whether a loan is among those that a rule is of; one without points is, as nothing speaks for it."""
    return rule.points is None or loan.points is None or loan.points <= rule.points


def _of_bit(bit: WatchBit) -> dict[str, str]:
    return _reason(
        "watch", f"{bit.platform} gave an early warning for {bit.quarter}", f"{bit.platform}就{bit.quarter}季度给出预警"
    )


def _reason(code: str, en: str, zh: str) -> dict[str, str]:
    return {"code": code, "en": en, "zh": zh}
