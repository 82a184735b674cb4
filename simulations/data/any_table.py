"""Tables as strangers have them: what a spreadsheet or an old system writes, brought to what the one reader reads.

For simulations alone. A real node refuses such files with the fix, since there a guess could change what a record
means; here the researcher is told what was guessed, and looks at public or invented data.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import re
import tempfile
from pathlib import Path

import polars as pl

from sealscore.clients.data import DataError, Problem, Table, read_table
from sealscore.clients.data.cells import numbers

_TEXT_SUFFIXES = (".csv", ".tsv", ".txt")
_SEPARATORS = ",;\t|"
_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_BLANK_WORDS = frozenset({"?", "-", "--", ".", "\\n", "#n/a", "missing", "unknown", "nil", "无", "空"})
_DECIMAL_COMMA = r"^[+-]?\d+(,\d+)?$"
_DRESSED = r"^[+-]?[$€£¥￥]?\s?\d{1,3}(,?\d{3})*(\.\d+)?\s?%?$"


def read_any(path: Path) -> tuple[Table, list[str]]:
    """The whole table in a file, and in words what was guessed of how it is written.

    UTF-8, UTF-16 and GB18030 (GBK) are read, cells apart by commas, semicolons, tabs or bars, with a spreadsheet's
    `sep=` line or without. In a column of nothing but numbers, words for a missing value become blanks, and decimal
    commas, thousands separators, currency and percent signs go.

    Raises:
        DataError: there is no table in the file; see `read_table`.
    """
    if path.suffix.lower() not in _TEXT_SUFFIXES or not path.is_file():
        return _tidied(read_table(path), decimal_commas=False)
    data = path.read_bytes()
    text, encoding = _decoded(path, data)
    body, separator = _separator(text)
    told = [] if encoding == "UTF-8" else [f"the file is written in {encoding}"]
    if separator != ",":
        told.append(f"cells are separated by {_NAMES.get(separator, repr(separator))}")
    if not told and body == text and path.suffix.lower() == ".csv":
        table = read_table(path)
    else:
        table = _rewritten(path, body, separator)
    found, more = _tidied(table, decimal_commas=separator != ",")
    return found, told + more


def _decoded(path: Path, data: bytes) -> tuple[str, str]:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        tries = [("utf-16", "UTF-16")]
    else:
        tries = [("utf-8-sig", "UTF-8"), ("gb18030", "GB18030 (GBK)")]
    for codec, name in tries:
        try:
            return data.decode(codec), name
        except UnicodeDecodeError:
            continue
    raise DataError([Problem(path.name, "the file is neither UTF-8, UTF-16 nor GB18030", "save it as UTF-8")])


def _separator(text: str) -> tuple[str, str]:
    """The text without a `sep=` line, and what separates its cells: the mark that is most frequent in the header."""
    first, _, rest = text.partition("\n")
    if found := re.fullmatch(r'"?sep=(.)"?\r?', first):
        return rest, found[1]
    header = re.sub(r'"[^"]*"', "", first)
    return text, max(_SEPARATORS, key=header.count)


def _rewritten(path: Path, text: str, separator: str) -> Table:
    with tempfile.TemporaryDirectory(prefix="sealscore-") as folder:
        plain = Path(folder) / f"{path.stem}.csv"
        with plain.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
        return dataclasses.replace(read_table(plain), source=path.name, lines=None, unit="row")


def _tidied(table: Table, decimal_commas: bool) -> tuple[Table, list[str]]:
    columns, told = [], []
    for name in table.frame.columns:
        column = table.frame[name]
        if column.dtype == pl.String and (found := _as_numbers(column, decimal_commas)) is not None:
            columns.append(found[0].alias(name))
            told.append(f"{name!r}: {found[1]}")
    return dataclasses.replace(table, frame=table.frame.with_columns(columns)), told


def _as_numbers(column: pl.Series, decimal_commas: bool) -> tuple[pl.Series, str] | None:
    """The column as plain numbers in text where it is one of numbers that are written otherwise; None elsewhere."""
    if not numbers(column)[1].any():
        return None
    words = column.str.strip_chars().str.to_lowercase().is_in(list(_BLANK_WORDS)).fill_null(False)
    blanked = pl.select(pl.when(~words).then(column)).to_series()
    values, text = numbers(blanked)
    if not text.any():
        return None if all(value != value for value in values) else (blanked, "words for a missing value are blanks")
    cells = blanked.str.strip_chars().filter(~pl.Series(values != values) | pl.Series(text))
    if decimal_commas and cells.str.contains(_DECIMAL_COMMA).all():
        return blanked.str.replace(",", "."), "decimal commas are read as points"
    if cells.str.contains(_DRESSED).all():
        return blanked.str.replace_all(
            r"[$€£¥￥,%\s]", ""
        ), "signs of currency and percent, and commas between thousands, are left out"
    return None
