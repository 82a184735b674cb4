"""Training at a party: the Poisson sample of one step, and local steps of FedAvg and FedProx against their formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from builders import LENDERS, TRAIN, mechanisms, small_plan, small_records, weights_of, with_columns
from doubles import Talk

from sealscore.shared.dp.events import SampledGaussian
from sealscore.shared.dp.gradients import gradient_engine
from sealscore.shared.model.build import coding_of, initial_tower
from sealscore.shared.model.tower import cross_entropy
from sealscore.shared.plan.plan import Plan

ONE_FOR_ALL = small_records(200, seed=2, test_share=0.0)


def local_plan(algorithm: str = "fedavg", **changes: Any) -> Plan:
    local = {"steps": 3, "learning_rate": 0.4, "proximal": 0.0} | changes.pop("local", {})
    return small_plan(training__algorithm=algorithm, training__local=local, **changes)


def talk_to(plan: Plan, records: Any = None) -> Talk:
    talk = Talk(plan, records=small_records(seed=3) if records is None else records)
    talk.publish()
    return talk


def clipped_gradient(plan: Plan, talk: Talk, weights: np.ndarray) -> np.ndarray:
    """The sum over all training records, as the engine of the plan gives it."""
    part = talk.records.training_part()
    tower = initial_tower(plan, plan.lenders, talk.binning)
    codes = coding_of(plan, plan.lenders, talk.binning).encode(talk.binning.quantize(part.columns))
    engine = gradient_engine("fused", tower, cross_entropy, plan.privacy.clip_norm)
    return engine(weights, torch.from_numpy(codes), torch.from_numpy(part.label.astype(np.float64)))


class TestOneStep:
    def test_every_record_is_in_a_sample_at_the_rate(self):
        """All records are the same one, so a sum is the number sampled times one gradient."""
        records = with_columns(
            ONE_FOR_ALL, **{name: np.full(200, values[0]) for name, values in ONE_FOR_ALL.columns.items()}
        )
        object.__setattr__(records, "label", np.ones(200, dtype=np.int8))
        rounds, rate = 60, 0.3
        plan = small_plan(privacy__noise="none", training__sample_rate=rate, training__rounds=rounds)
        talk = talk_to(plan, records)
        single = clipped_gradient(plan, talk, weights_of(plan, talk.binning)) / 200
        place = int(np.argmax(np.abs(single)))
        sums = np.array([talk.vector(TRAIN, round)[place] for round in range(1, rounds + 1)])
        sampled = sums * talk.mechanism(TRAIN).grid / single[place]
        assert np.abs(sampled - np.rint(sampled)).max() < 0.01
        mean, spread = 200 * rate, 200 * rate * (1 - rate)
        assert abs(sampled.mean() - mean) < 5 * np.sqrt(spread / rounds)
        # Poisson sampling, not batches of a fixed size: the number itself is random, with the binomial variance.
        assert np.var(sampled) == pytest.approx(spread, rel=5 * np.sqrt(2 / rounds))

    def test_rate_one_takes_every_record_every_time(self):
        plan = small_plan(privacy__noise="none", training__sample_rate=1.0)
        talk = talk_to(plan)
        first, second = (talk.vector(TRAIN, round) for round in (1, 2))
        assert np.array_equal(first, second)

    def test_records_that_change_in_the_phase_are_used_from_the_next_round_on(self):
        """What is kept for all rounds of the phase is not used of records that are no more there."""
        plan = small_plan(privacy__noise="none", training__sample_rate=1.0)
        talk, other = talk_to(plan), small_records(seed=4)
        before = talk.vector(TRAIN, 1)
        talk.node.reload(other)
        fresh = Talk(plan, records=other)
        fresh.publish(talk.binning.to_bytes())
        assert np.array_equal(talk.vector(TRAIN, 2), fresh.vector(TRAIN, 2))
        assert not np.array_equal(talk.vector(TRAIN, 3), before)

    def test_the_same_round_again_is_a_fresh_sample(self):
        plan = small_plan(privacy__noise="none")
        talk = talk_to(plan)
        attempts = {talk.vector(TRAIN, 1, attempt).tobytes() for attempt in (1, 2, 3)}
        assert len(attempts) == 3

    def test_the_cohort_does_not_change_the_sum(self):
        """Only the noise follows the cohort."""
        plan = small_plan(privacy__noise="none")
        sums = [talk_to(plan).vector(TRAIN, cohort=cohort) for cohort in (LENDERS, LENDERS[:2])]
        assert np.array_equal(*sums)


class TestLocalSteps:
    @pytest.mark.parametrize(("algorithm", "proximal"), [("fedavg", 0.0), ("fedprox", 0.7)])
    @pytest.mark.parametrize("hidden", [0, 2])
    def test_the_proposal_is_the_formula(self, algorithm: str, proximal: float, hidden: int):
        """Li et al. (2020): w <- w - lr (gradient / expected + mu (w - w0)), the expected number of records below."""
        plan = local_plan(
            algorithm,
            local={"proximal": proximal},
            privacy__noise="none",
            training__sample_rate=1.0,
            model__hidden=hidden,
        )
        talk = talk_to(plan)
        start = np.random.default_rng(1).normal(0, 0.3, len(weights_of(plan, talk.binning)))
        expected = plan.nominal_training(plan.party("lender-1"))
        assert expected == 300
        weights = start.copy()
        for _ in range(3):
            gradient = clipped_gradient(plan, talk, weights) / expected
            weights = weights - 0.4 * (gradient + proximal * (weights - start))
        proposal = (start - weights) * expected / (0.4 * 3)
        found = talk.vector(TRAIN, parameters=start)
        grid = talk.mechanism(TRAIN).grid
        # Each step rounds its gradient to the grid once, and the proposal is rounded at the end.
        assert np.abs(found * grid - proposal).max() < 3 * grid

    def test_one_local_step_is_one_step(self):
        plans = [
            local_plan(local={"steps": 1}, privacy__noise="none"),
            small_plan(privacy__noise="none"),
        ]
        found = [talk_to(plan).vector(TRAIN) for plan in plans]
        assert np.abs(found[0] - found[1]).max() <= 1

    def test_the_proximal_term_pulls_back(self):
        lengths = []
        for proximal in (0.0, 0.5, 2.0):
            plan = local_plan(
                "fedprox" if proximal else "fedavg",
                local={"steps": 20, "proximal": proximal},
                privacy__noise="none",
                training__sample_rate=1.0,
            )
            lengths.append(np.linalg.norm(talk_to(plan).vector(TRAIN)))
        assert lengths[0] > lengths[1] > lengths[2] > 0

    def test_each_step_has_its_own_sample(self):
        """Two steps from the same weights (learning rate next to nothing) average two samples, not one twice."""
        change = {"privacy__noise": "none", "training__sample_rate": 0.5}
        once = talk_to(local_plan(local={"steps": 1, "learning_rate": 1e-9}, **change)).vector(TRAIN)
        twice = talk_to(local_plan(local={"steps": 2, "learning_rate": 1e-9}, **change)).vector(TRAIN)
        assert not np.array_equal(once, twice)

    def test_every_step_is_charged(self):
        plan = local_plan()
        talk = talk_to(plan)
        talk.vector(TRAIN)
        ((_, event),) = talk.charged
        assert isinstance(event, SampledGaussian)
        assert event.count == 3
        assert event.sample_rate == plan.training.sample_rate
        assert event.noise_multiplier == mechanisms(plan).noise_multipliers[TRAIN]

    @pytest.mark.parametrize("size", [1e6, -1e6])
    def test_steps_that_overflow_stay_within_the_public_bound(self, size: float):
        plan = local_plan("fedprox", local={"proximal": 5.0, "learning_rate": 2.0, "steps": 400}, privacy__noise="none")
        talk = talk_to(plan)
        found = talk.vector(TRAIN, parameters=np.full(len(weights_of(plan, talk.binning)), size))
        assert np.abs(found).max() <= talk.mechanism(TRAIN).shape.bound

    def test_both_engines_agree(self):
        found = []
        for engine in ("fused", "opacus"):
            plan = local_plan(privacy__noise="none", training__engine=engine)
            found.append(talk_to(plan).vector(TRAIN))
        assert np.abs(found[0] - found[1]).max() <= 3
        assert found[0].any()
