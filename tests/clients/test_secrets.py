"""Secret randomness as it leaves the nodes: no two draws are the same, and each has the size that the plan promises."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from builders import BIN, CALIBRATE, EVALUATE, LENDERS, TRAIN, small_plan, small_records
from doubles import Talk

from sealscore.shared.plan.plan import Plan
from sealscore.shared.randomness.streams import StreamSource

# Wide, so that every vector is long enough for its noise to be told from any other's.
WIDE: dict[str, Any] = {"model__grid_cells": 256, "model__bins": 32, "evaluation__cells": 64}
NOISY, QUIET = small_plan(**WIDE), small_plan(**WIDE, privacy__noise="none")
NOBODY = small_records(0)
PLACES = [
    *((BIN, 1, attempt) for attempt in (1, 2)),
    *((TRAIN, round, attempt) for round in (1, 2, 3) for attempt in (1, 2)),
    *((CALIBRATE, 1, attempt) for attempt in (1, 2)),
    *((EVALUATE, 1, attempt) for attempt in (1, 2)),
]


def answers(plan: Plan, party: str, **more: Any) -> dict[tuple[Any, ...], np.ndarray]:
    """Everything that a party can be made to answer, by (party, phase, round, attempt)."""
    talk = Talk(plan, party, **more)
    talk.publish()
    return {(party, *place): talk.vector(*place) for place in PLACES}


def alike(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of two vectors over their common start: a noise drawn twice shows at any scale."""
    n = min(len(one), len(other))
    return abs(float(np.corrcoef(one[:n], other[:n])[0, 1]))


def test_no_two_parties_phases_rounds_or_attempts_draw_the_same_noise():
    """All parties hold the same records; what is left after subtracting the sums without noise is the noise."""
    records = small_records(seed=5)
    noise: dict[tuple[Any, ...], np.ndarray] = {}
    for party in LENDERS:
        noisy, quiet = answers(NOISY, party, records=records), answers(QUIET, party, records=records)
        noise |= {place: noisy[place] - quiet[place] for place in noisy}
    assert len(noise) == 36
    assert min(len(vector) for vector in noise.values()) >= 60
    for one, other in itertools.combinations(noise, 2):
        assert alike(noise[one], noise[other]) < 0.7, (one, other)
    same = noise["lender-1", *PLACES[0]]
    assert alike(same, 3 * same[: len(same) // 2]) > 0.99


def test_a_secret_that_two_parties_share_by_mistake_does_not_make_their_noise_the_same():
    """Two nodes set up from one copy: the party's name is in every stream's key."""
    copied = StreamSource.system()
    pair = [answers(NOISY, party, records=NOBODY, secret=copied) for party in LENDERS[:2]]
    for place in PLACES:
        assert alike(pair[0]["lender-1", *place], pair[1]["lender-2", *place]) < 0.7


def test_no_two_parties_rounds_or_attempts_draw_the_same_sample():
    """Without noise and with equal records, sums in training differ by the sample alone."""
    sums = [
        vector
        for party in LENDERS
        for place, vector in answers(QUIET, party, records=small_records(seed=5)).items()
        if place[1] == TRAIN
    ]
    assert len(sums) == 18
    assert len({vector.tobytes() for vector in sums}) == 18


def test_the_run_is_part_of_the_secret():
    first, second = Talk(NOISY, records=NOBODY), Talk(NOISY, records=NOBODY)
    assert not np.array_equal(first.vector(BIN), second.vector(BIN, run="another run"))


def test_another_seed_is_other_noise_and_the_same_seed_the_same():
    vectors = [
        Talk(NOISY, records=NOBODY, secret=StreamSource.seeded(seed, "lender-1")).vector(BIN) for seed in (1, 1, 2)
    ]
    assert np.array_equal(vectors[0], vectors[1])
    assert alike(vectors[0], vectors[2]) < 0.7


def test_a_secret_of_the_operating_system_never_repeats():
    """Two nodes of one name under one plan, as after a restart: nothing is drawn again."""
    pair = [answers(NOISY, "lender-1", records=NOBODY, secret=StreamSource.system()) for _ in range(2)]
    for place in pair[0]:
        assert alike(pair[0][place], pair[1][place]) < 0.7


FIVE = [{"name": f"lender-{n}", "group": "lender", "nominal_records": 400} for n in range(1, 6)]


def shared_noise_plan(**changes: Any) -> Plan:
    groups = small_plan().model_dump(mode="json")["groups"]
    groups["lender"] |= {"min_parties": 3, "max_colluding": 1}
    return small_plan(**WIDE, groups=groups, parties=FIVE, training__rounds=30, **changes)


class TestSize:
    """The variance of what a party without any record sends: all of it is noise."""

    @pytest.mark.parametrize("cohort", [3, 4, 5])
    def test_shared_noise_is_enough_without_the_colluders(self, cohort: int):
        plan = shared_noise_plan()
        names = tuple(party["name"] for party in FIVE[:cohort])
        draws = []
        for party in names:
            talk = Talk(plan, party, records=NOBODY)
            talk.publish()
            draws.append(np.stack([talk.vector(TRAIN, round, cohort=names) for round in range(1, 31)]))
        mechanism = talk.mechanism(TRAIN)
        promised = mechanism.noise_std**2
        entries = draws[0].size
        honest = np.sum(draws[1:], axis=0, dtype=np.float64)
        # Five standard errors of a variance of normal entries.
        error = 5 * np.sqrt(2 / entries)
        for part in draws:
            assert np.var(part) == pytest.approx(promised / (cohort - 1), rel=error)
            assert abs(part.mean()) < 5 * np.std(part) / np.sqrt(entries)
        assert np.mean(honest**2) == pytest.approx(promised, rel=error)
        assert np.mean(np.sum(draws, axis=0) ** 2) == pytest.approx(
            (mechanism.total_std(cohort) / mechanism.grid) ** 2, rel=error
        )
        assert mechanism.own_scale(cohort) ** 2 * (cohort - 1) >= promised

    @pytest.mark.parametrize("phase", [BIN, CALIBRATE, EVALUATE])
    def test_histograms_have_theirs(self, phase: str):
        plan = shared_noise_plan()
        names = tuple(party["name"] for party in FIVE)
        draws = []
        for party in names[1:]:
            talk = Talk(plan, party, records=NOBODY)
            talk.publish()
            draws += [talk.vector(phase, 1, attempt, cohort=names) for attempt in (1, 2)]
        honest = np.stack([np.sum(draws[attempt::2], axis=0) for attempt in (0, 1)]).astype(np.float64)
        promised = talk.mechanism(phase).noise_std ** 2
        assert np.mean(honest**2) == pytest.approx(promised, rel=5 * np.sqrt(2 / honest.size))

    def test_all_of_it_at_each_party_where_steps_are_local(self):
        """FedAvg: whatever the cohort, one party alone adds the whole noise in each step, and steps are independent."""
        changes = {
            "training__algorithm": "fedavg",
            "training__sample_rate": 0.5,
        }
        for steps in (1, 4):
            local = {"steps": steps, "learning_rate": 0.3}
            plan = shared_noise_plan(**changes, training__local=local)
            for cohort in (3, 5):
                names = tuple(party["name"] for party in FIVE[:cohort])
                talk = Talk(plan, "lender-2", records=NOBODY)
                talk.publish()
                sent = np.stack([talk.vector(TRAIN, round, cohort=names) for round in range(1, 31)])
                promised = talk.mechanism(TRAIN).noise_std ** 2
                # The mean of independent steps; a noise drawn again in every step would not average out.
                assert np.var(sent) == pytest.approx(promised / steps, rel=5 * np.sqrt(2 / sent.size))

    def test_none_where_the_plan_says_none(self):
        talk = Talk(QUIET, records=NOBODY)
        talk.publish()
        for place in PLACES:
            assert not talk.vector(*place).any()
