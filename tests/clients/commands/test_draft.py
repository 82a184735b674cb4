"""`sealscore-node draft`: names and kinds of columns, and nothing that was read from a record."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from builders import PLAN
from homes import Said, new_node

from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import Plan

Draft = Callable[..., Said]


@pytest.fixture
def draft(node: Callable[..., Said], tmp_path: Path) -> Draft:
    new_node(tmp_path / "node")
    return lambda *more: node("draft", "--home", tmp_path / "node", "-o", tmp_path / "draft.toml", *more)


def test_names_and_kinds(draft: Draft, tmp_path: Path):
    assert draft("--label", "bad").code == 0
    table = tomllib.loads((tmp_path / "draft.toml").read_text())["groups"]["lender"]["table"]
    assert (table["id"], table["label"]) == ("id", "bad")
    kinds = {feature["name"]: feature["kind"] for feature in table["features"]}
    numbers, words = ("income", "months", "age"), ("sector", "sex")
    assert kinds == dict.fromkeys(numbers, "numeric") | dict.fromkeys(words, "categorical")
    assert all(set(feature) == {"name", "kind"} for feature in table["features"])


def test_other_records_of_the_same_kinds_give_the_same_file(draft: Draft, node: Callable[..., Said], tmp_path: Path):
    draft()
    new_node(tmp_path / "other", "lender-2")
    node("draft", "--home", tmp_path / "other", "-o", tmp_path / "other.toml")
    assert (tmp_path / "node" / "loans.csv").read_bytes() != (tmp_path / "other" / "loans.csv").read_bytes()
    assert (tmp_path / "draft.toml").read_bytes() == (tmp_path / "other.toml").read_bytes()


def test_no_plan_is_made_of_it_until_the_blanks_are_filled_in(draft: Draft, tmp_path: Path):
    draft("--label", "bad")
    table = tomllib.loads((tmp_path / "draft.toml").read_text())["groups"]["lender"]["table"]
    with pytest.raises(PlanError) as caught:
        Plan.parse(PLAN | {"groups": {"lender": PLAN["groups"]["lender"] | {"table": table}}})
    told = " ".join(caught.value.problems)
    assert all(f"{key}: missing" in told for key in ("lower", "upper", "levels"))


def test_a_file_that_is_there_is_left_alone(draft: Draft, tmp_path: Path):
    (tmp_path / "draft.toml").write_text("mine")
    assert draft().code == 2
    assert (tmp_path / "draft.toml").read_text() == "mine"


def test_a_label_that_is_no_column_is_refused(draft: Draft, tmp_path: Path):
    said = draft("--label", "outcome")
    assert (said.code, (tmp_path / "draft.toml").exists()) == (2, False)
