"""The dictionary describes every feature once, and the plan's schema follows from it."""

from __future__ import annotations

import polars as pl
import pytest

from sealscore.clients.features.dictionary.dictionary import bounded, entries, entry
from sealscore.clients.features.dictionary.schema import table_schema
from sealscore.shared.plan.schema import TableSchema

KINDS = ("short-video", "wallet", "lender")
EVERY = [found for kind in KINDS for found in entries(kind)]


def test_names_and_codes_are_distinct():
    assert len({found.name for found in EVERY}) == len({found.code for found in EVERY}) == len(EVERY) >= 40


@pytest.mark.parametrize("found", EVERY, ids=lambda found: found.name)
def test_every_entry_is_whole(found):
    assert all((found.definition, found.unit, found.en, found.zh))
    assert any("\u4e00" <= character <= "\u9fff" for character in found.zh)
    assert found.en.isascii()
    assert found.missing is None or len(found.missing) > 3
    assert found.column.missing == (found.missing is not None)
    assert entry(found.name) is found


@pytest.mark.parametrize("kind", KINDS)
def test_a_plan_takes_the_schema(kind):
    schema = table_schema(kind)
    assert TableSchema.model_validate(schema.model_dump(mode="json")) == schema
    assert {feature.name for feature in schema.features} == {found.name for found in entries(kind)}
    assert (schema.label == "bad") == (kind == "lender")


def test_some_features_on_demand():
    schema = table_schema("wallet", ["inflow_3m", "residence"])
    assert [feature.name for feature in schema.features] == ["inflow_3m", "residence"]
    with pytest.raises(KeyError):
        table_schema("wallet", ["followers"])
    with pytest.raises(KeyError):
        entry("no_such_feature")


def test_values_are_cut_to_their_bounds_and_types():
    frame = pl.LazyFrame(
        {
            "creator_id": ["a", "b", "c"],
            "inflow_3m": [-5.0, 2e11, float("nan")],
            "payers_3m": [1.6, 2.0, None],
            "residence": ["urban", "moon", None],
        }
    )
    found = bounded(frame, "wallet").collect()
    assert found.columns == ["creator_id", *(known.name for known in entries("wallet"))]
    assert found["inflow_3m"].to_list() == [0.0, 1e11, None]
    assert found["payers_3m"].to_list() == [2, 2, None]
    assert found["residence"].to_list() == ["urban", None, None]
    assert found["inflow_growth"].null_count() == 3
