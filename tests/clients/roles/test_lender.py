"""What a lender computes in each phase, against a recount by hand: of whose records, and how far one of them counts."""

from __future__ import annotations

import math
from typing import Any

import msgpack
import numpy as np
import pytest
import torch
from builders import BIN, CALIBRATE, EVALUATE, TRAIN, binning_of, small_plan, small_records, weights_of, with_columns
from doubles import Talk
from hypothesis import given, settings
from hypothesis import strategies as st

from sealscore.shared.messages.codec import digest
from sealscore.shared.model.bins import Binning, histogram
from sealscore.shared.model.build import coding_of, initial_tower
from sealscore.shared.model.score_table import score_table
from sealscore.shared.model.tower import cross_entropy, load_flat
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.plan import Plan

# No noise and every record sampled: what a party answers is what it computed.
BARE = small_plan(privacy__noise="none", training__sample_rate=1.0)
# Whose sums are made over codes, by an engine that is kept from round to round.
NETWORK = BARE.replace(model__hidden=2)


def answering(records: Records, plan: Plan = BARE, binning: Binning | None = None) -> Talk:
    talk = Talk(plan, records=records)
    if binning is not None:
        talk.binning, talk.bins = binning, binning.to_bytes()
    talk.publish()
    return talk


def some_weights(plan: Plan, talk: Talk, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.5, len(weights_of(plan, talk.binning)))


def logits(plan: Plan, talk: Talk, weights: np.ndarray, part: Records) -> np.ndarray:
    coding = coding_of(plan, plan.lenders, talk.binning)
    tower = initial_tower(plan, plan.lenders, talk.binning)
    load_flat(tower, weights)
    return tower.weights().logits(coding.encode(talk.binning.quantize(part.columns)))


class TestBin:
    def test_counts_of_training_records_over_public_cells(self):
        records = small_records(seed=3)
        talk = answering(records)
        features = BARE.groups["lender"].table.scored
        expected = histogram(records.training_part().columns, features, BARE.model.grid_cells)
        assert np.array_equal(talk.vector(BIN) * talk.mechanism(BIN).grid, expected)
        assert expected.sum() == len(features) * len(records.training_part())

    def test_values_beyond_the_bounds_are_counted_in_the_outermost_cells(self):
        records = small_records(40, seed=3, test_share=0.0)
        wild = with_columns(records, income=np.where(np.arange(40) % 2, np.inf, -np.inf))
        talk = answering(wild)
        cells = talk.vector(BIN)[: BARE.model.grid_cells] * talk.mechanism(BIN).grid
        assert cells[0] == cells[-1] == 20


class TestTrainTower:
    @pytest.mark.parametrize("hidden", [0, 3])
    @pytest.mark.parametrize("clip", [0.3, 1.0, 50.0])
    def test_a_sum_of_clipped_gradients_record_by_record(self, hidden: int, clip: float):
        plan = small_plan(
            privacy__noise="none", training__sample_rate=1.0, model__hidden=hidden, privacy__clip_norm=clip
        )
        records = small_records(60, seed=3)
        talk = answering(records, plan)
        weights = some_weights(plan, talk)
        found = talk.vector(TRAIN, parameters=weights) * talk.mechanism(TRAIN).grid
        part = records.training_part()
        tower = initial_tower(plan, plan.lenders, talk.binning)
        load_flat(tower, weights)
        codes = torch.from_numpy(
            coding_of(plan, plan.lenders, talk.binning).encode(talk.binning.quantize(part.columns))
        )
        expected = np.zeros(len(weights))
        for code, label in zip(codes, part.label, strict=True):
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                tower(code[None])[0], torch.tensor(float(label), dtype=torch.float64)
            )
            gradients = torch.autograd.grad(loss, list(tower.parameters()))
            gradient = np.concatenate([g.reshape(-1).numpy() for g in gradients])
            expected += gradient * min(1.0, clip / (np.linalg.norm(gradient) + 1e-6))
        # Weights count rounded to their grid, and the sum is rounded to its own.
        assert np.abs(found - expected).max() <= 0.5 * talk.mechanism(TRAIN).grid + 1e-4

    def test_both_engines_agree_to_the_grid(self):
        answers = []
        for engine in ("fused", "opacus"):
            plan = small_plan(privacy__noise="none", training__engine=engine, model__hidden=3)
            talk = answering(small_records(seed=3), plan)
            answers.append(talk.vector(TRAIN, parameters=some_weights(plan, talk)))
        assert np.abs(answers[0] - answers[1]).max() <= 1
        assert answers[0].any()


class TestTables:
    def test_calibration_counts_training_records_by_label_and_cell(self):
        records = small_records(seed=3)
        talk = answering(records)
        weights = some_weights(BARE, talk)
        part = records.training_part()
        expected = score_table(logits(BARE, talk, weights, part), part.label, BARE.evaluation.cells)
        assert np.array_equal(talk.vector(CALIBRATE, parameters=weights) * talk.mechanism(CALIBRATE).grid, expected)
        assert expected.sum() == len(part)

    def test_evaluation_counts_test_records_in_all_and_by_band(self):
        records = small_records(seed=3)
        age = records.columns["age"].copy()
        age[:6] = [18, 30, 31, 50, 51, 100]
        records = with_columns(records, age=age)
        talk = answering(records)
        weights = some_weights(BARE, talk)
        part = records.test_part()
        scores = logits(BARE, talk, weights, part)
        old, sex = part.columns["age"], part.columns["sex"]
        bands = [
            np.ones(len(part), dtype=bool),
            old <= 30,
            (old > 30) & (old <= 50),
            old > 50,
            np.isnan(old),
            sex == 0,
            sex == 1,
            np.isnan(sex),
        ]
        expected = [score_table(scores[band], part.label[band], BARE.evaluation.cells) for band in bands]
        found = talk.vector(EVALUATE, parameters=weights) * talk.mechanism(EVALUATE).grid
        assert np.array_equal(found, np.concatenate(expected))
        assert BARE.bands("age") == ("up to 30", "30-50", "above 50", "missing")
        assert BARE.bands("sex") == ("f", "m", "missing")


class TestWhoseRecords:
    @pytest.mark.parametrize(
        ("phase", "moved_by_training", "moved_by_test"),
        [(BIN, True, False), (TRAIN, True, False), (CALIBRATE, True, False), (EVALUATE, False, True)],
    )
    def test_a_phase_reads_training_or_test_persons_and_never_both(
        self, phase: str, moved_by_training: bool, moved_by_test: bool
    ):
        records = small_records(seed=3)
        first = answering(records)
        weights = None if phase == BIN else some_weights(BARE, first)
        before = first.vector(phase, parameters=weights)
        for rows, moves in ((~records.test, moved_by_training), (records.test, moved_by_test)):
            changed = with_columns(
                records,
                income=np.where(rows, 1000 - records.columns["income"], records.columns["income"]),
                months=np.where(rows, 3.0, records.columns["months"]),
            )
            after = answering(changed).vector(phase, parameters=weights)
            assert (not np.array_equal(before, after)) == moves

    @pytest.mark.parametrize("phase", [BIN, TRAIN, CALIBRATE, EVALUATE])
    def test_protected_columns_enter_nothing_but_the_bands(self, phase: str):
        records = small_records(seed=3)
        turned = with_columns(records, age=records.columns["age"][::-1].copy(), sex=1 - records.columns["sex"])
        weights = None if phase == BIN else some_weights(BARE, answering(records))
        before, after = (answering(r).vector(phase, parameters=weights) for r in (records, turned))
        if phase != EVALUATE:
            assert np.array_equal(before, after)
        else:
            cells = 2 * BARE.evaluation.cells
            assert np.array_equal(before[:cells], after[:cells])
            assert not np.array_equal(before[cells:], after[cells:])

    def test_another_binning_is_another_code(self):
        """Codes are kept for one binning at a time; going to another and back must not mix them."""
        records = small_records(seed=3)
        talk = answering(records)
        other = binning_of(BARE, small_records(seed=44, n=57))
        assert other != talk.binning
        assert len(weights_of(BARE, other)) == len(weights_of(BARE, talk.binning))
        weights = some_weights(BARE, talk)
        digests = [talk.publish(b.to_bytes()).digest for b in (talk.binning, other)]
        found = [
            talk.vector(TRAIN, round, parameters=weights, parts={"bins": key})
            for round, key in enumerate([digests[0], digests[1], digests[0]], start=1)
        ]
        assert np.array_equal(found[0], found[2])
        assert not np.array_equal(found[0], found[1])


class TestSensitivity:
    """Taking one record away moves a sum by at most what the event of the phase states."""

    @settings(max_examples=25)
    @given(
        seed=st.integers(0, 50),
        row=st.integers(0, 39),
        scale=st.sampled_from([0.0, 0.1, 3.0, 1e6]),
        hidden=st.sampled_from([0, 2]),
    )
    def test_one_record(self, seed: int, row: int, scale: float, hidden: int):
        plan = small_plan(privacy__noise="none", training__sample_rate=1.0, model__hidden=hidden)
        records = small_records(40, seed=seed)
        less = records.take(np.arange(40) != row)
        bins = binning_of(plan, small_records(seed=1))
        talks = [answering(r, plan, bins) for r in (records, less)]
        weights = np.random.default_rng(seed).uniform(-scale, scale, len(weights_of(plan, bins)))
        for phase in (BIN, TRAIN, CALIBRATE, EVALUATE):
            mechanism = talks[0].mechanism(phase)
            vectors = [a.vector(phase, parameters=None if phase == BIN else weights) for a in talks]
            moved = float(np.linalg.norm((vectors[0] - vectors[1]).astype(np.float64))) * mechanism.grid
            if records.test[row] != (phase == EVALUATE):
                assert moved == 0
            elif phase == TRAIN:
                assert moved <= plan.privacy.clip_norm * (1 + 1e-9) + mechanism.grid * math.sqrt(mechanism.length)
            else:
                assert moved == pytest.approx({BIN: math.sqrt(3), CALIBRATE: 1, EVALUATE: math.sqrt(3)}[phase])


def crafted() -> list[Any]:
    """Parts that are nearly bins: each with one thing that `Binning.from_histogram` never makes."""
    good = msgpack.unpackb(binning_of(BARE, small_records(seed=1)).to_bytes())

    def with_part(index: int, **change: Any) -> bytes:
        parts = [list(part) for part in good[1]]
        for place, value in change.items():
            parts[index][{"name": 0, "edges": 1, "reference": 2}[place]] = value
        return msgpack.packb([good[0], parts])

    edges, shares = good[1][0][1], good[1][0][2]
    return [
        with_part(0, name="age"),
        with_part(0, name="months"),
        with_part(0, edges=[]),
        with_part(0, edges=[math.nan, *edges[1:]]),
        with_part(0, edges=[math.inf, *edges[1:]]),
        with_part(0, edges=[-1e308, *edges[1:]]),
        with_part(0, edges=[*edges[:-1], 1000.0]),
        with_part(0, edges=edges[::-1]),
        with_part(0, edges=[edges[0]] * len(edges)),
        with_part(0, edges=[float(n) for n in range(1, 100)], reference=[0.01] * 100),
        with_part(0, edges=[int(edge) for edge in edges]),
        with_part(0, edges=["a"] * len(edges)),
        with_part(0, edges=[*edges, [1.0]]),
        with_part(0, reference=[0.0, *shares[1:]]),
        with_part(0, reference=[-shares[0], *shares[1:]]),
        with_part(0, reference=[math.nan, *shares[1:]]),
        with_part(0, reference=[1e300] * len(shares)),
        with_part(0, reference=shares[:-1]),
        with_part(2, edges=[1.0]),
        msgpack.packb([good[0], good[1][:2]]),
        msgpack.packb([good[0], good[1] + good[1][:1]]),
        msgpack.packb([good[0], good[1][::-1]]),
        msgpack.packb(["sealscore bins 2", good[1]]),
        msgpack.packb(good[1]),
        msgpack.packb({"bins": good[1]}),
        msgpack.packb(good) + b"\0",
        msgpack.packb(good, use_single_float=True),
        b"\xdd\xff\xff\xff\xff",
        b"\x91" * 100_000,
        b"",
    ]


@pytest.mark.parametrize("body", crafted())
def test_crafted_bins_are_refused_before_a_charge(body: bytes):
    talk = answering(small_records(seed=3))
    talk.publish(body)
    talk.watch()
    for phase in (TRAIN, CALIBRATE, EVALUATE):
        assert talk.code(phase, parts={"bins": digest(body)}) == "bad-part"
    assert talk.charged == []
    assert talk.looks == []


class Once:
    """A loss that fails when it is first asked, after the tower has been run over the sample."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        self.asked += 1
        if self.asked == 1:
            raise RuntimeError("out of memory, say")
        return cross_entropy(logits, targets)


class TestAnEngineThatFailed:
    """What it had begun to sum of the records of one round must not be in the sum of another."""

    @pytest.mark.parametrize("engine", ["fused", "opacus"])
    def test_leaves_nothing_behind(self, engine: str):
        plan, records = NETWORK.replace(training__engine=engine), small_records(seed=3)
        failing, sound = (answering(records, plan) for _ in range(2))
        failing.node.role.loss = Once()
        weights = some_weights(plan, sound)
        first, second = (failing.vector(TRAIN, round=round, parameters=weights) for round in (1, 2))
        # The charged answer of the round that failed is over no records.
        assert not first.any()
        assert np.array_equal(second, sound.vector(TRAIN, round=2, parameters=weights))
        assert len(failing.told) == 1

    def test_is_used_no_more(self, monkeypatch: pytest.MonkeyPatch):
        made = []

        class Adding:
            """An engine that forgets what it had begun to sum only where it comes to an end."""

            def __init__(self) -> None:
                self.begun = 0.0
                made.append(self)

            def __call__(self, parameters: np.ndarray, codes: torch.Tensor, targets: torch.Tensor) -> np.ndarray:
                self.begun += len(codes)
                if len(made) == 1:
                    raise RuntimeError("out of memory, say")
                total, self.begun = self.begun, 0.0
                return np.full(len(parameters), total)

        monkeypatch.setattr("sealscore.clients.roles.encoding.gradient_engine", lambda *given: Adding())
        talk = answering(small_records(seed=3), NETWORK)
        weights = some_weights(NETWORK, talk)
        unit = talk.vector(TRAIN, round=1, parameters=weights)
        later = [talk.vector(TRAIN, round=round, parameters=weights) for round in (2, 3)]
        assert not unit.any()
        assert later[0].any()
        assert np.array_equal(*later)
        assert made[0].begun > 0
        # One failed, one answered over no records, and one is kept for the rounds after.
        assert len(made) == 3
