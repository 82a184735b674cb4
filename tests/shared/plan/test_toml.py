"""Whatever is wrong with a TOML file, one kind of error names the file, the line and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealscore.shared.plan.bounds import MAX_TEXT
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.schema import Strict
from sealscore.shared.plan.toml import TomlError, load_as, load_toml, parse_toml


class Pair(Strict):
    left: int
    right: int = 2


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"a = 1\nb = \n", "line 2"),
        (b"a = 1\r\nb = \r\n", "line 2"),
        (b"a = 1\n\nb = '\xff'\n", "line 3"),
        (b"\xff\xfe", "line 1"),
        (b"a = 1\na = 2\n", "line 2"),
    ],
)
def test_the_error_names_the_file_and_the_line(tmp_path: Path, content: bytes, line: str):
    path = tmp_path / "some.toml"
    path.write_bytes(content)
    with pytest.raises(TomlError) as caught:
        load_toml(path)
    assert caught.value.source == str(path)
    assert line in caught.value.wrong
    assert caught.value.lines == [f"{path}: {caught.value.wrong}; {caught.value.fix}"]


@pytest.mark.parametrize("there", ["nothing", "a folder"])
def test_where_there_is_no_file_the_caller_knows_what_makes_one(tmp_path: Path, there: str):
    path = tmp_path / "some.toml"
    if there == "a folder":
        path.mkdir()
    with pytest.raises(TomlError) as caught:
        load_toml(path, "the command init makes one")
    assert caught.value.fix == "the command init makes one"


@pytest.mark.parametrize(
    "text",
    [
        "a = 1 # " + "x" * MAX_TEXT,
        "a = 1 # " + "借" * MAX_TEXT * 2,
        ".".join("a" * 40) + " = 1",
        "a = " + "[" * 5000 + "]" * 5000,
        "a = " + "9" * 5000,
    ],
)
def test_what_would_cost_time_or_memory_is_refused(tmp_path: Path, text: str):
    path = tmp_path / "some.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TomlError):
        load_toml(path)


def test_an_endless_file_is_no_endless_read():
    with pytest.raises(TomlError):
        load_toml(Path("/dev/zero"))


@given(st.text(max_size=80))
def test_any_text_is_read_or_explained(tmp_path_factory: pytest.TempPathFactory, text: str):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text(text, encoding="utf-8", errors="replace")
    try:
        found = load_toml(path)
    except TomlError:
        return
    assert isinstance(found, dict)


def test_a_text_is_read_as_a_file_is(tmp_path: Path):
    path = tmp_path / "some.toml"
    path.write_bytes("a = 'é'\rb = [1,\r\n2]\n".encode())
    assert load_toml(path) == {"a": "é", "b": [1, 2]} == parse_toml("a = 'é'\nb = [1,\n2]\n", "a text")


def test_a_model_of_a_file(tmp_path: Path):
    path = tmp_path / "pair.toml"
    path.write_text("left = 1\n", encoding="utf-8")
    assert load_as(Pair, path) == Pair(left=1)
    path.write_text("left = 1\nrigth = 'x'\n", encoding="utf-8")
    with pytest.raises(PlanError) as caught:
        load_as(Pair, path)
    assert (caught.value.source, len(caught.value.problems)) == (str(path), 1)
    assert "'right'" in caught.value.problems[0]
