"""What people have in place of a clean table, written by this script, each with the right outcome beside it.

A case is a table of loans of `PLAN`, with one thing wrong or odd in it, and what reading it under the plan must end in:
so many records, or a refusal of this code in these columns and rows. All sources read such a table by one set of rules.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import sqlite3
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
from three_lenders import three_lenders

ROWS = 40
COLUMNS = ("loan", "person", "bad", "day", "limit", "late", "note")
SHANGHAI = ZoneInfo("Asia/Shanghai")
TABLE = """
id = "loan"
person = "person"
label = "bad"
date = "day"
features = [
    { name = "limit", lower = -10000, upper = 5000, scale = 100, missing = true },
    { name = "late", lower = 0, upper = 9, integer = true },
]
"""
PLAN = three_lenders(TABLE, ROWS, cutoff="2027-06-30")

Row = dict[str, Any]
Rows = list[Row]


def rows() -> Rows:
    """The clean table: typed values, None where a value is missing."""
    return [
        {
            "loan": f"L{n:03}",
            "person": f"P{n:03}",
            "bad": int(n % 5 == 0),
            "day": date(2026, 1, 1) + timedelta(days=n),
            "limit": None if n % 7 == 3 else 100.25 * n,
            "late": n % 9,
            "note": f"note {n}",
        }
        for n in range(ROWS)
    ]


@dataclass(frozen=True)
class Expected:
    """Records read, or the code of a refusal with the column and the rows (lines of a CSV file, where it is one)."""

    records: int | None = None
    code: str = ""
    column: str | None = None
    lines: tuple[int, ...] = ()


def read(records: int = ROWS) -> Expected:
    return Expected(records)


def refused(code: str, column: str | None = None, *lines: int) -> Expected:
    return Expected(None, code, column, lines)


@dataclass(frozen=True)
class Case:
    """A kind: `write` lays one file down and gives its path; `typed` is a frame for the sources that keep types."""

    name: str
    expected: Expected
    write: Callable[[Path], Path] | None = None
    typed: Callable[[], pl.DataFrame] | None = None
    zone: str | None = None
    consents: Callable[[Path], Path] | None = None
    sources: tuple[str, ...] = field(default=())


def written(table: Sequence[Sequence[Any]], header: Sequence[str] = COLUMNS, **options: Any) -> str:
    """A CSV text by Python's own writer."""
    out = io.StringIO()
    writer = csv.writer(out, **{"lineterminator": "\n", **options})
    writer.writerow(header)
    writer.writerows(table)
    return out.getvalue()


def cells(table: Rows) -> list[list[str]]:
    """The cells of a table as text."""
    return [["" if row[name] is None else str(row[name]) for name in COLUMNS] for row in table]


def text(change: Callable[[list[list[str]]], None] | None = None, **options: Any) -> str:
    table = cells(rows())
    if change:
        change(table)
    return written(table, **options)


def file(content: str | bytes, name: str = "loans.csv") -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def set_cell(row: int, column: str, value: str) -> Callable[[list[list[str]]], None]:
    """Change one cell; `row` from 0, so that it is on line row + 2."""

    def change(table: list[list[str]]) -> None:
        table[row][COLUMNS.index(column)] = value

    return change


def set_column(column: str, value: Callable[[int, str], str]) -> Callable[[list[list[str]]], None]:
    def change(table: list[list[str]]) -> None:
        at = COLUMNS.index(column)
        for n, row in enumerate(table):
            row[at] = value(n, row[at])

    return change


def raw(line: int, content: str) -> str:
    """The clean file with one line as it is given here."""
    lines = text().splitlines()
    lines[line - 1] = content
    return "\n".join(lines) + "\n"


def frame(**columns: pl.Series) -> pl.DataFrame:
    """The clean table as it is typed in a database, with these columns in place of its own."""
    return pl.DataFrame(rows(), schema_overrides={"limit": pl.Float64}).with_columns(
        *(series.alias(name) for name, series in columns.items())
    )


def series(make: Callable[[int], Any], dtype: Any = None) -> pl.Series:
    return pl.Series([make(n) for n in range(ROWS)], dtype=dtype, strict=False)


def parquet(make: Callable[[], pl.DataFrame], name: str = "loans.parquet") -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        make().write_parquet(folder / name)
        return folder / name

    return write


def _spark(folder: Path) -> Path:
    (folder / "loans.parquet").mkdir()
    frame().write_parquet(folder / "loans.parquet" / "part-00000.parquet")
    (folder / "loans.parquet" / "_SUCCESS").touch()
    return folder / "loans.parquet"


def _workbook() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return out.getvalue()


def _consents(column: dict[str, Any], name: str = "consents.parquet") -> Callable[[Path], Path]:
    """A table of consents to sums, of everybody, with these columns in place of its own."""
    plain: dict[str, Any] = {
        "person": [f"P{n:03}" for n in range(ROWS)],
        "recipient": ["federation"] * ROWS,
        "given": [date(2026, 1, 1)] * ROWS,
        "expires": [date(2030, 1, 1)] * ROWS,
        "withdrawn": pl.Series([None] * ROWS, dtype=pl.Date),
    }

    def write(folder: Path) -> Path:
        table = pl.DataFrame(plain | column)
        (table.write_csv if name.endswith(".csv") else table.write_parquet)(folder / name)
        return folder / name

    return write


def _moment(n: int, hour: int) -> datetime:
    """A moment of the clean table's day in Shanghai."""
    return datetime(2026, 1, 1, hour, tzinfo=SHANGHAI) + timedelta(days=n)


def _stray(row: int, column: str, cell: str) -> str:
    """A cell laid down as it is, without the quotes that a writer would put around it."""
    return text(set_cell(row, column, "@@")).replace("@@", cell)


def full_width() -> list[list[str]]:
    """The clean table with its numbers and days as a Chinese keyboard writes them."""
    wide = str.maketrans({chr(code): chr(code + 0xFEE0) for code in range(0x21, 0x7F)})
    table = cells(rows())
    for name in ("day", "limit", "late"):
        set_column(name, lambda _, cell: cell.translate(wide))(table)
    return table


def full_width_text() -> str:
    return written(full_width())


def _utf16(content: str) -> bytes:
    return codecs.BOM_UTF16_LE + content.encode("utf-16-le")


TYPED = ("parquet", "sqlite", "postgres")
LONG = "x" * 140_000
OPEN = "2026-01-11 02:00+08:00"
NULLS = pl.Series([None] * ROWS, dtype=pl.Null)
CLEAN = file(text())

CASES = [
    # Rows that vanish or are padded.
    Case("stray quote that opens, unused column", refused("quote", None, 12), file(_stray(10, "note", '"abc'))),
    Case(
        "two stray quotes, unused column",
        refused("quote", None, 12),
        file(raw(12, 'L010,P010,1,2026-01-11,1002.5,1,"abc').replace("note 30", '"def')),
    ),
    Case("stray quote within a cell", refused("quote", None, 12), file(_stray(10, "note", '5" screen'))),
    Case("quote with no final newline", refused("quote", None, 22), file(_stray(20, "note", '"open')[:-1])),
    Case("quotes as they should be", read(), file(_stray(10, "note", '"5"" screen, and\nmore"'))),
    Case("fewer cells", refused("ragged", None, 12), file(raw(12, "L010,P010,1,2026-01-11,1002.5,1"))),
    Case("more cells", refused("ragged", None, 12), file(raw(12, "L010,P010,1,2026-01-11,1002.5,1,x,"))),
    Case(
        "one more and one fewer",
        refused("ragged", None, 12, 14),
        file(raw(12, "L010,P010,1,2026-01-11,1002.5,1").replace("note 12", "note,12")),
    ),
    Case("blank lines", read(), file(text().replace("\nL010", "\n\nL010") + "\n\n")),
    Case("gzip named .csv", refused("packed"), file(gzip.compress(text().encode(), mtime=0))),
    Case("gzip named .parquet", refused("packed"), file(gzip.compress(b"PAR1", mtime=0), "loans.parquet")),
    Case(
        "a cell above the limit, unused column", refused("long-cell", None, 12), file(text(set_cell(10, "note", LONG)))
    ),
    Case(
        "a cell above the limit and a bad label",
        refused("long-cell", None, 12),
        file(text(set_cell(10, "note", LONG)).replace("L020,P020,1", "L020,P020,x")),
    ),
    Case("a zero byte", refused("encoding", None, 12), file(text(set_cell(10, "note", "a\0b")))),
    Case(
        "a zero byte in an id of a typed table",
        refused("encoding", "person", 11),
        typed=lambda: frame(person=series(lambda n: "P010\0" if n == 10 else f"P{n:03}")),
        sources=("parquet", "sqlite"),
    ),
    Case("a lone carriage return", refused("line-end", None, 12), file(_stray(10, "note", "a\rb"))),
    # Identity lost before it is compared.
    Case(
        "float ids from 2^53 on",
        refused("inexact", "person"),
        typed=lambda: frame(person=series(lambda n: 2.0**53 + 2 * n, pl.Float64)),
        sources=("parquet", "sqlite"),
    ),
    Case("ids of a spreadsheet", refused("inexact", "person", 12), file(text(set_cell(10, "person", "1.38E+10")))),
    Case(
        "ids that Java writes as floats",
        refused("inexact", "person", 12, 13),
        file(text(set_column("person", lambda n, cell: {10: "1.38E10", 11: "-1.3e10"}.get(n, cell)))),
    ),
    Case("a zero byte in the header", refused("encoding", None, 1), file(text().replace("note", "no\0te", 1))),
    Case(
        "persons that are words for nobody",
        refused("blank", "person", 12, 13, 14, 15, 16),
        file(
            text(
                lambda table: (
                    [
                        set_cell(10 + n, "person", word)(table)
                        for n, word in enumerate(("NULL", "nan", "#REF!", "0", "-"))
                    ]
                    and None
                )
            )
        ),
    ),
    Case(
        "persons that are booleans",
        refused("type", "person"),
        typed=lambda: frame(person=series(lambda n: n % 2 == 0)),
        sources=("parquet", "postgres"),
    ),
    Case(
        "zeros lost in a table of consents",
        refused("no-match", "person"),
        file(text(set_column("person", lambda n, _: f"{n + 1:06}"))),
        consents=_consents({"person": [str(n + 1) for n in range(ROWS)]}, "consents.csv"),
    ),
    Case(
        "whole numbers here and floats there",
        read(),
        typed=lambda: frame(person=series(lambda n: n + 1)),
        sources=("parquet", "sqlite", "postgres"),
        consents=_consents({"person": [float(n + 1) for n in range(ROWS)]}),
    ),
    # Unforeseen column types.
    Case("a column of nulls", read(), typed=lambda: frame(limit=NULLS), sources=("parquet",)),
    Case(
        "days as whole numbers",
        refused("type", "day"),
        typed=lambda: frame(day=series(lambda n: 20260101 + n % 28)),
        sources=("parquet", "postgres"),
    ),
    Case(
        "a list in place of a number",
        refused("type", "limit"),
        typed=lambda: frame(limit=series(lambda n: [n])),
        sources=("parquet",),
    ),
    Case(
        "a list in place of a day",
        refused("type", "day"),
        typed=lambda: frame(day=series(lambda n: [n])),
        sources=("parquet",),
    ),
    Case(
        "bytes in place of an id",
        refused("type", "loan"),
        typed=lambda: frame(loan=series(lambda n: f"L{n}".encode())),
        sources=("parquet",),
    ),
    Case("consents: a column of nulls", read(), CLEAN, consents=_consents({"given": NULLS})),
    Case(
        "consents: days as whole numbers",
        refused("type", "given"),
        CLEAN,
        consents=_consents({"given": [20260101] * ROWS}),
    ),
    Case("consents: booleans as days", refused("type", "given"), CLEAN, consents=_consents({"given": [True] * ROWS})),
    Case(
        "consents: recipients in a list",
        refused("type", "recipient"),
        CLEAN,
        consents=_consents({"recipient": [["federation"]] * ROWS}),
    ),
    Case(
        "consents: a row of nobody",
        refused("blank"),
        CLEAN,
        consents=_consents({"person": ["NULL", *(f"P{n:03}" for n in range(1, ROWS))]}),
    ),
    # One rule for time.
    Case("a moment without a stated zone", refused("zone", "day", 12), file(text(set_cell(10, "day", OPEN)))),
    Case(
        "moments in a stated zone",
        read(),
        file(text(set_column("day", lambda n, _: _moment(n, 2).isoformat()))),
        typed=lambda: frame(day=series(lambda n: _moment(n, 2))),
        zone="Asia/Shanghai",
    ),
    Case("local midnights", read(), typed=lambda: frame(day=series(lambda n: _moment(n, 0))), zone="Asia/Shanghai"),
    Case(
        "local midnights without a stated zone",
        refused("zone", "day"),
        file(text(set_column("day", lambda n, _: _moment(n, 0).isoformat()))),
    ),
    Case("garbage behind a day", refused("day", "day", 12), file(text(set_cell(10, "day", "2024-01-05Tgarbage")))),
    Case("days with a time", read(), file(text(set_column("day", lambda n, cell: f"{cell} 23:59:59.999")))),
    Case("a day that is none", refused("day", "day", 12), file(text(set_cell(10, "day", "2026-02-30")))),
    Case(
        "consents: moments without a stated zone",
        refused("zone"),
        CLEAN,
        consents=_consents({"given": ["2026-01-05 02:00+08:00"] * ROWS}, "consents.csv"),
    ),
    Case(
        "consents: garbage behind a day",
        refused("day"),
        CLEAN,
        consents=_consents({"given": ["2024-01-05Tgarbage"] * ROWS}, "consents.csv"),
    ),
    # Spreadsheets.
    Case("UTF-16", read(), file(_utf16(text(lineterminator="\r\n")))),
    Case(
        "UTF-16 of the other order, Chinese, lines that end in CR",
        read(),
        file(
            codecs.BOM_UTF16_BE
            + text(set_cell(10, "note", "\u8d37\u6b3e \U0001f600"), lineterminator="\r").encode("utf-16-be")
        ),
    ),
    Case("UTF-16 and a stray quote", refused("quote", None, 12), file(_utf16(_stray(10, "note", '"abc')))),
    Case("UTF-16, cut off within a character", refused("encoding"), file(_utf16(text())[:-1])),
    Case("UTF-16 with half a pair", refused("encoding"), file(_utf16(text())[:-2] + b"\x00\xd8")),
    Case("UTF-16 without its mark", refused("encoding"), file(text().encode("utf-16-le"))),
    Case("a mark of UTF-8 and CR LF", read(), file(codecs.BOM_UTF8 + text(lineterminator="\r\n").encode())),
    Case("lines that end in CR alone", read(), file(text(lineterminator="\r"))),
    Case("a line sep=,", read(), file("sep=,\r\n" + text(lineterminator="\r\n"))),
    Case("nothing but a mark of UTF-8", refused("empty"), file(codecs.BOM_UTF8)),
    Case("nothing but a mark of UTF-16", refused("empty"), file(codecs.BOM_UTF16_LE)),
    Case("nothing but a line sep=,", refused("empty"), file("sep=,\n")),
    Case("a line sep=;", refused("separator", None, 1), file("sep=;\n" + text(delimiter=";"))),
    Case("semicolons", refused("header", "loan"), file(text(delimiter=";"))),
    Case(
        "semicolons and decimal commas",
        refused("separator", None, 1),
        file(text(set_column("limit", lambda n, cell: cell.replace(".", ",")), delimiter=";")),
    ),
    Case("full-width commas", refused("header", "loan"), file(text().replace(",", "\uff0c"))),
    Case("title rows", refused("title", None, 1), file("Loans of 2026\n\n" + text())),
    Case("title rows of a spreadsheet", refused("title", None, 1), file("Loans of 2026" + "," * 6 + "\n" + text())),
    Case(
        "full-width digits",
        read(),
        file(full_width_text()),
        typed=lambda: pl.DataFrame(full_width(), schema=list(COLUMNS), orient="row"),
    ),
    Case(
        "full-width thousands separators",
        refused("number", "limit", 12),
        file(text(set_cell(10, "limit", "\uff11\uff0c\uff10\uff10\uff12"))),
    ),
    Case("a digit in a circle", refused("number", "limit", 12), file(text(set_cell(10, "limit", "\u2460")))),
    Case("a square", refused("number", "limit", 12), file(text(set_cell(10, "limit", "5\u00b2")))),
    Case("digits of another script", refused("day", "day", 12), file(text(set_cell(10, "day", "\u0662026-01-11")))),
    Case("full-width digits in a level", refused("", "bad", 12), file(text(set_cell(10, "bad", "\uff11")))),
    Case("thousands separators", refused("number", "limit", 12), file(text(set_cell(10, "limit", "1,002.5")))),
    Case("brackets for a minus sign", refused("number", "limit", 12), file(text(set_cell(10, "limit", "(1002.5)")))),
    Case("a workbook named .csv", refused("workbook"), file(_workbook())),
    Case("a workbook named .parquet", refused("workbook"), file(_workbook(), "loans.parquet")),
    Case("an old workbook named .csv", refused("workbook"), file(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500))),
    Case("Parquet named .csv", refused("other-kind"), parquet(frame, "loans.csv")),
    Case("CSV named .parquet", refused("other-kind"), file(text(), "loans.parquet")),
    Case(
        "half a Parquet file",
        refused("other-kind"),
        lambda folder: file(parquet(frame)(folder).read_bytes()[:-200], "half.parquet")(folder),
    ),
    Case("a folder of Spark", refused("folder"), _spark),
    Case(
        "GBK", refused("encoding", None, 12), file(text(set_cell(10, "note", "\u8d37\u6b3e\u91d1\u989d")).encode("gbk"))
    ),
    Case(
        "GBK, unused column, quoted",
        refused("encoding", None, 12),
        file(text(set_cell(10, "note", "\u8d37,\u6b3e")).encode("gbk")),
    ),
    Case("Chinese in UTF-8", read(), file(text(set_cell(10, "note", "\u8d37\u6b3e")))),
]


def lay(case: Case, source: str, folder: Path) -> Any:
    """The case in a source of that kind: a path, or the path and table of an SQLite file."""
    if source == "file":
        assert case.write is not None
        return case.write(folder)
    assert case.typed is not None
    if source == "parquet":
        return parquet(case.typed)(folder)
    return sqlite_file(case.typed(), folder)


def sqlite_file(table: pl.DataFrame, folder: Path, name: str = "loans.db") -> Path:
    """A database with the table `loans`, of the types that SQLite has; moments as text in ISO 8601."""
    path = folder / name
    with sqlite3.connect(path) as database:
        database.execute(f"CREATE TABLE loans ({', '.join(map(quoted, COLUMNS))})")
        marks = ", ".join("?" * len(COLUMNS))
        plain = [[cell.isoformat() if isinstance(cell, date) else cell for cell in row] for row in table.rows()]
        database.executemany(f"INSERT INTO loans VALUES ({marks})", plain)
    database.close()
    return path


def sources_of(case: Case) -> tuple[str, ...]:
    """The kinds of source that a case is tried in."""
    return (*(("file",) if case.write else ()), *((case.sources or TYPED) if case.typed else ()))


def quoted(name: str) -> str:
    """A name as SQL takes it, whatever word it is."""
    return f'"{name}"'
