"""When the executor asks the SuperNode for work: soon where a message has just arrived, and seldom where none has."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from sealscore.clients.deploy import executor

POLL = 0.05


class Clock:
    """The time of both of the module's clocks; `events` happen at their time."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.events: dict[float, Path] = {}

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for at, path in list(self.events.items()):
            if at <= self.now:
                path.touch()
                os.utime(path, (at, at))
                del self.events[at]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    fake = SimpleNamespace(sleep=made.sleep, time=lambda: made.now, monotonic=lambda: made.now)
    monkeypatch.setattr(executor, "time", fake)
    return made


def rested(clock: Clock, arrived: Path) -> float:
    began = clock.now
    executor._rest(arrived, POLL)
    return clock.now - began


def test_where_nothing_has_arrived_it_rests_a_second(clock: Clock, tmp_path: Path):
    assert rested(clock, tmp_path / "arrived") == pytest.approx(1.0, abs=POLL)
    clock.events[clock.now] = tmp_path / "arrived"
    clock.sleep(60)
    assert rested(clock, tmp_path / "arrived") == pytest.approx(1.0, abs=POLL)


def test_a_message_that_arrives_ends_the_rest(clock: Clock, tmp_path: Path):
    clock.events[clock.now + 0.3] = tmp_path / "arrived"
    assert 0.3 <= rested(clock, tmp_path / "arrived") <= 0.3 + 2 * POLL
    assert rested(clock, tmp_path / "arrived") <= 2 * POLL
    clock.sleep(4.0)
    assert 0.4 <= rested(clock, tmp_path / "arrived") <= 0.6


def test_a_clock_that_is_set_back_makes_nobody_wait(clock: Clock, tmp_path: Path):
    clock.events[clock.now] = tmp_path / "arrived"
    clock.sleep(0.0)
    clock.now -= 3600
    assert rested(clock, tmp_path / "arrived") <= 2 * POLL
