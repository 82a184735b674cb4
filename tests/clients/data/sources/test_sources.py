"""Reading files: the columns asked for, text as it stands, and lines that a person can go to."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from sealscore.clients.data import DataError, Table, read_source


def refusal(path: Path, columns=None) -> str:
    with pytest.raises(DataError) as caught:
        read_source(path, columns)
    return str(caught.value)


def test_only_the_columns_asked_for_are_read(tmp_path):
    frame = pl.DataFrame({"a": [1, 2], "b": ["x", "y"], "c": [0.5, None]})
    for name, write in (("t.csv", frame.write_csv), ("t.parquet", frame.write_parquet)):
        write(tmp_path / name)
        table = read_source(tmp_path / name, ["c", "a", "not there"])
        assert table.frame.columns == ["c", "a"]
        assert table.header == ("a", "b", "c")
        assert read_source(tmp_path / name).frame.columns == ["a", "b", "c"]


def test_cells_of_csv_stay_text(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n007,2.0\n1e3,x\n")
    assert read_source(tmp_path / "t.csv").frame.rows() == [("007", "2.0"), ("1e3", "x")]


def test_lines_are_those_of_the_file(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b'\xef\xbb\xbfa,b\r\n1,"two\r\nlines"\r\n\r\n3,z\r\n\r\n')
    table = read_source(path, ["a", "b"])
    assert table.frame["a"].to_list() == ["1", "3"]
    assert table.rows([0, 1]) == (2, 5)
    assert table.unit == "line"
    assert Table.of(pl.DataFrame({"a": [1, 2]}), "memory").rows([0, 1]) == (1, 2)


@pytest.mark.parametrize(
    ("name", "content", "said", "fix"),
    [
        ("t.csv", b"", "the file is empty", "export the table again"),
        ("t.parquet", b"", "the file is empty", "export the table again"),
        ("t.csv", b"a,b\n1,2,3\n4,5\n", "a line has more cells than the header", "double quotes"),
        ("t.csv", b'a,b\n"x,2\n4,5\n', "no well-formed CSV", "double quote"),
        ("t.parquet", b"PAR2 and then nothing of the kind", "is no Parquet file", "as Parquet"),
        ("t.xlsx", b"PK", "files of kind .xlsx are not read", ".csv"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, name, content, said, fix):
    (tmp_path / name).write_bytes(content)
    message = refusal(tmp_path / name)
    assert message.startswith(name)
    assert said in message
    assert fix in message.split("fix: ")[1]


def test_a_file_that_is_not_utf8(tmp_path):
    (tmp_path / "t.csv").write_bytes(b'a,b\n"1\n2",x\n4,\xe9\n5,y\n\xff,z\n')
    assert (
        refusal(tmp_path / "t.csv") == "t.csv, lines 4, 6: the file is not UTF-8; fix: save it with the encoding UTF-8"
    )


def test_a_file_that_is_not_there(tmp_path):
    assert "absent.csv: there is no such file; fix: " in refusal(tmp_path / "absent.csv")


def test_a_column_that_the_header_names_twice(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,a\n1,2,3\n")
    assert "t.csv, column 'a': the header names it twice" in refusal(tmp_path / "t.csv", ["a"])
    assert read_source(tmp_path / "t.csv", ["b"]).frame["b"].to_list() == ["2"]
