"""What an operator is shown: words of a server, a peer or a stranger's file, played with their showing on and off.

Whoever writes a purpose, a column, a reason or a file's name would like to draw rows of their own on the screen by
which an operator decides, hide the true ones, or push them out of sight.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from builders import TABLE
from defences import Defences
from homes import Said, Town, commands, new_town, plan_data
from ledger_files import append_raw, every_kind, new_ledger

from sealscore.clients.node.plan_ledger import approve
from sealscore.server.deploy import control
from sealscore.server.deploy.control_answers import EnrolledNode
from sealscore.server.run.run_files import FAILURE, JOURNAL, PUBLISHED
from sealscore.shared.ledger.chain import Head, Receipt, to_line
from sealscore.shared.ledger.disclosure_store import DisclosureStore
from sealscore.shared.ledger.entries import Limit, Refuse
from sealscore.shared.plan.plan import Plan
from sealscore.shared.text.foreign import grouped

FAKED = "FAKED  row"
CODES = "\r\x1b[8m\x1b]0;t\x07\x9b2J\x7f\x08\x85\u202e\u2066\u2069\u200e\u061c\u200b\ufeff\u2028\u2029\u3164"
MARKUP = "[bold black on black]hidden[/bold black on black][/]"
EVIL = f"fine\n{FAKED}\n{MARKUP}{CODES}{' ' * 300}{FAKED}" + "y" * 10_000
# As long as a column's name may be.
NAME = f"x\n{FAKED} \x1b[8m\u202e\u200b[red]"


def strange(text: str) -> set[str]:
    """Characters of a screen that are none of letters, figures, frames and line feeds."""
    return {one for one in text if one != "\n" and not one.isprintable()} | ({"\u3164"} & set(text))


def faked(text: str) -> list[str]:
    """Lines that seem to be the program's own and are not."""
    return [line for line in text.splitlines() if re.match(r"[\s│]*FAKED", line)]


def clean(said: Said, most: int = 40_000) -> None:
    assert strange(said.out + said.err) == set()
    assert faked(said.out + said.err) == []
    assert len(said.out + said.err) < most


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return new_town(tmp_path / "town")


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], town: Town) -> Callable[..., Said]:
    from sealscore.clients.cli import main
    from sealscore.clients.commands.terminal import console, errors

    call = commands("sealscore-node", main, [console, errors], monkeypatch, capsys)
    return lambda *words: call(*words, "--home", town["lender-1"].folder)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], town: Town) -> Callable[..., Said]:
    from sealscore.server.cli import main
    from sealscore.server.commands.terminal import console
    from sealscore.shared.text.terminal import errors

    call = commands("sealscore-server", main, [console, errors], monkeypatch, capsys)
    return lambda *words: call(*words, "--home", town.server.folder)


@pytest.fixture
def compliance(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    from sealscore.compliance.cli import main
    from sealscore.shared.text.terminal import errors

    return commands("sealscore-compliance", main, [errors], monkeypatch, capsys)


@pytest.fixture
def sim(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    from sealscore.shared.text.terminal import errors
    from sealscore.simulations.cli import main

    return commands("sealscore-sim", main, [errors], monkeypatch, capsys)


def evil_plan(town: Town, **changes: Any) -> Plan:
    """A plan with the cards of all, and hostile words wherever the model lets them stand."""
    table = dict(TABLE) | {"consent": f"c{NAME}", "person": f"p{NAME}", "id": f"i{NAME}", "label": f"l{NAME}"}
    table |= {"label_bad": f"bad{NAME}", "label_good": f"good{NAME}", "date": f"d{NAME}"}
    table["features"] = [
        {"name": f"n{NAME}", "lower": 0, "upper": 1},
        {"name": f"k{NAME}", "kind": "categorical", "levels": [EVIL[:900], f"other{EVIL[:900]}"]},
        {"name": f"a{NAME}", "lower": 0, "upper": 1, "protected": True},
    ]
    words = {
        "purpose": EVIL,
        "outcome__definition": EVIL,
        "groups__lender__table": table,
        "evaluation__split__key": EVIL,
        "evaluation__groups": {},
    }
    return town.signed(**words | changes)


def written(path: Path, plan: Plan) -> Path:
    path.write_bytes(plan.canonical())
    return path


class TestApprovalScreen:
    """The rows by which an operator decides."""

    def show(self, node: Callable[..., Said], town: Town, tmp_path: Path) -> Said:
        purpose = f"train a model\n{FAKED} cost epsilon 0.1\x1b[8m"
        return node("plan", "show", written(tmp_path / "plan.json", town.signed(purpose=purpose)))

    def test_a_purpose_draws_no_row_and_hides_none(self, node: Any, town: Town, tmp_path: Path, defences: Defences):
        said = self.show(node, town, tmp_path)
        clean(said)
        assert f"train a model\\x0a{FAKED.replace('  ', ' ')}" in said.text.replace("\\x20", "")
        assert said.code == 0
        with defences.without("foreign text"):
            said = self.show(node, town, tmp_path)
            assert faked(said.out)
            assert "\x1b[8m" in said.out

    def test_what_nobody_can_read_whole_is_not_approved(self, node: Any, town: Town, tmp_path: Path):
        for words in ({"purpose": "y" * 10_000}, {"outcome__definition": "y" * 1_001}, {"purpose": "\n" * 300}):
            path = written(tmp_path / "plan.json", town.signed(**words))
            said = node("plan", "approve", path, "--bundle", town.bundle, "--yes")
            assert (said.code, "more than are shown" in said.text) == (1, True)
        assert town.ledger("lender-1").state.plans == {}

    @pytest.mark.parametrize("width", [80, 50, 2000])
    def test_hashes_are_whole_at_any_width(
        self, node: Any, town: Town, tmp_path: Path, width: int, monkeypatch: pytest.MonkeyPatch
    ):
        from sealscore.clients.commands.terminal import console, errors

        for one in (console, errors):
            monkeypatch.setattr(one, "_width", width)
        path = written(tmp_path / "plan.json", town.plan)
        town["lender-1"].keep_plan(town.plan)
        bundle = grouped(str(town.plan.bundle))
        for words, wanted in (
            (("plan", "show", path), [grouped(town.plan.hash), bundle]),
            (("plan", "list"), [grouped(town.plan.hash)]),
            (("peer", "list"), [card.fingerprint for card in town["lender-1"].trust().cards.values()]),
            (("plan", "show", "none"), [grouped(town.plan.hash)]),
        ):
            said = node(*words)
            # cells of a table may be folded: read them as one does, down the column
            cells = [cell.strip() for line in (said.out + said.err).splitlines() for cell in re.split("[│┃]", line)]
            for hash in wanted:
                for group in hash.split(" "):
                    assert any(group in cell.split(" ") for cell in cells), (words, group)

    def test_on_a_terminal_nothing_is_hidden(self, town: Town, tmp_path: Path):
        """The same through a pseudo-terminal of 80 columns, where colours are in use."""
        plan = written(tmp_path / "plan.json", evil_plan(town))
        words = [
            sys.executable,
            "-m",
            "sealscore.clients.cli",
            "plan",
            "show",
            str(plan),
            "--home",
            town["lender-1"].folder,
        ]
        shown = on_terminal([str(word) for word in words])
        assert strange(re.sub(r"\x1b\[(0|1|31|39)m", "", shown)) == set()
        assert faked(re.sub(r"\x1b\[\d+m", "", shown)) == []
        assert "in the way:" in re.sub(r"\x1b\[\d+m", "", shown)


def on_terminal(words: list[str], columns: int = 80) -> str:
    """What a command writes on a terminal."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SEALSCORE_")}
    main, other = pty.openpty()
    try:
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        environment |= {"TERM": "xterm-256color", "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONIOENCODING": "utf-8"}
        environment.pop("COLUMNS", None)
        process = subprocess.Popen(words, stdin=other, stdout=other, stderr=other, env=environment)
        os.close(other)
        pieces = []
        try:
            while piece := os.read(main, 65_536):
                pieces.append(piece)
        except OSError:
            pass
        process.wait(60)
        return b"".join(pieces).decode("utf-8").replace("\r\n", "\n")
    finally:
        os.close(main)


class TestNode:
    """Every command of a node that shows words of a plan, a card, a ledger or a log."""

    @pytest.fixture
    def plan(self, town: Town, tmp_path: Path) -> Path:
        return written(tmp_path / "plan.json", evil_plan(town))

    def test_plans(self, node: Any, plan: Path, town: Town, tmp_path: Path):
        (tmp_path / "draft.toml").write_text(tomli_w.dumps({EVIL: 1, "name": EVIL, "groups": {EVIL: {EVIL: EVIL}}}))
        (tmp_path / "torn.json").write_text('{"' + EVIL.replace("\n", "\\n") + '": 1')
        home = town["lender-1"]
        home.keep_plan(Plan.from_canonical(plan.read_bytes()))
        for words in (
            ("list",),
            ("show", plan),
            ("approve", plan, "--bundle", town.bundle, "--yes"),
            ("show", tmp_path / "draft.toml"),
            ("show", tmp_path / "torn.json"),
            ("show", EVIL[:200].replace("/", "")),
            ("show", plan, "--bundle", plan),
            ("refuse", plan, "--why", "no"),
        ):
            clean(node("plan", *words))

    def test_check_and_features(self, node: Any, plan: Path, tmp_path: Path):
        for words in (("check", plan, "--no-connect"), ("features", plan, tmp_path, "-o", tmp_path / "out")):
            said = node(*words)
            clean(said)
            assert said.code != 0

    def test_a_bundle_with_such_names(self, node: Any, town: Town, tmp_path: Path):
        path = tmp_path / f"app\n{FAKED}\x1b[8m.fab"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(f"a{NAME}.py", "")
        plan = town.plan.replace(bundle=hashlib.sha256(path.read_bytes()).hexdigest())
        said = node("plan", "show", written(tmp_path / "plan.json", plan), "--bundle", path)
        clean(said)
        assert "a" + NAME.partition("\n")[0] + "\\x0a" in said.out
        clean(node("plan", "show", written(tmp_path / "plan.json", town.plan), "--bundle", path))

    def test_cards(self, node: Any, town: Town, tmp_path: Path):
        (tmp_path / "card.txt").write_text("sealscore-card-1 " + EVIL, encoding="utf-8")
        (tmp_path / f"c\n{FAKED}\x1b[8m").write_text(EVIL.encode("ascii", "replace").decode("ascii"))
        for given in (tmp_path / "card.txt", tmp_path / f"c\n{FAKED}\x1b[8m", f"sealscore-card{EVIL[:500]}"):
            clean(node("peer", "trust", given, "--fingerprint", "x"))
        card = town.server.identity().card
        town["lender-1"].trust().forget("server")
        (tmp_path / "card.txt").write_text(card.text)
        clean(node("peer", "trust", tmp_path / "card.txt", "--fingerprint", EVIL))
        clean(node("peer", "forget", EVIL))

    def test_ledger_and_budget(self, node: Any, town: Town):
        ledger = town.ledger("lender-1")
        where = {"plan": "ab" * 32, "run": EVIL[:200], "phase": EVIL[:200], "round": 0, "attempt": 0}
        ledger.append(lambda state: Refuse(**where, code="x", why=EVIL))
        ceilings = ledger.state.ceilings
        ledger.append(lambda state: Limit(ceilings=ceilings, why=EVIL[:400]))
        ledger.close()
        for words in (("ledger",), ("budget", "--why", "x"), ("doctor",), ("status",), ("status", "--json")):
            clean(node(*words))

    def test_status(self, node: Any, town: Town):
        found = {"state": EVIL, "pid": 1, "at": 0, "connected": False, "trouble": EVIL}
        town["lender-1"].status_file.write_text(json.dumps(found))
        said = node("status")
        clean(said)
        assert "fine\\x0a" in said.out

    def test_the_log(self, capfd: pytest.CaptureFixture[str]):
        """One record is one line that begins with the time; what it quotes can begin none."""
        from sealscore.shared.text.logs import log_to_stderr

        for form in ("text", "json"):
            log_to_stderr("sealscore.node", form).warning("the server said %s", EVIL)  # type: ignore[arg-type]
            said = capfd.readouterr().err
            assert strange(said) == set()
            first, *more = said.splitlines()
            assert "the server said fine" in first
            assert all(line.startswith("  ") for line in more)
            assert form == "text" or not more


class Nodes:
    """A control port whose nodes have such names."""

    def __init__(self, settings: Any) -> None: ...

    def __enter__(self) -> Nodes:
        return self

    def __exit__(self, *error: object) -> None: ...

    def nodes(self) -> list[EnrolledNode]:
        return [EnrolledNode(1, EVIL, "online", "")]


class TestServer:
    """Every command of a server that shows words of a plan, a partner's card or node."""

    def test_plans(self, server: Any, town: Town, tmp_path: Path):
        data = plan_data(purpose=EVIL) | {EVIL: EVIL}
        (tmp_path / "like.toml").write_text(tomli_w.dumps(data))
        (town.server.plans / "evil.toml").write_text(tomli_w.dumps(data))
        written(town.server.plans / "signed.json", evil_plan(town, name="signed"))
        for words in (
            ("plan", "new", "fresh", "--like", tmp_path / "like.toml"),
            ("plan", "new", EVIL[:60].replace("/", ""), "--like", tmp_path / "like.toml"),
            ("plan", "sign", "evil"),
            ("plan", "list"),
            ("plan", "sign", EVIL[:60].replace("/", "")),
            ("run", EVIL),
            ("bundle", "-o", tmp_path / "app.fab", "--plan", "signed"),
        ):
            clean(server(*words))

    def test_runs(self, server: Any, town: Town, monkeypatch: pytest.MonkeyPatch):
        for module in ("plans", "running"):
            monkeypatch.setattr(f"sealscore.server.commands.{module}.run_action", lambda home, plan, action: None)
        plan = evil_plan(town, name="small")
        written(town.server.plans / "small.json", plan)
        folder = town.server.run_folder(plan)
        folder.mkdir(parents=True)
        (folder / FAILURE).write_text(json.dumps({"reason": EVIL}))
        clean(server("run", "small"))
        (folder / PUBLISHED).write_text(json.dumps({"lender-1": EVIL, EVIL: "taken"}))
        said = server("plan", "publish", "small")
        clean(said)
        assert "fine\\x0a" in said.out
        (folder / JOURNAL).touch()
        early = {"privacy": {"epsilon": 1.0, "epsilon_of_plan": 2.0}, "early": {EVIL: EVIL}, "evaluation": {"all": {}}}

        def ends(home: Any, plan: Any, action: str) -> None:
            (folder / "run.json").write_text(json.dumps(early))

        monkeypatch.setattr("sealscore.server.commands.running.run_action", ends)
        clean(server("run", "small", "--resume"))
        clean(server("runs"))

    def test_nodes_and_cards(self, server: Any, town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(control, "Control", Nodes)
        said = server("nodes")
        clean(said)
        assert "fine\\x0a" in said.out
        (tmp_path / "card.txt").write_text(EVIL.encode("ascii", "replace").decode("ascii"))
        card = town["lender-1"].card_file
        for words in ((tmp_path / "card.txt", "--fingerprint", EVIL), (card, "--fingerprint", EVIL), (EVIL[:99],)):
            clean(server("enrol", *words))

    def test_receipts(self, server: Any, town: Town, tmp_path: Path):
        town.server.receipts.write_text(json.dumps({"receipt": EVIL, "head": EVIL}) + "\n", encoding="ascii")
        clean(server("receipts", "export", "-o", tmp_path / "out.jsonl"))
        named = "x\n" + FAKED + "\x1b[8m\x07" + "y" * 5000
        head = Head(named, b"l" * 32, 1, b"h" * 32, b"s" * 64)
        town.server.receipts.write_text(to_line(Receipt(head, 1, b"s" * 64)) + "\n", encoding="ascii")
        clean(server("receipts", "export", "-o", tmp_path / "out.jsonl", "--party", "nobody"))


class TestCompliance:
    """What a reviewer is shown of ledgers and registers that others wrote."""

    @pytest.fixture
    def ledger(self, town: Town, tmp_path: Path) -> Path:
        """A real party's, with such words in its data set, its plan and its reasons."""
        home = town["lender-1"]
        text = home.config_file.read_text("utf-8").replace('id = "lender-1"', f"id = {json.dumps(NAME)}")
        home.config_file.write_text(text.replace('consent = "required"', 'consent = "none"'), "utf-8")
        ledger = town.ledger("lender-1")
        plan = evil_plan(town)
        approve(ledger, plan)
        where = {"plan": plan.hash, "run": EVIL[:200], "phase": EVIL[:200], "round": 0, "attempt": 0}
        ledger.append(lambda state: Refuse(**where, code="x", why=EVIL))
        ledger.close()
        path = tmp_path / f"ledger\n{FAKED}\x1b[8m\u202e.db"
        home.ledger_file.rename(path)
        for suffix in ("-wal", "-shm"):
            if (extra := home.ledger_file.with_name(f"ledger.db{suffix}")).exists():
                extra.rename(path.with_name(path.name + suffix))
        return path

    def test_ledgers(self, compliance: Any, ledger: Path, tmp_path: Path):
        spoilt = tmp_path / "spoilt.db"
        opened = new_ledger(spoilt)
        every_kind(opened)
        opened.close()
        append_raw(spoilt, json.dumps({"kind": EVIL, EVIL: 1}))
        append_raw(spoilt, json.dumps({"kind": "refuse", "code": EVIL, "why": EVIL}))
        (tmp_path / "anchors").write_text(json.dumps({"head": EVIL}), encoding="ascii")
        (tmp_path / "card").write_text("sealscore-card-1 " + EVIL, encoding="utf-8")
        for words in (
            ("verify", ledger),
            ("verify", ledger, spoilt),
            ("verify", ledger, "--json"),
            ("verify", ledger, "--anchors", tmp_path / "anchors"),
            ("verify", ledger, "--server-card", tmp_path / "card"),
            ("export", "--registry", ledger),
            ("anchors", ledger),
            ("anchors", tmp_path / f"none\n{FAKED}\x1b[8m"),
            ("report", ledger, "-o", tmp_path / "page.html"),
        ):
            clean(compliance(*words), 80_000)
        page = (tmp_path / "page.html").read_text("utf-8")
        assert strange(page) - {"\u00a0"} == set()
        assert "[bold black on black]" in page or "fine" not in page

    def test_registers(self, compliance: Any, tmp_path: Path):
        disclosure_store = DisclosureStore(tmp_path / "register.db")
        disclosure_store.tell("label", EVIL, 1, NAME, "ab" * 32, {"ann": 1})
        disclosure_store.receive("ab" * 32, NAME, "signal", {"ann": 7})
        disclosure_store.close()
        for words in (
            ("summary", tmp_path / "register.db"),
            ("show", "ann", "--register", tmp_path / "register.db"),
            ("show", EVIL[:300], "--register", tmp_path / "register.db"),
        ):
            clean(compliance("consent", *words))


class TestSimulation:
    """What a researcher is shown of plans and runs of others."""

    def test_plans_and_runs(self, sim: Any, tmp_path: Path):
        (tmp_path / "plan.toml").write_text(tomli_w.dumps(plan_data(name=EVIL) | {EVIL: EVIL}))
        run = tmp_path / "runs" / f"run\n{FAKED}\x1b[8m"
        run.mkdir(parents=True)
        figures = {"auc": 0.7, "ks": 0.4, "ece": 0.1, "brier": 0.2}
        privacy = {"epsilon": 1.0, "delta": 1e-5, "label_epsilon": None}
        record = {
            "privacy": privacy,
            "started": EVIL,
            "seconds": 1.0,
            "bytes_per_party": 1,
            "evaluation": {"all": {"auc": 0.7}},
        }
        (run / "run.json").write_text(json.dumps(record))
        (run / "oracle.json").write_text(json.dumps({"exact": figures, "baselines": {EVIL: 0.5}}))
        runs = ("--runs", tmp_path / "runs")
        for words in (
            ("run", tmp_path / "plan.toml"),
            ("run", EVIL[:200]),
            ("list", *runs),
            ("compare", "last", "last", *runs),
            ("compare", EVIL[:200], "last", *runs),
            ("report", EVIL[:200], *runs),
        ):
            clean(sim(*words))
