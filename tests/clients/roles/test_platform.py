"""The platform's side: sums over aligned training persons with noisy labels, and levels told once under their bits."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from builders import mechanisms, phase_of
from vertical_builders import (
    VIDEOS,
    Wire,
    federation_of,
    fresh_lifetimes,
    names,
    people,
    quiet_plan,
    records_of,
    vertical_plan,
)

from sealscore.clients.roles.role import RoundContext
from sealscore.compliance.verify.budgets import signal_bits
from sealscore.shared.crypto.payloads import unpack_numbers
from sealscore.shared.dp.events import Disclosure
from sealscore.shared.dp.gradients import gradient_engine
from sealscore.shared.messages.messages import PairAnswer, Refusal
from sealscore.shared.messages.parts import edges_from_bytes
from sealscore.shared.model.bins import Binning, histogram
from sealscore.shared.model.build import coding_of, initial_tower
from sealscore.shared.model.signal import CELLS, signal_histogram, signal_levels
from sealscore.shared.model.tower import ForwardCorrected, flatten
from sealscore.shared.model.weights import TowerWeights
from sealscore.shared.phases.kind import Kind
from sealscore.shared.plan.plan import Plan
from sealscore.shared.randomness.streams import StreamSource

PLAN = vertical_plan()
LENDER, PLATFORM = "lender-1", "video-1"
BODY = 32 + 512 * 3 // 8  # the digest of the handles, and 512 levels of three bits


def wire(plan: Plan = PLAN, lenders: tuple[str, ...] = (LENDER, "lender-2"), **more) -> Wire:
    """Nodes of which the first video platform is aligned with lenders."""
    made = Wire(plan, **more)
    for lender in lenders:
        made.align(lender, PLATFORM)
    return made


def with_labels_taken(made: Wire) -> Wire:
    for lender in (LENDER, "lender-2"):
        made.give(Kind.LABELS, PLATFORM, lender, 2, made.labels(lender, PLATFORM))
    return made


def column(made: Wire, name: str) -> dict[str, float]:
    part = made.records[PLATFORM]
    return dict(zip(part.person, part.columns[name].tolist(), strict=True))


def examples(made: Wire) -> set[str]:
    """The training persons whom the platform shares with a lender."""
    shared = {p for lender in (LENDER, "lender-2") for p in made.aligned(PLATFORM, lender).persons}
    return shared & set(made.records[PLATFORM].training_part().person)


def summed(made: Wire, kind: Kind, parameters: np.ndarray, parts: dict[str, bytes]) -> np.ndarray:
    """What the platform's role would contribute, before noise, in grid units."""
    phase = phase_of(made.plan, f"{kind.value}:video")
    compute, mechanism = made.nodes[PLATFORM].role.sum(phase, parameters, parts)
    header = made.header(kind, "video", 1, PLATFORM)
    return compute(RoundContext(StreamSource.seeded(1, PLATFORM), header.reply(), mechanism, 2)) * mechanism.grid


def levels_of(made: Wire, body: bytes, lender: str = LENDER) -> dict[str, int]:
    """The levels of a payload by person."""
    pair = made.aligned(PLATFORM, lender)
    return dict(zip(pair.persons, unpack_numbers(pair, body, 5).tolist(), strict=True))


def fills(made: Wire, body: bytes, lender: str = LENDER) -> None:
    """Every level of a payload is what the data set's secret gives, and so says nothing."""
    found = levels_of(made, body, lender)
    shares = np.bincount(list(found.values()), minlength=5) / len(found)
    assert np.abs(shares - 1 / 5).max() < 5 * np.sqrt(0.16 / len(found))
    told = {told.kind for person in found for told in made.lifetimes[PLATFORM].disclosure_store.told_of(person)[-1:]}
    assert told == {"signal-fill"}


class TestExamples:
    def test_bins_count_aligned_training_persons_once_whoever_aligned_them(self):
        made = wire(quiet_plan())
        counts = summed(made, Kind.BIN, np.zeros(0), {})
        views = np.array([value for person, value in column(made, "views").items() if person in examples(made)])
        features, cells = made.plan.groups["video"].table.scored, made.plan.model.grid_cells
        assert counts[:16].sum() == len(examples(made))
        assert np.array_equal(counts[:16], histogram({"views": views}, features[:1], cells))
        both = set(made.aligned(PLATFORM, LENDER).persons) & set(made.aligned(PLATFORM, "lender-2").persons)
        assert len(both & examples(made)) > 20

    def test_with_more_records_a_person_may_bring_a_label_of_each_lender(self):
        made = wire(quiet_plan(privacy__max_records_per_person=2))
        counts = summed(made, Kind.BIN, np.zeros(0), {})
        pairs = sum(
            len(set(made.aligned(PLATFORM, lender).persons) & examples(made)) for lender in (LENDER, "lender-2")
        )
        assert counts[:16].sum() == pairs > len(examples(made))

    def test_which_lenders_label_is_kept_follows_from_that_person_alone(self):
        """Adding or removing a person changes no other's example: the claim about a person rests on it."""
        records = federation_of(PLAN)
        made = wire(records=records)
        kept = dict(self._kept(made))
        some = records[PLATFORM].take(np.arange(len(records[PLATFORM])) % 3 > 0)
        fewer = dict(self._kept(wire(records=records | {PLATFORM: some})))
        assert fewer.keys() < kept.keys()
        assert all(kept[person] == lender for person, lender in fewer.items())
        assert set(kept.values()) == {LENDER, "lender-2"}

    @staticmethod
    def _kept(made: Wire) -> list[tuple[str, str]]:
        role = made.nodes[PLATFORM].role
        return [(made.records[PLATFORM].person[row], lender) for lender, row in role._examples()]

    def test_a_test_person_is_in_no_sum(self):
        records = federation_of(PLAN)
        part = records[PLATFORM]
        everything = []
        for column in (part.columns["views"], np.where(part.test, 0.0, part.columns["views"])):
            changed = dataclasses.replace(part, columns={**part.columns, "views": column})
            made = wire(quiet_plan(), records=records | {PLATFORM: changed})
            everything.append(summed(made, Kind.BIN, np.zeros(0), {}))
        assert np.array_equal(*everything)


class TestTower:
    def test_the_gradient_is_that_of_the_loss_for_noisy_labels(self):
        plan = vertical_plan(training__sample_rate=1.0)
        made = with_labels_taken(wire(plan))
        parts = made.tower(PLATFORM)
        phase = phase_of(plan, "train_tower:video")
        role, part = made.nodes[PLATFORM].role, made.records[PLATFORM]
        binning = Binning.from_bytes(parts["bins"], plan.groups["video"].table.scored, plan.model.bins)
        tower = initial_tower(plan, "video", binning)
        weights = flatten(tower) + 0.25
        bits = {
            lender: dict(zip(made.aligned(PLATFORM, lender).persons, self._bits(made, lender), strict=True))
            for lender in (LENDER, "lender-2")
        }
        rows = role._examples()
        codes = coding_of(plan, "video", binning).encode(binning.quantize(part.columns))[[row for _, row in rows]]
        labels = torch.tensor([bits[lender][part.person[row]] for lender, row in rows], dtype=torch.float64)
        engine = gradient_engine("fused", tower, ForwardCorrected.of_epsilon(1.0), plan.clip_norm("video"))
        expected = engine(weights, torch.from_numpy(codes), labels)
        found = summed(made, Kind.TRAIN, weights, {"bins": parts["bins"]})
        assert np.abs(found - expected).max() <= mechanisms(plan).mechanism(phase, len(weights)).grid

    @staticmethod
    def _bits(made: Wire, lender: str) -> list[int]:
        pair = made.aligned(PLATFORM, lender)
        return unpack_numbers(pair, made.labels(lender, PLATFORM), 2).tolist()

    def test_no_training_before_the_labels_of_every_lender_have_come(self):
        made = wire()
        made.give(Kind.LABELS, PLATFORM, LENDER, 2, made.labels(LENDER, PLATFORM))
        with pytest.raises(Exception, match="no-labels"):
            summed(made, Kind.TRAIN, self._zeros(made), {"bins": made.tower(PLATFORM)["bins"]})

    @staticmethod
    def _zeros(made: Wire) -> np.ndarray:
        role = made.nodes[PLATFORM].role
        return np.zeros(
            role._encoders["video"].parameter_count(role._encoders["video"].binning(made.tower(PLATFORM)["bins"]))
        )

    def test_edges_come_from_logits_of_training_persons_in_public_cells(self):
        made = with_labels_taken(wire(quiet_plan()))
        weights = self._zeros(made)
        weights[:3] = [1.0, -0.5, 2.0]
        counts = summed(made, Kind.EDGES, weights, {"bins": made.tower(PLATFORM)["bins"]})
        assert len(counts) == CELLS
        assert counts.sum() == len(examples(made))
        role = made.nodes[PLATFORM].role
        binning = role._encoders["video"].binning(made.tower(PLATFORM)["bins"])
        part = made.records[PLATFORM]
        chosen = part.take(np.array([person in examples(made) for person in part.person]))
        codes = coding_of(made.plan, "video", binning).encode(binning.quantize(chosen.columns))
        assert np.array_equal(counts, signal_histogram(TowerWeights(weights, codes.shape[1], 0).logits(codes)))


class TestSignal:
    def test_levels_and_never_floats(self):
        made = wire()
        reply = made.signal(PLATFORM, LENDER)
        assert isinstance(reply, PairAnswer)
        assert len(reply.body) == BODY
        pair = made.aligned(PLATFORM, LENDER)
        levels = unpack_numbers(pair, reply.body, 5)
        parts = made.tower(PLATFORM)
        role, part = made.nodes[PLATFORM].role, made.records[PLATFORM]
        binning = role._encoders["video"].binning(parts["bins"])
        codes = coding_of(made.plan, "video", binning).encode(binning.quantize(part.columns))
        tower = TowerWeights(np.frombuffer(parts["tower"], dtype="<f8").astype(np.float64), codes.shape[1], 0)
        edges = edges_from_bytes(parts["edges"], 5)
        expected = dict(zip(part.person, signal_levels(tower.logits(codes), edges).tolist(), strict=True))
        assert levels.tolist() == [expected[person] for person in pair.persons]
        assert len(set(levels.tolist())) == 5
        assert made.events(PLATFORM) == [Disclosure(bits=3, recipient=LENDER, count=1)]

    def test_the_size_is_the_plans_whoever_is_aligned(self):
        sizes = set()
        for keep in (30, 100, 400):
            records = federation_of(PLAN)
            few = records | {LENDER: records[LENDER].take(np.arange(min(keep * 3, len(records[LENDER]))))}
            reply = wire(records=few, lenders=(LENDER,)).signal(PLATFORM, LENDER)
            sizes.add(len(reply.body))
        assert sizes == {BODY}

    def test_the_same_tower_again_gives_the_same_bytes_and_tells_nothing_new(self):
        made = wire()
        first = made.signal(PLATFORM, LENDER)
        again = made.signal(PLATFORM, LENDER, attempt=2)
        assert again.body == first.body
        assert made.lifetimes[PLATFORM].disclosed.bits("signal", made.records[PLATFORM].person) == 3

    def test_the_same_tower_to_a_second_lender_is_nothing_new(self):
        made = wire()
        made.signal(PLATFORM, LENDER)
        assert isinstance(made.signal(PLATFORM, "lender-2"), PairAnswer)
        disclosed = made.lifetimes[PLATFORM].disclosed
        assert disclosed.bits("signal", made.records[PLATFORM].person) == 3
        assert [event.recipient for event in made.events(PLATFORM)] == [LENDER, "lender-2"]

    @pytest.mark.parametrize("lender", [LENDER, "lender-2"])
    def test_of_another_tower_whoever_asks_gets_fills_of_the_same_size(self, lender: str):
        made = wire()
        first = made.signal(PLATFORM, LENDER)
        reply = made.signal(PLATFORM, lender, seed=1, attempt=2)
        fills(made, reply.body, lender)
        assert len(reply.body) == len(first.body)
        assert made.lifetimes[PLATFORM].disclosed.bits("signal", made.records[PLATFORM].person) == 3
        (words,) = made.told
        persons = len(made.aligned(PLATFORM, lender).persons)
        assert f"video-1 tells {lender} made-up numbers in the place of {persons} of {persons} persons" in words
        assert "no more than 4 bits of a person may ever be disclosed" in words
        assert "use the tower whose levels were told already, or raise the limit" in words
        # The tower that was told before is told again, and the fills are the same again.
        assert levels_of(made, made.signal(PLATFORM, lender, attempt=3).body, lender) == levels_of(
            made, made.signal(PLATFORM, lender, seed=0, attempt=4).body, lender
        )
        assert made.signal(PLATFORM, lender, seed=1, attempt=5).body == reply.body

    def test_the_ledger_says_that_nobody_was_told_of_and_the_operator_only_is_told(self):
        made = wire()
        made.signal(PLATFORM, LENDER)
        made.signal(PLATFORM, LENDER, seed=1, attempt=2)
        first, second = made.disclosures(PLATFORM)[-2:]
        assert first.persons == first.fresh > 0
        assert (second.persons, second.fresh) == (0, 0)
        assert signal_bits(made.nodes[PLATFORM].plan_ledger.ledger.state, PLATFORM) == 3

    def test_a_second_plan_on_the_same_data_set_gets_fills(self):
        made = wire()
        made.signal(PLATFORM, LENDER)
        second = wire(vertical_plan(seed=8), lifetimes=made.lifetimes, run="run-2")
        reply = second.signal(PLATFORM, LENDER, seed=1)
        fills(second, reply.body)
        assert "made-up numbers" in second.told[0]

    def test_persons_of_whom_nothing_was_told_yet_get_fills_like_everybody(self):
        """The limit is one of towers: that somebody's bits are left must not show, nor that somebody's are not."""
        records = federation_of(PLAN)
        part = records[LENDER]
        first = wire(records=records | {LENDER: part.take(np.arange(0, len(part), 2))}, lenders=(LENDER,))
        first.signal(PLATFORM, LENDER)
        rest = records | {LENDER: part.take(np.arange(1, len(part), 2))}
        second = wire(vertical_plan(seed=8), records=rest, lifetimes=first.lifetimes, lenders=(LENDER,), run="run-2")
        assert not set(first.aligned(PLATFORM, LENDER).persons) & set(second.aligned(PLATFORM, LENDER).persons)
        fills(second, second.signal(PLATFORM, LENDER, seed=1).body)

    def test_a_tower_of_which_nobody_was_there_to_be_told_counts_like_any_other(self):
        records = federation_of(PLAN)
        strangers = dataclasses.replace(records[LENDER], person=tuple(f"x{n}" for n in range(len(records[LENDER]))))
        first = wire(records=records | {LENDER: strangers}, lenders=(LENDER,))
        assert not first.aligned(PLATFORM, LENDER).persons
        assert len(first.signal(PLATFORM, LENDER).body) == BODY
        second = wire(vertical_plan(seed=8), records=records, lifetimes=first.lifetimes, run="run-2")
        fills(second, second.signal(PLATFORM, LENDER, seed=1).body)

    def test_a_second_plan_with_the_very_same_tower_tells_nothing_new(self):
        made = wire()
        made.signal(PLATFORM, LENDER)
        second = wire(vertical_plan(seed=8), lifetimes=made.lifetimes, run="run-2")
        assert isinstance(second.signal(PLATFORM, LENDER), PairAnswer)
        assert made.lifetimes[PLATFORM].disclosed.bits("signal", made.records[PLATFORM].person) == 3

    def test_the_same_weights_under_another_coding_are_another_tower(self):
        """The published bytes are the same, and here even the levels; what they say of a person is something else."""
        data = PLAN.model_dump(mode="json")
        data["groups"]["video"]["table"]["features"][0]["weight"] = 2.0
        made = wire()
        parts = made.tower(PLATFORM)
        # Above or below the middle of the views, and nothing else: twice the weight turns no sign.
        weights = np.zeros(len(parts["tower"]) // 8)
        weights[1] = 1.0
        parts |= {"tower": weights.tobytes(), "edges": np.zeros(4).tobytes()}
        first = made.ask(Kind.SIGNAL, PLATFORM, LENDER, 1, parts=made.publish(PLATFORM, **parts))
        assert len(set(unpack_numbers(made.aligned(PLATFORM, LENDER), first.body, 5).tolist())) == 2
        second = wire(Plan.parse(data), lifetimes=made.lifetimes, run="run-2")
        keys = second.publish(PLATFORM, **parts)
        fills(second, second.give(Kind.SIGNAL, PLATFORM, LENDER, 1, parts=keys))

    def test_more_bits_in_a_plan_are_not_more_than_the_data_set_allows(self):
        """The operator's limit holds over the life of the data set, whatever plans ask."""
        lifetimes = fresh_lifetimes(vertical_plan())
        first = Wire(vertical_plan(), lifetimes=lifetimes)
        first.align(LENDER, PLATFORM)
        assert isinstance(first.signal(PLATFORM, LENDER), PairAnswer)
        second = Wire(vertical_plan(privacy__signal_bits=64), lifetimes=lifetimes)
        second.align(LENDER, PLATFORM)
        fills(second, second.signal(PLATFORM, LENDER, seed=1).body)
        assert lifetimes[PLATFORM].disclosed.bits("signal", first.records[PLATFORM].person) == 3

    def test_more_bits_of_both_let_a_second_tower_through_and_not_a_third(self):
        plan = vertical_plan(privacy__signal_bits=6)
        lifetimes = {name: dataclasses.replace(life, limit=lambda: 6) for name, life in fresh_lifetimes(plan).items()}
        made = Wire(plan, lifetimes=lifetimes)
        made.align(LENDER, PLATFORM)
        assert isinstance(made.signal(PLATFORM, LENDER), PairAnswer)
        assert isinstance(made.signal(PLATFORM, LENDER, seed=1, attempt=2), PairAnswer)
        assert not made.told
        fills(made, made.signal(PLATFORM, LENDER, seed=2, attempt=3).body)
        assert len(made.told) == 1
        assert made.lifetimes[PLATFORM].disclosed.bits("signal", made.records[PLATFORM].person) == 6

    def test_where_the_ledger_cannot_be_written_nothing_is_told_and_the_bits_count(self):
        """They are told by a later attempt, which needs no bits of its own and is in the ledger as the first one."""
        made = wire()
        made.refuse.add(PLATFORM)
        reply = made.signal(PLATFORM, LENDER)
        assert isinstance(reply, Refusal)
        assert reply.code == "budget"
        assert not made.charged
        assert made.lifetimes[PLATFORM].disclosed.bits("signal", made.records[PLATFORM].person) == 3
        made.refuse.clear()
        assert isinstance(made.signal(PLATFORM, LENDER, attempt=2), PairAnswer)
        assert made.lifetimes[PLATFORM].disclosed.bits("signal", made.records[PLATFORM].person) == 3
        entry = made.disclosures(PLATFORM)[-1]
        assert entry.persons == entry.fresh == len(made.aligned(PLATFORM, LENDER).persons)
        assert isinstance(made.signal(PLATFORM, LENDER, attempt=3), PairAnswer)
        assert made.disclosures(PLATFORM)[-1].fresh == 0

    @pytest.mark.parametrize(
        ("name", "change", "code"),
        [
            ("tower", lambda body: body[:-8], "bad-part"),
            ("tower", lambda body: np.full(len(body) // 8, np.nan).tobytes(), "bad-part"),
            ("tower", lambda body: np.full(len(body) // 8, 1e9).tobytes(), "bad-part"),
            ("edges", lambda body: body[::-1], "bad-part"),
            ("edges", lambda body: body + bytes(8), "bad-part"),
            ("bins", lambda body: body + b"\0", "bad-part"),
        ],
    )
    def test_crafted_parts_are_refused_before_a_record_is_read(self, name: str, change, code: str):
        made = wire()
        parts = made.tower(PLATFORM)
        keys = made.publish(PLATFORM, **parts | {name: change(parts[name])})
        assert made.code(Kind.SIGNAL, PLATFORM, LENDER, 1, parts=keys) == code
        assert not made.charged
        assert not made.told

    def test_parts_must_be_those_of_the_phase(self):
        made = wire()
        keys = made.publish(PLATFORM, **made.tower(PLATFORM))
        for parts in ({}, {"bins": keys["bins"]}, keys | {"more": keys["bins"]}):
            assert made.code(Kind.SIGNAL, PLATFORM, LENDER, 1, parts=parts) == "wrong-parts"
        assert made.code(Kind.SIGNAL, PLATFORM, LENDER, 1, parts=keys | {"tower": "0" * 64}) == "part-missing"

    def test_a_person_whom_two_platforms_know_gets_the_rounded_mean_of_their_levels(self):
        made = Wire(PLAN)
        for platform in VIDEOS:
            made.align(LENDER, platform)
        for platform in VIDEOS:
            made.give(Kind.SIGNAL, LENDER, platform, 2, made.signal(platform, LENDER).body)
        scored = made.nodes[LENDER].role.scored_records()
        told = made.nodes[LENDER].role._levels
        both = told["video-1"].keys() & told["video-2"].keys()
        assert len(both) > 20
        for person, level in zip(scored.person, scored.columns["signal.video"].tolist(), strict=True):
            known = [levels[person] for levels in told.values() if person in levels]
            assert np.isnan(level) if not known else level == round(sum(known) / len(known))
        assert any(told["video-1"][person] != told["video-2"][person] for person in both)
        assert np.isnan(scored.columns["signal.wallet"]).all()


def test_two_platforms_of_a_kind_give_one_person_one_level_under_one_tower():
    """The same columns under the same public tower are the same level: two platforms say no more than one of them."""
    everybody = people()
    rows = np.arange(300)
    records = federation_of(PLAN) | {name: records_of(PLAN, name, everybody, rows) for name in (LENDER, *VIDEOS)}
    made = Wire(PLAN, records)
    for platform in VIDEOS:
        made.align(LENDER, platform)
    levels = []
    for platform in VIDEOS:
        pair = made.aligned(LENDER, platform)
        found = unpack_numbers(pair, made.signal(platform, LENDER).body, 5)
        levels.append(dict(zip(pair.persons, found.tolist(), strict=True)))
    assert levels[0] == levels[1]
    assert set(levels[0]) == set(names(rows.tolist()))
