"""Lenders and platforms together: what is fused, for whom, what it costs a person, and what must not matter."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import mechanisms
from ledgers import charged_in, state_of
from sklearn.metrics import roc_auc_score
from vertical_builders import (
    LENDERS,
    PARTIES,
    Wire,
    carry_out,
    federation_of,
    members,
    names,
    only,
    payloads,
    people,
    quiet_plan,
    vertical_plan,
)

from sealscore.clients.roles.bands import band_of
from sealscore.shared.crypto.payloads import bits_for
from sealscore.shared.dp.accountant import PldAccountant
from sealscore.shared.dp.events import Disclosure, Event, Gaussian, RandomizedResponse, SampledGaussian
from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.dp.noise_calibration import UnreachableBudget, accounting_delta
from sealscore.shared.ledger.budget_check import BudgetCheck, bits_by_recipient, label_epsilon
from sealscore.shared.ledger.state import LedgerState
from sealscore.shared.messages.codec import decode
from sealscore.shared.messages.messages import PairAnswer, SumAnswer
from sealscore.shared.model.score_model import ScoreModel
from sealscore.shared.model.score_table import score_table
from sealscore.shared.persons.records import Records
from sealscore.shared.phases.kind import Kind
from sealscore.shared.phases.order import KINDS, phases
from sealscore.shared.plan.plan import Plan
from sealscore.simulations.data.scenario import Scenario, resolve
from sealscore.simulations.engine.federation import Federation

PLAN = vertical_plan()
QUIET = quiet_plan(training__rounds=30, training__sample_rate=1.0)
BRIEF = QUIET.replace(training__rounds=4)
# What two nodes' messages of an alignment come to, of the lender and of the platform, in bytes.
ALIGNMENTS = pytest.mark.parametrize(
    ("method", "asked", "answered"),
    [("exact", 32 + 16 * 512 + 16 * 512, 512 // 8), ("private", 32 + 33 * 512 + 20 * 512, 33 * (512 + 512))],
)


def privately(plan: Plan) -> Plan:
    """The plan with the alignment that plans have unless they say otherwise."""
    return plan.replace(alignment__method="private")


def trained(plan: Plan, folder: Path, records: dict[str, Records] | None = None) -> tuple[ScoreModel, Federation]:
    made = Federation.of(plan, federation_of(plan) if records is None else records)
    made.run(folder)
    return ScoreModel.load(folder / "model"), made


def training_of(made: Mechanisms) -> list[Event]:
    """The events of all sums over training persons that are in the budget."""
    return [
        made.event(phase).model_copy(update={"count": phase.attempts})
        for phase in made.phases
        if not phase.paired and not phase.test
    ]


def auc(model: ScoreModel, parts: list[Records]) -> float:
    parts = [part.test_part() for part in parts]
    label = np.concatenate([part.label for part in parts])
    return float(roc_auc_score(label, np.concatenate([model.pd(part.columns) for part in parts])))


def files_of(folder: Path) -> dict[str, bytes]:
    """The models of a run, by file."""
    found = [path for kind in ("model", "towers") for path in sorted((folder / kind).rglob("*.*"))]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> tuple[ScoreModel, Federation]:
    return trained(privately(QUIET), tmp_path_factory.mktemp("quiet"))


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, LedgerState], dict[str, Any]]:
    """What follows from each party's ledger of a run under noise, and the run's record."""
    folder = tmp_path_factory.mktemp("private")
    Federation.of(privately(PLAN), federation_of(PLAN), None, folder / "ledgers").run(folder)
    states = {party: state_of(folder / "ledgers" / f"{party}.db") for party in PARTIES}
    return states, json.loads((folder / "run.json").read_text())


class TestFusion:
    def test_signals_of_all_kinds_of_platform_make_the_score_better(self, quiet: Any, tmp_path: Path):
        model, made = quiet
        assert [feature.name for feature in model.features] == ["income", "late", "signal.video", "signal.wallet"]
        plan = only(QUIET, *LENDERS)
        alone, lenders = trained(plan, tmp_path, {name: made_records(QUIET)[name] for name in LENDERS})
        assert auc(model, made.scored_records()) > auc(alone, lenders.scored_records()) + 0.02

    def test_an_applicant_whom_no_platform_knows_is_scored_by_the_same_model(self, quiet: Any):
        model, made = quiet
        applicant = {"income": np.array([20.0, 80.0]), "late": np.array([4.0, 0.0])}
        unknown = {name: np.full(2, np.nan) for name in ("signal.video", "signal.wallet")}
        risky, sound = model.pd({**applicant, **unknown})
        assert 0 < sound < risky < 1
        scored = made.scored_records()[0]
        stranger = np.isnan(scored.columns["signal.video"]) & np.isnan(scored.columns["signal.wallet"])
        assert 20 < stranger.sum() < len(scored)
        assert roc_auc_score(scored.label[stranger], model.pd(scored.take(stranger).columns)) > 0.6

    def test_a_signal_says_what_it_should(self, quiet: Any):
        """A high level is a high risk, at the platform and in the score."""
        model, made = quiet
        scored = made.scored_records()[0]
        for name in ("signal.video", "signal.wallet"):
            level = scored.columns[name]
            known = ~np.isnan(level)
            assert np.corrcoef(level[known], scored.label[known])[0, 1] > 0.1
            ends = [
                {"income": np.array([50.0]), "late": np.array([1.0])}
                | {other: np.array([np.nan]) for other in ("signal.video", "signal.wallet")}
                | {name: np.array([float(end)])}
                for end in (0, 4)
            ]
            assert model.pd(ends[0])[0] < model.pd(ends[1])[0]

    def test_people_overlap_in_every_way_that_is_tested_here(self):
        known = {party: set(rows.tolist()) for party, rows in members().items()}
        applicants = known["lender-1"] | known["lender-2"]
        assert known["lender-1"] & known["lender-2"] & known["video-1"] & known["video-2"] & known["wallet"]
        assert applicants - known["video-1"] - known["video-2"] - known["wallet"]
        assert (known["video-1"] | known["video-2"] | known["wallet"]) - applicants

    @pytest.mark.parametrize(
        "parties",
        [
            ("lender-1", "lender-2", "video-1", "video-2"),
            ("lender-1", "lender-2", "video-2", "wallet"),
            ("lender-1", "wallet"),
            ("lender-2", "video-1", "video-2", "wallet"),
            ("lender-1", "lender-2"),
            ("lender-1",),
        ],
        ids="+".join,
    )
    def test_any_choice_of_parties_is_a_plan_of_the_same_code(self, parties: tuple[str, ...], tmp_path: Path):
        """One lender and one platform, no platform at all, one kind of platform, two: no code branches on it."""
        plan = only(quiet_plan(training__rounds=3), *parties)
        model, made = trained(plan, tmp_path, {name: made_records(plan)[name] for name in parties})
        signals = [f"signal.{group}" for group in plan.platforms]
        assert [feature.name for feature in model.features] == ["income", "late", *signals]
        assert auc(model, made.scored_records()) > 0.6
        assert json.loads((tmp_path / "run.json").read_text())["payloads"] == [] or signals

    def test_under_noise_too(self, tmp_path: Path):
        data = vertical_plan(privacy__label_epsilon=3.0, training__rounds=20).model_dump(mode="json")
        data["parties"] = [party | {"nominal_records": 3000} for party in data["parties"]]
        plan = Plan.parse(data)
        model, made = trained(plan, tmp_path, federation_of(plan, n=5000))
        assert auc(model, made.scored_records()) > 0.75


def made_records(plan: Plan) -> dict[str, Records]:
    """The records of all parties under the whole plan; those of fewer parties are among them."""
    whole = quiet_plan()
    return {name: part for name, part in federation_of(whole).items() if name in {p.name for p in whole.parties}}


class TestTheClaim:
    def hand_made(self) -> tuple[list[Any], list[Any]]:
        """Everything that leaves the parties about a training person, and about a test person, from the plan's text.

        A person is at both of two parties of a group at most, and at the one wallet; bins have two features each at
        platforms, and at lenders two of their own and two signals; the tables of a test person are all, age, region.
        """
        noise = mechanisms(PLAN).noise_multipliers
        spare = {1: 1, 4: 1}  # attempts beyond the rounds

        def gaussian(phase: str, tables: int, parties: int) -> Gaussian:
            return Gaussian(noise_multiplier=noise[phase], sensitivity=np.sqrt(tables) * parties, count=1 + spare[1])

        def training(group: str, parties: int) -> SampledGaussian:
            return SampledGaussian(
                noise_multiplier=noise[f"train_tower:{group}"],
                sample_rate=0.5,
                count=4 + spare[4],
                multiplicity=parties,
            )

        return [
            gaussian("bin:video", 2, 2),
            training("video", 2),
            gaussian("signal_edges:video", 1, 2),
            gaussian("bin:wallet", 2, 1),
            training("wallet", 1),
            gaussian("signal_edges:wallet", 1, 1),
            gaussian("bin:lender", 4, 2),
            training("lender", 2),
            gaussian("calibrate:lender", 1, 2),
        ], [gaussian("evaluate:lender", 3, 2)]

    def test_it_is_a_persons_over_all_lenders_and_platforms(self):
        made = mechanisms(PLAN)
        delta = accounting_delta(8.0, 1e-5, made.distance)
        figures = [PldAccountant().epsilon(events, delta) for events in self.hand_made()]
        assert made.claim() == pytest.approx(max(figures), rel=1e-9)
        assert all(0.97 * 8 < figure <= 8 for figure in figures)

    def test_against_a_platform_it_is_composed_with_the_labels_that_a_person_has(self):
        made = mechanisms(vertical_plan(privacy__epsilon=2.0))
        labels = RandomizedResponse(epsilon=1.0, count=2)
        least, most = (PldAccountant().epsilon([*training_of(made), labels], delta) for delta in (1e-5, 0.99e-5))
        assert least <= made.platform_claim() <= most
        assert made.claim() < made.platform_claim() < made.claim() + 2.0

    def test_where_that_leaves_nothing_of_delta_both_figures_are_added(self):
        """At epsilon 10 the distance of the noise is above delta; the labels have no part in it."""
        made = mechanisms(PLAN)
        with pytest.raises(UnreachableBudget):
            accounting_delta(made.claim() + 1.7, 1e-5, made.distance)
        assert made.platform_claim() == made.claim() + 2.0

    @pytest.mark.parametrize(("spread", "labels"), [(1, 1), (2, 2), (None, 2)])
    def test_as_many_labels_as_lenders_a_person_may_be_at(self, spread: int | None, labels: int):
        made = mechanisms(vertical_plan(privacy__max_parties_per_person=spread, privacy__epsilon=2.0))
        events = [*training_of(made), RandomizedResponse(epsilon=1.0, count=labels)]
        least, most = (PldAccountant().epsilon(events, delta) for delta in (1e-5, 0.99e-5))
        assert least <= made.platform_claim() <= most

    def test_more_parties_a_person_need_more_noise(self):
        one, two = (
            mechanisms(vertical_plan(privacy__max_parties_per_person=spread)).noise_multipliers for spread in (1, 2)
        )
        assert all(two[phase] > 1.5 * one[phase] for phase in one if not phase.endswith("wallet"))
        # There is one wallet, so nobody is at two: its noise is what it was.
        assert all(two[phase] == pytest.approx(one[phase], rel=0.2) for phase in one if phase.endswith("wallet"))

    def test_of_one_lender_and_one_platform_each_the_records_epsilon_is_what_their_nodes_charged(self, private: Any):
        """The events of one party of each group, as its node charged them: they state the whole group's release."""
        states, record = private
        delta = accounting_delta(8.0, 1e-5, mechanisms(PLAN).distance)
        charged = {party: next(iter(state.plans.values())).charged for party, state in states.items()}
        sums = [
            [
                event.model_copy(update={"count": event.count * times})
                for party in ("lender-1", "video-1", "wallet")
                for event, times in charged[party][part].items()
            ]
            for part in ("training", "test")
        ]
        composed = [PldAccountant().epsilon(events, delta) for events in sums]
        assert record["privacy"]["epsilon"] == pytest.approx(max(composed), rel=1e-9)
        assert record["privacy"]["epsilon"] <= record["privacy"]["epsilon_budgeted"] <= 8.0
        # A party's ledger holds all that the other groups may answer: it does not know how much they did.
        for state in states.values():
            assert record["privacy"]["epsilon"] <= BudgetCheck().epsilon(state) <= record["privacy"]["epsilon_budgeted"]

    def test_labels_and_signals_are_charged_beside_it(self, private: Any):
        states, record = private
        assert [label_epsilon(states[lender]) for lender in LENDERS] == [1.0, 1.0]
        bits = {party: bits_by_recipient(states[party]) for party in PARTIES}
        # One bit tells who is known; two at the wallet are the bands of test persons.
        assert bits["video-1"] == bits["video-2"] == {"lender-1": 1 + 3, "lender-2": 1 + 3}
        assert bits["wallet"] == {"lender-1": 1 + 3 + 2, "lender-2": 1 + 3 + 2}
        told = {platform: 1 for platform in PARTIES if platform not in LENDERS}
        assert bits["lender-1"] == told | {"lender-1": 3 + 3 + 3 + 2}
        assert record["privacy"]["signal_bits"] == 3
        assert record["privacy"]["epsilon_against_platforms"] > record["privacy"]["epsilon"]

    def test_the_edges_of_levels_come_from_a_charged_histogram(self, private: Any):
        states, record = private
        edges = mechanisms(PLAN).event(next(p for p in mechanisms(PLAN).phases if p.name == "signal_edges:video"))
        state = states["video-1"]
        assert edges in charged_in(state, next(plan.plan for plan in state.plans.values()))
        phases = {phase["phase"]: phase for phase in record["privacy"]["phases"]}
        assert phases["signal_edges:video"]["event"] == edges.model_dump(mode="json")

    def test_the_packaged_plan_accounts_for_people_at_two_parties(self):
        plan = Scenario.load(resolve("synthetic_vertical_eps2")).plan
        assert {group: plan.multiplicity(group) for group in plan.groups} == {
            "lender": 2,
            "short-video": 2,
            "wallet": 1,
        }


class TestWhatCrosses:
    @ALIGNMENTS
    def test_between_lender_and_platform_go_payloads_of_sizes_that_follow_from_the_plan(
        self, method: str, asked: int, answered: int
    ):
        outcome, exchange = carry_out(Wire(quiet_plan(training__rounds=2, alignment__method=method)))
        bits = {"labels": 1, "signal": bits_for(5), "groups": bits_for(3)}
        sizes = {name: 32 + 512 * width // 8 for name, width in bits.items()}
        for lender in LENDERS:
            for platform in ("video-1", "video-2"):
                assert outcome.crossed[lender, platform] == asked + sizes["labels"]
                assert outcome.crossed[platform, lender] == answered + sizes["signal"]
            assert outcome.crossed["wallet", lender] == answered + sizes["signal"] + sizes["groups"]
        # Five payloads a pair (three to align), and the bands of the wallet's persons to two lenders.
        assert len(payloads(exchange)) == 6 * 5 + 2

    @pytest.mark.parametrize("method", ["exact", "private"])
    def test_nothing_else_is_answered_but_sums_of_plan_fixed_length(self, method: str):
        lengths: dict[str, set[int]] = {}

        def watch(party: str, request: bytes, answer: bytes) -> bytes:
            try:
                message = decode(answer, SumAnswer, PairAnswer)
            except ValueError:
                return answer
            body = message.contribution if isinstance(message, SumAnswer) else message.body
            lengths.setdefault(f"{message.header.phase} {message.header.round}", set()).add(len(body))
            return answer

        plan = quiet_plan(training__rounds=2, alignment__method=method)
        carry_out(Wire(plan), watch)
        assert all(len(found) == 1 for found in lengths.values()), lengths
        assert {name.split(":")[0] for name in lengths} == {phase.kind.value for phase in phases(plan)}
        # Where the signals are of an earlier plan, one step is in the place of the others: test_signals_again.py.
        paired = {kind.value for kind, found in KINDS.items() if found.gives and kind is not Kind.REUSE}
        assert paired < {name.split(":")[0] for name in lengths}


class TestSplit:
    """A person is a training or a test person everywhere, and each side keeps to it."""

    def test_bits_and_levels_of_a_training_person_are_used_and_those_of_a_test_person_change_nothing(
        self, tmp_path: Path
    ):
        records = federation_of(QUIET)
        plain, _ = trained(QUIET, tmp_path / "plain", records)
        turned = {
            name: dataclasses.replace(part, label=np.where(part.test, 1 - part.label, part.label).astype(np.int8))
            if part.label is not None
            else dataclasses.replace(
                part, columns={k: np.where(part.test, np.nanmax(v), v) for k, v in part.columns.items()}
            )
            for name, part in records.items()
        }
        other, _ = trained(QUIET, tmp_path / "other", turned)
        assert np.array_equal(plain.weights.vector, other.weights.vector)
        assert plain.calibration == other.calibration
        assert plain.binning == other.binning

    def test_by_a_list_of_ids_too(self, tmp_path: Path):
        plan = QUIET
        records = federation_of(plan)
        listed = set(names(range(0, 800, 4)))
        by_list = {
            name: dataclasses.replace(part, test=np.array([person in listed for person in part.person]))
            for name, part in records.items()
        }
        _, made = trained(plan, tmp_path, by_list)
        for party, node in made.nodes.items():
            if party in LENDERS:
                continue
            persons = made.nodes[party].role._records.person
            trained_on = {persons[row] for _, row in node.role._examples()}
            assert trained_on
            assert not trained_on & listed


class TestGroups:
    """Bands of a protected attribute at a platform: in the tables of test persons, and nowhere in the score."""

    def test_tables_by_group_are_those_of_all_records_in_one_hand(self):
        wire = Wire(quiet_plan(training__rounds=3))
        outcome, _ = carry_out(wire)
        cells = wire.plan.evaluation.cells
        everybody, wallet = people(), set(names(members()["wallet"].tolist()))
        expected = {"all": np.zeros(2 * cells)}
        for lender in LENDERS:
            part = wire.nodes[lender].role.scored_records().test_part()
            logits = outcome.model.logits(part.columns)
            rows = np.array([int(person[1:]) for person in part.person])
            region = np.where([p in wallet for p in part.person], everybody["region"][rows], np.nan)
            expected["all"] += score_table(logits, part.label, cells)
            for name, values in (("age", part.columns["age"]), ("region", region)):
                bands = band_of(wire.plan, name, values)
                for index, band in enumerate(wire.plan.bands(name)):
                    table = score_table(logits[bands == index], part.label[bands == index], cells)
                    key = f"{name}: {band}"
                    expected[key] = expected.get(key, np.zeros(2 * cells)) + table
        assert outcome.tables.tables.keys() == expected.keys()
        for name, table in expected.items():
            assert np.array_equal(outcome.tables.tables[name], table), name
        assert all(expected[f"region: {band}"].sum() > 20 for band in ("coast", "inland", "missing"))

    def test_they_never_enter_the_score(self, tmp_path: Path):
        records = federation_of(PLAN)
        _, _ = trained(PLAN, tmp_path / "plain", records)
        moved = {
            name: dataclasses.replace(
                part,
                columns={k: (v[::-1].copy() if k in ("age", "region") else v) for k, v in part.columns.items()},
            )
            for name, part in records.items()
        }
        trained(PLAN, tmp_path / "moved", moved)
        assert files_of(tmp_path / "plain") == files_of(tmp_path / "moved")
        one, other = (json.loads((tmp_path / name / "run.json").read_text()) for name in ("plain", "moved"))
        assert one["score_tables"]["tables"]["all"] == other["score_tables"]["tables"]["all"]
        assert one["score_tables"]["tables"]["region: coast"] != other["score_tables"]["tables"]["region: coast"]


class TestRepeating:
    @pytest.fixture(scope="class")
    def once(self, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
        """The models of a run of the plan under noise."""
        folder = tmp_path_factory.mktemp("once")
        trained(PLAN, folder)
        return files_of(folder)

    def test_a_run_equals_itself_bit_for_bit(self, tmp_path: Path):
        """Keys of seals and of an alignment are fresh each time, and nothing of the model comes from them."""
        for name in ("one", "again"):
            trained(privately(PLAN), tmp_path / name)
        assert files_of(tmp_path / "one") == files_of(tmp_path / "again")
        one, again = (json.loads((tmp_path / name / "run.json").read_text()) for name in ("one", "again"))
        for key in ("evaluation", "score_tables", "privacy", "answered", "payloads"):
            assert one[key] == again[key]

    def test_the_order_of_parties_and_of_records_does_not_matter(self, once: dict[str, bytes], tmp_path: Path):
        records = federation_of(PLAN)
        trained(PLAN, tmp_path / "other", dict(reversed(records.items())))
        assert once == files_of(tmp_path / "other")
        # In sums without sampling the order of a party's records is nothing either; under sampling it is whom it takes.
        shuffled = {name: part.take(np.random.default_rng(1).permutation(len(part))) for name, part in records.items()}
        trained(BRIEF, tmp_path / "quiet", records)
        trained(BRIEF, tmp_path / "shuffled", shuffled)
        assert files_of(tmp_path / "quiet") == files_of(tmp_path / "shuffled")

    def test_the_order_in_which_the_plan_names_them_does_not_either(self, tmp_path: Path):
        data = BRIEF.model_dump(mode="json")
        data["parties"].reverse()
        one, _ = trained(BRIEF, tmp_path / "one")
        other, _ = trained(Plan.parse(data), tmp_path / "other")
        assert np.array_equal(one.weights.vector, other.weights.vector)
        assert (one.binning, one.calibration) == (other.binning, other.calibration)

    def test_a_way_of_aligning_finds_the_same_persons_and_so_the_same_model(self, quiet: Any, tmp_path: Path):
        private, made = quiet
        exact, other = trained(QUIET, tmp_path)
        assert np.array_equal(private.weights.vector, exact.weights.vector)
        assert (private.binning, private.calibration) == (exact.binning, exact.calibration)
        for one, two in zip(made.scored_records(), other.scored_records(), strict=True):
            for name in ("signal.video", "signal.wallet"):
                assert np.array_equal(one.columns[name], two.columns[name], equal_nan=True)

    def test_another_seed_is_another_model_and_other_labels(self, once: dict[str, bytes], tmp_path: Path):
        trained(vertical_plan(seed=8), tmp_path / "other")
        assert once != files_of(tmp_path / "other")


class TestEvents:
    def test_what_a_disclosure_costs_is_in_no_epsilon(self):
        assert PldAccountant().epsilon([Disclosure(bits=3, recipient="x", count=5)], 1e-5) == 0.0
