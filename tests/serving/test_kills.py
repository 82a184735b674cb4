"""kill -9 at every step of consent, charge, register, token, score and log: nothing told is uncounted, and nothing that
was acknowledged is lost.
"""

from __future__ import annotations

import base64
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from paths import ROOT
from processes import alive
from serving_child import ACKNOWLEDGED, PERSONS, POINTS, TOKENS, Order, pair_at
from small_release import TODAY, Pair, known_at, request, serving_keys

from sealscore.clients.scoring.replay import replay
from sealscore.clients.scoring.tokens import NoToken
from sealscore.shared.ledger.ledger import read_ledger
from sealscore.shared.serving.serving_keys import month_of
from sealscore.shared.serving.token import Token, claimed_release, open_token

# A busy machine is slow, and a quick one does not wait.
PATIENCE = 300.0
STEPS = {
    "tokens": ("charge", "tell", "register", "seal", "batch", "note", "wallet.db", "serving.db"),
    "scores": ("use", "write", "sign", "retain", "erase", "days", "lender-1.db", "scores.db"),
}


class Children:
    """Children of one process that has imported everything."""

    def __init__(self) -> None:
        script = ROOT / "tests" / "support" / "serving_child.py"
        self._process = subprocess.Popen(
            [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )

    def killed(self, order: Order, answers: int = 0, wait: float = 0.0) -> None:
        """Carry out an order until the child is dead, by itself or, where the order names no point, after so many
        answers and a moment.
        """
        assert self._process.stdin is not None
        before = len(acknowledged(Path(order.folder)))
        self._process.stdin.write(order.text())
        self._process.stdin.flush()
        pid = int(self._line())
        end = time.monotonic() + PATIENCE
        if not order.point:
            while len(acknowledged(Path(order.folder))) < before + answers and time.monotonic() < end:
                time.sleep(0.001)
            time.sleep(wait)
            os.kill(pid, signal.SIGKILL)
        while alive(pid):
            if time.monotonic() > end:
                os.kill(pid, signal.SIGKILL)
                raise AssertionError(f"the child never came to {order.point}")
            time.sleep(0.001)
        # An error of its own would end a child otherwise.
        assert self._line() == f"ended {int(signal.SIGKILL)}"

    def close(self) -> None:
        """End it."""
        self._process.communicate()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@pytest.fixture(scope="module")
def children() -> Iterator[Children]:
    made = Children()
    yield made
    made.close()


def acknowledged(folder: Path) -> list[list[str]]:
    """What children wrote down, but for a line that was cut off."""
    path = folder / ACKNOWLEDGED
    text = path.read_text("ascii") if path.exists() else ""
    return [line.split() for line in text[: text.rfind("\n") + 1].splitlines()]


def begin(folder: Path) -> Path:
    """Ledgers and files of a pair, and one token of each person for a lender to score with."""
    folder.mkdir()
    pair = pair_at(folder)
    given = []
    for person in known_at(count=PERSONS):
        token = pair.token(person, f"begin-{person}")
        given.append((person, base64.urlsafe_b64encode(token).decode(), opened(pair, token).handle.hex()))
    assert pair.lender_ledger.state.serving.live
    pair.close()
    (folder / TOKENS).write_text(json.dumps(given), "ascii")
    return folder


def opened(pair: Pair, token: bytes, lender: str = "lender-1") -> Token:
    """The content of a token."""
    release, month = claimed_release(token)
    return open_token(token, serving_keys(lender, month), release, pair.plan.cards)


def check_platform(folder: Path) -> None:
    """No token without its charge, no charge lost, no acknowledged token gone."""
    pair = pair_at(folder)
    assert pair.store.check() is None
    list(read_ledger(folder / "wallet.db"))
    days = pair.ledger.state.serving.releases[pair.release.hash].days
    assert all(pair.store.holds(day.store_head) for kept in days.values() for day in kept)
    told = pair.release.manifest.told["wallet"]
    with sqlite3.connect(folder / "serving.db") as database:
        tokens = database.execute("SELECT lender, key, person, day, handle, token FROM tokens").fetchall()
        rows = database.execute("SELECT person, kind, what, month, value, bits, handle FROM told").fetchall()
        heads = dict(database.execute("SELECT head, seq FROM told").fetchall())
        first = dict(database.execute("SELECT handle, MIN(seq) FROM told GROUP BY handle").fetchall())
    handles = set()
    for lender, _, person, day, handle, data in tokens:
        content = opened(pair, data, lender)
        assert (content.handle, content.fits(person)) == (handle, True)
        assert handle not in handles
        handles.add(handle)
        # The day stands in the ledger, with a head from before anything of this token was told.
        (entry,) = [one for one in days[lender] if one.day == day]
        assert heads.get(bytes.fromhex(entry.store_head), 0) < first[handle]
        for kind, value in content.values.items():
            month = f"{told.definition(kind)}|{month_of(content.as_of)}"
            known = [row for row in rows if row[:3] == (person, kind, month)]
            assert {row[4] for row in known} == {value}
            assert sum(row[5] for row in known) == told.bits[kind]
    assert {row[6] for row in rows} <= handles
    for what, *said in acknowledged(folder):
        if what == "token":
            lender, key, text = said
            (data,) = [one[5] for one in tokens if one[:2] == (lender, key)]
            assert base64.urlsafe_b64decode(text) == data
    pair.close()


def check_lender(folder: Path) -> None:
    """No acknowledged answer gone, no token used for two applications, and the chain whole against the ledger."""
    pair = pair_at(folder)
    assert pair.log.check(day.head for day in pair.lender_ledger.state.serving.log_days) == []
    lines = list(pair.log.lines())
    found = replay(lines, {pair.release.hash: pair.release})
    assert found.good
    erased = {line.seq for line in lines if line.kind == "score" and line.content is None}
    for what, *said in acknowledged(folder):
        if what == "score":
            line = pair.log.find(said[0])
            assert line is not None
            if line.seq not in erased:
                assert line.content is not None
                assert [str(line.content[name]) for name in ("pd", "points")] == said[1:]
    used: dict[str, set[str]] = {}
    for line in lines:
        if line.kind == "score" and line.content is not None and line.content["signals"][0]["status"] == "used":
            application = line.content["application_id"]
            used.setdefault(application.rsplit("-", 1)[0], set()).add(application)
    # There is one token of each person.
    assert all(len(applications) == 1 for applications in used.values())
    pair.close()


CHECKS = {"tokens": check_platform, "scores": check_lender}


def kills(children: Children, tmp_path: Path, count: int, seed: int) -> None:
    """So many kills at random moments, work for work, in one folder after the other of a few kills each."""
    chosen = random.Random(seed)
    folder = None
    for number in range(count):
        if number % 5 == 0:
            folder = begin(tmp_path / f"random-{number}")
        assert folder is not None
        work = ("tokens", "scores")[number % 2]
        order = Order(str(folder), work, seed=chosen.randrange(2**31))
        children.killed(order, answers=chosen.randrange(12), wait=chosen.random() * 0.02)
        CHECKS[work](folder)


@pytest.mark.parametrize("work", ["tokens", "scores"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_each_step(children: Children, tmp_path: Path, work: str, after: bool):
    for number, point in enumerate(STEPS[work]):
        folder = begin(tmp_path / point)
        order = Order(str(folder), work, seed=number, point=point, after=after, count=1 + number % 3)
        children.killed(order)
        CHECKS[work](folder)
    assert {point for points in STEPS.values() for point in points if "." not in point} == set(POINTS)


def test_killed_at_random_moments(children: Children, tmp_path: Path):
    kills(children, tmp_path, 20, seed=1)


@pytest.mark.long
def test_killed_two_hundred_times(children: Children, tmp_path: Path):
    kills(children, tmp_path, 200, seed=2)


def test_a_request_that_was_cut_off_gets_one_token_afterwards(children: Children, tmp_path: Path):
    for point in ("serving.db", "register", "seal"):
        for after in (False, True):
            folder = begin(tmp_path / f"{point}-{after}")
            children.killed(Order(str(folder), "tokens", seed=3, point=point, after=after))
            pair = pair_at(folder)
            with sqlite3.connect(folder / "serving.db") as database:
                kept = database.execute("SELECT lender, key, person, day FROM tokens").fetchall()
            for person in known_at(count=PERSONS):
                asked = request(person, f"again-{person}")
                try:
                    first = pair.maker().make(asked, TODAY)
                except NoToken as error:
                    assert error.code in {"clock", "ceiling"}  # noqa: PT017 - both are told, neither is charged
                    continue
                assert pair.maker().make(asked, TODAY) == first
            assert len(kept) == len({row[:2] for row in kept})
            pair.close()
            check_platform(folder)
