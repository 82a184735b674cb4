"""`sealscore-compliance report` as somebody types it: it reports whatever the ledgers are like, and `verify` judges."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from ledger_files import append_raw, every_kind, new_ledger
from pages import Reader

from sealscore.compliance import cli
from sealscore.compliance.verify.checks import LedgerVerdict


def typed(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """The exit code of a command."""
    monkeypatch.setattr(sys, "argv", ["sealscore-compliance", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize("spoilt", [False, True], ids=["a clean ledger", "a spoilt one"])
def test_the_code_is_0_once_the_report_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], spoilt: bool
):
    ledger, output = tmp_path / "ledger.db", tmp_path / "report.html"
    opened = new_ledger(ledger)
    every_kind(opened)
    opened.close()
    if spoilt:
        append_raw(ledger, "{}")
    before = ledger.read_bytes()
    assert typed(monkeypatch, "report", ledger, "-o", output) == 0
    assert capsys.readouterr().out.split() == [str(output)]
    [verdict, *_] = Reader(output.read_text(encoding="utf-8")).classes("aside")
    assert verdict == (LedgerVerdict.FAILED if spoilt else LedgerVerdict.UNANCHORED).value
    assert typed(monkeypatch, "verify", ledger) == (13 if spoilt else 0)
    assert ledger.read_bytes() == before


def test_a_report_that_cannot_be_written_is_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    new_ledger(tmp_path / "ledger.db").close()
    assert typed(monkeypatch, "report", tmp_path / "ledger.db", "-o", tmp_path / "none" / "report.html") == 2
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".html"] == []
