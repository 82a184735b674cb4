"""The record of a run that was continued is of the whole run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from sealscore.server.run.run_journal import RunJournal
from sealscore.shared.phases.kind import Kind
from sealscore.shared.phases.order import Phase

ALIGN = Phase(Kind.ALIGN, "creators", "creators")


def moved(sent: int) -> dict[str, Any]:
    flow = {"requests": 1, "bytes_sent": sent, "bytes_received": 2 * sent, "failures": 0}
    return {"parties": {"lender-1": flow}, "couriers": {"7": 1}}


def test_tries_add_up_whatever_ended_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    now = [1_900_000_000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    path, traffic = tmp_path / "journal.db", moved(0)
    first = RunJournal("p", "r", path, lambda: traffic)
    now[0] += 100
    traffic = moved(10)
    first.mark()
    now[0] += 5  # what was done after the last round is lost where the process is killed
    first.close()
    now[0] += 1000
    second = RunJournal("p", "r", path, lambda: moved(1))
    now[0] += 20
    whole = second.whole()
    assert (whole.started, whole.seconds) == (1_900_000_000.0, 120.0)
    assert whole.traffic["parties"]["lender-1"] == {
        "requests": 2,
        "bytes_sent": 11,
        "bytes_received": 22,
        "failures": 0,
    }
    assert whole.traffic["couriers"] == {"7": 2}
    assert [one["seconds"] for one in whole.tries] == [100.0, 20.0]
    second.close()


def test_payloads_are_counted_once_and_told():
    journal, told = RunJournal("p", "r"), list[int]()
    journal.told = lambda: told.append(journal.payloads(ALIGN))
    for attempt, step in ((1, 1), (1, 2), (2, 1), (2, 2), (2, 3)):
        journal.carried(ALIGN.name, "lender-1", "creators-1", attempt, step, b"x")
    assert told == [1, 2, 2, 2, 3]
    assert journal.whole().traffic == {"parties": {}, "couriers": {}}
