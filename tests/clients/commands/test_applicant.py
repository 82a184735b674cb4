"""`sealscore-node applicant`: the index of a lender's numbers, and one applicant's features by it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builders import PLAN
from homes import Said, new_node
from raw_tables import lay_tables, lender_tables

from sealscore.clients.applicant.rows import read_by
from sealscore.clients.features import table_schema
from sealscore.shared.plan.plan import Plan
from sealscore.simulations.bench.features.applicant import rows_of

NAMES = ["amount", "bureau_score", "identity_flags", "earlier_loans"]


@pytest.fixture
def applicant(node: Callable[..., Said], tmp_path: Path) -> Callable[..., Said]:
    """The command at a lender with its raw tables in `raw`, a plan in `plan.json` and an applicant in `one.json`."""
    lay_tables(tmp_path / "raw", "lender")
    new_node(tmp_path / "node", PLAN["parties"][0]["name"], "lender")
    group = PLAN["groups"]["lender"] | {"table": table_schema("lender", NAMES).model_dump(mode="json")}
    data = PLAN | {"groups": {"lender": group}, "evaluation": PLAN["evaluation"] | {"groups": {}}}
    (tmp_path / "plan.json").write_bytes(Plan.parse(data).canonical())
    (tmp_path / "one.json").write_text(json.dumps(body()), "utf-8")
    return lambda *words: node("applicant", *words, "--today", "2024-12-01", "--home", tmp_path / "node")


def body(**papers: str) -> dict[str, Any]:
    tables = lender_tables()
    found = rows_of({name: tables[name] for name in read_by("lender")}, "lender", "C00003")
    for row in found["identity"]:
        row |= papers
    return {"application_id": "A00003", "tables": found}


def test_an_index_then_features_and_an_application_more(applicant: Callable[..., Said], tmp_path: Path):
    plan, one = tmp_path / "plan.json", tmp_path / "one.json"
    unbuilt = applicant("features", plan, one)
    assert unbuilt.code == 1
    assert "applicant index" in unbuilt.text
    built = applicant("index", tmp_path / "raw")
    assert built.code == 0, built.text
    said = applicant("features", plan, one)
    assert said.code == 0, said.text
    found = json.loads(said.out)
    assert found["features"].keys() == set(NAMES)
    assert found["flags"] == []
    # Another applicant, a day later, with the licence of the one that was added.
    shared = body(licence_number="91350100M000100Y43", licence_name="a shop", licence_status="active")
    one.write_text(json.dumps(shared), "utf-8")
    assert applicant("features", plan, one, "--add").code == 0
    other = json.dumps(shared).replace("C00003", "C99999").replace("A00003", "A99999").replace("A00043", "A99998")
    moved = json.loads(other)
    for row in moved["tables"]["applications"]:
        row["applied_at"] = "2024-11-30"
    one.write_text(json.dumps(moved), "utf-8")
    codes = {flag["code"] for flag in json.loads(applicant("features", plan, one).out)["flags"]}
    assert {"ID07", "LC06"} <= codes
    # Built again from the tables, the index has what they have.
    assert applicant("index", tmp_path / "raw").code == 0
    assert "LC06" not in {flag["code"] for flag in json.loads(applicant("features", plan, one).out)["flags"]}


def test_what_cannot_be_read_is_said_without_a_value(applicant: Callable[..., Said], tmp_path: Path):
    plan, one = tmp_path / "plan.json", tmp_path / "one.json"
    assert applicant("index", tmp_path / "raw").code == 0
    for text in ('{"secret"', json.dumps(body() | {"application_id": "secret"}), "[]"):
        one.write_text(text, "utf-8")
        said = applicant("features", plan, one)
        assert said.code == 2
        assert "secret" not in said.text
    assert applicant("features", plan, tmp_path / "absent.json").code == 2
    assert applicant("index", tmp_path / "absent").code == 2


def test_an_index_whose_key_is_gone_is_not_begun_anew(applicant: Callable[..., Said], tmp_path: Path):
    assert applicant("index", tmp_path / "raw").code == 0
    (tmp_path / "node" / "keys" / "used-numbers").unlink()
    said = applicant("features", tmp_path / "plan.json", tmp_path / "one.json")
    assert said.code == 2
    assert "used-numbers" in said.text.replace("\n", "")
