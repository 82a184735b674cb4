"""Formulas, derived features and their tables: what is refused, and what a plan or a party may say."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from sealscore.shared.plan.schema import CategoricalFeature, Formula, NumericFeature, TableSchema


def number(name: str, **more: Any) -> dict[str, Any]:
    return {"kind": "numeric", "name": name, "lower": 0, "upper": 10, **more}


def table(formula: dict[str, Any], *columns: dict[str, Any], **more: Any) -> TableSchema:
    """A table whose one derived feature has that formula; by default over two plain numbers, a and b."""
    derived = number("sum", formula=formula, **more)
    return TableSchema.model_validate(
        {"id": "i", "features": columns or (number("a"), number("b")), "derived": (derived,)}
    )


RATIO = {"op": "ratio", "of": ("a",), "per": ("b",), "floor": 1.0}


class TestFormula:
    @pytest.mark.parametrize(
        "formula",
        [
            {"op": "linear", "of": ("a", "b"), "weights": (1.0, -2.0)},
            {"op": "max", "of": ("a", "b")},
            {"op": "count-above", "of": ("a", "b"), "threshold": 3.0},
            RATIO | {"weights": (0.5,)},
        ],
        ids=lambda formula: formula["op"],
    )
    def test_what_an_operation_needs_is_taken(self, formula: dict[str, Any]):
        assert Formula.model_validate(formula).model_dump(exclude_none=True) == formula

    @pytest.mark.parametrize(
        ("formula", "named"),
        [
            ({"op": "count-above", "of": ("a",)}, "threshold"),
            ({"op": "max", "of": ("a",), "threshold": 1.0}, "threshold"),
            ({key: value for key, value in RATIO.items() if key != "per"}, "per"),
            ({key: value for key, value in RATIO.items() if key != "floor"}, "floor"),
            ({"op": "linear", "of": ("a",), "floor": 1.0}, "floor"),
            ({"op": "max", "of": ("a",), "weights": (1.0,)}, "weights"),
            ({"op": "linear", "of": ("a", "b"), "weights": (1.0,)}, "weights"),
        ],
    )
    def test_what_is_lacking_or_of_no_use_is_named(self, formula: dict[str, Any], named: str):
        with pytest.raises(ValidationError, match=named):
            Formula.model_validate(formula)

    def test_its_inputs_are_the_columns_above_and_below_the_line(self):
        assert Formula.model_validate(RATIO).inputs == ("a", "b")


class TestDerived:
    def test_it_is_scored_after_the_columns_and_a_mere_input_is_not(self):
        made = table(RATIO, number("a"), number("b", input_only=True))
        assert [feature.name for feature in made.scored] == ["a", "sum"]

    @pytest.mark.parametrize("what", ["protected", "input_only"])
    def test_it_is_neither_protected_nor_a_mere_input(self, what: str):
        with pytest.raises(ValidationError, match=what):
            table(RATIO, **{what: True})

    @pytest.mark.parametrize(
        ("second", "named"),
        [
            ({"kind": "categorical", "name": "b", "levels": ("x", "y")}, "numeric"),
            (number("c"), "'b'"),
            (number("b", protected=True), "protected"),
            (number("b", missing=True), "missing"),
        ],
        ids=["a level", "nothing", "protected", "missing"],
    )
    def test_it_reads_no_column_that_would_betray_or_break_it(self, second: dict[str, Any], named: str):
        with pytest.raises(ValidationError, match=named):
            table(RATIO, number("a"), second)

    def test_it_may_be_missing_where_a_column_is(self):
        made = table(RATIO, number("a"), number("b", missing=True), missing=True)
        assert made.feature("sum").missing


class TestTable:
    def test_a_feature_by_its_name(self):
        made = table(RATIO)
        assert isinstance(made.feature("a"), NumericFeature)
        assert made.feature("sum") is made.derived[0]
        with pytest.raises(KeyError):
            made.feature("c")

    def test_edges_rise_within_the_bounds(self):
        for edges in ((2.0, 1.0), (1.0, 1.0), (10.0,), (-1.0,)):
            with pytest.raises(ValidationError, match="edges"):
                NumericFeature(name="a", lower=0, upper=10, edges=edges)

    def test_the_dictionary_is_in_the_hash_only_where_there_is_one(self):
        plain = table(RATIO)
        named = plain.model_copy(update={"dictionary": "a" * 64})
        assert "dictionary" not in plain.model_dump()
        assert named.model_dump()["dictionary"] == "a" * 64

    def test_a_level_is_a_text_of_its_own(self):
        assert CategoricalFeature(name="a", levels=("x", "y")).levels == ("x", "y")
