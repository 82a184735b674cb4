"""Which running loans rank worst, so that a list is as long as a lender can call: a share of its own loans, no cut-off.

A cut in points lists too many loans of one book and too few of another. A share follows the book.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from sealscore.clients.scoring.storage.watch_bits import WatchBit
from sealscore.clients.warning.arrears import LoanArrears
from sealscore.clients.warning.rules import ShareRule


def newest(bits: Sequence[WatchBit]) -> list[WatchBit]:
    """The bits of a person's last quarter, of each platform: at most one."""
    last = max((bit.quarter for bit in bits), default=None)
    return [bit for bit in bits if bit.quarter == last]


def ranks(loans: Sequence[LoanArrears], bits: Mapping[str, Sequence[WatchBit]], rule: ShareRule) -> Mapping[str, float]:
    """For each loan the share of these loans that rank no better, by the loan's id; the worst has the smallest.

    `bits` are those that hold, by person as `loans` name one. A loan ranks by its points, less `rule.bit` where a bit
    of the person's last quarter is 1, plus as much where all are 0. One without points has those of the median loan, so
    that a withdrawal puts nobody on a list. Loans of one rank are listed together or not at all, so a list is never
    longer than its share.
    """
    known = [loan.points for loan in loans if loan.points is not None]
    middle = statistics.median(known) if known else 0
    told = {loan.person: newest(bits.get(loan.person, ())) for loan in loans}
    by_loan = {
        loan.loan: (middle if loan.points is None else loan.points) - rule.bit * _sign(told[loan.person])
        for loan in loans
    }
    # Of equal ranks the last place counts.
    place = {points: at for at, points in enumerate(sorted(by_loan.values()), 1)}
    return {loan: place[points] / len(by_loan) for loan, points in by_loan.items()}


def _sign(bits: Sequence[WatchBit]) -> int:
    """1 where a bit is 1, -1 where all are 0, 0 where there is none."""
    return 0 if not bits else 1 if any(bit.value for bit in bits) else -1
