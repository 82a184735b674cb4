"""Derived features and the schema that allows them: the formulas, what is missing, and what a plan may not say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from builders import TABLE, small_plan
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sealscore.clients.data.derive import derived_columns, derived_values
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.schema import DerivedFeature, Formula, NumericFeature, TableSchema

NAN = np.nan
COLUMNS = {
    "a": np.array([1.0, 4.0, -2.0, NAN, 100.0]),
    "b": np.array([3.0, -1.0, 0.0, 2.0, NAN]),
    "c": np.array([0.0, 2.0, 10.0, 1.0, 1.0]),
}


def table(**formula: Any) -> TableSchema:
    """A table of three numbers and one derived from them, bounded by -50 and 50."""
    numbers = [{"name": name, "lower": -1000, "upper": 1000, "missing": True} for name in "abc"]
    derived = {"name": "d", "lower": -50, "upper": 50, "missing": True, "formula": formula}
    return TableSchema.model_validate({"id": "id", "features": numbers, "derived": [derived]})


def value(**formula: Any) -> np.ndarray:
    return derived_columns(table(**formula), COLUMNS)["d"]


class TestFormulas:
    @pytest.mark.parametrize(
        ("formula", "expected"),
        [
            ({"op": "linear", "of": ["a", "b"]}, [4.0, 3.0, -2.0, NAN, NAN]),
            ({"op": "linear", "of": ["a", "b"], "weights": [2, -1]}, [-1.0, 9.0, -4.0, NAN, NAN]),
            ({"op": "linear", "of": ["c"], "weights": [0.5]}, [0.0, 1.0, 5.0, 0.5, 0.5]),
            ({"op": "max", "of": ["a", "b", "c"]}, [3.0, 4.0, 10.0, NAN, NAN]),
            ({"op": "min", "of": ["a", "b", "c"]}, [0.0, -1.0, -2.0, NAN, NAN]),
            ({"op": "count-above", "of": ["a", "b", "c"], "threshold": 1}, [1.0, 2.0, 1.0, NAN, NAN]),
            ({"op": "count-above", "of": ["c"], "threshold": 1}, [0.0, 1.0, 1.0, 0.0, 0.0]),
            ({"op": "ratio", "of": ["a"], "per": ["c"], "floor": 1}, [1.0, 2.0, -0.2, NAN, 50.0]),
            ({"op": "ratio", "of": ["a"], "per": ["b"], "floor": 0.5}, [1 / 3, 8.0, -4.0, NAN, NAN]),
            ({"op": "ratio", "of": ["c"], "per": ["c", "c"], "floor": 1, "weights": [3]}, [0, 1.5, 1.5, 1.5, 1.5]),
        ],
    )
    def test_values(self, formula: dict[str, Any], expected: list[float]):
        np.testing.assert_allclose(value(**formula), expected)

    def test_cut_off_at_the_bounds(self):
        assert value(op="linear", of=["a"], weights=[1000])[4] == 50
        assert value(op="linear", of=["a"], weights=[-1000])[4] == -50

    def test_given_columns_stay_and_the_rest_is_added(self):
        found = derived_columns(table(op="max", of=["a", "b"]), COLUMNS)
        assert set(found) == {"a", "b", "c", "d"}
        assert all(found[name] is COLUMNS[name] for name in "abc")

    def test_an_empty_table(self):
        empty = {name: np.zeros(0) for name in "abc"}
        for op in ("linear", "max", "min"):
            assert derived_columns(table(op=op, of=["a", "b"]), empty)["d"].shape == (0,)

    @given(rows=st.permutations(range(5)), cut=st.integers(1, 5))
    def test_a_value_depends_on_its_own_record_only(self, rows: list[int], cut: int):
        chosen = np.array(rows[:cut])
        for formula in (
            {"op": "linear", "of": ["a", "b"], "weights": [2, -1]},
            {"op": "max", "of": ["a", "c"]},
            {"op": "count-above", "of": ["a", "b"], "threshold": 0},
            {"op": "ratio", "of": ["a"], "per": ["b"], "floor": 1},
        ):
            part = derived_columns(table(**formula), {name: values[chosen] for name, values in COLUMNS.items()})["d"]
            np.testing.assert_array_equal(part, value(**formula)[chosen])


class TestRowLocal:
    """A record alone, among others and twice: the same bits, however many columns are added."""

    @given(
        op=st.sampled_from(["linear", "max", "min", "count-above", "ratio"]),
        columns=st.integers(1, 24),
        seed=st.integers(0, 2**16),
        rows=st.integers(1, 40),
    )
    def test_the_same_bits(self, op: str, columns: int, seed: int, rows: int):
        random = np.random.default_rng(seed)
        names = [f"c{at}" for at in range(columns)]
        values = {name: random.lognormal(0, 3, rows) for name in names}
        more = {"threshold": 1.0} if op == "count-above" else {}
        more |= {"weights": random.normal(0, 2, columns).tolist()} if op in ("linear", "ratio") else {}
        more |= {"per": names, "floor": 0.1} if op == "ratio" else {}
        features = [{"name": name, "lower": -1e9, "upper": 1e9} for name in names]
        derived = {"name": "d", "lower": -1e12, "upper": 1e12, "formula": {"op": op, "of": names} | more}
        schema = TableSchema.model_validate({"id": "id", "features": features, "derived": [derived]})
        whole = derived_columns(schema, values)["d"]
        for row in range(rows):
            alone = derived_columns(schema, {name: column[[row]] for name, column in values.items()})["d"]
            assert alone.tobytes() == whole[[row]].tobytes()
        order = random.integers(0, rows, 3 * rows)
        again = derived_columns(schema, {name: column[order] for name, column in values.items()})["d"]
        assert again.tobytes() == whole[order].tobytes()


class TestFormulasThatSayNothing:
    @pytest.mark.parametrize(
        ("formula", "said"),
        [
            ({"op": "sum", "of": ["a"]}, "op"),
            ({"op": "max", "of": []}, "of"),
            ({"op": "count-above", "of": ["a"]}, "needs 'threshold'"),
            ({"op": "max", "of": ["a"], "threshold": 1}, "has no use for 'threshold'"),
            ({"op": "ratio", "of": ["a"], "floor": 1}, "needs 'per'"),
            ({"op": "ratio", "of": ["a"], "per": ["b"]}, "needs 'floor'"),
            ({"op": "ratio", "of": ["a"], "per": ["b"], "floor": 0}, "floor"),
            ({"op": "ratio", "of": ["a"], "per": ["b"], "floor": -1}, "floor"),
            ({"op": "linear", "of": ["a"], "per": ["b"]}, "has no use for 'per'"),
            ({"op": "linear", "of": ["a"], "floor": 1}, "has no use for 'floor'"),
            ({"op": "linear", "of": ["a", "b"], "weights": [1]}, "one for each column"),
            ({"op": "max", "of": ["a"], "weights": [1]}, "weights go with linear and ratio"),
            ({"op": "linear", "of": ["a"], "weights": [float("nan")]}, "finite"),
            ({"op": "count-above", "of": ["a"], "threshold": float("inf")}, "finite"),
            ({"op": "linear", "of": ["a"], "weigths": [1]}, "weigths"),
        ],
    )
    def test_are_refused(self, formula: dict[str, Any], said: str):
        with pytest.raises(ValidationError, match=said):
            Formula.model_validate(formula)

    def test_inputs_are_all_columns_that_are_read(self):
        assert Formula(op="ratio", of=("a", "b"), per=("c",), floor=1.0).inputs == ("a", "b", "c")


def with_derived(**changes: Any) -> dict[str, Any]:
    """The small plan's table with one derived feature, changed."""
    derived = {"name": "load", "lower": 0, "upper": 10, "formula": {"op": "linear", "of": ["income"]}}
    return TABLE | {"derived": [derived | changes]}


def refusal(**table: Any) -> str:
    with pytest.raises(PlanError) as caught:
        small_plan(groups__lender__table=TABLE | table)
    return str(caught.value)


class TestInAPlan:
    def test_a_derived_feature_is_scored_after_the_columns(self):
        plan = small_plan(groups__lender__table=with_derived())
        assert [f.name for f in plan.groups["lender"].table.scored] == ["income", "months", "sector", "load"]
        assert isinstance(plan.groups["lender"].table.feature("load"), DerivedFeature)

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"formula": {"op": "linear", "of": ["wealth"]}}, "reads 'wealth', which is no numeric feature"),
            ({"formula": {"op": "linear", "of": ["sector"]}}, "reads 'sector', which is no numeric feature"),
            ({"formula": {"op": "linear", "of": ["load"]}}, "reads 'load', which is no numeric feature"),
            ({"formula": {"op": "linear", "of": ["income", "age"]}}, "reads 'age', which is protected"),
            (
                {"formula": {"op": "ratio", "of": ["income"], "per": ["age"], "floor": 1}},
                "reads 'age', which is protected",
            ),
            ({"formula": {"op": "linear", "of": ["months"]}}, "needs missing = true, as 'months' has it"),
            ({"protected": True}, "neither protected nor input_only"),
            ({"input_only": True}, "neither protected nor input_only"),
            ({"name": "income"}, "'income' is listed twice"),
            ({"name": "bad"}, "'bad' cannot be a feature"),
            ({"lower": 10}, "upper must be above lower"),
            ({"formula": {"op": "linear", "off": ["income"]}}, "formula.off"),
            ({"formula": {"op": "median", "of": ["income"]}}, "formula.op = 'median'"),
        ],
    )
    def test_what_it_may_not_say(self, changes: dict[str, Any], said: str):
        message = refusal(derived=with_derived(**changes)["derived"])
        assert said in message
        assert "groups.lender.table" in message

    def test_a_column_that_is_read_only_is_not_scored(self):
        features = [f | ({"input_only": True} if f["name"] == "income" else {}) for f in TABLE["features"]]
        plan = small_plan(groups__lender__table=with_derived() | {"features": features})
        assert [f.name for f in plan.groups["lender"].table.scored] == ["months", "sector", "load"]

    def test_nothing_left_to_score(self):
        features = [f for f in TABLE["features"] if f.get("protected")]
        assert "at least one feature must enter the score" in refusal(features=features)

    @pytest.mark.parametrize(
        ("pair", "good"),
        [
            (["income", "months"], True),
            (["sector", "income"], True),
            (["income", "income"], False),
            (["income", "age"], False),
            (["sex", "age"], False),
            (["income", "wealth"], False),
        ],
    )
    def test_crosses_are_of_two_scored_features(self, pair: list[str], good: bool):
        if good:
            assert small_plan(groups__lender__crosses=[pair]).groups["lender"].crosses == (tuple(pair),)
            return
        with pytest.raises(PlanError, match=r"groups\.lender\.crosses.*two different scored features"):
            small_plan(groups__lender__crosses=[pair])

    def test_crosses_have_two_ends(self):
        for pair in (["income"], ["income", "months", "sector"]):
            with pytest.raises(PlanError, match=r"groups\.lender\.crosses"):
                small_plan(groups__lender__crosses=[pair])


class TestEdges:
    @pytest.mark.parametrize(
        ("edges", "good"),
        [
            ([], True),
            ([0.0], True),
            ([0, 10, 999.5], True),
            ([1000], False),
            ([-1], False),
            ([10, 5], False),
            ([5, 5], False),
            ([float("nan")], False),
        ],
    )
    def test_rise_within_the_bounds(self, edges: list[float], good: bool):
        given = {"name": "income", "lower": 0, "upper": 1000, "edges": edges}
        if good:
            assert NumericFeature.model_validate(given).edges == tuple(edges)
            return
        with pytest.raises(ValidationError, match=r"edges|finite"):
            NumericFeature.model_validate(given)

    def test_a_derived_feature_has_them_too(self):
        plan = small_plan(groups__lender__table=with_derived(edges=[1, 5]))
        assert plan.groups["lender"].table.feature("load").edges == (1, 5)
        assert "edges must rise" in refusal(derived=with_derived(edges=[5, 1])["derived"])


NUMBERS = st.floats(-1000, 1000) | st.sampled_from([np.nan, -0.0, 0.0, 1e-320, 1000.0])
MOST = {"op": st.sampled_from(["max", "min"]), "of": st.sampled_from([["a"], ["a", "b"], ["c", "b", "a"]])}
COUNT = {"op": st.just("count-above"), "of": st.just(["a", "b", "c"]), "threshold": st.floats(-10, 10)}
LINEAR = {"op": st.just("linear"), "of": st.just(["a", "b", "c"])}
RATIO = {
    "op": st.just("ratio"),
    "of": st.just(["a", "b", "c"]),
    "per": st.sampled_from([["c"], ["b", "c"]]),
    "floor": st.floats(1e-6, 100),
}
WEIGHTS = {"weights": st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=3)}
FORMULAS = st.one_of(
    *(st.fixed_dictionaries(one) for one in (MOST, COUNT)),
    *(st.fixed_dictionaries(one, optional=WEIGHTS) for one in (LINEAR, RATIO)),
)


@given(FORMULAS, st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), min_size=1, max_size=5))
def test_a_record_alone_in_plain_numbers_has_the_bits_of_the_columns(formula: dict[str, Any], rows: list[Any]):
    schema = table(**formula)
    columns = {name: np.array([row[at] for row in rows]) for at, name in enumerate("abc")}
    together = derived_columns(schema, columns)["d"]
    alone = [derived_values(schema, dict(zip("abc", row, strict=True)))["d"] for row in rows]
    assert np.array(alone).tobytes() == together.tobytes()
