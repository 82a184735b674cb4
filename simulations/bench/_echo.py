"""A coordinator that only times rounds; in the benchmark's bundle it stands where server/entry.py stands."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from server.exchange import Exchange, Failure, wait_for


def run_coordinator(plan_bytes: bytes, exchange: Exchange, output: Path) -> None:
    """Time the rounds that the JSON object `plan_bytes` names and leave them in `output/run.json`."""
    plan = json.loads(plan_bytes)
    output.mkdir(parents=True)
    record = time_rounds(exchange, plan["parties"], plan["rounds"], plan["bytes"])
    (output / "run.json").write_text(json.dumps(record), encoding="utf-8")


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
