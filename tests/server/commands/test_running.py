"""`sealscore-server run`, `runs` and `receipts`: the exit code tells the truth."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from builders import LENDERS
from doubles import DirectExchange
from homes import Said, Town, running

import sealscore.server.commands.running as commands
from sealscore.server.deploy.control_answers import ControlError
from sealscore.server.run.deployed import carry_out
from sealscore.server.run.progress.file import inode_of
from sealscore.server.run.rounds import AttemptsSpent, Rounds
from sealscore.server.run.run_files import FAILURE, JOURNAL, PROGRESS
from sealscore.server.setup.server_dir import PASSPHRASE
from sealscore.server.transport.journal import Journal, JournalError
from sealscore.shared.identity.identity import Identity
from sealscore.shared.identity.keyfile import KeyFileError
from sealscore.shared.ledger.chain import read_anchors
from sealscore.shared.text.numbers import UNRECORDED, recorded

Server = Callable[..., Said]


@pytest.fixture
def ask(server: Server, town: Town, control: Any, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setattr(commands, "LOOK", 0.0)
    return lambda *arguments: server(*arguments, "--home", town.server.folder)


@pytest.fixture
def folder(town: Town) -> Path:
    return town.server.run_folder(town.plan)


def leaving(folder: Path, **files: Any) -> Callable[[dict[str, str]], None]:
    """A run that leaves files, their names with _ for the dot."""

    def during(config: dict[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name.replace("_", ".")).write_text(content if isinstance(content, str) else json.dumps(content))

    return during


RECORD: dict[str, Any] = {
    "privacy": {"epsilon": 6.25, "epsilon_of_plan": 8.0},
    "evaluation": {"all": {"auc": 0.71234}},
    "early": {},
}
EARLY = {"train_tower:lender": "the attempts are spent; the model is that of 6 of 8 rounds"}


class TestRun:
    def test_a_whole_run_through_real_nodes(self, ask: Server, town: Town, control: Any, folder: Path):
        with ExitStack() as stack:
            hosts = {name: stack.enter_context(running(home, town.plan)) for name, home in town.nodes.items()}
            control.during = lambda config: carry_out(town.server, config["plan"], DirectExchange(hosts))
            said = ask("run", "small")
        assert said.code == 0
        record = json.loads((folder / "run.json").read_text())
        assert f"done: epsilon {record['privacy']['epsilon']:.4g} of 8; the model is in {folder}" in said.text
        first, *_ = said.out.splitlines()
        assert first.startswith("phase 1 of ")
        assert "train_tower:lender, 4 rounds" in said.text
        assert f"AUC {recorded(record['evaluation']['all'], 'auc')}" in said.out
        assert control.submitted == [{"home": str(town.server.folder), "plan": "small", "action": "run"}]
        said = ask("run", "small")
        assert (said.code, "has run" in said.text, "a plan runs once" in said.text) == (2, True, True)
        said = ask("run", "small", "--resume")
        assert (said.code, "has run" in said.text) == (2, True)

    @pytest.mark.parametrize("outcome", ["completed", "failed", "stopped"])
    def test_without_run_json_it_has_failed_whatever_flower_says(
        self, ask: Server, control: Any, folder: Path, outcome: str
    ):
        control.outcome = outcome
        failure = {"reason": "lender-2 is not there", "kind": "MissingParties"}
        control.during = leaving(folder, failure_json=failure, journal_db="")
        said = ask("run", "small")
        assert said.code == 1
        assert "lender-2 is not there; continue with sealscore-server run small --resume" in said.text
        (folder / FAILURE).unlink()
        control.during = lambda config: None
        said = ask("run", "small", "--resume")
        assert (said.code, "see superlink/logs" in said.text) == (1, True)

    def test_what_cannot_go_on_says_who_settled_it_and_is_never_resumed(self, ask: Server, control: Any, folder: Path):
        failure = {
            "reason": "bin: the attempts are spent",
            "final": True,
            "settled": ["lender-1"],
            "untold": ["lender-2"],
        }
        control.during, control.outcome = leaving(folder, failure_json=failure, journal_db=""), "failed"
        for arguments, code in [(("run", "small"), 1), (("run", "small", "--resume"), 2), (("run", "small"), 2)]:
            said = ask(*arguments)
            assert said.code == code
            for words in (
                "the attempts are spent",
                "settled there: lender-1",
                "NOT told: lender-2",
                "plan refuse small",
            ):
                assert words in said.text
            assert "--resume" not in said.text
        assert len(control.submitted) == 1
        assert "cannot go on" in ask("runs").text

    def test_what_failed_before_it_began_is_not_said_to_be_resumed(
        self, ask: Server, town: Town, control: Any, monkeypatch: pytest.MonkeyPatch
    ):
        """A key under a passphrase that the server app does not have: there is no journal, and --resume is refused."""
        identity = town.server.folder / "keys" / "identity"
        identity.unlink()
        Identity.generate("server", "server").save(identity, "a passphrase")
        monkeypatch.delenv(PASSPHRASE, raising=False)

        def carried_out(config: dict[str, str]) -> None:
            with pytest.raises(KeyFileError):
                carry_out(town.server, config["plan"], DirectExchange({}))

        control.during, control.outcome = carried_out, "failed"
        said = ask("run", "small")
        assert (said.code, "none was given" in said.text, "--resume" in said.text) == (1, True, False), said.text
        assert "nothing was begun: fix that, then sealscore-server run small" in said.text

    def test_a_plan_that_ended_early_was_not_carried_out_whole(self, ask: Server, control: Any, folder: Path):
        control.during = leaving(folder, run_json=RECORD | {"early": EARLY})
        said = ask("run", "small")
        assert said.code == 1
        assert "the plan was not carried out whole" in said.text
        assert "train_tower:lender: the attempts are spent; the model is that of 6 of 8 rounds" in said.text
        assert f"epsilon 6.25 of 8; the model of those rounds is in {folder}" in said.text
        assert "done:" not in said.text

    def test_attempts_that_run_out_on_the_way(self, ask: Server, town: Town, control: Any, folder: Path):
        """Through real nodes, with no attempt left for the third round of training: a model, and exit code 1."""
        with ExitStack() as stack:
            hosts = {name: stack.enter_context(running(home, town.plan)) for name, home in town.nodes.items()}
            exchange, whole = DirectExchange(hosts), Rounds.ask

            def ask_rounds(rounds: Rounds, phase: Any, round: int, *rest: Any) -> Any:
                if phase.name.startswith("train") and round == 3:
                    raise AttemptsSpent("the attempts are spent")
                return whole(rounds, phase, round, *rest)

            patch = stack.enter_context(pytest.MonkeyPatch.context())
            patch.setattr(Rounds, "ask", ask_rounds)
            control.during = lambda config: carry_out(town.server, config["plan"], exchange)
            said = ask("run", "small")
        assert (said.code, "the model is that of 2 of 4 rounds" in said.text) == (1, True)
        assert (folder / "model" / "model.safetensors").exists()

    def test_a_superlink_that_is_away_for_a_moment_is_waited_for(self, ask: Server, control: Any, folder: Path):
        away = iter([True, True, False])

        def during(config: dict[str, str]) -> None:
            if next(away):
                raise ControlError("asking for run 7: the SuperLink cannot be reached")
            leaving(folder, run_json=RECORD)(config)

        control.during = during
        said = ask("run", "small")
        assert (said.code, "done: epsilon 6.25 of 8" in said.text) == (0, True), said.text
        assert said.text.count("cannot be reached; the run may still be going") == 1

    @pytest.mark.parametrize("done", [True, False])
    def test_one_that_stays_away_leaves_it_to_what_the_run_left(
        self, ask: Server, control: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, done: bool
    ):
        monkeypatch.setattr(commands, "BEAR", 0.0)

        def during(config: dict[str, str]) -> None:
            leaving(folder, **({"run_json": RECORD} if done else {"journal_db": ""}))(config)
            raise ControlError("asking for run 7: the SuperLink cannot be reached")

        control.during = during
        said = ask("run", "small")
        assert said.code == (0 if done else 1), said.text
        assert ("the run may still be going: once it answers, see sealscore-server runs" in said.text) is not done

    def test_ctrl_c_while_it_is_away(self, ask: Server, control: Any, monkeypatch: pytest.MonkeyPatch):
        def interrupt(config: dict[str, str]) -> None:
            raise KeyboardInterrupt

        def stop(number: int) -> None:
            raise ControlError("stopping run 7: the SuperLink cannot be reached")

        control.during, control.stop = interrupt, stop
        said = ask("run", "small")
        assert (said.code, "so it was not stopped there" in said.text) == (130, True)

    def test_a_run_that_was_begun_is_resumed_and_no_other(self, ask: Server, control: Any, folder: Path):
        said = ask("run", "small", "--resume")
        assert (said.code, "was not begun; run it without --resume" in said.text) == (2, True)
        leaving(folder, journal_db="")({})
        said = ask("run", "small")
        assert (said.code, "was begun; continue it with sealscore-server run small --resume" in said.text) == (2, True)
        assert control.submitted == []
        control.during = leaving(folder, run_json=RECORD)
        said = ask("run", "small", "--resume")
        assert (said.code, "done: epsilon 6.25 of 8" in said.text) == (0, True)

    def test_progress_of_an_earlier_try_is_not_shown(self, ask: Server, control: Any, folder: Path):
        phase = json.dumps({"phase": "bin:lender", "rounds": 1}) + "\n"
        leaving(folder)({})
        (folder / PROGRESS).write_text(phase * 2)
        control.during = leaving(folder, run_json=RECORD)
        assert "bin:lender" not in ask("run", "small").text

    @pytest.mark.parametrize("command", [("run", "small", "--resume"), ("plan", "publish", "small")])
    def test_a_run_under_way_keeps_its_progress(
        self, ask: Server, town: Town, control: Any, folder: Path, command: tuple[str, ...]
    ):
        """Whatever is typed beside it: who follows it reads that very file."""
        folder.mkdir(parents=True)
        holder = Journal(town.plan.hash, "run", folder / JOURNAL)
        (folder / PROGRESS).write_text("a line\n")
        before = inode_of(folder / PROGRESS)

        def carried_out(config: dict[str, str]) -> None:
            with pytest.raises(JournalError, match="another process carries out this run"):
                carry_out(town.server, config["plan"], DirectExchange({}))

        control.outcome = "failed"
        control.during = carried_out if command[0] == "run" else lambda config: None
        assert ask(*command).code == 1
        holder.close()
        assert (inode_of(folder / PROGRESS), (folder / PROGRESS).read_text()) == (before, "a line\n")

    def test_ctrl_c_stops_it_at_the_server_too(self, ask: Server, control: Any, folder: Path):
        def interrupt(config: dict[str, str]) -> None:
            raise KeyboardInterrupt

        control.during = interrupt
        said = ask("run", "small")
        assert (said.code, "sealscore-server run NAME --resume" in said.text) == (130, True)
        assert control.stopped == [7]

    def test_only_what_is_signed(self, ask: Server):
        said = ask("run", "spring")
        assert (said.code, "no signed plan is so named" in said.text) == (2, True)

    def test_the_server_must_run(self, server: Server, town: Town, monkeypatch: pytest.MonkeyPatch):
        import sealscore.shared.bundle as bundle

        monkeypatch.setattr(bundle, "courier_bundle", lambda: bundle.Bundle(b"", str(town.plan.bundle), ()))
        said = server("run", "small", "--home", town.server.folder)
        assert (said.code, "there is no token; start the server once" in said.text) == (1, True)


def test_runs_say_where_each_stands(ask: Server, town: Town, folder: Path):
    def row() -> str:
        lines = [line for line in ask("runs").out.splitlines() if "small" in line]
        return " ".join(lines[0].replace("│", " ").split()) if lines else ""

    assert row() == ""
    name = folder.name
    leaving(folder)({})
    assert row() == f"small published {name}"
    leaving(folder, journal_db="")({})
    assert (folder / JOURNAL).exists()
    assert row() == f"small begun {name}"
    begins = {"phase": "train_tower:lender", "rounds": 4}
    leaving(folder, progress_jsonl=json.dumps(begins) + "\n" + json.dumps(begins | {"round": 3}) + '\n{"pha')({})
    assert (folder / PROGRESS).exists()
    assert row() == f"small begun train_tower:lender 3 of 4 {name}"
    leaving(folder, failure_json={"reason": "x"})({})
    assert row() == f"small stopped train_tower:lender 3 of 4 {name}"
    leaving(folder, run_json=RECORD)({})
    assert row() == f"small done 6.25 {UNRECORDED} {name}"
    figures = {"auc": 0.71234, "intervals": {"auc": [0.7, 0.72]}}
    leaving(folder, run_json=RECORD | {"evaluation": {"all": figures}})({})
    assert "0.7123 (0.7000 to 0.7200)" in row()
    leaving(folder, run_json=RECORD | {"early": EARLY})({})
    assert row() == f"small ended early 6.25 {UNRECORDED} {name}"


class TestReceipts:
    @pytest.fixture
    def kept(self, town: Town) -> Path:
        """Receipts of a run."""
        with ExitStack() as stack:
            hosts = {name: stack.enter_context(running(home, town.plan)) for name, home in town.nodes.items()}
            carry_out(town.server, "small", DirectExchange(hosts))
        return town.server.receipts

    def test_are_exported_for_the_verifier(self, ask: Server, kept: Path, tmp_path: Path):
        output = tmp_path / "receipts.jsonl"
        assert ask("receipts", "export", "-o", output).code == 0
        assert read_anchors(output) == read_anchors(kept)
        said = ask("receipts", "export", "-o", output, "--party", "lender-2")
        found = read_anchors(output)
        assert 0 < len(found) < len(read_anchors(kept))
        assert {anchor.head.party for anchor in found} == {"lender-2"}
        assert f"{len(found)} of {len(read_anchors(kept))} receipts" in said.text

    def test_of_nobody_are_no_file(self, ask: Server, kept: Path, tmp_path: Path):
        output = tmp_path / "receipts.jsonl"
        said = ask("receipts", "export", "-o", output, "--party", "lender-9")
        assert (said.code, f"there are receipts of: {', '.join(LENDERS)}" in said.text) == (2, True)
        assert not output.exists()

    def test_before_a_run_there_are_none(self, ask: Server, tmp_path: Path):
        said = ask("receipts", "export", "-o", tmp_path / "x")
        assert (said.code, "there are no receipts yet" in said.text) == (1, True)

    def test_a_damaged_file_is_named_by_its_line(self, ask: Server, town: Town, tmp_path: Path):
        town.server.receipts.write_text("{}\n")
        said = ask("receipts", "export", "-o", tmp_path / "x")
        assert (said.code, "line 1 is no head or receipt" in said.text) == (2, True)


def test_the_key_of_a_simulation_is_no_servers(town: Town):
    """A signed plan can name no card of a simulation, and a server's key is made by `init` only."""
    assert not town.server.identity().simulation
    assert Identity.simulated(1, "server", "server").simulation
