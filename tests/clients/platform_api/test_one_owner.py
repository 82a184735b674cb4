"""What was told has one owner, the file: processes that charge at once count as one, and training blocks none."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path

import pytest
from ledgers import identity_of
from paths import ROOT
from platform_desk import Desk
from serving_child import pair_at
from serving_kills import check_platform
from small_release import (
    LIMITS,
    TODAY,
    Pair,
    admit_entry,
    content_of,
    known_at,
    request,
    small_plan,
    trained_ledger,
    watched_release,
)

from sealscore.shared.ledger.entries import LogDay, TellLimit
from sealscore.shared.ledger.ledger import Ledger

PROCESSES = 2


def told(folder: Path) -> dict[tuple[str, str], int]:
    """Bits by person and kind."""
    with sqlite3.connect(folder / "serving.db") as database:
        rows = database.execute("SELECT person, kind, SUM(bits) FROM told GROUP BY person, kind").fetchall()
    return {(person, kind): bits for person, kind, bits in rows}


def limited(folder: Path, **limits: TellLimit) -> Path:
    """A platform's files, with these ceilings."""
    release = watched_release()
    ledger = trained_ledger("wallet", folder / "wallet.db", release.manifest.told["wallet"].meaning)
    ledger.append(lambda state: admit_entry(release, "wallet", LIMITS | limits))
    ledger.close()
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    "capacity",
    [pytest.param(3, id="ceiling met", marks=pytest.mark.long), pytest.param(2, id="ceiling refuses")],
)
def test_processes_that_charge_at_once_are_never_over_a_ceiling_and_never_under_counted(tmp_path: Path, capacity: int):
    folder = limited(tmp_path, capacity=TellLimit(month=capacity, life=capacity), signal=TellLimit(month=3, life=3))
    script = ROOT / "tests" / "support" / "charging_child.py"
    started = [
        subprocess.Popen([sys.executable, str(script), str(folder), str(seed)], stdout=subprocess.PIPE, text=True)
        for seed in range(PROCESSES)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    (folder / "go").touch()
    said = [line.split() for process in started for line in process.communicate(timeout=300)[0].splitlines()]
    assert [process.returncode for process in started] == [0] * PROCESSES
    answers, refusals = defaultdict(set), defaultdict(set)
    for what, lender, key, found in said:
        (answers if what == "token" else refusals)[lender, key].add(found)
    # One key, one token, whichever process gave it; and a consent beyond a ceiling is refused by both.
    assert all(len(tokens) == 1 for tokens in answers.values())
    assert not answers.keys() & refusals.keys()
    assert set().union(*refusals.values()) == ({"ceiling"} if capacity < 3 else set())
    bits = told(folder)
    assert {kind for _, kind in bits} == ({"signal", "capacity"} if capacity == 3 else {"signal"})
    assert set(bits.values()) == {3}
    with sqlite3.connect(folder / "serving.db") as database:
        assert database.execute("SELECT COUNT(*) FROM tokens").fetchone()[0] == len(answers)
    check_platform(folder)


def test_two_desks_of_one_file_know_what_the_other_told_at_once(tmp_path: Path):
    one, two = Desk(pair_at(tmp_path)), Desk(pair_at(tmp_path))
    person, hash = known_at()[0], one.pair.release.hash
    first = one.do(lambda: one.of.consent(hash, request(person, "a")).token)
    assert two.do(lambda: two.of.consent(hash, request(person, "a")).token) == first
    second = two.do(lambda: two.of.consent(hash, request(person, "b", "lender-2")).token)
    assert content_of(two.pair, second, "lender-2").values == content_of(one.pair, first).values
    two.do(lambda: two.of.withdraw(person, "lender-1"))
    assert [row["bits"] for row in one.do(lambda: one.of.told(person))] == [3, 0]
    assert {row["withdrawn"] for row in one.do(lambda: one.of.told(person))} == {str(TODAY), None}
    for desk in (one, two):
        desk.close()
    assert told(tmp_path) == {(person, "signal"): 3}


def test_training_that_holds_the_ledger_keeps_no_consent_waiting(tmp_path: Path):
    """A round that reserves its noise composes budgets under the ledger's write lock: that can take seconds."""
    desk, hash = Desk(pair_at(tmp_path)), watched_release().hash
    persons = known_at(count=6)
    # The day's first consent charges the day, as a running node does each morning.
    desk.do(lambda: desk.of.consent(hash, request(persons[0], "first")))
    holding, done = threading.Event(), threading.Event()

    def hold() -> None:
        database = sqlite3.connect(tmp_path / "wallet.db", isolation_level=None)
        database.execute("BEGIN IMMEDIATE")
        holding.set()
        done.wait(60)
        database.execute("ROLLBACK")
        database.close()

    holder = threading.Thread(target=hold)
    holder.start()
    assert holding.wait(60)
    for person in persons[1:]:
        desk.do(lambda person=person: desk.of.consent(hash, request(person, person)))
        desk.do(lambda person=person: desk.of.withdraw(person, "lender-1"))
    # All of it came while the lock was held.
    assert holder.is_alive()
    done.set()
    holder.join()
    desk.close()


def test_entries_of_training_and_consents_come_at_once(tmp_path: Path):
    """Another process appends to the ledger as fast as it can, and both chains stay whole."""
    pair = pair_at(tmp_path)
    desk, hash, ended, appended = Desk(pair), pair.release.hash, threading.Event(), [0]

    def train() -> None:
        ledger = Ledger(tmp_path / "wallet.db", identity_of(small_plan(), "wallet"))
        while not ended.is_set():
            day = f"{2100 + appended[0] // 336}-{1 + appended[0] // 28 % 12:02}-{1 + appended[0] % 28:02}"
            ledger.append(lambda state, day=day: LogDay(day=day, head="0" * 64))
            appended[0] += 1
        ledger.close()

    training = threading.Thread(target=train)
    training.start()
    waited = []
    for number, person in enumerate(known_at(count=40)):
        before = time.monotonic()
        desk.do(lambda person=person, number=number: desk.of.consent(hash, request(person, f"k{number}")))
        waited.append(time.monotonic() - before)
    ended.set()
    training.join()
    assert appended[0] > 10
    # Not one of them waited as a writer of SQLite does that finds no turn.
    assert max(waited) < 10
    desk.close()
    again = Pair(pair.release, folder=tmp_path)
    assert len(again.ledger.state.serving.log_days) == appended[0]
    again.close()
    check_platform(tmp_path)
