"""The lender's table of repayments: what is at fault is refused with its line and the fix, and no cell is printed."""

from __future__ import annotations

import sqlite3
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from sealscore.clients.data import DataError, SqlSource
from sealscore.clients.decision.register import loan_name
from sealscore.clients.scoring.storage.log_keys import LogKeys
from sealscore.clients.watch.frames import LOANS
from sealscore.clients.watch.months import month_number
from sealscore.clients.watch.repayments import RepaymentTable

KEYS = LogKeys.of(b"k" * 96)
HEAD = "loan,month,days_past_due\n"
SECRET = "L-77129"
UNTIL = month_number("2026-06")


def table_at(path: Path) -> RepaymentTable:
    return RepaymentTable(path, "loan", "month", "days_past_due")


def loans(**starts: str | None) -> pl.DataFrame:
    rows = [
        {
            **dict.fromkeys(LOANS),
            "loan": loan_name(KEYS, name.replace("_", "-")).hex(),
            "start": None if start is None else month_number(start),
        }
        for name, start in starts.items()
    ]
    return pl.DataFrame(rows, schema=LOANS)


KNOWN = loans(L_77129="2026-02", L_2="2026-02", OLD=None)


def checked(
    path: Path, rows: str, others: int = 0, unread: frozenset[str] = frozenset(), known: pl.DataFrame = KNOWN
) -> tuple[pl.DataFrame, int]:
    path.write_text(HEAD + rows, encoding="utf-8")
    return table_at(path).read(KEYS).checked(known, unread, others, UNTIL, 90)


def test_a_good_table_is_taken_whole(tmp_path: Path):
    rows = f"{SECRET},2026-02,0\n{SECRET},2026-03-31,28\n{SECRET},2026-04,0\nOLD,2025-11,140\nOLD,2025-12,171\n"
    kept, left = checked(tmp_path / "paid.csv", rows + "OLD,2026-01,202\nOLD,2026-02,230\nOLD,2026-03,0\n")
    assert (kept.height, left) == (8, 0)
    assert kept["month"].min() == month_number("2025-11")


@pytest.mark.parametrize(
    ("rows", "code", "lines"),
    [
        (f"{SECRET},2025-12,0\n", "before", "line 2"),
        (f"{SECRET},2026-03,0\n", "gap", "line 2"),
        (f"{SECRET},2026-06,0\n", "gap", "line 2"),
        (f"{SECRET},2026-02,0\nOLD,2026-03,0\n", "gone", "line 2"),
        (f"OLD,2026-02,0\nX-1,2026-02,0\nX-2,2026-02,0\n{SECRET},2026-02,0\n", "unknown", "lines 3, 4"),
        (f"{SECRET},2026-02,0\nOLD,2026-02,0\n{SECRET},2026-02,1\n", "twice", "line 4"),
        (f"{SECRET},2026-02,0\n{SECRET},2026-03,32\n", "jump", "line 3"),
        (f"{SECRET},2026-02,29\n", "jump", "line 2"),
        (f"{SECRET},2026-02,0\n{SECRET},2026-04,0\n", "gap", "line 3"),
        (f"{SECRET},2026-07,0\n", "to-come", "line 2"),
        (f"{SECRET},2026-02,5\nL-2,2026-02,0\nL-2,2026-03,0\n", "gone", "line 2"),
        (f"{SECRET},2026-02,-3\n", "repayment", "line 2"),
        (f"{SECRET},2026-02,1.5\n", "repayment", "line 2"),
        (f"{SECRET},2026-02,late\n", "repayment", "line 2"),
        (f"{SECRET},2026-02,\n", "repayment", "line 2"),
        (f"{SECRET},02/2026,0\n", "repayment", "line 2"),
        (f"{SECRET},2026-13,0\n", "repayment", "line 2"),
        (",2026-02,0\n", "repayment", "line 2"),
        ("7.0129E+11,2026-02,0\n", "repayment", "line 2"),
    ],
)
def test_what_is_at_fault_is_named_by_line_and_not_by_cell(tmp_path: Path, rows: str, code: str, lines: str):
    path = tmp_path / "paid.csv"
    with pytest.raises(DataError) as caught:
        checked(path, rows)
    said = str(caught.value)
    assert [problem.code for problem in caught.value.problems] == [code]
    assert path.name in said
    assert lines in said
    assert "fix: " in said
    for cell in (SECRET, "X-1", "7.0129", "late"):
        assert cell not in said.replace("'days_past_due'", "")


def test_a_loan_that_was_past_due_may_end_with_its_window(tmp_path: Path):
    rows = "".join(f"{SECRET},2026-0{month},{days}\n" for month, days in ((2, 20), (3, 50), (4, 80), (5, 100)))
    other = "".join(f"OLD,2026-0{month},40\n" for month in (2, 3)) + "OLD,2026-04,0\nOLD,2026-05,0\nOLD,2026-06,0\n"
    assert checked(tmp_path / "paid.csv", rows + other)[0].height == 9


def ended(month: str) -> pl.DataFrame:
    return KNOWN.with_columns(over=pl.lit(month_number(month), pl.Int64))


def test_a_loan_that_was_written_off_keeps_its_rows(tmp_path: Path):
    rows = f"{SECRET},2026-02,0\n{SECRET},2026-03,30\n{SECRET},2026-04,60\nOLD,2026-05,0\n"
    with pytest.raises(DataError) as caught:
        checked(tmp_path / "paid.csv", rows, known=ended("2026-05"))
    assert [problem.code for problem in caught.value.problems] == ["gone"]
    kept, _ = checked(tmp_path / "paid.csv", rows + f"{SECRET},2026-05,91\n", known=ended("2026-05"))
    assert kept.height == 5


def test_a_loan_that_was_paid_ends_where_the_log_closed_it(tmp_path: Path):
    rows = f"{SECRET},2026-02,0\n{SECRET},2026-03,0\nOLD,2026-06,0\n"
    assert checked(tmp_path / "paid.csv", rows, known=ended("2026-04"))[0].height == 3
    with pytest.raises(DataError) as caught:
        checked(tmp_path / "paid.csv", rows, known=ended("2026-05"))
    assert [problem.code for problem in caught.value.problems] == ["gone"]


def test_a_loan_may_be_told_of_in_the_month_after_it_began(tmp_path: Path):
    rows = f"{SECRET},2026-01,0\n{SECRET},2026-02,28\n"
    assert checked(tmp_path / "paid.csv", rows)[0].height == 2


def test_a_table_without_its_columns_is_refused(tmp_path: Path):
    path = tmp_path / "paid.csv"
    path.write_text("id,month,dpd\nL-2,2026-02,0\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        table_at(path).read(KEYS)
    assert [problem.column for problem in caught.value.problems] == ["loan", "days_past_due"]
    assert {problem.code for problem in caught.value.problems} == {"columns"}


def test_as_many_loans_as_were_not_read_may_be_unknown(tmp_path: Path):
    rows = f"{SECRET},2026-02,0\nX-1,2026-01,0\nX-1,2026-02,0\n"
    named = frozenset({loan_name(KEYS, "X-1").hex()})
    for found in (checked(tmp_path / "paid.csv", rows, 1), checked(tmp_path / "paid.csv", rows, unread=named)):
        assert (found[0].height, found[1]) == (1, 1)
    with pytest.raises(DataError) as caught:
        checked(tmp_path / "paid.csv", rows + "X-2,2026-02,0\n", unread=named)
    assert [problem.code for problem in caught.value.problems] == ["unknown"]
    assert "line 5" in str(caught.value)


def test_whole_histories_are_given_row_by_row(tmp_path: Path):
    path = tmp_path / "paid.csv"
    rows = f"L-2,2026-03,0\n{SECRET},2026-01,0\nL-2,2026-02,0\n{SECRET},2026-02,40\n"
    path.write_text(HEAD + rows, encoding="utf-8")
    found = table_at(path).histories()
    assert found["loan"].to_list() == ["L-2", SECRET, "L-2", SECRET]
    assert found["days_past_due"].to_list() == [0, 0, 0, 40]


@pytest.mark.parametrize(
    ("rows", "lines"),
    [
        (f"{SECRET},2026-02,0\nL-2,2026-02,0\n{SECRET},2026-02,1\n", {"twice": "line 4"}),
        (f"{SECRET},2026-04,0\nL-2,2026-02,0\n{SECRET},2026-02,0\n", {"gap": "line 2"}),
        (
            f"L-2,2026-01,0\nL-2,2026-03,0\n{SECRET},2026-12,0\n{SECRET},2026-12,0\n{SECRET},2027-02,0\n"
            f"{SECRET},2026-12,0\n",
            {"twice": "lines 5, 7", "gap": "lines 3, 6"},
        ),
        # A loan's first row follows no row of the loan before it.
        ("L-2,2026-02,0\nL-3,2026-02,0\nL-4,2027-02,0\n", {}),
    ],
)
def test_a_history_with_a_row_twice_or_a_gap_is_refused_with_its_rows(tmp_path: Path, rows: str, lines: dict[str, str]):
    path = tmp_path / "paid.csv"
    path.write_text(HEAD + rows, encoding="utf-8")
    if not lines:
        assert table_at(path).histories().height == rows.count("\n")
        return
    with pytest.raises(DataError) as caught:
        table_at(path).histories()
    problems = {problem.code: str(problem) for problem in caught.value.problems}
    assert problems.keys() == lines.keys()
    for code, named in lines.items():
        assert named in problems[code]
    assert SECRET not in str(caught.value)


def test_an_empty_table_has_no_month(tmp_path: Path):
    path = tmp_path / "paid.csv"
    path.write_text(HEAD + f"{SECRET},2026-02,0\n", encoding="utf-8")
    found = table_at(path).read(KEYS)
    assert found.last == month_number("2026-02")
    assert found.__class__(found.table, found.columns, found.frame.clear()).last is None


def test_other_sources_give_the_same_rows(tmp_path: Path):
    rows = [(SECRET, date(2026, 2, 28), 0), ("OLD", date(2026, 2, 28), 12)]
    frame = pl.DataFrame(rows, schema=["loan", "month", "days_past_due"], orient="row")
    frame.write_parquet(tmp_path / "paid.parquet")
    with sqlite3.connect(tmp_path / "paid.db") as database:
        database.execute("CREATE TABLE paid (loan TEXT, month TEXT, days_past_due INTEGER)")
        database.executemany("INSERT INTO paid VALUES (?, ?, ?)", [(a, str(b), c) for a, b, c in rows])
    database.close()
    parquet = table_at(tmp_path / "paid.parquet").read(KEYS).frame
    own = SqlSource(f"sqlite:///{tmp_path / 'paid.db'}", "paid", None, None)
    sql = RepaymentTable(own, "loan", "month", "days_past_due").read(KEYS).frame
    assert parquet.sort("loan").equals(sql.sort("loan"))
    assert parquet["month"].to_list() == [month_number("2026-02")] * 2
