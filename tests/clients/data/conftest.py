"""A small lender table that is good, for tests to spoil, and a PostgreSQL server to read it from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from postgres_fixtures import password_file, postgres
from three_lenders import three_lenders

from sealscore.shared.plan.plan import Plan

__all__ = ["password_file", "postgres"]

HEADER = "loan,person,bad,day,limit,late,home,age"
ROWS = tuple(
    f"L{n:03d},P{n:03d},{n % 4 // 3},2024-{1 + n % 12:02d}-15,{100.5 * n},{n % 5},{('rent', 'own')[n % 2]},{20 + n}"
    for n in range(40)
)

TABLE = """
id = "loan"
person = "person"
label = "bad"
date = "day"
features = [
    { name = "limit", lower = -100, upper = 5000, scale = 100, missing = true },
    { name = "late", lower = 0, upper = 9, integer = true },
    { name = "home", kind = "categorical", levels = ["rent", "own"], missing = true },
    { name = "age", lower = 18, upper = 100, integer = true, protected = true },
]
"""


@pytest.fixture
def plan() -> Plan:
    return Plan.loads(three_lenders(TABLE, 40, cutoff="2025-06-30"))


@pytest.fixture
def good() -> tuple[str, ...]:
    """The lines of the good file, the header first; line n of the file is good[n - 1]."""
    return (HEADER, *ROWS)


@pytest.fixture
def csv(tmp_path: Path, good: tuple[str, ...]) -> Callable[..., Path]:
    """Write lender.csv with some cells replaced: csv({(line, column): text}, rows=ROWS, header=HEADER)."""

    def write(cells: dict[tuple[int, str], str] | None = None, lines: tuple[str, ...] = good) -> Path:
        table = [line.split(",") for line in lines]
        for (line, column), text in (cells or {}).items():
            table[line - 1][table[0].index(column)] = text
        path = tmp_path / "lender.csv"
        path.write_text("\n".join(",".join(row) for row in table) + "\n", encoding="utf-8")
        return path

    return write
