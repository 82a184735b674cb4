"""Whatever is written comes back as it was; whatever byte is damaged, no record is lost or won in silence."""

from __future__ import annotations

import csv
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest
from corpus import cells, rows, written
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from postgres_server import PostgresServer

from sealscore.clients.data import DataError, SqlSource, read_source
from sealscore.clients.data.cells import numbers
from sealscore.clients.data.sources import csv_file, csv_text

HEADER = ("id", "words", "number")
# Every character that a text of a database can hold: no zero, no half of a pair.
WORDS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)
PLAIN = st.sampled_from(
    ["", " ", ",", '"', '""', "\n", "\r\n", "\r", "a,b", '"x"', "\ufeff", "NA", "-0.0", "\u8d37\u6b3e"]
)
NUMBERS = st.floats(allow_nan=False) | st.integers(-(2**62), 2**62).map(float) | st.none()
TABLES = st.lists(st.tuples(WORDS | PLAIN | st.none(), NUMBERS), min_size=1, max_size=12)
Table = list[tuple[str | None, float | None]]
ONE_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


def framed(table: Table) -> pl.DataFrame:
    """With an id of each row, in the order in which a database gives them back."""
    return pl.DataFrame(
        {
            "id": [f"{n:04}" for n in range(len(table))],
            "words": pl.Series([words for words, _ in table], dtype=pl.String),
            "number": pl.Series([number for _, number in table], dtype=pl.Float64),
        }
    )


def same(found: pl.DataFrame, frame: pl.DataFrame) -> None:
    """The cells of two frames are the same, bit for bit; a blank text is one that is missing."""
    assert found["id"].to_list() == frame["id"].to_list()
    assert [cell or None for cell in found["words"]] == [cell or None for cell in frame["words"]]
    values, faulty = numbers(found["number"])
    assert not faulty.any()
    assert values.tobytes() == frame["number"].fill_null(float("nan")).to_numpy().tobytes()


@ONE_FOLDER
@given(TABLES, st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]), st.sampled_from(["\n", "\r\n"]))
def test_of_a_csv_by_another_writer(tmp_path: Path, table: Table, quoting: int, end: str) -> None:
    frame = framed(table)
    text = [[cell if cell is not None else "" for cell in row] for row in frame.rows()]
    # With fewer quotes it leaves a carriage return bare, which another reader takes for the end of a record.
    if any("\r" in (words or "") for words, _ in table):
        quoting = csv.QUOTE_ALL
    path = tmp_path / "t.csv"
    path.write_bytes(written(text, HEADER, quoting=quoting, lineterminator=end).encode())
    found = read_source(path)
    same(found.frame, frame)
    lines = path.read_bytes().decode().split("\n")
    assert all(
        lines[line - 1].lstrip('"').startswith(one)
        for line, one in zip(found.rows(range(frame.height)), frame["id"], strict=True)
    )


@ONE_FOLDER
@given(TABLES)
def test_of_the_writer_of_frames(tmp_path: Path, table: Table) -> None:
    frame = framed(table)
    # By itself it leaves a carriage return without quotes, which another reader takes for the end of a record.
    frame.write_csv(tmp_path / "t.csv", quote_style="non_numeric")
    same(read_source(tmp_path / "t.csv").frame, frame)


@ONE_FOLDER
@given(TABLES)
def test_of_parquet(tmp_path: Path, table: Table) -> None:
    frame = framed(table)
    frame.write_parquet(tmp_path / "t.parquet")
    same(read_source(tmp_path / "t.parquet").frame, frame)


@ONE_FOLDER
@given(TABLES)
@example([(None, -0.0)])
def test_of_sqlite(tmp_path: Path, table: Table) -> None:
    frame = framed(table)
    path = tmp_path / "t.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("DROP TABLE IF EXISTS t")
        database.execute("CREATE TABLE t (id TEXT, words TEXT, number REAL)")
        database.executemany("INSERT INTO t VALUES (?, ?, ?)", frame.rows())
    found = read_source(SqlSource(f"sqlite:///{path}", "t"))
    # SQLite keeps a zero without its sign; polars takes an added zero for nothing to do.
    unsigned = [None if number is None else number + 0.0 for number in frame["number"]]
    same(found.frame, frame.with_columns(pl.Series("number", unsigned, dtype=pl.Float64)))


@pytest.fixture
def postgres_table(postgres: PostgresServer, password_file: Path) -> Iterator[Callable[[pl.DataFrame], SqlSource]]:
    def make(frame: pl.DataFrame) -> SqlSource:
        with postgres.owner() as owner, owner.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS property")
            cursor.execute("CREATE TABLE property (id text, words text, number float8)")
            cursor.executemany("INSERT INTO property VALUES (%s, %s, %s)", frame.rows())
        return SqlSource(postgres.url("reader"), "property", password_file=password_file)

    yield make
    with postgres.owner() as owner:
        owner.execute("DROP TABLE IF EXISTS property")


@settings(ONE_FOLDER, max_examples=20)
@given(TABLES)
def test_of_postgresql(postgres_table: Callable[[pl.DataFrame], SqlSource], table: Table) -> None:
    frame = framed(table)
    same(read_source(postgres_table(frame)).frame, frame)


@settings(ONE_FOLDER, max_examples=40)
@given(TABLES, st.integers(16, 64), st.sampled_from(["utf-8", "utf-16"]))
def test_of_a_csv_in_blocks_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: Table, size: int, encoding: str
) -> None:
    frame = framed(table)
    (tmp_path / "t.csv").write_bytes(frame.write_csv(quote_style="non_numeric").encode(encoding))
    with monkeypatch.context() as patch:
        whole = read_source(tmp_path / "t.csv")
        patch.setattr(csv_text, "PIECE", 7)
        patch.setattr(csv_text, "TAIL", 16)
        patch.setattr(csv_file, "BLOCK", max(size, len(frame.write_csv().splitlines()[0]) + 8))
        blocks = read_source(tmp_path / "t.csv")
    assert blocks.frame.equals(whole.frame)
    assert blocks.rows(range(frame.height)) == whole.rows(range(frame.height))


PLAIN_FILE = written(cells(rows())[:9]).encode()
QUOTED = [[f"L{n}", "a, b", 'say ""x""', "two\nlines", ",", "", str(n)] for n in range(6)]
QUOTED_FILE = written(QUOTED).encode()
# Each byte of a file takes half a second a kind of damage.
EACH = 1 if os.environ.get("SEALSCORE_EXAMPLES") == "all" else 4


@pytest.mark.parametrize(
    "clean",
    [
        PLAIN_FILE,
        QUOTED_FILE,
        QUOTED_FILE.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + PLAIN_FILE,
        QUOTED_FILE.decode().encode("utf-16"),
    ],
)
@pytest.mark.parametrize("damage", [*b'",\n\r;\0 xL0', 0x80, 0xC3, 0xFF])
def test_a_damaged_byte_costs_no_record_in_silence(tmp_path: Path, clean: bytes, damage: int) -> None:
    """Each byte of a file in turn, or each fourth: as many records as before, or a refusal, if the header is whole."""
    path = tmp_path / "t.csv"
    path.write_bytes(clean)
    before = read_source(path)
    count, header, read = before.frame.height, before.header, 0
    for at in range(damage % EACH, len(clean), EACH):
        path.write_bytes(clean[:at] + bytes([damage]) + clean[at + 1 :])
        try:
            found = read_source(path)
        except DataError:
            continue
        # Of another header a plan's column is missing, and that is a refusal.
        assert found.frame.height == count or found.header != header, at
        read += 1
    assert read < len(clean)


@settings(ONE_FOLDER, max_examples=150)
@given(st.integers(0, len(QUOTED_FILE) - 1), st.integers(0, 255))
@example(QUOTED_FILE.index(b"two") + 3, ord('"'))
def test_any_byte_for_any_other(tmp_path: Path, at: int, damage: int) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(QUOTED_FILE[:at] + bytes([damage]) + QUOTED_FILE[at + 1 :])
    try:
        found = read_source(path)
    except DataError:
        return
    assert found.frame.height == len(QUOTED) or found.header != read_header()


def read_header() -> tuple[str, ...]:
    return tuple(QUOTED_FILE.split(b"\n")[0].decode().split(","))
