"""Tables as strangers have them come out as the one reader's, and nothing that was plain is changed."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from sealscore.clients.data import DataError
from sealscore.simulations.data.any_table import read_any

HEADER, ROWS = "name,amount,home", ["a,1,own", "b,2,租房", 'c,3,"rent, cheap"']
PLAIN = "\n".join([HEADER, *ROWS]) + "\n"
SEMICOLONS = "name;amount;home\na;1;own\nb;2;租房\nc;3;rent, cheap\n"

WRITINGS = {
    "UTF-8": PLAIN.encode(),
    "a byte order mark": PLAIN.encode("utf-8-sig"),
    "GBK": PLAIN.encode("gbk"),
    "UTF-16": PLAIN.encode("utf-16"),
    "semicolons": SEMICOLONS.encode(),
    "a line that names the separator": ("sep=;\r\n" + SEMICOLONS.replace("\n", "\r\n")).encode(),
    "tabs": SEMICOLONS.replace(";", "\t").encode(),
}


@pytest.mark.parametrize("writing", WRITINGS)
def test_one_table_in_many_writings(writing: str, tmp_path: Path):
    path = tmp_path / "table.csv"
    path.write_bytes(WRITINGS[writing])
    table, told = read_any(path)
    assert table.frame.rows() == [("a", "1", "own"), ("b", "2", "租房"), ("c", "3", "rent, cheap")]
    assert bool(told) == (writing not in ("UTF-8", "a byte order mark"))


@pytest.mark.parametrize(
    ("cells", "read"),
    [
        (["1", "?", "3"], ["1", None, "3"]),
        (["1,234", "12", "-1,000,000.5"], ["1234", "12", "-1000000.5"]),
        (["12.5%", "3%"], ["12.5", "3"]),
        (["$1,200", "$7"], ["1200", "7"]),
        (["1.5", "high"], ["1.5", "high"]),
        (["?", "yes", "no"], ["?", "yes", "no"]),
        (["2024-01-31", "2024-02-01"], ["2024-01-31", "2024-02-01"]),
        (["138,12", "7"], ["138,12", "7"]),
    ],
)
def test_columns_of_numbers_become_plain_and_no_other(cells: list[str], read: list[str | None], tmp_path: Path):
    path = tmp_path / "table.csv"
    pl.DataFrame({"key": ["k"] * len(cells), "x": cells}).write_csv(path)
    assert read_any(path)[0].frame["x"].to_list() == read


def test_decimal_commas_beside_semicolons(tmp_path: Path):
    path = tmp_path / "table.csv"
    path.write_text("a;b\n1,5;x\n;y\n-2;z\n")
    assert read_any(path)[0].frame["a"].to_list() == ["1.5", None, "-2"]


def test_parquet_is_read_as_it_is(tmp_path: Path):
    path = tmp_path / "table.parquet"
    frame = pl.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    frame.write_parquet(path)
    assert read_any(path)[0].frame.equals(frame)


def test_what_is_no_text_is_refused(tmp_path: Path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"a,b\n\xff\xff,\x81\n")
    with pytest.raises(DataError):
        read_any(path)
