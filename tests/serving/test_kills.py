"""kill -9 at every step of consent, charge, register, token, score and log: nothing told is uncounted, and nothing that
was acknowledged is lost.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving_child import PERSONS, POINTS, Order, pair_at
from serving_kills import Children, acknowledged, begin, check_platform, check_watches
from small_release import TODAY, known_at, request

from sealscore.clients.scoring.replay import replay
from sealscore.clients.scoring.tokens import NoToken

STEPS = {
    "tokens": ("charge", "tell", "register", "seal", "batch", "note", "wallet.db", "serving.db"),
    "watches": ("charge", "tell", "wait", "batch", "note", "wallet.db", "serving.db"),
    "scores": ("use", "write", "sign", "retain", "erase", "days", "lender-1.db", "scores.db"),
}


@pytest.fixture(scope="module")
def children() -> Iterator[Children]:
    made = Children()
    yield made
    made.close()


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


CHECKS = {"tokens": check_platform, "watches": check_watches, "scores": check_lender}


def kills(children: Children, tmp_path: Path, count: int, seed: int) -> None:
    """So many kills at random moments, work for work, in one folder after the other of a few kills each."""
    chosen = random.Random(seed)
    folder = None
    for number in range(count):
        if number % 5 == 0:
            folder = begin(tmp_path / f"random-{number}")
        assert folder is not None
        work = ("tokens", "scores", "watches")[number % 3]
        order = Order(str(folder), work, seed=chosen.randrange(2**31))
        children.killed(order, answers=chosen.randrange(12), wait=chosen.random() * 0.02)
        CHECKS[work](folder)


@pytest.mark.parametrize("work", ["tokens", "scores", "watches"])
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
                    assert error.code in {"clock", "ceiling", "no-consent"}  # noqa: PT017 - each is told, none is charged
                    continue
                assert pair.maker().make(asked, TODAY) == first
            assert len(kept) == len({row[:2] for row in kept})
            pair.close()
            check_platform(folder)
