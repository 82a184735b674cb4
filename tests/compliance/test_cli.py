"""`sealscore-compliance` as somebody types it: exit codes, streams, and files that are whole or absent."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ledger_files import LAST, PARTY, append_raw, every_kind, members, new_ledger, spoil

from sealscore.compliance import cli
from sealscore.compliance.figures.explain import in_words
from sealscore.shared.identity.identity import Identity
from sealscore.shared.ledger.chain import read_anchors
from sealscore.shared.ledger.disclosure_store import DisclosureStore
from sealscore.shared.ledger.entries import Ceilings
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.text.catalogue import speaking


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.db"
    opened = new_ledger(path)
    every_kind(opened)
    opened.close()
    return path


def typed(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """The exit code of a command."""
    monkeypatch.setattr(sys, "argv", ["sealscore-compliance", *map(str, words)])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


class TestVerify:
    def test_a_clean_ledger(self, ledger: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
        assert typed(monkeypatch, "verify", ledger) == 0
        shown = capsys.readouterr().out
        assert "verified" in shown
        assert "not verified" not in shown
        assert members()[PARTY].card.fingerprint in shown
        assert "no anchors were given" in shown

    def test_json(self, ledger: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
        append_raw(ledger, "{}")
        assert typed(monkeypatch, "verify", ledger, "--json") == 13
        found = json.loads(capsys.readouterr().out)
        assert found["exit_code"] == 13
        [finding] = found["ledgers"][0]["findings"]
        assert (finding["code"], finding["fault"], finding["seq"]) == ("unknown-entry", "unknown entry", LAST + 1)
        assert found["joint"][0]["missing"]

    def test_the_lowest_code_of_several_ledgers(
        self, ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ):
        spoiled = tmp_path / "spoiled.db"
        spoiled.write_bytes(ledger.read_bytes())
        spoil(spoiled, ("UPDATE entries SET at = '' WHERE seq = 4", ()))
        append_raw(ledger, "{}")
        assert typed(monkeypatch, "verify", ledger, spoiled) == 11
        shown = capsys.readouterr().out
        assert "unknown entry" in shown
        assert "hash" in shown

    def test_anchors_of_a_peer_convict(self, ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        own = Ledger(ledger, members()[PARTY])
        own.state  # noqa: B018 (reads the file)
        peer = new_ledger(tmp_path / "peer.db", "lender-2")
        peer.keep(own.head)
        own.close()
        peer.close()
        kept = tmp_path / "kept.txt"
        assert typed(monkeypatch, "anchors", tmp_path / "peer.db", "-o", kept) == 0
        assert [anchor.party for anchor in read_anchors(kept)] == [PARTY]  # type: ignore[union-attr]
        assert typed(monkeypatch, "verify", ledger, "--anchors", kept) == 0
        spoil(ledger, ("DELETE FROM entries WHERE seq = ?", (LAST,)))
        assert typed(monkeypatch, "verify", ledger) == 0
        assert typed(monkeypatch, "verify", ledger, "--anchors", kept) == 18

    def test_a_servers_card_from_a_file(self, ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        card = tmp_path / "card.txt"
        card.write_text(members()["server"].card.text + "\n", encoding="ascii")
        assert typed(monkeypatch, "verify", ledger, "--server-card", card) == 0
        card.write_text("no card", encoding="ascii")
        assert typed(monkeypatch, "verify", ledger, "--server-card", card) == 2
        assert typed(monkeypatch, "verify", ledger, "--server-card", tmp_path / "absent") == 2

    def test_bad_usage(self, ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        (tmp_path / "bad.txt").write_text("nonsense\n", encoding="ascii")
        for words in (["verify"], ["verify", ledger, "--anchors", tmp_path / "bad.txt"], ["verify", ledger, "--what"]):
            assert typed(monkeypatch, *words) == 2
        assert typed(monkeypatch, "verify", tmp_path / "absent.db") == 10
        assert typed(monkeypatch, "anchors", tmp_path / "absent.db") == 10

    def test_ctrl_c_writes_nothing(self, ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        def interrupted(*args: object, **more: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("sealscore.compliance.figures.registry.registry_record", interrupted)
        output = tmp_path / "record.json"
        assert typed(monkeypatch, "export", ledger, "--registry", "-o", output) == 130
        assert not output.exists()

    def test_ctrl_c_ends_a_process_that_verifies(self, tmp_path: Path):
        path = tmp_path / "long.db"
        new_ledger(path).close()
        # A ledger that takes a while: its rows are read, though none of them is an entry.
        with sqlite3.connect(path) as database:
            database.execute("PRAGMA synchronous=OFF")
            row = (bytes(32), bytes(32), bytes(32), bytes(64))
            database.executemany(
                "INSERT INTO entries VALUES (?, '', '{}', ?, ?, ?, ?)", ((seq, *row) for seq in range(3, 1_000_000))
            )
        database.close()
        command = [sys.executable, "-m", "sealscore.compliance.cli", "verify", str(path)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(os.environ)) as process:
            try:
                while not _opened(process.pid, path) and process.poll() is None:
                    time.sleep(0.05)
                process.send_signal(signal.SIGINT)
                _, told = process.communicate(timeout=60)
            finally:
                process.kill()
        assert process.returncode == 130
        assert b"interrupted" in told
        assert b"Traceback" not in told


def _opened(pid: int, path: Path) -> bool:
    """Whether a process has a file open; true where that cannot be known."""
    folder = Path(f"/proc/{pid}/fd")
    if not folder.exists():
        time.sleep(3)
        return True
    found = set()
    for one in folder.iterdir():
        try:
            found.add(os.readlink(one))
        except OSError:
            continue
    return str(path.resolve()) in found


class TestASimulation:
    def test_its_option_is_offered_where_keys_are_simulated(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ):
        one = Identity.simulated(7, PARTY, "lender")
        Ledger.create(tmp_path / "made.db", one, "loans", Ceilings(epsilon=1.0, delta=1e-5)).close()
        for words in (("verify",), ("report", "-o", tmp_path / "r.html"), ("export", "--registry")):
            typed(monkeypatch, *words, tmp_path / "made.db")
            told = capsys.readouterr()
            assert "--simulation" in told.out + told.err
            typed(monkeypatch, *words, "--simulation", tmp_path / "made.db")
            told = capsys.readouterr()
            assert "--simulation" not in told.out + told.err


class TestExplain:
    def test_words_and_table(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
        assert typed(monkeypatch, "explain", "--epsilon", 1, "--delta", 1e-5) == 0
        shown = capsys.readouterr().out
        assert "73.1 %" in shown
        assert "\\x" not in shown
        assert "Wasserman" in shown

    def test_in_chinese(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
        assert typed(monkeypatch, "explain", "--epsilon", 1, "--lang", "zh") == 0
        with speaking("zh"):
            assert all(text in capsys.readouterr().out for text in in_words(1, 0)[:1])
        assert typed(monkeypatch, "explain", "--epsilon", 1, "--lang", "tlh") == 2

    def test_json(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
        assert typed(monkeypatch, "explain", "--epsilon", 1, "--json") == 0
        assert [one["rate"] for one in json.loads(capsys.readouterr().out)["chances"]] == [0.01, 0.1, 0.5]

    @pytest.mark.parametrize("words", [[], ["--epsilon", "-1"], ["--epsilon", "1", "--delta", "2"]])
    def test_bad_usage(self, monkeypatch: pytest.MonkeyPatch, words: list[str]):
        assert typed(monkeypatch, "explain", *words) == 2


class TestExport:
    def test_a_record_says_whether_its_ledgers_verify(
        self, ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        output = tmp_path / "record.json"
        assert typed(monkeypatch, "export", ledger, "--registry", "-o", output) == 0
        assert json.loads(output.read_text(encoding="utf-8"))["ledgers"][0]["verified"] is True
        append_raw(ledger, "{}")
        assert typed(monkeypatch, "export", ledger, "--registry", "-o", output) == 13
        told = json.loads(output.read_text(encoding="utf-8"))["ledgers"][0]
        assert (told["verified"], told["findings"]) == (False, ["unknown-entry"])

    def test_bad_usage(self, ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        assert typed(monkeypatch, "export", ledger) == 2
        assert typed(monkeypatch, "export", ledger, "--registry", "-o", tmp_path / "no" / "x.json") == 2


class TestConsent:
    @pytest.fixture
    def disclosure_store(self, tmp_path: Path) -> Path:
        path = tmp_path / "register.db"
        disclosure_store = DisclosureStore(path)
        disclosure_store.tell("label", "bad", 1, "video-1", "ab" * 32, {"ann": 1})
        disclosure_store.close()
        return path

    def test_summary_and_show(
        self, disclosure_store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ):
        assert typed(monkeypatch, "consent", "summary", disclosure_store) == 0
        assert "no consents" in capsys.readouterr().out
        assert typed(monkeypatch, "consent", "show", "ann", "--register", disclosure_store, "--day", "2031-01-01") == 0
        shown = capsys.readouterr().out
        assert "video-1" in shown
        assert "stays charged" in shown

    def test_what_cannot_be_shown(self, disclosure_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        assert typed(monkeypatch, "consent", "show", "eve", "--register", disclosure_store) == 1
        assert typed(monkeypatch, "consent", "summary", tmp_path / "absent.db") == 10
        assert typed(monkeypatch, "consent", "summary", disclosure_store, "--day", "tomorrow") == 2
        (tmp_path / "bad.db").write_bytes(b"no database" * 50)
        assert typed(monkeypatch, "consent", "summary", tmp_path / "bad.db") == 10

    def test_another_file_is_refused_and_stays_as_it_is(
        self, ledger: Path, disclosure_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        (tmp_path / "empty.db").touch()
        for other in (ledger, tmp_path / "empty.db"):
            before = other.read_bytes()
            assert typed(monkeypatch, "consent", "summary", other) == 10
            assert typed(monkeypatch, "consent", "show", "ann", "--register", other) == 10
            assert other.read_bytes() == before
        assert typed(monkeypatch, "verify", disclosure_store) == 10
        (tmp_path / "receipts.jsonl").write_text("{}\n", encoding="ascii")
        assert typed(monkeypatch, "verify", tmp_path / "receipts.jsonl") == 10
        assert typed(monkeypatch, "anchors", disclosure_store) == 10

    def test_a_register_that_was_changed(
        self, disclosure_store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ):
        with sqlite3.connect(disclosure_store) as database:
            database.execute("UPDATE told SET value = 0")
        database.close()
        assert typed(monkeypatch, "consent", "show", "ann", "--register", disclosure_store) == 11
        assert "batch 1" in capsys.readouterr().err
