"""What a run leaves: a folder that is whole only with its `run.json`, and a claim that the nodes' own agrees with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from builders import BIN, CALIBRATE, EVALUATE, LENDERS, TRAIN, mechanisms, small_federation, small_plan
from doubles import DirectExchange, Quiet, nodes_of
from ledgers import own_epsilon

from sealscore.clients.node.node import Node
from sealscore.server.run.run import run_coordinator
from sealscore.server.run.run_files import PROGRESS
from sealscore.server.transport.exchange import Delivered, Failure, MissingParties, PhaseFailed
from sealscore.shared.messages.codec import decode
from sealscore.shared.messages.messages import Finish, Hello, Publish, SumRequest
from sealscore.shared.model.score_model import ScoreModel
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import Plan


def carry_out(plan: Plan, folder: Path, spoil: Any = None, **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    nodes, charged = nodes_of(plan, small_federation())
    exchange = DirectExchange(nodes, spoil, more.pop("away", None))
    run_coordinator(plan.canonical(), exchange, folder, patience=0.0, **more)
    return json.loads((folder / "run.json").read_text()), charged


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one run of the small plan, with its observer's file."""
    folder = tmp_path_factory.mktemp("entry") / "run"
    carry_out(small_plan(), folder)
    return folder


class TestTheFolder:
    def test_holds_plan_model_record_series_and_progress(self, done: Path):
        names = {path.relative_to(done).as_posix() for path in done.rglob("*") if path.is_file()}
        assert names == {
            "plan.json",
            "run.json",
            "rounds.parquet",
            PROGRESS,
            "model/card.json",
            "model/model.safetensors",
            "scores/lender/bins",
            "scores/lender/weights",
        }

    def test_the_plan_is_the_very_one(self, done: Path):
        assert Plan.from_canonical((done / "plan.json").read_bytes()) == small_plan()

    def test_the_model_is_that_of_the_plan(self, done: Path):
        model = ScoreModel.load(done / "model")
        assert model.card["plan"] == small_plan().hash
        assert [feature.name for feature in model.features] == ["income", "months", "sector"]

    def test_the_series_has_a_row_for_each_round(self, done: Path):
        rows = pl.read_parquet(done / "rounds.parquet")
        assert rows["phase"].to_list() == [BIN, *[TRAIN] * 4, CALIBRATE, EVALUATE]
        assert set(rows.columns) >= {"phase", "round", "attempts", "cohort", "failures", "seconds"}
        assert rows["failures"].to_list() == [0] * 7
        training = rows.filter(pl.col("phase") == TRAIN)
        assert training["gradient_norm"].min() > 0
        assert training["noise_norm"].min() > 0

    def test_progress_can_be_followed_line_by_line(self, done: Path):
        lines = [json.loads(line) for line in (done / PROGRESS).read_text().splitlines()]
        assert [line["phase"] for line in lines if "round" not in line] == [BIN, TRAIN, CALIBRATE, EVALUATE]
        assert [line["round"] for line in lines if "round" in line] == [1, 1, 2, 3, 4, 1, 1]

    def test_the_record_is_plain_json(self, done: Path):
        json.dumps(json.loads((done / "run.json").read_text()), allow_nan=False)


class TestTheRecord:
    @pytest.fixture
    def record(self, done: Path) -> dict[str, Any]:
        return json.loads((done / "run.json").read_text())

    def test_says_what_the_claim_is_about(self, record: dict[str, Any]):
        privacy = record["privacy"]
        assert (privacy["unit"], privacy["neighbouring"], privacy["delta"]) == ("person", "add-or-remove", 1e-5)
        assert privacy["epsilon_of_plan"] == 8.0
        assert privacy["epsilon"] <= privacy["epsilon_budgeted"] <= 8.0
        assert "dp-accounting" in privacy["accountant"]
        assert privacy["max_colluding"] == {"lender": 0}
        assert privacy["label_epsilon"] is None

    def test_opacus_checks_it(self, record: dict[str, Any]):
        check = record["privacy"]["check"]
        assert "opacus" in check["accountant"]
        assert check["epsilon"] == pytest.approx(record["privacy"]["epsilon"], rel=0.02)

    def test_lists_each_phase_with_its_event(self, record: dict[str, Any]):
        found = {phase["phase"]: phase for phase in record["privacy"]["phases"]}
        assert list(found) == [BIN, TRAIN, CALIBRATE, EVALUATE]
        assert (found[TRAIN]["rounds"], found[TRAIN]["attempts_in_budget"], found[TRAIN]["attempts"]) == (4, 6, 4)
        assert found[TRAIN]["event"]["kind"] == "sampled-gaussian"
        assert found[BIN]["event"]["kind"] == "gaussian"

    def test_counts_bytes_by_party(self, record: dict[str, Any]):
        flows = record["traffic"]["parties"]
        assert set(flows) == set(LENDERS)
        assert record["bytes_per_party"] == max(f["bytes_sent"] + f["bytes_received"] for f in flows.values())
        assert len({(f["bytes_sent"], f["bytes_received"]) for f in flows.values()}) == 1

    def test_holds_what_the_server_may_know_and_no_more(self, record: dict[str, Any]):
        assert set(record) == {
            "plan",
            "run",
            "started",
            "seconds",
            "tries",
            "engine",
            "privacy",
            "protection",
            "evaluation",
            "early",
            "failures",
            "answered",
            "traffic",
            "bytes_per_party",
            "payloads",
            "payload_bytes_per_applicant",
            "score_tables",
        }
        assert (record["payloads"], record["payload_bytes_per_applicant"]) == ([], None)
        assert (record["early"], record["failures"]) == ({}, [])
        assert record["plan"] | {"purpose": ""} == {
            "name": "small",
            "hash": small_plan().hash,
            "purpose": "",
            "seed": 7,
        }

    def test_the_run_is_named_after_the_plan(self, record: dict[str, Any], tmp_path: Path):
        assert record["run"] == f"run-{small_plan().hash[:16]}"
        named, _ = carry_out(small_plan(privacy__noise="none"), tmp_path / "run", run="another")
        assert named["run"] == "another"


class TestTheClaim:
    def own(self, plan: Plan, nodes: dict[str, Node]) -> dict[str, float]:
        """Each node's epsilon from its own ledger."""
        return {name: own_epsilon(node.plan_ledger.ledger.state, plan) for name, node in nodes.items()}

    def nodes(self, plan: Plan) -> dict[str, Node]:
        nodes, _ = nodes_of(plan, small_federation())
        return nodes

    def test_every_nodes_own_figure_is_the_one_in_the_record(self, tmp_path: Path):
        plan = small_plan()
        nodes = self.nodes(plan)
        run_coordinator(plan.canonical(), DirectExchange(nodes), tmp_path / "run")
        claimed = json.loads((tmp_path / "run" / "run.json").read_text())["privacy"]["epsilon"]
        for epsilon in self.own(plan, nodes).values():
            assert epsilon == pytest.approx(claimed, rel=1e-6)
            assert epsilon <= plan.privacy.epsilon

    def test_after_failures_the_record_says_no_less_than_any_node(self, tmp_path: Path):
        plan = small_plan()
        nodes = self.nodes(plan)
        turn = [0]

        def spoil(party: str, request: bytes, answer: bytes) -> Delivered:
            message = decode(request, Hello, Publish, SumRequest, Finish)
            if party == "lender-2" and isinstance(message, SumRequest):
                turn[0] += 1
                if turn[0] in (2, 4):
                    return Failure(party, "timeout")
            return answer

        run_coordinator(plan.canonical(), DirectExchange(nodes, spoil), tmp_path / "run")
        record = json.loads((tmp_path / "run" / "run.json").read_text())
        assert record["failures"] != []
        assert record["failures"][0]["parties"] == {"lender-2": "timeout"}
        own = self.own(plan, nodes)
        assert max(own.values()) == pytest.approx(record["privacy"]["epsilon"], rel=1e-6)
        assert record["privacy"]["epsilon"] > mechanisms(plan).claim(lambda phase: phase.rounds)
        assert record["privacy"]["epsilon"] <= plan.privacy.epsilon

    def test_without_noise_there_is_no_claim(self, tmp_path: Path):
        record, _ = carry_out(small_plan(privacy__noise="none"), tmp_path / "run")
        privacy = record["privacy"]
        assert (privacy["epsilon"], privacy["epsilon_budgeted"], privacy["epsilon_of_plan"]) == (None, None, None)
        assert privacy["check"] is None
        assert {phase["event"]["kind"] for phase in privacy["phases"]} == {"no-noise"}

    def test_where_opacus_cannot_check_nothing_is_made_up(self, tmp_path: Path):
        plan = small_plan(
            privacy__epsilon=0.5,
            training__rounds=2,
            privacy__spare_attempts=0.0,
            privacy__max_records_per_person=2,
        )
        record, _ = carry_out(plan, tmp_path / "run")
        assert record["privacy"]["check"] is None
        assert 0 < record["privacy"]["epsilon"] <= 0.5
        assert record["privacy"]["phases"][1]["event"]["multiplicity"] == 2


class TestFailures:
    def test_a_run_that_fails_leaves_no_record(self, tmp_path: Path):
        def spoil(party: str, request: bytes, answer: bytes) -> Delivered:
            message = decode(request, Hello, Publish, SumRequest, Finish)
            lost = isinstance(message, SumRequest) and message.header.phase == CALIBRATE and party != "lender-1"
            return b"" if lost else answer

        with pytest.raises(PhaseFailed, match="calibrate:lender"):
            carry_out(small_plan(privacy__noise="none"), tmp_path / "run", spoil)
        assert not (tmp_path / "run" / "run.json").exists()

    def test_parties_that_are_not_there(self, tmp_path: Path):
        with pytest.raises(MissingParties, match="lender-3"):
            carry_out(small_plan(), tmp_path / "run", away={"lender-3"})
        assert not (tmp_path / "run" / "run.json").exists()

    @pytest.mark.parametrize("body", [b"", b"{}", b"\xff", b"[]"])
    def test_bytes_that_are_no_plan(self, tmp_path: Path, body: bytes):
        with pytest.raises(PlanError):
            run_coordinator(body, DirectExchange({}), tmp_path / "run")
        assert not (tmp_path / "run").exists()

    def test_an_observer_that_stops_stops_the_run(self, tmp_path: Path):
        class Impatient(Quiet):
            def round(self, row: dict[str, Any]) -> None:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            carry_out(small_plan(privacy__noise="none"), tmp_path / "run", observer=Impatient())
        assert not (tmp_path / "run" / "run.json").exists()
