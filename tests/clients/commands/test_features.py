"""`sealscore-node features`: the table of a plan from a platform's own raw tables, within what the plan allows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from builders import PLAN
from homes import Said, new_node
from raw_tables import lay_tables, wallet_tables

from sealscore.clients.features import table_schema
from sealscore.shared.plan.plan import Plan

FEATURES = ["inflow_3m", "inflow_growth", "refund_share_6m"]


@pytest.fixture
def features(node: Callable[..., Said], tmp_path: Path) -> Callable[..., Said]:
    """The command at a wallet that stands in a plan, on the raw tables of `raw`."""
    new_node(tmp_path / "node", "wallet", "platform")

    def call(plan: Path, *more: str) -> Said:
        paths = (plan, tmp_path / "raw", "-o", tmp_path / "out")
        return node("features", *paths, "--today", "2024-12-01", *more, "--home", tmp_path / "node")

    return call


def plan_at(folder: Path, most_rejected: float = 0.01, names: list[str] = FEATURES, party: str = "wallet") -> Path:
    """A plan between the lenders of tests and a wallet, whose table has those features."""
    table = table_schema("wallet").model_dump(mode="json") | {"most_rejected": most_rejected}
    known = {feature["name"]: feature for feature in table["features"]}
    table["features"] = [known.get(name, {"name": name, "lower": 0, "upper": 1}) for name in names]
    group = {"role": "platform", "min_parties": 1, "max_colluding": 0, "table": table}
    parties = [*PLAN["parties"], {"name": party, "group": "wallet", "nominal_records": 40}]
    privacy = PLAN["privacy"] | {"label_epsilon": 2.0, "signal_bits": 8}
    data = PLAN | {"privacy": privacy, "groups": PLAN["groups"] | {"wallet": group}, "parties": parties}
    path = folder / "plan.json"
    path.write_bytes(Plan.parse(data).canonical())
    return path


def test_the_table_is_the_plans(features: Callable[..., Said], tmp_path: Path):
    lay_tables(tmp_path / "raw", "wallet")
    said = features(plan_at(tmp_path))
    assert said.code == 0, said.text
    table = pl.read_parquet(tmp_path / "out" / "features.parquet")
    assert table.height == 40
    assert {*FEATURES, "creator_id", "as_of", "consent"} <= set(table.columns)


def test_no_more_rows_are_left_out_than_the_plan_allows(features: Callable[..., Said], tmp_path: Path):
    bills = wallet_tables()["bills"]
    lay_tables(tmp_path / "raw", "wallet", bills=bills.with_columns(amount=pl.lit(-1.0)).head(3).vstack(bills[3:]))
    said = features(plan_at(tmp_path, 0.01))
    assert said.code == 2
    assert "3 of 240 rows are bad, more than 1.00%" in said.text
    assert "most_rejected in the plan" in said.text
    assert not (tmp_path / "out" / "features.parquet").exists()
    said = features(plan_at(tmp_path, 0.02))
    assert said.code == 0, said.text
    assert "it is negative" in said.text
    assert pl.read_parquet(tmp_path / "out" / "rejected" / "bills.parquet").height == 3


def test_consents_for_another_recipient_are_not_asked(features: Callable[..., Said], tmp_path: Path):
    owners = wallet_tables()["consents"]
    lay_tables(tmp_path / "raw", "wallet", consents=owners.with_columns(recipient=pl.lit("somebody-else")))
    said = features(plan_at(tmp_path))
    assert (said.code, "nobody has consented" in said.text) == (2, True)


@pytest.mark.parametrize(
    ("changes", "more", "words"),
    [
        ({"names": ["inflow_3m", "moon_phase"]}, (), "no feature of a wallet party: moon_phase"),
        ({"party": "wallet-2"}, (), "has no party 'wallet'; its parties: "),
        ({}, ("--rate", "USD"), "write CODE=VALUE"),
        ({}, ("--today", "tomorrow"), "is no day"),
    ],
)
def test_what_cannot_be_is_said(features: Callable[..., Said], tmp_path: Path, changes, more, words: str):
    lay_tables(tmp_path / "raw", "wallet")
    said = features(plan_at(tmp_path, **changes), *more)
    assert (said.code, words in said.text) == (2, True), said.text


def test_a_folder_that_is_not_there(features: Callable[..., Said], tmp_path: Path):
    said = features(plan_at(tmp_path))
    assert (said.code, "there is no such folder" in said.text) == (2, True)
