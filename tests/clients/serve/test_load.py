"""The scorer for a while at most of what it can answer, with slow and malformed callers beside the good ones."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import psutil
import pytest
from raw_http import raw
from scorer_home import ScorerHome, ScorerProcess
from small_release import PURPOSE

from sealscore.simulations.bench.serve.load import Load, burst

CALLERS, SHARE = 16, 0.8
FLAT = 8 * 2**20  # bytes; caches of SQLite and of the allocator fill up in the first blocks
TIMES = 10.0


class Rogues:
    """Callers that misbehave: some send a byte now and then, some send what is no request, some read no answer."""

    def __init__(self, port: int, token: str) -> None:
        self.refused = 0
        self._port, self._ended, self._token = port, threading.Event(), token
        works = [self._drip] * 8 + [self._garble] * 2 + [self._deaf] * 2
        self._threads = [threading.Thread(target=work) for work in works]

    @contextmanager
    def about(self) -> Iterator[None]:
        """Have them there for the block."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in self._threads:
                thread.join()

    def _connected(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._port), timeout=60)

    def _drip(self) -> None:
        head = f"POST /v1/scores HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {self._token}\r\ncontent-length: 9000\r\n"
        while not self._ended.is_set():
            with self._connected() as connection:
                for byte in head.encode():
                    connection.send(bytes([byte]))
                    if self._ended.wait(0.1):
                        return

    def _garble(self) -> None:
        body = b'{"application_id": "x", ' * 40_000
        head = f"POST /v1/scores HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {self._token}\r\nconnection: close\r\n"
        large = f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
        while not self._ended.wait(0.2):
            for data in (b"\x16\x03\x01 none\r\n\r\n", large):
                self.refused += b" 400 " in raw(self._port, data).split(b"\r\n", 1)[0]

    def _deaf(self) -> None:
        request = f"GET /openapi.json HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {self._token}\r\n\r\n".encode()
        with self._connected() as connection:
            connection.sendall(request * 200)
            self._ended.wait()


def loaded(home: ScorerHome, scorer: ScorerProcess, seconds: float, block: float) -> dict[str, float]:
    """So many seconds in blocks, every other one with rogues beside: checks what must hold, and gives figures."""
    token = home.caller()["authorization"].removeprefix("Bearer ")
    process = psutil.Process(scorer.process.pid)
    load = Load([{"income": 20.0 + number, "late": number % 4} for number in range(60)], PURPOSE, token)
    scores: list[str] = []

    def take(rate: float | None, count: int) -> np.ndarray:
        requests = [load.ours("/v1/scores") for _ in range(count)]
        return burst(scorer.port, requests, CALLERS, rate, lambda body: scores.append(json.loads(body)["score_id"]))

    take(None, 200)
    began = time.perf_counter()
    rate = SHARE * 800 / (len(take(None, 800)) / 800 * (time.perf_counter() - began))
    used, p50 = list[int](), {False: list[float](), True: list[float]()}
    end = time.monotonic() + seconds
    # On a machine that became slow, so many blocks take longer.
    while time.monotonic() < end or len(used) < 4:
        beside = len(used) % 2 == 1
        rogues = Rogues(scorer.port, token)
        if beside:
            with rogues.about():
                each = take(rate, round(rate * block))
            assert rogues.refused
        else:
            each = take(rate, round(rate * block))
        p50[beside].append(float(np.median(each)))
        used.append(process.memory_info().rss)
    assert scorer.end() == 0
    assert " ERROR " not in scorer.said()

    # Nothing that was answered is lost, and nothing else is there.
    log = home.dir.log()
    assert log.check() == []
    kept = [line.content["score_id"] for line in log.lines() if line.content is not None]
    log.close()
    assert sorted(kept) == sorted(scores)
    assert used[-1] - used[1] < FLAT
    # The best of the one against the worst of the other: a machine that is busy for a while is slow in both.
    assert min(p50[True]) < TIMES * max(p50[False])
    return {
        "rate": rate,
        "answers": len(scores),
        "p50_ms": float(np.median(p50[False])) * 1e3,
        "p50_with_rogues_ms": float(np.median(p50[True])) * 1e3,
        "grown_mb": (used[-1] - used[1]) / 2**20,
    }


@pytest.mark.slow
def test_for_a_while_nothing_is_lost_memory_is_flat_and_rogues_hold_up_nobody(home: ScorerHome, scorer: ScorerProcess):
    print(loaded(home, scorer, seconds=8.0, block=2.0))


@pytest.mark.long
def test_for_ten_minutes(home: ScorerHome, scorer: ScorerProcess):
    print(loaded(home, scorer, seconds=600.0, block=10.0))
