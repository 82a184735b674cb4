"""What a node answers to crafted weights and from odd tables: a refusal or a length that no record decides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from builders import (
    BIN,
    CALIBRATE,
    EVALUATE,
    TRAIN,
    binning_of,
    small_plan,
    small_records,
    weights_of,
    with_columns,
)
from doubles import Talk

from sealscore.clients.node.node import MAX_WEIGHT
from sealscore.shared.messages.codec import decode, encode
from sealscore.shared.messages.messages import Hello, Ready, Refusal, Stored, SumAnswer
from sealscore.shared.plan.plan import Plan

QUIET = small_plan(privacy__noise="none")
ANSWERS = (Ready, Stored, SumAnswer, Refusal)


def ready(plan: Plan | None = None, **more: Any) -> Talk:
    """An talk whose node has the bins; from here on every look at a column is noted."""
    talk = Talk(plan or small_plan(), **more)
    assert isinstance(talk.publish(), Stored)
    talk.watch()
    return talk


def expect_free(talk: Talk, code: str, expected: str) -> None:
    assert code == expected
    assert talk.charged == []
    assert talk.looks == []


def _other_people() -> Any:
    """Another number of records, every one of them elsewhere."""
    other = small_records(137, seed=99)
    return with_columns(other, income=np.full(137, 1000.0), sector=np.zeros(137), months=np.full(137, np.nan))


def _length(plan: Plan) -> int:
    return len(weights_of(plan, binning_of(plan, small_records(seed=1))))


class TestCraftedWeights:
    @pytest.mark.parametrize("phase", [TRAIN, CALIBRATE, EVALUATE])
    @pytest.mark.parametrize(
        "craft",
        [
            lambda p: np.full(p, 3e38),
            lambda p: np.full(p, -3e38),
            lambda p: np.full(p, np.nan),
            lambda p: np.full(p, np.inf),
            lambda p: np.append(np.zeros(p - 1), -np.inf),
            lambda p: np.append(np.zeros(p - 1), MAX_WEIGHT * 1.0001),
            lambda p: np.zeros(p + 1),
            lambda p: np.zeros(p - 1),
            lambda p: np.zeros((1, p)),
            lambda p: np.zeros((p, 1)),
            lambda p: np.zeros(()),
            lambda p: np.zeros(0),
            lambda p: np.zeros(p, dtype=np.int64),
            lambda p: np.full(p, np.iinfo(np.int64).min),
            lambda p: np.zeros(p, dtype=np.uint8),
        ],
    )
    def test_are_refused_by_a_code_that_no_record_decides(self, phase: str, craft: Any):
        replies = []
        for records in (small_records(seed=1), _other_people()):
            talk = ready(QUIET, records=records)
            talk.binning = binning_of(QUIET, small_records(seed=1))
            replies.append(talk.node.answer(talk.request(phase, parameters=craft(_length(QUIET)))))
            assert talk.charged == []
            assert talk.looks == []
        assert replies[0] == replies[1]
        assert decode(replies[0], Refusal).code == "bad-parameters"

    @pytest.mark.parametrize("craft", [np.zeros(1), np.zeros((0, 3)), np.full(3, np.nan), np.zeros(0, dtype=np.int64)])
    def test_a_phase_without_weights_gets_none(self, craft: np.ndarray):
        talk = ready()
        expect_free(talk, talk.code(BIN, parameters=craft), "bad-parameters")

    @pytest.mark.parametrize("hidden", [0, 3])
    @pytest.mark.parametrize("phase", [TRAIN, CALIBRATE, EVALUATE])
    @pytest.mark.parametrize("size", [MAX_WEIGHT, -MAX_WEIGHT, 5e-324, -0.0])
    def test_the_largest_that_are_allowed_get_an_answer_of_fixed_length(self, hidden: int, phase: str, size: float):
        plan = small_plan(privacy__noise="none", model__hidden=hidden)
        lengths = set()
        for records in (small_records(seed=1), _other_people()):
            talk = ready(plan, records=records)
            weights = np.full(len(weights_of(plan, talk.binning)), size)
            reply = talk.ask(phase, parameters=weights)
            assert isinstance(reply, SumAnswer)
            lengths.add(len(reply.contribution))
        shape = talk.mechanism(phase).shape
        assert lengths == {shape.length * shape.bits // 8}


class TestFixedLength:
    @pytest.mark.parametrize("phase", [BIN, TRAIN, CALIBRATE, EVALUATE])
    @pytest.mark.parametrize("plan", [QUIET, small_plan()], ids=["quiet", "noisy"])
    def test_whatever_the_records(self, phase: str, plan: Plan):
        """Empty tables, test persons only, training persons only, one record, far more than nominal."""
        answers = []
        tables = [
            small_records(0, seed=1),
            small_records(1, seed=1),
            small_records(50, seed=1, test_share=0.0),
            small_records(50, seed=1, test_share=1.1),
            small_records(2000, seed=1),
        ]
        for records in tables:
            talk = ready(plan, records=records)
            reply = talk.ask(phase)
            assert isinstance(reply, SumAnswer)
            answers.append(talk.node.answer(talk.request(phase)))
        assert len({len(answer) for answer in answers}) == 1
        heads = {encode(Hello(decode(answer, SumAnswer).header)) for answer in answers}
        assert len(heads) == 1

    def test_an_empty_poisson_sample(self):
        """One record at rate 0.01: nearly every sample is empty, and an empty one is all noise."""
        plan = small_plan(training__sample_rate=0.01, privacy__noise="none")
        talk = ready(plan, records=small_records(2, seed=1, test_share=0.0))
        vectors = [talk.vector(TRAIN, round) for round in range(1, 5)]
        assert all(len(vector) == talk.mechanism(TRAIN).length for vector in vectors)
        assert not any(vector.any() for vector in vectors)

    def test_saturation_is_silent(self):
        """A party with far more records than its nominal number sends the public bound, not more and no error."""
        parties = [party | {"nominal_records": 5} for party in small_plan().model_dump(mode="json")["parties"]]
        plan = small_plan(parties=parties, privacy__noise="none", training__sample_rate=1.0)
        many = small_records(1000, seed=1, test_share=0.0)
        many = with_columns(many, sector=np.zeros(1000), income=np.full(1000, 5.0))
        talk = ready(plan, records=many)
        counts, gradient = talk.vector(BIN), talk.vector(TRAIN)
        assert counts.max() == talk.mechanism(BIN).bound
        assert np.abs(gradient).max() == talk.mechanism(TRAIN).bound
        noisy = ready(small_plan(parties=parties, training__sample_rate=1.0), records=many)
        for phase in (BIN, TRAIN):
            reply = noisy.ask(phase)
            shape = noisy.mechanism(phase).shape
            assert len(reply.contribution) == shape.length * shape.bits // 8
