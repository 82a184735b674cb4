"""The manifest of a release: one text, one hash, and no value that cannot be meant."""

from __future__ import annotations

import hashlib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_release import small_release, watched_release

from sealscore.shared.plan.errors import PlanError
from sealscore.shared.serving.manifest import KINDS, Manifest


def plain() -> dict:
    return small_release(kinds=True).manifest.model_dump(mode="json")


def test_the_canonical_text_is_the_manifest_and_its_hash():
    manifest = small_release(kinds=True).manifest
    again = Manifest.from_canonical(manifest.canonical())
    assert again == manifest
    assert again.hash == hashlib.sha256(manifest.canonical().encode()).hexdigest()


@given(st.data())
def test_every_other_text_is_refused(data):
    text = small_release(kinds=True).manifest.canonical()
    at = data.draw(st.integers(0, len(text)))
    given_text = data.draw(
        st.one_of(st.just(text[:at] + " " + text[at:]), st.just(text[:at]), st.just(text[:at] + text[at + 1 :]))
    )
    if given_text == text:
        return
    try:
        found = Manifest.from_canonical(given_text)
    except PlanError:
        return
    # A digit less can be another manifest: then it is canonical, and has another hash.
    assert found.canonical() == given_text
    assert found.hash != small_release(kinds=True).manifest.hash


@pytest.mark.parametrize(
    "change",
    [
        {"lenders": []},
        {"lenders": ["lender-1", "lender-1"]},
        {"expires": "2029-01-01"},
        {"token_days": 0},
        {"token_days": 91},
        {"most_a_day": 0},
        {"batch_places": 7},
        {"batch_hour": 24},
        {"plan": "x"},
        {"purpose_code": "Two Words"},
        {"files": {"../model": "0" * 64}},
        {"files": {"/etc/passwd": "0" * 64}},
        {"version": 2},
        {"unknown": 1},
        {"monitoring_code": "monitoring"},
        {"monitoring_code": "credit-decision"},
    ],
)
def test_a_value_that_is_not_allowed_is_named(change):
    with pytest.raises(PlanError) as refused:
        Manifest.parse({**plain(), **change})
    assert next(iter(change)) in str(refused.value)


@pytest.mark.parametrize(
    "told",
    [
        {"capacity": {"column": "inflow", "edges": []}},
        {"capacity": {"column": "inflow", "edges": [2.0, 1.0]}},
        {"capacity": {"column": "inflow", "edges": [1.0, 1.0]}},
        {"capacity": {"column": "inflow", "edges": [1.0, math.nan]}},
        {"capacity": {"column": "inflow", "edges": [1.0, math.inf]}},
        {"capacity": {"column": "inflow", "edges": [float(edge) for edge in range(7)]}},
        {"flag": {"column": "refunds", "above": math.nan}},
        {"reasons": [f"f{number}" for number in range(16)]},
        {"signal_bits": 9},
        {"signal_bits": 0},
        {"watch": {}},
    ],
)
def test_more_than_a_kind_has_bits_for_is_refused(told):
    data = plain()
    data["told"]["wallet"] |= told
    with pytest.raises(PlanError):
        Manifest.parse(data)


@given(st.dictionaries(st.sampled_from(KINDS), st.integers(0, 254)))
def test_what_a_token_may_tell_has_the_bits_that_are_charged(values):
    told = small_release(kinds=True).manifest.told["wallet"]
    allowed = told.allows(values, 5)
    if "signal" not in values or "flag" in values or values["signal"] >= 5 or values.get("capacity", 0) > 4:
        assert not allowed
    if allowed:
        assert max(values.get("reasons", 0) // 16, values.get("reasons", 0) % 16) <= len(told.reasons)
        assert all(value < 2 ** told.bits[kind] for kind, value in values.items())


def test_a_kind_means_the_same_in_releases_that_define_it_alike():
    told = small_release(kinds=True).manifest.told["wallet"]
    data = json.loads(told.model_dump_json())
    other = type(told).model_validate(data | {"capacity": {"column": "inflow", "edges": [30.0, 45.0]}})
    tower = type(told).model_validate(data | {"meaning": "0" * 64})
    assert told.definition("capacity") != other.definition("capacity")
    assert told.definition("capacity") == tower.definition("capacity")
    assert told.definition("signal") == other.definition("signal") != tower.definition("signal")
    assert told.definition("reasons") == other.definition("reasons") != tower.definition("reasons")


def test_a_release_without_a_watch_bit_keeps_its_text_and_one_with_it_needs_a_purpose():
    text = small_release(kinds=True).manifest.canonical()
    assert "watch" not in text
    assert "monitoring" not in text
    watched = watched_release().manifest
    assert watched.told["wallet"].bits["watch"] == 1
    assert "watch" not in watched.told["wallet"].token_bits
    data = watched.model_dump(mode="json")
    for change in ({"monitoring_code": None}, {"monitoring_code": watched.purpose_code}):
        with pytest.raises(PlanError, match="monitoring_code"):
            Manifest.parse({**data, **change})
    # For how long somebody is watched is no part of what a bit means, what it is cut at is.
    meanings = {watched_release(**more).manifest.told["wallet"].definition("watch") for more in ({}, {"quarters": 2})}
    assert len(meanings) == 1
    assert watched_release(worst=0.3).manifest.told["wallet"].definition("watch") not in meanings


@pytest.mark.parametrize("rule", [{"worst": 0.0}, {"worst": 1.0}, {"quarters": 0}, {"quarters": 13}])
def test_a_rule_of_the_watch_that_cannot_be_is_named(rule):
    data = watched_release().manifest.model_dump(mode="json")
    data["told"]["wallet"]["watch"] |= rule
    with pytest.raises(PlanError, match=next(iter(rule))):
        Manifest.parse(data)
