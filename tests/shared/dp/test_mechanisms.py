"""From the plan to noise: every sum is bounded, noised and charged so that the whole stays within the budget."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from builders import BIN, CALIBRATE, EVALUATE, PLAN, TRAIN, mechanisms, phase_of, small_plan
from hypothesis import given
from hypothesis import strategies as st

from sealscore.shared.dp.accountant import OpacusAccountant, PldAccountant
from sealscore.shared.dp.events import Gaussian, NoNoise, SampledGaussian
from sealscore.shared.dp.mechanisms import HEADROOM, Mechanism, Mechanisms
from sealscore.shared.dp.noise_calibration import accounting_delta
from sealscore.shared.model.bins import histogram_length
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import Plan
from sealscore.shared.randomness.noise import support_bound
from sealscore.shared.randomness.streams import Purpose, StreamSource

PHASES = (BIN, TRAIN, CALIBRATE, EVALUATE)
# Quick to solve although a person has several records: much noise, few releases.
SMALL = {"privacy__epsilon": 0.5, "training__rounds": 2, "privacy__spare_attempts": 0.0}
FEDAVG = {"training__algorithm": "fedavg", "training__local": {"steps": 3, "learning_rate": 0.2}}


def colluding(parties: int, least: int, most: int, **changes: Any) -> Plan:
    """The small plan with more parties, of whom some may collude."""
    groups = small_plan().model_dump(mode="json")["groups"]
    groups["lender"] |= {"min_parties": least, "max_colluding": most}
    names = [{"name": f"lender-{n}", "group": "lender", "nominal_records": 400} for n in range(1, parties + 1)]
    return small_plan(groups=groups, parties=names, **changes)


def made(plan: Plan, name: str, length: int | None = None) -> Mechanism:
    found, phase = mechanisms(plan), phase_of(plan, name)
    if length is None:
        tables = {CALIBRATE, EVALUATE}
        histogram = histogram_length(plan.groups[phase.group].table.scored, plan.model.grid_cells)
        length = found.longest(phase) if name in tables else {BIN: histogram, TRAIN: 14}[name]
    return found.mechanism(phase, length)


class TestEvents:
    def test_counts_are_gaussian_with_the_sensitivity_of_one_person(self):
        plan = small_plan()
        events = {name: mechanisms(plan).event(phase_of(plan, name)) for name in PHASES}
        assert all(isinstance(events[name], Gaussian) for name in (BIN, CALIBRATE, EVALUATE))
        # Three scored features: one cell of each. One table of scores; then one for all and one for each of two groups.
        assert events[BIN].sensitivity == pytest.approx(math.sqrt(3))
        assert events[CALIBRATE].sensitivity == 1
        assert events[EVALUATE].sensitivity == pytest.approx(math.sqrt(3))
        assert {event.count for event in events.values()} == {1}

    def test_training_is_a_sampled_gaussian_at_the_plans_rate(self):
        plan = small_plan()
        event = mechanisms(plan).event(phase_of(plan, TRAIN))
        assert isinstance(event, SampledGaussian)
        assert (event.sample_rate, event.multiplicity, event.count) == (0.5, 1, 1)

    def test_an_answer_of_local_steps_is_as_many_events(self):
        plan = small_plan(**FEDAVG)
        event = mechanisms(plan).event(phase_of(plan, TRAIN))
        assert event.count == 3

    def test_tables_of_groups_are_counted(self):
        plain = small_plan(evaluation__groups={})
        event = mechanisms(plain).event(phase_of(plain, EVALUATE))
        assert event.sensitivity == 1
        plan = small_plan()
        assert mechanisms(plan).longest(phase_of(plan, EVALUATE)) == 16 * (1 + 4 + 3)
        assert mechanisms(plain).longest(phase_of(plain, EVALUATE)) == 16

    def test_without_noise_every_event_says_so(self):
        plan = small_plan(privacy__noise="none")
        for name in PHASES:
            event = mechanisms(plan).event(phase_of(plan, name))
            assert isinstance(event, NoNoise)
            assert event.what == name
            assert PldAccountant().epsilon([event], 1e-5) == math.inf
        assert set(mechanisms(plan).noise_multipliers.values()) == {0.0}
        assert mechanisms(plan).claim() == math.inf


class TestNoise:
    @pytest.mark.parametrize("name", PHASES)
    def test_the_noise_is_what_the_event_says_in_the_sums_own_unit(self, name: str):
        """noise_multiplier is in units of one record's largest norm; no less noise than that may be drawn."""
        plan = small_plan(privacy__clip_norm=2.5)
        mechanism, event = made(plan, name), mechanisms(plan).event(phase_of(plan, name))
        assert mechanism.event == event
        one_record = 2.5 + mechanism.grid * math.sqrt(mechanism.length) if name == TRAIN else 1.0
        assert mechanism.noise_std * mechanism.grid >= event.noise_multiplier * one_record
        assert mechanism.noise_std * mechanism.grid <= event.noise_multiplier * one_record * 1.01

    def test_the_rounding_of_a_gradient_adds_at_most_a_hundredth(self):
        for length in (2, 14, 300, 4000):
            mechanism = made(small_plan(), TRAIN, length)
            assert mechanism.grid * math.sqrt(length) <= 0.01
            assert 2 * mechanism.grid * math.sqrt(length) > 0.01

    @given(cohort=st.integers(1, 9), most=st.integers(0, 3))
    def test_those_who_know_none_of_it_have_all_of_it_together(self, cohort: int, most: int):
        plan = colluding(9, most + 2, most)
        for name in PHASES:
            mechanism = made(plan, name)
            # One party always knows its own.
            honest = max(1, cohort - max(1, most))
            scale = mechanism.own_scale(cohort)
            assert honest * scale**2 >= mechanism.noise_std**2
            assert honest * scale**2 <= mechanism.noise_std**2 + 5
            expected = scale * math.sqrt(cohort) * mechanism.grid
            assert mechanism.total_std(cohort) == pytest.approx(expected)

    def test_a_smaller_cohort_makes_each_add_more(self):
        mechanism = made(colluding(9, 3, 1), TRAIN)
        scales = [mechanism.own_scale(cohort) for cohort in range(2, 10)]
        assert all(one > other for one, other in itertools.pairwise(scales))

    def test_local_steps_have_all_of_it_at_each_party(self):
        plan = colluding(9, 3, 1, **FEDAVG)
        mechanism = made(plan, TRAIN)
        assert {mechanism.own_scale(cohort) for cohort in range(1, 10)} == {mechanism.own_scale(1)}
        assert mechanism.own_scale(5) ** 2 >= mechanism.noise_std**2
        # Only training takes local steps; the tables of the same plan share their noise.
        assert made(plan, BIN).own_scale(9) < made(plan, BIN).own_scale(3)

    def test_one_party_alone_has_all_of_it(self):
        mechanism = made(colluding(1, 1, 0, privacy__max_parties_per_person=None), TRAIN)
        assert mechanism.own_scale(1) ** 2 >= mechanism.noise_std**2

    def test_a_draw_is_within_its_support_and_the_sum_never_wraps(self):
        plan = colluding(9, 3, 1)
        for name in PHASES:
            mechanism = made(plan, name)
            shape = mechanism.shape
            stream = StreamSource.seeded(1, "a").stream("r", name, 1, 1, "a", Purpose.NOISE)
            full = np.full(mechanism.length, mechanism.bound, dtype=np.int64)
            for cohort in (3, 9):
                noisy = mechanism.noised(full, stream, cohort)
                assert np.abs(noisy - full).max() <= support_bound(mechanism.own_scale(cohort))
                assert np.abs(noisy).max() <= shape.bound
            assert 2 ** (shape.bits - 1) > 9 * shape.bound

    @pytest.mark.parametrize(
        "vector",
        [
            np.zeros(13, dtype=np.int64),
            np.zeros((1, 14), dtype=np.int64),
            np.zeros(14),
            np.full(14, 10**9, dtype=np.int64),
            np.full(14, np.iinfo(np.int64).min),
        ],
    )
    def test_a_vector_outside_its_bound_gets_no_noise_and_does_not_leave(self, vector: np.ndarray):
        stream = StreamSource.seeded(1, "a").stream("r", TRAIN, 1, 1, "a", Purpose.NOISE)
        with pytest.raises(ValueError, match=r"expected int64 \[14\]|public bound"):
            made(small_plan(), TRAIN).noised(vector, stream, 3)

    def test_counts_are_cut_off_at_a_public_bound(self):
        mechanism = made(small_plan(), BIN)
        most = HEADROOM * 400
        counts = np.zeros(mechanism.length, dtype=np.int64)
        counts[:3] = [5, most, most + 1000]
        found = mechanism.counts(counts) * mechanism.grid
        assert list(found[:4]) == [5, most, most, 0]

    def test_bounds_are_public(self):
        """They follow from nominal numbers alone, and are the same at every party."""
        unequal = [party | {"nominal_records": 100 * n} for n, party in enumerate(PLAN["parties"], start=1)]
        plan = small_plan(parties=unequal)
        assert made(plan, BIN).bound == HEADROOM * 300 / made(plan, BIN).grid


class TestClaim:
    @pytest.mark.parametrize("epsilon", [0.5, 8.0])
    def test_all_attempts_of_the_budget_stay_within_it_and_use_it(self, epsilon: float):
        plan = small_plan(privacy__epsilon=epsilon)
        claim = mechanisms(plan).claim()
        assert 0.995 * epsilon <= claim <= epsilon

    def test_attempts_that_were_not_needed_cost_nothing(self):
        found = mechanisms(small_plan())
        planned = found.claim(lambda phase: phase.rounds)
        assert planned < found.claim()
        assert found.claim(lambda phase: 0) == 0.0
        bins_only = found.claim(lambda phase: phase.rounds if phase.name == BIN else 0)
        assert 0 < bins_only < planned

    def test_it_composes_bins_training_and_calibration_and_sets_evaluation_apart(self):
        """No person is in both parts: the claim is the larger of the two, not their sum."""
        plan = small_plan()
        found = mechanisms(plan)
        delta = accounting_delta(plan.privacy.epsilon, plan.privacy.delta, 1e-9)
        parts = {
            False: [found.event(phase_of(plan, name)) for name in (BIN, TRAIN, CALIBRATE)],
            True: [found.event(phase_of(plan, EVALUATE))],
        }
        counts = {False: [1, 4, 1], True: [1]}
        figures = [
            PldAccountant().epsilon(
                [event.model_copy(update={"count": n}) for event, n in zip(parts[test], counts[test], strict=True)],
                delta,
            )
            for test in (False, True)
        ]
        assert found.claim(lambda phase: phase.rounds) == pytest.approx(max(figures), rel=1e-6)
        # Evaluation may spend the whole of a test person's budget and leaves a training person's alone.
        only = found.claim(lambda phase: phase.attempts if phase.name == EVALUATE else 0)
        assert only == pytest.approx(plan.privacy.epsilon, rel=5e-3)

    @pytest.mark.parametrize("changes", [{}, {"training__sample_rate": 0.05, "training__rounds": 60}, FEDAVG])
    def test_opacus_agrees_on_the_training_part(self, changes: dict[str, Any]):
        plan = small_plan(privacy__epsilon=2.0, **changes)
        found = mechanisms(plan)
        only = [found.claim(lambda p: p.attempts if p.name == TRAIN else 0, a) for a in (None, OpacusAccountant("prv"))]
        assert only[0] > 0
        assert only[1] == pytest.approx(only[0], rel=0.01, abs=0.01)

    def test_shares_of_the_budget_steer_the_noise(self):
        shares = {"bins": 0.4, "calibration": 0.05, "evaluation": 1.0}
        plain, other = mechanisms(small_plan()), mechanisms(small_plan(privacy__shares=shares))
        assert other.noise_multipliers[BIN] < plain.noise_multipliers[BIN]
        assert other.noise_multipliers[TRAIN] > plain.noise_multipliers[TRAIN]
        assert other.noise_multipliers[EVALUATE] == plain.noise_multipliers[EVALUATE]

    def test_a_share_of_the_test_persons_budget_is_not_all_of_it(self):
        """A quarter of the squared signal-to-noise budget is twice the noise, and less is claimed than was granted."""
        shares = {"bins": 0.05, "calibration": 0.05, "evaluation": 0.25}
        plain, quarter = mechanisms(small_plan()), mechanisms(small_plan(privacy__shares=shares))
        noise = [found.noise_multipliers[EVALUATE] for found in (plain, quarter)]
        assert noise[1] == pytest.approx(2 * noise[0], rel=0.01)
        assert quarter.noise_multipliers[TRAIN] == plain.noise_multipliers[TRAIN]
        only = [found.claim(lambda p: p.attempts if p.name == EVALUATE else 0) for found in (plain, quarter)]
        assert only[1] < 0.6 * only[0]

    def test_spare_attempts_are_paid_for_by_noise(self):
        few, many = (mechanisms(small_plan(privacy__spare_attempts=spare)) for spare in (0.0, 1.0))
        assert all(many.noise_multipliers[name] > few.noise_multipliers[name] for name in PHASES)

    def test_the_noise_does_not_depend_on_who_takes_part(self):
        """Shares depend on the cohort; the multipliers of a plan that differs in its parties only are the same."""
        assert mechanisms(colluding(9, 3, 1)).noise_multipliers == mechanisms(small_plan()).noise_multipliers

    @pytest.mark.parametrize(
        "changes", [{"privacy__epsilon": 1e-7}, {"privacy__epsilon": 10.0, "privacy__delta": 1e-12}]
    )
    def test_a_budget_that_no_noise_can_reach(self, changes: dict[str, float]):
        with pytest.raises(PlanError, match=r"small: privacy\.epsilon = (1e-07|10\.0): (.*out of reach|delta 1e-12)"):
            _ = Mechanisms(small_plan(**changes)).noise_multipliers

    def test_noise_too_small_to_be_shared_out(self):
        """Among very many parties each would add less than the grid can show: the plan is refused before it runs."""
        many = colluding(1000, 2, 0, privacy__epsilon=13.0, privacy__delta=1e-3, privacy__spare_attempts=0.0)
        with pytest.raises(PlanError, match=r"privacy\.epsilon = 13\.0: too large for \w+:lender: noise of"):
            _ = Mechanisms(many).noise_multipliers

    def test_noise_too_large_to_be_drawn(self):
        """Rounding of as many records as this, at such a clip norm, would need more noise than the sampler draws."""
        most = [{"name": f"lender-{n}", "group": "lender", "nominal_records": 10**9} for n in (1, 2)]
        assert all(Mechanisms(small_plan(parties=most)).noise_multipliers.values())
        with pytest.raises(PlanError, match=r"too small, or privacy\.clip_norm for train_tower:lender: noise scale"):
            _ = Mechanisms(small_plan(parties=most, privacy__clip_norm=1e-9)).noise_multipliers


class TestSeveralRecordsAPerson:
    def test_the_mixture_is_charged_and_has_more_noise(self):
        one = small_plan(**SMALL)
        more = small_plan(**SMALL, privacy__max_records_per_person=2)
        events = [mechanisms(plan).event(phase_of(plan, TRAIN)) for plan in (one, more)]
        assert [event.multiplicity for event in events] == [1, 2]
        assert events[1].noise_multiplier > 1.3 * events[0].noise_multiplier
        for name in (BIN, CALIBRATE, EVALUATE):
            sensitivities = [mechanisms(plan).event(phase_of(plan, name)).sensitivity for plan in (one, more)]
            assert sensitivities[1] == pytest.approx(2 * sensitivities[0])
            noise = [mechanisms(plan).noise_multipliers[name] for plan in (one, more)]
            assert noise[1] > 1.9 * noise[0]
        assert mechanisms(more).claim() <= more.privacy.epsilon

    def test_a_person_at_several_parties_counts_as_often(self):
        plan = small_plan(**SMALL, privacy__max_parties_per_person=2)
        assert mechanisms(plan).event(phase_of(plan, TRAIN)).multiplicity == 2
        everywhere = small_plan(**SMALL, privacy__max_parties_per_person=None)
        assert everywhere.multiplicity("lender") == 3
