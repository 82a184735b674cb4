"""Events say everything, are frozen, and unknown ones are refused."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sealscore.shared.dp.events import (
    Disclosure,
    Gaussian,
    NoNoise,
    RandomizedResponse,
    SampledGaussian,
    UnknownEvent,
    merge,
    parse_event,
    require_known,
)

EXAMPLES = [
    SampledGaussian(noise_multiplier=1.0, sample_rate=0.05, count=315),
    SampledGaussian(noise_multiplier=1.0, sample_rate=0.05, count=2, multiplicity=3),
    Gaussian(noise_multiplier=20.0, sensitivity=math.sqrt(20), count=2),
    RandomizedResponse(epsilon=2.0, count=1),
    Disclosure(bits=4, recipient="lender-a", count=1),
    NoNoise(what="bins", count=1),
]


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda e: e.kind)
def test_a_stored_event_is_read_back(event):
    stored = json.loads(event.model_dump_json())
    assert stored["unit"] == "person"
    assert stored["neighbouring"] == "add-or-remove"
    assert parse_event(stored) == event
    with pytest.raises(ValidationError):
        event.count = 7


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (SampledGaussian, {"noise_multiplier": 0.0, "sample_rate": 0.1, "count": 1}),
        (SampledGaussian, {"noise_multiplier": math.inf, "sample_rate": 0.1, "count": 1}),
        (SampledGaussian, {"noise_multiplier": 1.0, "sample_rate": 0.0, "count": 1}),
        (SampledGaussian, {"noise_multiplier": 1.0, "sample_rate": 1.01, "count": 1}),
        (SampledGaussian, {"noise_multiplier": 1.0, "sample_rate": math.nan, "count": 1}),
        (SampledGaussian, {"noise_multiplier": 1.0, "sample_rate": 0.1, "count": 0}),
        (SampledGaussian, {"noise_multiplier": 1.0, "sample_rate": 0.1, "count": 1.5}),
        (SampledGaussian, {"noise_multiplier": 1.0, "sample_rate": 0.1, "count": 1, "multiplicity": 0}),
        (SampledGaussian, {"noise_multiplier": 1.0, "sample_rate": 0.1, "count": 1, "unit": "record"}),
        (Gaussian, {"noise_multiplier": -1.0, "sensitivity": 1.0, "count": 1}),
        (Gaussian, {"noise_multiplier": 1.0, "sensitivity": 0.0, "count": 1}),
        (Gaussian, {"noise_multiplier": math.nan, "count": 1}),
        (Gaussian, {"noise_multiplier": 1.0, "count": 1, "neighbouring": "replace-one"}),
        (RandomizedResponse, {"epsilon": 0.0, "count": 1}),
        (RandomizedResponse, {"epsilon": math.inf, "count": 1}),
        (Disclosure, {"bits": 0, "recipient": "a", "count": 1}),
        (Disclosure, {"bits": 4, "recipient": "", "count": 1}),
        (NoNoise, {"what": "", "count": 1}),
        (NoNoise, {"what": "bins", "count": 1, "epsilon": 0.0}),
    ],
)
def test_impossible_values_are_refused(kind, fields):
    with pytest.raises(ValidationError):
        kind(**fields)
    with pytest.raises(UnknownEvent):
        parse_event({"kind": kind.model_fields["kind"].default, **fields})


def test_unknown_events_are_refused():
    with pytest.raises(UnknownEvent, match="kind"):
        parse_event({"kind": "laplace", "scale": 1.0, "count": 1})
    with pytest.raises(UnknownEvent, match="kind"):
        parse_event({"noise_multiplier": 1.0, "count": 1})

    class Milder(Gaussian):
        pass

    for other in ("gaussian", None, Milder(noise_multiplier=1.0, count=1)):
        with pytest.raises(UnknownEvent):
            require_known([other])
        with pytest.raises(UnknownEvent):
            merge([other])


@given(st.lists(st.sampled_from(EXAMPLES), max_size=12), st.randoms())
def test_merging_keeps_the_counts_and_ignores_the_order(events, random):
    merged = merge(events)
    shuffled = list(events)
    random.shuffle(shuffled)
    assert merge(shuffled) == merged
    assert merge(merged) == merged
    assert sum(e.count for e in merged) == sum(e.count for e in events)
    for event in EXAMPLES:
        same = [e for e in merged if e.model_copy(update={"count": event.count}) == event]
        assert sum(e.count for e in same) == event.count * events.count(event)
        assert len(same) <= 1
