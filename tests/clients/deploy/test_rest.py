"""How long node and server wait for one another, on one machine and between two.

The executor asks the SuperNode for work soon where a message has just arrived, and seldom where none has; whoever gets
a message asks soon again for its parts, and a node soon for a server that was away.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import flwr.supercore.retry.http_retry as http_retry
import flwr.superlink.grid.http_grid as http_grid
import flwr.supernode.start_client_internal as supernode
import pytest
from flwr.app import ConfigRecord, RecordDict
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.supercore.inflatable.inflatable_utils import ObjectUnavailableError
from flwr.supercore.retry import make_simple_http_retry_invoker

from sealscore.clients.deploy import executor, launcher
from sealscore.server.app import FlowerExchange

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


def late(parts: dict[str, bytes]) -> Callable[[str], bytes]:
    """Gives every part when it is asked for a second time."""
    asked: set[str] = set()

    def pull(name: str) -> bytes:
        if name not in asked:
            asked.add(name)
            raise ObjectUnavailableError(name)
        return parts[name]

    return pull


def quickest(pull: Callable[[], object], tries: int = 3) -> float:
    """Seconds of the quickest."""
    found = []
    for _ in range(tries):
        began = time.monotonic()
        pull()
        found.append(time.monotonic() - began)
    return min(found)


def test_parts_that_are_late_are_asked_for_again_soon(monkeypatch: pytest.MonkeyPatch):
    """By the server app, the SuperNode and the courier. Flower's own wait is a second, more or less by a fifth."""
    courier: Any = importlib.import_module("flwr.supernode.runtime.run_clientapp")
    for module, name in (
        (http_grid, "pull_objects"),
        (supernode, "pull_objects"),
        (supernode, "time"),
        (courier, "pull_and_inflate_object_from_tree"),
        (http_retry, "MAX_RETRY_DELAY"),
    ):
        # As Flower has it, whatever other tests of this process started; and as it was, when this ends.
        found = getattr(module, name)
        monkeypatch.setattr(module, name, found.func if isinstance(found, partial) else found)
    parts = {"a": b"one", "b": b"two"}
    assert quickest(lambda: http_grid.pull_objects(list(parts), late(parts)), 1) > 0.7
    FlowerExchange(SimpleNamespace())  # type: ignore[arg-type]
    launcher.hasten()
    executor._hasten()
    for module in (http_grid, supernode):
        assert module.pull_objects(list(parts), late(parts)) == parts
        assert quickest(lambda module=module: module.pull_objects(list(parts), late(parts))) < 0.5
    record = RecordDict({"request": ConfigRecord({"body": b"x"})})
    contents = {name: part.deflate() for name, part in get_all_nested_objects(record).items()}

    def pulled() -> RecordDict:
        return courier.pull_and_inflate_object_from_tree(  # type: ignore[no-any-return]
            get_object_tree(record), late(contents), lambda _: None, return_type=RecordDict
        )

    assert pulled() == record
    assert quickest(pulled) < 0.5
    waits = make_simple_http_retry_invoker().wait_gen_factory()
    assert max(islice(waits, 10)) <= 2
