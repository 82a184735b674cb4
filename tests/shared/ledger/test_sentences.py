"""Every kind of entry has a sentence, with its figures and without a dict's braces."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from sealscore.shared.dp.events import Disclosure, Gaussian, NoNoise, RandomizedResponse, SampledGaussian
from sealscore.shared.ledger.entries import Ceilings, Entry, TellLimit
from sealscore.shared.ledger.sentences import sentence

KINDS = get_args(get_args(Entry)[0])
HASH = "ab" * 32
VALUES: dict[str, Any] = {
    "card": "card",
    "data_set": "loans",
    "ceilings": Ceilings(epsilon=3, delta=1e-5, purposes={"monitoring": 0.5}, label_epsilon=2),
    "column": "creator_id",
    "form": "exact",
    "why": "the-board",
    "plan": HASH,
    "release": HASH,
    "text": "{}",
    "run": "run-1",
    "phase": "train_tower:lender",
    "round": 7,
    "attempt": 2,
    "count": 3,
    "event": Gaussian(noise_multiplier=30.0, count=1),
    "part": "training",
    "own_noise": 0.7,
    "cohort": 3,
    "max_colluding": 0,
    "source": "system",
    "reserve": 5,
    "request": HASH,
    "peer": "video-1",
    "persons": 11,
    "fresh": 10,
    "code": "clock",
    "direction": "passed",
    "limits": {"signal": TellLimit(month=4, life=48)},
    "day": "2031-01-06",
    "most": 50,
    "bits": {"signal": 4},
    "store_head": HASH,
    "cause": "rows",
    "batch": 9,
    "head": HASH,
}


def words(kind: Any, **changes: Any) -> str:
    given = VALUES | changes
    entry = kind(**{name: given[name] for name in kind.model_fields if name in given})
    return sentence(entry, {HASH: "spring"}, {HASH: "spring-1"})


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_kind_is_one_sentence(kind: Any):
    said = words(kind)
    assert said.endswith(".")
    assert not set("{}'\n") & set(said)
    assert HASH not in said
    if "plan" in kind.model_fields and "reserve" not in kind.__name__.lower():
        assert "spring" in said


@pytest.mark.parametrize(
    ("event", "figure"),
    [
        (Gaussian(noise_multiplier=30.0, count=1), "30"),
        (SampledGaussian(noise_multiplier=2.5, sample_rate=0.25, count=4), "0.25"),
        (RandomizedResponse(epsilon=1.5, count=1), "1.5"),
        (Disclosure(bits=4, recipient="lender-1", count=2), "8 bits"),
        (NoNoise(what="a sum", count=1), "without noise"),
    ],
)
def test_each_event_is_told_with_its_figure(event: Any, figure: str):
    (disclose,) = (kind for kind in KINDS if kind.__name__ == "Disclose")
    assert figure in words(disclose, event=event)
