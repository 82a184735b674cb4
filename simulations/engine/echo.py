"""Rounds that are only timed."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from sealscore.server.transport.exchange import Exchange, Failure, wait_for


def time_rounds(exchange: Exchange, parties: Iterable[str], rounds: int, size: int) -> dict[str, Any]:
    """Seconds of each round in which every party gets `size` bytes and answers; RuntimeError when one does not.

    `began` is the time of each round's beginning, in seconds since 1970.
    """
    parties = list(parties)
    wait_for(exchange, parties, timeout=60.0, poll=0.1)
    seconds, began = [], []
    for number in range(rounds):
        body = number.to_bytes(size, "big")
        began.append(time.time())
        started = time.perf_counter()
        replies = exchange.send(dict.fromkeys(parties, body), timeout=60.0)
        seconds.append(time.perf_counter() - started)
        if failures := [reply for reply in replies.values() if isinstance(reply, Failure)]:
            raise RuntimeError(f"round {number}: {failures}")
    return {"seconds": seconds, "began": began, "couriers": len(exchange.traffic.couriers)}
