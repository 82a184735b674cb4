"""A million rows of twelve columns are read under 1 GB, whatever the source: measured at a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import polars as pl
import pytest
from paths import ROOT

ROWS = 1_000_000
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


def peak(kind: str, place: object, password_file: object = "") -> int:
    """Bytes of the resident memory that a process needs at most to import this package and read the source."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", READ, kind, str(place), str(password_file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=True)
    height, width, found = map(int, done.stdout.split())
    assert (height, width) == (ROWS, 12)
    return found


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    n = pl.int_range(ROWS)
    return pl.select(
        loan=pl.concat_str(pl.lit("application-"), n),
        person=pl.concat_str(pl.lit("creator-"), n // 2),
        **{f"x{k}": (n * (k + 7) % 100003) / 100 for k in range(10)},
    )


@pytest.mark.slow
def test_a_million_rows_of_files_stay_under_a_gigabyte(rows, tmp_path):
    rows.write_csv(tmp_path / "loans.csv")
    rows.write_parquet(tmp_path / "loans.parquet")
    assert peak("file", tmp_path / "loans.csv") < 1e9
    assert peak("file", tmp_path / "loans.parquet") < 1e9


@pytest.mark.slow
def test_a_million_rows_of_sqlite_stay_under_a_gigabyte(rows, tmp_path):
    import sqlite3

    with sqlite3.connect(tmp_path / "loans.db") as connection:
        connection.execute(f"CREATE TABLE loans ({', '.join(rows.columns)})")
        connection.executemany(f"INSERT INTO loans VALUES ({', '.join('?' * rows.width)})", rows.iter_rows())
    connection.close()
    assert peak("sql", f"sqlite:///{tmp_path / 'loans.db'}") < 1e9


@pytest.mark.slow
def test_a_million_rows_of_postgres_stay_under_a_gigabyte(postgres, password_file):
    with postgres.owner() as owner:
        owner.execute(f"CREATE TABLE loans AS {SQL} FROM generate_series(1::bigint, {ROWS}) AS n")
    try:
        assert peak("sql", postgres.url("reader"), password_file) < 1e9
    finally:
        with postgres.owner() as owner:
            owner.execute("DROP TABLE loans")
