"""Outcomes, vintages and rolls against loops over single loans."""

from __future__ import annotations

from collections import Counter

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from sealscore.clients.watch.frames import LOANS, REPAYMENTS
from sealscore.clients.watch.months import closing_month
from sealscore.clients.watch.portfolio import outcomes, rolls, vintages

MONTH, WINDOW, BAD = 24_020, 90, 60
# A loan: the month of its start, and the days past due at the ends of the months from then on.
LIVES = st.lists(
    st.tuples(st.one_of(st.none(), st.integers(24_010, 24_022)), st.lists(st.integers(0, 130), max_size=10)),
    max_size=25,
)
Loan = tuple[int | None, list[int]]


def frames(lives: list[Loan]) -> tuple[pl.DataFrame, pl.DataFrame]:
    loans = [{**dict.fromkeys(LOANS), "loan": str(at), "start": start} for at, (start, _) in enumerate(lives)]
    rows = [
        {"loan": str(at), "month": (start or 24_012) + age, "days_past_due": days}
        for at, (start, life) in enumerate(lives)
        for age, days in enumerate(life)
    ]
    return pl.DataFrame(loans, schema=LOANS), pl.DataFrame(rows, schema=REPAYMENTS)


@settings(deadline=None, max_examples=30)
@given(LIVES)
def test_only_closed_windows_have_an_outcome(lives: list[Loan]):
    found = outcomes(*frames(lives), MONTH, WINDOW, BAD)
    expected = {
        str(at): max(life[: closing_month(start, WINDOW) - start + 1]) >= BAD
        for at, (start, life) in enumerate(lives)
        if start is not None and closing_month(start, WINDOW) <= MONTH and life
    }
    assert dict(found.select("loan", "bad").iter_rows()) == expected
    assert all(closes <= MONTH for closes in found["closes"])


@settings(deadline=None, max_examples=30)
@given(LIVES)
def test_vintages_are_those_of_a_loop(lives: list[Loan]):
    expected: dict[tuple[int, int], tuple[int, int]] = {}
    for start, life in lives:
        if start is None or start >= MONTH or not life:
            continue
        for age in range(1, MONTH - start + 1):
            loans, late = expected.get((start, age), (0, 0))
            expected[start, age] = loans + 1, late + any(days >= BAD for days in life[: age + 1])
    found = vintages(*frames(lives), MONTH, BAD)
    assert {(start, age): (loans, late) for start, age, loans, late in found.iter_rows()} == expected


@settings(deadline=None, max_examples=30)
@given(LIVES)
def test_rolls_are_those_of_a_loop(lives: list[Loan]):
    def bucket(days: int) -> int:
        return 4 if days >= 90 else 3 if days >= 60 else 2 if days >= 30 else 1 if days >= 1 else 0

    loans, worse = Counter[tuple[int, int]](), Counter[tuple[int, int]]()
    for start, life in lives:
        for age in range(1, len(life)):
            before, now = bucket(life[age - 1]), bucket(life[age])
            if before < 4:
                loans[(start or 24_012) + age, before] += 1
                worse[(start or 24_012) + age, before] += now > before
    found = rolls(frames(lives)[1])
    assert {(month, before): (of, hits) for month, before, of, hits in found.iter_rows()} == {
        key: (of, worse[key]) for key, of in loans.items()
    }
