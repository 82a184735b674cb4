"""Bad applications: each has a code, names the key, and never a value of the applicant."""

from __future__ import annotations

import base64
import json
import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_release import TODAY, application, small_plan

from sealscore.clients.scoring.application import Application, ApplicationError, feature_values
from sealscore.shared.plan.plan import Plan
from sealscore.shared.plan.schema import TableSchema

SECRET = "secret-4711"
HUGE = 10**400


def refused(data: Any, plan: Plan | None = None) -> ApplicationError:
    with pytest.raises(ApplicationError) as error:
        Application.parse(data, plan or small_plan(), TODAY)
    assert SECRET not in str(error.value)
    return error.value


@pytest.mark.parametrize(
    ("code", "named", "change"),
    [
        ("malformed", "extra", {"extra": SECRET}),
        ("malformed", "application_id", {"application_id": 7}),
        ("malformed", "application_id", {"application_id": ""}),
        ("malformed", "application_id", {"application_id": SECRET * 40}),
        ("malformed", "application_id", {"application_id": SECRET + "\ud800"}),
        ("malformed", "person", {"person": None}),
        ("malformed", "person", {"person": SECRET + "\udc80"}),
        ("malformed", "product", {"product": ["x"]}),
        ("malformed", "purpose", {"purpose": {"x": 1}}),
        ("malformed", "as_of", {"as_of": "2030-3-1"}),
        ("malformed", "as_of", {"as_of": SECRET}),
        ("malformed", "as_of", {"as_of": "20300301"}),
        ("clock", "as_of", {"as_of": str(TODAY + timedelta(days=1))}),
        ("person", "person", {"person": "   "}),
        ("malformed", "features", {"features": [1]}),
        ("malformed", "tokens", {"tokens": SECRET}),
        ("malformed", "tokens", {"tokens": [SECRET + "!"]}),
        ("malformed", "tokens", {"tokens": ["\u00e9"]}),
        ("malformed", "tokens", {"tokens": [7]}),
        ("malformed", "tokens", {"tokens": ["AAAA"] * 17}),
        ("malformed", "tokens", {"tokens": [base64.b64encode(bytes(16_385)).decode()]}),
        ("features", "features.incme", {"features": {"incme": 1, "income": 1}}),
        ("features", "features.age", {"features": {"income": 1, "age": 30}}),
        ("features", "features.income", {"features": {}}),
        ("features", "features.income", {"features": {"income": None}}),
        ("features", "features.income", {"features": {"income": SECRET}}),
        ("features", "features.income", {"features": {"income": True}}),
        ("features", "features.income", {"features": {"income": [4711]}}),
        ("features", "features.income", {"features": {"income": math.nan}}),
        ("features", "features.income", {"features": {"income": math.inf}}),
        ("features", "features.income", {"features": {"income": HUGE}}),
        ("features", "features.income", {"features": {"income": -HUGE}}),
        ("features", "features.income", {"features": {"income": 100.00001}}),
        ("features", "features.income", {"features": {"income": -1}}),
        ("features", "features.late", {"features": {"income": 1, "late": 1.5}}),
        ("features", "features.late", {"features": {"income": 1, "late": 13}}),
        ("features", "features", {"features": {f"f{number}": 1 for number in range(1001)}}),
    ],
)
def test_what_is_wrong_is_named_without_its_value(code: str, named: str, change: dict[str, Any]):
    error = refused({**application("p1"), **change})
    assert error.code == code
    assert any(line.startswith(named) for line in error.problems)
    for value in ("4711", "100.00001", "1.5", "-1 "):
        assert value not in str(error)


@pytest.mark.parametrize("data", [None, 7, "text", [], [application("p1")], True])
def test_what_is_no_object_is_refused(data: Any):
    assert refused(data).code == "malformed"


@pytest.mark.parametrize("key", ["application_id", "as_of", "person", "purpose", "features"])
def test_a_key_that_is_missing_is_named(key: str):
    data = application("p1")
    del data[key]
    assert refused(data).problems == [f"{key}: missing"]


def test_all_that_is_wrong_is_said_at_once():
    error = refused({**application("p1"), "features": {"income": "x", "late": "y", "other": 1}})
    assert len(error.problems) == 3


def categorical(**more: Any) -> TableSchema:
    levels = {"name": "kind", "kind": "categorical", "levels": ["1", "2", "other"], **more}
    return TableSchema.model_validate({"id": "id", "features": [levels]})


@pytest.mark.parametrize("value", [True, [1], {"a": 1}, math.nan, math.inf, HUGE, "3", 3, 1.5, None, ""])
def test_a_level_that_is_none_is_refused_without_saying_which(value: Any):
    with pytest.raises(ApplicationError) as error:
        feature_values({"kind": value}, categorical())
    assert str(HUGE) not in str(error.value)
    assert error.value.code == "features"


@pytest.mark.parametrize("value", ["3", 3, HUGE, math.inf, "anything"])
def test_an_unknown_level_is_the_one_for_others_where_there_is_one(value: Any):
    assert feature_values({"kind": value}, categorical(other="other")) == {"kind": 2.0}


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON = st.recursive(LEAVES, lambda one: st.lists(one) | st.dictionaries(st.text(), one), max_leaves=10)


@given(JSON)
def test_whatever_comes_is_refused_in_words_or_read(value: Any):
    """No other error than the one that callers expect, wherever the value stands."""
    for data in (value, *({**application("p1"), key: value} for key in application("p1"))):
        try:
            found = Application.parse(data, small_plan(), TODAY)
        except ApplicationError as error:
            str(error).encode()
        else:
            assert found.person
            assert "p1" not in repr(found)
    for name in ("income", "late"):
        try:
            values = feature_values({"income": 1, name: value}, small_plan().groups["lender"].table)
        except ApplicationError:
            continue
        assert 0 <= values["income"] <= 100


def test_a_digest_is_of_all_of_it():
    digests = set()
    changes: list[dict[str, Any]] = [{}, {"product": "other"}, {"features": {"income": 52.5}}, {"tokens": ["AAAA"]}]
    for change in (*changes, {"as_of": "2030-03-09"}):
        data = {**application("p1"), **change}
        digests.add(Application.parse(data, small_plan(), TODAY).digest)
        assert Application.parse(json.loads(json.dumps(data)), small_plan(), TODAY).digest in digests
    assert len(digests) == 5
