"""A whole run in process on invented records: what is learnt, what repeats bit for bit, and what must not matter."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import EVALUATE, LENDERS, TABLE, TRAIN, small_federation, small_plan, small_records, with_columns
from doubles import DirectExchange, Quiet
from flwr.app import ConfigRecord, Message, RecordDict
from ledgers import state_of

from sealscore.server.run.run import run_coordinator
from sealscore.server.transport.exchange import PhaseFailed
from sealscore.shared.ledger.budget_check import BudgetCheck
from sealscore.shared.model.score_model import ScoreModel
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.plan import Plan
from sealscore.simulations.engine.enrolment import enrolled
from sealscore.simulations.engine.federation import Federation
from sealscore.simulations.engine.grid import Faults
from sealscore.simulations.experiments.oracle import Oracle

QUIET = small_plan(privacy__noise="none", training__rounds=30)


def train(plan: Plan, folder: Path, records: dict[str, Records] | None = None, **more: Any) -> ScoreModel:
    Federation.of(plan, small_federation() if records is None else records).run(folder, **more)
    return ScoreModel.load(folder / "model")


def judged(model: ScoreModel, records: dict[str, Records] | None = None) -> dict[str, float]:
    """Exact figures of a model on the test rows."""
    records = small_federation() if records is None else records
    return Oracle(small_plan(), records).judge(model, records.values())


def record_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())


def model_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "model").iterdir())}


class TestLearning:
    @pytest.mark.parametrize(
        "training",
        [
            {},
            {"training__optimizer": {"kind": "adam", "learning_rate": 0.1}},
            {"training__algorithm": "fedavg", "training__local": {"steps": 5, "learning_rate": 1.0}},
            {
                "training__algorithm": "fedprox",
                "training__local": {"steps": 5, "learning_rate": 1.0, "proximal": 0.1},
            },
        ],
        ids=["dp-sgd", "adam", "fedavg", "fedprox"],
    )
    @pytest.mark.parametrize("hidden", [0, 4])
    def test_every_algorithm_learns(self, tmp_path: Path, training: dict[str, Any], hidden: int):
        plan = small_plan(privacy__noise="none", training__rounds=30, model__hidden=hidden)
        if "training__local" in training:
            training = training | {"training__optimizer": {"learning_rate": 1.0, "momentum": 0.0}}
        records = small_federation()
        figures = judged(train(plan.replace(**training), tmp_path / "run", records), records)
        assert figures["auc"] > 0.68
        assert figures["ece"] < 0.1

    def test_under_noise_too(self, tmp_path: Path):
        records = small_federation(4000)
        parties = [party | {"nominal_records": 4000} for party in small_plan().model_dump(mode="json")["parties"]]
        plan = small_plan(parties=parties, training__rounds=20, privacy__epsilon=4.0)
        figures = judged(train(plan, tmp_path / "run", records), records)
        assert figures["auc"] > 0.7
        told = record_of(tmp_path / "run")["evaluation"]["all"]
        assert told["auc"] == pytest.approx(figures["auc"], abs=0.05)

    def test_crosses_enter_the_model(self, tmp_path: Path):
        plan = QUIET.replace(groups__lender__crosses=[["income", "sector"]])
        model = train(plan, tmp_path / "run")
        assert model.coding.width > train(QUIET, tmp_path / "plain").coding.width
        assert judged(model)["auc"] > 0.68


class TestRepeating:
    def test_the_same_seed_gives_the_same_files_and_another_seed_others(self, tmp_path: Path):
        plan = small_plan()
        for name, one in (("a", plan), ("b", plan), ("c", plan.replace(seed=8))):
            train(one, tmp_path / name)
        files = [model_files(tmp_path / name) for name in "abc"]
        assert files[0] == files[1]
        assert files[0]["model.safetensors"] != files[2]["model.safetensors"]
        records = [record_of(tmp_path / name) for name in "ab"]
        for name in ("evaluation", "privacy", "answered", "plan", "run"):
            assert records[0][name] == records[1][name]

    def test_the_order_of_parties_records_and_keys_does_not_matter(self, tmp_path: Path):
        plan, records = small_plan(), small_federation()
        train(plan, tmp_path / "a", records)
        turned = {
            name: dataclasses.replace(part, columns=dict(reversed(part.columns.items())))
            for name, part in reversed(records.items())
        }
        data = plan.model_dump(mode="json")
        shuffled = Plan.parse({key: data[key] for key in reversed(data)})
        train(shuffled, tmp_path / "b", turned)
        assert model_files(tmp_path / "a") == model_files(tmp_path / "b")

    def test_flowers_messages_change_nothing(self, tmp_path: Path):
        """Through Flower's apps and messages, or by calling the nodes: the same files."""
        plan = small_plan()
        train(plan, tmp_path / "a")
        doors = Federation.of(plan, small_federation()).doors
        run_coordinator(enrolled(plan).canonical(), DirectExchange(doors), tmp_path / "b")
        assert model_files(tmp_path / "a") == model_files(tmp_path / "b")
        flows = [record_of(tmp_path / name)["traffic"]["parties"] for name in "ab"]
        assert flows[0] == flows[1]

    def test_opacus_and_the_fused_engine_give_nearly_the_same_weights(self, tmp_path: Path):
        """The plan names the engine, so the runs have other names and other draws; without noise, at rate 1, none."""
        plan = QUIET.replace(training__sample_rate=1.0, training__rounds=6, model__hidden=2)
        weights = [
            train(plan.replace(training__engine=engine), tmp_path / engine).weights.vector
            for engine in ("fused", "opacus")
        ]
        assert np.abs(weights[0]).max() > 0.1
        np.testing.assert_allclose(weights[0], weights[1], atol=1e-3)


class TestProtectedAttributes:
    def test_never_enter_the_score_and_do_enter_the_evaluation(self, tmp_path: Path):
        """Another age and sex for everybody: the model is the same to the bit, the tables by group are not."""
        plan, records = small_plan(), small_federation()
        random = np.random.default_rng(0)
        turned = {
            name: with_columns(
                part,
                age=random.integers(18, 101, len(part)).astype(np.float64),
                sex=np.where(random.random(len(part)) < 0.5, 1.0, np.nan),
            )
            for name, part in records.items()
        }
        models = [train(plan, tmp_path / name, held) for name, held in (("a", records), ("b", turned))]
        assert model_files(tmp_path / "a") == model_files(tmp_path / "b")
        assert not {"age", "sex"} & {feature.name for feature in models[0].features}
        tables = [record_of(tmp_path / name)["evaluation"] for name in "ab"]
        assert tables[0]["all"] == tables[1]["all"]
        groups = [name for name in tables[0] if name != "all"]
        assert sum(tables[0][name] != tables[1][name] for name in groups) >= 4
        assert tables[1]["sex: f"]["records"] < tables[0]["sex: f"]["records"]

    def test_the_model_scores_without_them(self, tmp_path: Path):
        model = train(QUIET, tmp_path / "run")
        part = small_records(seed=1)
        bare = {name: part.columns[name] for name in ("income", "months", "sector")}
        assert np.array_equal(model.pd(bare), model.pd(part.columns))


class TestTheClaim:
    def test_each_nodes_charges_compose_to_the_recorded_epsilon(self, tmp_path: Path):
        plan = small_plan()
        Federation.of(plan, small_federation(), None, tmp_path / "ledgers").run(tmp_path / "run")
        claimed = record_of(tmp_path / "run")["privacy"]["epsilon"]
        for name in LENDERS:
            own = BudgetCheck().epsilon(state_of(tmp_path / "ledgers" / f"{name}.db"))
            assert own == pytest.approx(claimed, rel=1e-6)
        assert claimed <= plan.privacy.epsilon

    def test_where_parties_may_disagree_who_is_a_test_person_evaluation_adds_to_it(self, tmp_path: Path):
        """By date, a person at two lenders can be a training person at one and a test person at the other."""
        table = TABLE | {"date": "day"}
        plan = small_plan(
            groups__lender__table=table,
            evaluation__split={"kind": "date", "first_test_day": "2020-01-01", "test_fraction": 0.25},
            privacy__epsilon=0.5,
            privacy__max_parties_per_person=2,
            privacy__spare_attempts=0.0,
            training__rounds=2,
        )
        Federation.of(plan, small_federation(), None, tmp_path / "ledgers").run(tmp_path / "run")
        privacy = record_of(tmp_path / "run")["privacy"]
        state = state_of(tmp_path / "ledgers" / "lender-1.db")
        (under,) = state.plans.values()
        assert {part: sum(events.values()) for part, events in under.charged.items()} == {
            "training": 0,
            "test": 0,
            "all": 5,
        }
        assert BudgetCheck().epsilon(state) == pytest.approx(privacy["epsilon"], rel=1e-6)
        assert privacy["epsilon"] <= plan.privacy.epsilon


def rubbish(reply: Message) -> Message:
    """A courier's reply whose body is noise."""
    spoilt = RecordDict({"answer": ConfigRecord({"body": b"\xc1 rubbish"})})
    message = Message(spoilt, reply_to=reply)
    message.metadata.__dict__["_reply_to_message_id"] = reply.metadata.reply_to_message_id
    return message


class Turning(Quiet):
    """Changes the faults when a round is done."""

    def __init__(self, faults: Faults, at: dict[tuple[str, int], Any]) -> None:
        super().__init__()
        self._faults, self._at = faults, at

    def round(self, row: dict[str, Any]) -> None:
        super().round(row)
        if change := self._at.get((row["phase"], row["round"])):
            change(self._faults)


class TestFaults:
    def test_a_party_that_drops_out_and_comes_back(self, tmp_path: Path):
        faults = Faults()
        observer = Turning(
            faults,
            {
                (TRAIN, 2): lambda f: f.offline.add("lender-2"),
                (TRAIN, 4): lambda f: f.offline.clear(),
            },
        )
        plan = small_plan(privacy__noise="none", training__rounds=8)
        model = train(plan, tmp_path / "run", observer=observer, faults=faults)
        cohorts = [row["cohort"] for row in observer.rows if row["phase"] == TRAIN]
        assert cohorts[:3] == [3, 3, 2]
        assert cohorts[-1] == 3
        record = record_of(tmp_path / "run")
        assert record["failures"][0] == {"phase": TRAIN, "round": 3, "parties": {"lender-2": "unavailable"}}
        assert record["answered"][TRAIN]["lender-1"] > record["answered"][TRAIN]["lender-2"]
        assert judged(model)["auc"] > 0.7

    def test_a_party_that_answers_rubbish(self, tmp_path: Path):
        faults = Faults()
        observer = Turning(faults, {(TRAIN, 2): lambda f: f.rewrite.update({"lender-3": rubbish})})
        plan = small_plan(privacy__noise="none", training__rounds=8)
        train(plan, tmp_path / "run", observer=observer, faults=faults)
        assert record_of(tmp_path / "run")["failures"][0]["parties"] == {"lender-3": "malformed"}
        assert {row["cohort"] for row in observer.rows if row["phase"] == EVALUATE} == {2}

    def test_too_few_are_named(self, tmp_path: Path):
        faults = Faults()
        observer = Turning(faults, {(TRAIN, 2): lambda f: f.offline.update({"lender-1", "lender-3"})})
        with pytest.raises(PhaseFailed, match=r"lender-1 \(unavailable\), lender-3 \(unavailable\)"):
            train(QUIET, tmp_path / "run", observer=observer, faults=faults)
        assert not (tmp_path / "run" / "run.json").exists()
