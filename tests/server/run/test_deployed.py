"""The server app in a deployment: signed plans under real keys, through nodes in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest
from builders import LENDERS
from doubles import DirectExchange
from homes import Town, running

import sealscore.server.run.deployed as deployed
from sealscore.clients.node.plan_router import PlanRouter
from sealscore.server.run.deployed import carry_out, end, publish
from sealscore.server.run.run_files import FAILURE, JOURNAL, PUBLISHED
from sealscore.server.setup.server_dir import ServerDir
from sealscore.server.transport.exchange import Delivered, MissingParties, PhaseFailed, wait_for
from sealscore.shared.ledger.chain import Receipt, read_anchors
from sealscore.shared.ledger.entries import Revoke
from sealscore.shared.model.score_model import ScoreModel
from sealscore.shared.plan.plan import Plan


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployed, "PATIENCE", 0.0)
    monkeypatch.setattr(deployed, "wait_for", lambda exchange, parties, timeout, poll: wait_for(exchange, parties, 0.0))


@pytest.fixture
def hosts(town: Town) -> Iterator[dict[str, PlanRouter]]:
    """All nodes, with the plan approved."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(running(home, town.plan)) for name, home in town.nodes.items()}


class Revoked(DirectExchange):
    """Operators revoke the plan once training has begun; who is `gone` cannot be reached once it has ended."""

    def __init__(self, hosts: dict[str, PlanRouter], plan: Plan, names: set[str], gone: set[str]) -> None:
        super().__init__(hosts)
        self.hosts, self.plan, self.names, self.gone, self.sent = hosts, plan, names, gone, 0

    def send(self, requests: Mapping[str, bytes], timeout: float | None = None) -> dict[str, Delivered]:
        self.sent += 1
        if self.sent == 8:
            entry = Revoke(plan=self.plan.hash, why="x")
            for name in self.names:
                self.hosts[name]._ledger.append(lambda state: entry)
        replies = super().send(requests, timeout)
        if self.sent > 8:
            self.away |= self.gone
        return replies


class TestCarryOut:
    def test_leaves_the_model_the_journal_and_the_receipts(self, town: Town, hosts: dict[str, PlanRouter]):
        carry_out(town.server, "small", DirectExchange(hosts))
        folder = town.server.run_folder(town.plan)
        record = json.loads((folder / "run.json").read_text())
        assert record["plan"]["hash"] == town.plan.hash
        assert record["protection"] == {"sums": "masked", "payloads": "sealed", "alignment": "psi"}
        assert 0 < record["privacy"]["epsilon"] <= 8.0
        assert ScoreModel.load(folder / "model").card["plan"] == town.plan.hash
        assert (folder / JOURNAL).stat().st_mode & 0o777 == 0o600
        assert folder.stat().st_mode & 0o777 == 0o700
        assert not (folder / FAILURE).exists()
        receipts = read_anchors(town.server.receipts)
        assert {one.head.party for one in receipts if isinstance(one, Receipt)} == set(LENDERS)
        for one in receipts:
            assert isinstance(one, Receipt)
            one.check(town.server.identity().card, town.plan.cards[one.head.party])
        for host in hosts.values():
            assert host._ledger.state.plans[town.plan.hash].state == "settled"

    def test_what_stops_it_is_left_in_words_and_taken_away_by_the_next_try(
        self, town: Town, hosts: dict[str, PlanRouter]
    ):
        folder = town.server.run_folder(town.plan)
        with pytest.raises((MissingParties, PhaseFailed)):
            carry_out(town.server, "small", DirectExchange(hosts, away={"lender-2", "lender-3"}))
        found = json.loads((folder / FAILURE).read_text())
        assert "lender-2" in found["reason"]
        assert found["kind"] in ("MissingParties", "PhaseFailed")
        assert not (folder / "run.json").exists()
        carry_out(town.server, "small", DirectExchange(hosts))
        assert (folder / "run.json").exists()
        assert not (folder / FAILURE).exists()

    @pytest.mark.parametrize("away", [set(), {"lender-1"}])
    def test_a_plan_that_cannot_go_on_is_settled_at_all_that_can_be_told(
        self, town: Town, hosts: dict[str, PlanRouter], away: set[str]
    ):
        """Two of three operators revoke the plan in mid-run: with one lender left, it never comes to an end."""
        exchange = Revoked(hosts, town.plan, {"lender-2", "lender-3"}, away)
        with pytest.raises(PhaseFailed, match="not-approved"):
            carry_out(town.server, "small", exchange)
        left = json.loads((town.server.run_folder(town.plan) / FAILURE).read_text())
        assert left["final"] is True
        assert set(left["settled"]) == {"lender-1"} - away
        assert set(left["untold"]) == {"lender-2", "lender-3"} | away
        states = {name: host._ledger.state.plans[town.plan.hash].state for name, host in hosts.items()}
        assert states == {"lender-1": "live" if away else "settled", "lender-2": "revoked", "lender-3": "revoked"}

    def test_nobody_answers_without_an_approval(self, town: Town):
        with ExitStack() as stack:
            hosts = {name: stack.enter_context(running(home)) for name, home in town.nodes.items()}
            with pytest.raises(PhaseFailed, match="not-approved"):
                carry_out(town.server, "small", DirectExchange(hosts))
            assert {host._ledger.head.seq for host in hosts.values()} == {2}
        reason = json.loads((town.server.run_folder(town.plan) / FAILURE).read_text())["reason"]
        assert "not-approved" in reason

    def test_a_stranger_with_the_servers_folder_but_another_key_gets_nothing(
        self, town: Town, hosts: dict[str, PlanRouter], tmp_path: Any
    ):
        other = ServerDir(tmp_path / "other")
        other.create()
        (other.plans / "small.json").write_bytes(town.plan.canonical())
        with pytest.raises((PhaseFailed, ValueError)):
            carry_out(other, "small", DirectExchange(hosts))
        assert {host._ledger.head.seq for host in hosts.values()} == {3}


class TestPublish:
    def said(self, town: Town, exchange: DirectExchange) -> dict[str, str]:
        publish(town.server, "small", exchange)
        return json.loads((town.server.run_folder(town.plan) / PUBLISHED).read_text())

    def test_every_node_keeps_the_plan(self, town: Town):
        kept: list[str] = []

        def keep(plan: Plan) -> bool:
            kept.append(plan.hash)
            return True

        with ExitStack() as stack:
            hosts = {name: stack.enter_context(running(home, propose=keep)) for name, home in town.nodes.items()}
            assert self.said(town, DirectExchange(hosts)) == dict.fromkeys(LENDERS, "taken")
        assert kept == [town.plan.hash] * 3

    def test_what_each_says_is_left(self, town: Town):
        with ExitStack() as stack:
            hosts = {name: stack.enter_context(running(home, propose=taking)) for name, home in town.nodes.items()}

            def spoil(party: str, request: bytes, answer: bytes) -> bytes:
                return answer[:-1] if party == "lender-3" else answer

            hosts["lender-1"]._propose = lambda plan: False
            assert self.said(town, DirectExchange(hosts, spoil, away={"lender-2"})) == {
                "lender-1": "refused: too-many-plans",
                "lender-2": "not there",
                "lender-3": "malformed",
            }

    def test_a_node_that_knows_no_server_refuses(self, town: Town):
        town["lender-1"].trust().forget("server")
        with ExitStack() as stack:
            hosts = {name: stack.enter_context(running(home, propose=taking)) for name, home in town.nodes.items()}
            said = self.said(town, DirectExchange(hosts))
        assert said == {"lender-1": "refused: seal", "lender-2": "taken", "lender-3": "taken"}


def taking(plan: Plan) -> bool:
    return True


class TestEnd:
    def test_all_settle_a_plan_that_was_begun_and_nothing_is_answered_any_more(
        self, town: Town, hosts: dict[str, PlanRouter]
    ):
        with pytest.raises((MissingParties, PhaseFailed)):
            carry_out(town.server, "small", DirectExchange(hosts, away={"lender-2", "lender-3"}))
        end(town.server, "small", DirectExchange(hosts, away={"lender-3"}))
        left = json.loads((town.server.run_folder(town.plan) / FAILURE).read_text())
        assert (left["final"], left["settled"], left["untold"]) == (True, ["lender-1", "lender-2"], ["lender-3"])
        states = [hosts[name]._ledger.state.plans[town.plan.hash].state for name in LENDERS]
        assert states == ["settled", "settled", "live"]
        end(town.server, "small", DirectExchange(hosts))
        assert hosts["lender-3"]._ledger.state.plans[town.plan.hash].state == "settled"
        assert json.loads((town.server.run_folder(town.plan) / FAILURE).read_text())["untold"] == []

    def test_one_that_was_never_begun_too(self, town: Town, hosts: dict[str, PlanRouter]):
        end(town.server, "small", DirectExchange(hosts))
        assert {host._ledger.state.plans[town.plan.hash].state for host in hosts.values()} == {"settled"}
