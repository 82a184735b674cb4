"""`sealscore-node check`, `start`, `reload` and `status`."""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from homes import Said, Town

from sealscore.clients.node.plan_ledger import approve

Node = Callable[..., Said]


@pytest.fixture
def ask(node: Node, town: Town) -> Callable[..., Said]:
    return lambda *arguments: node(*arguments, "--home", town["lender-1"].folder)


def rewrite(town: Town, old: str, new: str) -> None:
    path = town["lender-1"].config_file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


class TestCheck:
    def test_all_is_good(self, ask: Node, town: Town, offline: list[Any]):
        said = ask("check", town.server.plans / "small.json")
        assert said.code == 0
        assert said.text.count("good ") >= 7
        assert "fix " not in said.text

    def test_approved_plans_are_looked_at_by_themselves(self, ask: Node, town: Town):
        assert " data " not in ask("check", "--no-connect").text
        ledger = town.ledger("lender-1")
        approve(ledger, town.plan)
        ledger.close()
        said = ask("check", "--no-connect")
        assert (said.code, "plan small live" in said.text) == (0, True)
        (town["lender-1"].folder / "loans.csv").unlink()
        said = ask("check", "--no-connect")
        assert (said.code, "loans.csv: there is no such file; fix: " in said.text) == (1, True)

    @pytest.mark.parametrize(
        ("fault", "what"),
        [
            (lambda town: town["lender-1"].trust().forget("server"), "server's card is not trusted"),
            (lambda town: rewrite(town, 'role = "lender"', 'role = "platform"'), "not of node.toml's"),
            (lambda town: rewrite(town, 'id = "lender-1"', 'id = "x"'), "a data set keeps its id"),
            (lambda town: rewrite(town, "epsilon = 10.0", "epsilon = 1.0"), "its [budget] is not the one in force"),
            (lambda town: rewrite(town, "[budget]", "[budgets]"), "did you mean 'budget'?"),
            (lambda town: (town["lender-1"].folder / "keys" / "identity").unlink(), "no such key file"),
            (lambda town: (town["lender-1"].folder / "trust.json").write_text("{"), "is damaged"),
        ],
    )
    def test_each_fault_ends_with_1_and_its_mend(
        self, ask: Node, town: Town, fault: Callable[[Town], object], what: str
    ):
        town.ledger("lender-1").close()
        fault(town)
        said = ask("check", "--no-connect")
        assert (said.code, what in said.text) == (1, True)

    def test_a_server_that_is_not_there(self, ask: Node, town: Town, tmp_path: Path):
        from sealscore.server.deploy.certificates import make_authority

        make_authority(tmp_path / "certificates")
        (town["lender-1"].folder / "ca.pem").write_bytes((tmp_path / "certificates" / "ca.pem").read_bytes())
        said = ask("check")
        assert (said.code, "127.0.0.1:19 cannot be reached" in said.text) == (1, True)


class TestStatus:
    def write(self, town: Town, **content: Any) -> None:
        values = {"state": "running", "pid": 1, "at": time.time(), "connected": True, "refused_bundles": 0}
        town["lender-1"].status_file.write_text(json.dumps(values | content), encoding="ascii")

    def test_of_a_node_that_runs(self, ask: Node, town: Town):
        self.write(town)
        said = ask("status", "--json")
        assert said.code == 0
        assert json.loads(said.out) | {"at": 0} == {
            "state": "running",
            "pid": 1,
            "at": 0,
            "connected": True,
            "refused_bundles": 0,
            "plans": {},
            "releases": {},
            "late_batches": {},
            "corrections": 0,
        }
        assert "running" in ask("status").text

    @pytest.mark.parametrize(
        ("content", "state"),
        [
            ({"state": "stopped"}, "stopped"),
            ({"at": time.time() - 60}, "died"),
            (None, "stopped"),
        ],
    )
    def test_of_one_that_does_not(self, ask: Node, town: Town, content: dict[str, Any] | None, state: str):
        if content is not None:
            self.write(town, **content)
        said = ask("status", "--json")
        assert said.code == 1
        assert json.loads(said.out)["state"] == state

    @pytest.mark.parametrize("content", ["", "[]", "{", '{"state": "running", "at": "soon"}'])
    def test_of_a_file_that_is_none(self, ask: Node, town: Town, content: str):
        town["lender-1"].status_file.write_text(content)
        assert ask("status").code == 1
        assert ask("reload").code == 1

    def test_names_the_plans(self, ask: Node, town: Town):
        ledger = town.ledger("lender-1")
        approve(ledger, town.plan)
        ledger.close()
        self.write(town, trouble="no route", connected=False, last_contact=1_900_000_000.0, restarts={"executor": 4})
        said = ask("status")
        assert "plan small live" in said.text
        assert "trouble no route" in said.text
        assert "2030-03-17 17:46:40 UTC" in said.text
        assert "executor: 4" in said.text

    def test_names_the_plans_that_are_answered_without_data(self, ask: Node, town: Town):
        self.write(town, without_data=["small"])
        assert "NO DATA plan small" in ask("status").text


class TestReload:
    def test_wakes_the_node_that_runs(self, ask: Node, town: Town, monkeypatch: pytest.MonkeyPatch):
        woken: list[tuple[int, int]] = []
        monkeypatch.setattr(os, "kill", lambda pid, number: woken.append((pid, number)))
        assert ask("reload").code == 1
        assert woken == []
        TestStatus().write(town, pid=4242)
        assert ask("reload").code == 0
        assert woken == [(4242, signal.SIGHUP)]


class Never:
    """A service that says with what it was begun."""

    begun: ClassVar[list[Any]] = []

    def __init__(self, host: Any, ledger: Any, sockets: Path, settings: Any, status: Path, daily: Any) -> None:
        Never.begun.append((host, ledger, sockets, settings(sockets / "lender-1.sock"), status))

    def run(self) -> None:
        logging.getLogger("sealscore.node").info("ready\nnow")

    def stop(self) -> None: ...

    def reload(self) -> None: ...


class TestStart:
    @pytest.fixture(autouse=True)
    def _service(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import sealscore.clients.node.supervisor

        Never.begun = []
        monkeypatch.setattr(sealscore.clients.node.supervisor, "Supervisor", Never)

    def test_takes_everything_from_the_nodes_own_files(self, ask: Node, town: Town):
        said = ask("start", "--log", "json")
        assert said.code == 0
        ((host, _, sockets, settings, status),) = Never.begun
        home = town["lender-1"]
        assert host.name == settings.party == "lender-1"
        port = home.config().supernode.port
        assert (settings.role, settings.server, settings.port, settings.poll) == ("lender", "127.0.0.1:19", port, 0.5)
        assert (settings.folder, settings.key) == (home.supernode, home.supernode_key)
        assert (settings.authority, sockets, status) == (
            home.folder / "ca.pem",
            home.folder / "sockets",
            home.status_file,
        )
        # the label secret is the node's own one, and every run draws a fresh secret of the system's
        assert host._labels.secret == home.label_secret().secret
        one, two = (host._secret(town.plan) for _ in range(2))
        assert one.source == two.source == host._labels.source == "system"
        assert one.secret != two.secret

    def test_does_not_start_where_the_data_do_not_pass_under_a_live_plan(self, ask: Node, town: Town):
        (town["lender-1"].folder / "loans.csv").unlink()
        assert ask("start").code == 0  # no plan, so nobody could ask
        ledger = town.ledger("lender-1")
        approve(ledger, town.plan)
        ledger.close()
        Never.begun = []
        said = ask("start")
        assert (said.code, "loans.csv: there is no such file" in said.text) == (2, True)
        assert Never.begun == []

    def test_logs_as_one_object_a_line(self, ask: Node):
        lines = ask("start", "--log", "json").err.splitlines()
        (found,) = [json.loads(line) for line in lines]
        assert set(found) == {"at", "level", "log", "text"}
        assert (found["level"], found["log"], found["text"]) == ("info", "sealscore.node", "ready\nnow")
        time.strptime(found["at"], "%Y-%m-%dT%H:%M:%SZ")

    def test_logs_as_text(self, ask: Node):
        assert "Z INFO sealscore.node: ready" in ask("start").err

    @pytest.mark.parametrize(
        ("old", "new", "what"),
        [
            ("epsilon = 10.0", "epsilon = 11.0", "node.toml's [budget] is not the ledger's"),
            ('id = "lender-1"', 'id = "other"', "a data set keeps its id"),
            ('name = "lender-1"', 'name = "lender-2"', "are those of the lender 'lender-1'"),
            ('role = "lender"', 'role = "platform"', "are those of the lender 'lender-1'"),
        ],
    )
    def test_not_with_what_does_not_fit(self, ask: Node, town: Town, old: str, new: str, what: str):
        town.ledger("lender-1").close()
        rewrite(town, old, new)
        said = ask("start")
        assert (said.code, what in said.text) == (2, True)
        assert Never.begun == []

    def test_other_forms_of_logs_are_refused(self, ask: Node):
        said = ask("start", "--log", "xml")
        assert (said.code, "logs are text or json" in said.text) == (2, True)


def test_no_option_takes_identities_of_a_simulation(node: Node, tmp_path: Path):
    """`sealscore-node` has no way to other secrets than the node's own."""
    for command in ("init", "start", "check", "status"):
        said = node(command, "--help")
        assert said.code == 0
        assert "seed" not in said.text.lower()
        assert "simul" not in said.text.lower()
    assert node("start", "--seed", "1", "--home", tmp_path).code == 2
