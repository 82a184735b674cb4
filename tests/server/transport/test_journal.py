"""The journal: what is noted stays, whole and in its order, and one process at a time has it."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealscore.server.transport.journal import Journal, JournalError, Sum

PLAN, RUN = "a" * 64, "run-a"
FOUND = Sum(np.array([1.5, -0.0, 1e-300, -7.0]), ("lender-1", "lender-3"), 2, {"lender-2": "timeout"}, 0.25)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def test_the_file_is_its_owners_alone(path: Path):
    journal = Journal(PLAN, RUN, path)
    journal.join(1)
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}
    journal.close()


def test_a_sum_comes_back_bit_for_bit(path: Path):
    journal = Journal(PLAN, RUN, path)
    assert journal.sum("bin:lender", 1) is None
    journal.add("bin:lender", 1, FOUND)
    journal.close()
    found = Journal(PLAN, RUN, path).sum("bin:lender", 1)
    assert found is not None
    assert found.values.tobytes() == FOUND.values.tobytes()
    assert (found.cohort, found.attempts, found.failures, found.seconds) == (
        FOUND.cohort,
        FOUND.attempts,
        FOUND.failures,
        FOUND.seconds,
    )


@given(st.lists(st.floats(width=64), max_size=20))
def test_any_values_do(values: list[float]):
    journal = Journal(PLAN, RUN)
    vector = np.array(values, dtype=np.float64)
    journal.add("p", 1, Sum(vector, (), 1, {}, 0.0))
    found = journal.sum("p", 1)
    assert found is not None
    assert found.values.tobytes() == vector.tobytes()
    journal.close()


def test_attempts_come_in_their_order_by_phase(path: Path):
    journal = Journal(PLAN, RUN, path)
    for place in ((2, 1), (1, 2), (1, 1), (11, 1)):
        journal.attempt("p", *place, ["lender-1"])
    journal.attempt("q", 1, 1, ["lender-2"])
    assert [found[:2] for found in journal.attempts("p")] == [(1, 1), (1, 2), (2, 1), (11, 1)]
    assert journal.attempts("q") == [(1, 1, ("lender-2",))]


def test_steps_are_those_of_the_last_attempt_of_a_pair(path: Path):
    journal = Journal(PLAN, RUN, path)
    assert journal.steps("p", "lender-1", "video-1") == (0, [])
    journal.carried("p", "lender-1", "video-1", 1, 1, b"first")
    journal.carried("p", "lender-1", "video-1", 1, 2, b"")
    journal.carried("p", "lender-2", "video-1", 1, 1, b"another pair's")
    assert journal.steps("p", "lender-1", "video-1") == (1, [b"first", b""])
    journal.carried("p", "lender-1", "video-1", 2, 1, b"again")
    assert journal.steps("p", "lender-1", "video-1") == (2, [b"again"])


def test_nothing_is_noted_twice(path: Path):
    journal = Journal(PLAN, RUN, path)
    journal.attempt("p", 1, 1, ["lender-1"])
    journal.join(1)
    journal.carried("p", "lender-1", "video-1", 1, 1, b"body")
    journal.add("p", 1, FOUND)
    for again in (
        lambda: journal.attempt("p", 1, 1, ["lender-1"]),
        lambda: journal.join(1),
        lambda: journal.carried("p", "lender-1", "video-1", 1, 1, b"other"),
        lambda: journal.add("p", 1, FOUND),
    ):
        with pytest.raises(JournalError, match="cannot be written"):
            again()


def test_the_epoch_is_the_last_that_was_joined(path: Path):
    journal = Journal(PLAN, RUN, path)
    assert journal.epoch == 0
    journal.join(1)
    journal.join(3)
    assert journal.epoch == 3


@pytest.mark.parametrize(("plan", "run"), [("b" * 64, RUN), (PLAN, "run-b")])
def test_the_journal_of_another_run_is_refused(path: Path, plan: str, run: str):
    Journal(PLAN, RUN, path).close()
    with pytest.raises(JournalError, match="is the journal of the run run-a"):
        Journal(plan, run, path)


@pytest.mark.parametrize("content", [b"not a database, and longer than a header is" * 9, None])
def test_a_file_that_is_none_is_refused(path: Path, content: bytes | None):
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(JournalError, match=f"{path.name}: no journal can be kept there"):
        Journal(PLAN, RUN, path)


def test_a_process_that_has_it_keeps_all_others_out(path: Path, monkeypatch: pytest.MonkeyPatch):
    first = Journal(PLAN, RUN, path)
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *values, **more: connect(*values, **(more | {"timeout": 0.1})))
    with pytest.raises(JournalError, match="another process carries out this run"):
        Journal(PLAN, RUN, path)
    first.close()
    Journal(PLAN, RUN, path).close()


WRITER = """
import sys
from pathlib import Path
from sealscore.server.transport.journal import Journal
journal = Journal(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
for number in range(1, 10**9):
    journal.attempt("p", number, 1, ["lender-1"])
    print(number, flush=True)
"""


def test_what_was_noted_is_there_after_a_kill(path: Path):
    command = [sys.executable, "-c", WRITER, PLAN, RUN, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": "."}) as writer:
        try:
            assert writer.stdout is not None
            noted = [int(writer.stdout.readline()) for _ in range(25)]
        finally:
            writer.send_signal(signal.SIGKILL)
        noted += [int(line) for line in writer.stdout.read().split()]
    journal = Journal(PLAN, RUN, path)
    rounds = [round for round, _, _ in journal.attempts("p")]
    assert rounds == list(range(1, len(rounds) + 1))
    assert len(rounds) >= noted[-1] >= 25
    journal.close()
