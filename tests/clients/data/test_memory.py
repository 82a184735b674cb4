"""A million rows of twelve columns are read under 1 GB, whatever the source: measured at a process of its own.

`make long` reads the million. `make test` reads a fifth: with 0.1 GB for imports, under a fifth of what remains.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from paths import ROOT
from postgres_server import PostgresServer

SIZES = [pytest.param(200_000, 0.28e9, id="fifth"), pytest.param(1_000_000, 1e9, marks=pytest.mark.long, id="million")]
READ = """
import resource, sys
from pathlib import Path
from sealscore.clients.data import SqlSource, read_source
kind, place, password_file = sys.argv[1:]
source = SqlSource(place, "loans", password_file=Path(password_file)) if kind == "sql" else Path(place)
frame = read_source(source, ["loan", "person", *(f"x{n}" for n in range(10))]).frame
if sys.platform == "darwin":
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
else:
    # Not ru_maxrss, which on Linux a process has from its parent, the test run, whatever it needs itself.
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
print(frame.height, frame.width, peak)
"""
SQL = "SELECT 'application-' || n AS loan, 'creator-' || n / 2 AS person, " + ", ".join(
    f"(n * {k + 7} % 100003) / 100.0 AS x{k}" for k in range(10)
)


def peak(rows: int, kind: str, place: object, password_file: object = "") -> int:
    """Bytes of the resident memory that a process needs at most to import this package and read so many rows."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", READ, kind, str(place), str(password_file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=True)
    height, width, found = map(int, done.stdout.split())
    assert (height, width) == (rows, 12)
    return found


def table(rows: int) -> pl.DataFrame:
    n = pl.int_range(rows)
    return pl.select(
        loan=pl.concat_str(pl.lit("application-"), n),
        person=pl.concat_str(pl.lit("creator-"), n // 2),
        **{f"x{k}": (n * (k + 7) % 100003) / 100 for k in range(10)},
    )


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "most"), SIZES)
def test_rows_of_files_stay_under_a_gigabyte_a_million(rows: int, most: float, tmp_path: Path):
    found = table(rows)
    found.write_csv(tmp_path / "loans.csv")
    found.write_parquet(tmp_path / "loans.parquet")
    assert peak(rows, "file", tmp_path / "loans.csv") < most
    assert peak(rows, "file", tmp_path / "loans.parquet") < most


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "most"), SIZES)
def test_rows_of_sqlite_stay_under_a_gigabyte_a_million(rows: int, most: float, tmp_path: Path):
    found = table(rows)
    with sqlite3.connect(tmp_path / "loans.db") as connection:
        connection.execute(f"CREATE TABLE loans ({', '.join(found.columns)})")
        connection.executemany(f"INSERT INTO loans VALUES ({', '.join('?' * found.width)})", found.iter_rows())
    connection.close()
    assert peak(rows, "sql", f"sqlite:///{tmp_path / 'loans.db'}") < most


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "most"), SIZES)
def test_rows_of_postgres_stay_under_a_gigabyte_a_million(
    rows: int, most: float, postgres: PostgresServer, password_file: Path
):
    with postgres.owner() as owner:
        owner.execute(f"CREATE TABLE loans AS {SQL} FROM generate_series(1::bigint, {rows}) AS n")
    try:
        assert peak(rows, "sql", postgres.url("reader"), password_file) < most
    finally:
        with postgres.owner() as owner:
            owner.execute("DROP TABLE loans")
