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


SAID = {"en": "The number is low", "zh": "数值偏低"}
LEVELS = {"kind": "categorical", "name": "a", "levels": ("x", "y")}


def column(**keys: Any) -> NumericFeature | CategoricalFeature:
    """A column with those keys, a category if they give levels."""
    if "levels" in keys:
        return CategoricalFeature.model_validate(keys)
    return NumericFeature.model_validate(number("a", **keys))


class TestReason:
    @pytest.mark.parametrize(
        "keys",
        [
            {"reason": {"low": SAID, "high": SAID}},
            {"reason": {"missing": SAID}, "missing": True},
            LEVELS | {"reason": {"level": SAID}},
            LEVELS | {"reason": {"high": SAID, "low": SAID}, "ordered": True},
            LEVELS | {"reason": {"missing": SAID}, "missing": True},
        ],
    )
    def test_a_direction_that_can_occur_has_a_sentence(self, keys: dict[str, Any]):
        reason = column(**keys).reason
        assert reason is not None
        given = reason.model_dump(exclude_none=True)
        assert given == keys["reason"]

    @pytest.mark.parametrize(
        ("keys", "named"),
        [
            ({"reason": {"missing": SAID}}, r"missing = true"),
            (LEVELS | {"reason": {"missing": SAID}}, r"missing = true"),
            (LEVELS | {"reason": {"high": SAID}}, r"ordered = true"),
            (LEVELS | {"reason": {"low": SAID}}, r"ordered = true"),
            ({"reason": {"level": SAID}}, r"reason\.level"),
            ({"reason": {}}, "high"),
            ({"reason": {"low": SAID}, "protected": True}, "protected"),
            ({"reason": {"low": SAID}, "proxy": True}, "proxy"),
            (LEVELS | {"reason": {"level": SAID}, "proxy": True}, "proxy"),
        ],
    )
    def test_one_that_nobody_would_be_told_is_refused_with_the_fix(self, keys: dict[str, Any], named: str):
        with pytest.raises(ValidationError, match=named):
            column(**keys)

    @pytest.mark.parametrize("language", ["en", "zh"])
    @pytest.mark.parametrize("text", ["", " ", "a\n", "a\nb", "\x1b[31mred", "a\u202eb", "a\u200bb", " a", "a" * 201])
    def test_a_sentence_is_one_line_of_visible_text(self, language: str, text: str):
        with pytest.raises(ValidationError, match=language):
            column(reason={"low": SAID | {language: text}})
        assert column(reason={"low": SAID | {language: "文" * 200}}).reason

    def test_both_languages_are_needed(self):
        for language in SAID:
            with pytest.raises(ValidationError, match=language):
                column(reason={"low": {key: text for key, text in SAID.items() if key != language}})

    def test_what_is_derived_of_a_proxy_is_one(self):
        columns = (number("a"), number("b", proxy=True))
        with pytest.raises(ValidationError, match="'sum' needs proxy = true"):
            table(RATIO, *columns)
        assert table(RATIO, *columns, proxy=True).feature("sum").proxy

    def test_columns_without_the_keys_stand_in_a_plan_as_before(self):
        for keys in ({}, LEVELS):
            plain = column(**keys)
            assert plain.model_dump() == column(**keys, proxy=False).model_dump()
            assert not {"reason", "proxy"} & plain.model_dump().keys()
        marked = column(proxy=True).model_dump()
        assert marked["proxy"] is True
        assert column(reason={"low": SAID}).model_dump()["reason"]["low"] == SAID
