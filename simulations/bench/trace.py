"""One round of training, looked into: the files that it enters, how often a request is written and read, and its CPU.

Ten lenders of 3,000 training records each and a sampling rate of 0.25, in process, behind seals and masks, with a
ledger in a file for each. Files are those of the project whose code runs between the end of one round and that of the
next: coordinator, wire and all nodes. Requests are counted at each party, its body and what goes along with it.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

import sealscore
from sealscore.shared.messages import codec
from sealscore.shared.phases.kind import Kind
from sealscore.shared.phases.order import Phase
from sealscore.simulations.data.scenario import PLANS, Scenario
from sealscore.simulations.engine.federation import Federation, load_parties

PLAN, LENDERS, RECORDS, RATE, ROUNDS = "synthetic_horizontal_eps2", 10, 3_000, 0.25, 24
# Rounds that are left out of the CPU: what is made once is made there.
WARM_UP = 4
REQUESTS = frozenset({"SumRequest", "Asked"})


class _Rounds:
    """An observer that calls `done` with the number of each finished round of training."""

    def __init__(self, done: Callable[[int], None]) -> None:
        self._done, self._training = done, False

    def phase(self, phase: Phase) -> None:
        self._training = phase.kind is Kind.TRAIN

    def round(self, row: dict[str, Any]) -> None:
        if self._training:
            self._done(int(row["round"]))


class _Counted:
    """Stands in an encoder's or a decoder's place and counts what is a request."""

    def __init__(self, inner: Any, counts: Counter[str], what: str, kind: str | None = None) -> None:
        self._inner, self._counts, self._what, self._kind = inner, counts, what, kind

    def encode(self, value: Any) -> bytes:
        """As the encoder."""
        whole = isinstance(value, tuple) and not isinstance(value[1], dict)
        name = value[0] if whole else type(value).__name__
        self._counts[self._what] += name in REQUESTS
        return bytes(self._inner.encode(value))

    def decode(self, data: bytes | msgspec.Raw) -> Any:
        """As the decoder."""
        self._counts[self._what] += self._kind in REQUESTS
        return self._inner.decode(data)


def scenario() -> Scenario:
    """The scenario: the packaged one with more lenders and a higher rate."""
    parties = [
        {"name": f"lender-{number:02}", "group": "lender", "nominal_records": RECORDS}
        for number in range(1, LENDERS + 1)
    ]
    return Scenario.load(PLANS / f"{PLAN}.toml").replace(
        parties=parties,
        training__rounds=ROUNDS,
        training__sample_rate=RATE,
        simulation__creators=round(LENDERS * RECORDS / 0.8),
    )


def run() -> dict[str, Any]:
    """`files` entered, requests packed and unpacked a party, and CPU in ms of a round of one lender."""
    made = scenario()
    records = load_parties(made)

    def carried_out(done: Callable[[int], None]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            federation = Federation.of(made.plan, records, None, Path(folder) / "ledgers")
            federation.run(Path(folder) / "run", _Rounds(done))

    at: dict[int, float] = {}
    carried_out(lambda number: at.update({number: time.process_time()}))
    cpu = (at[ROUNDS] - at[WARM_UP]) / (ROUNDS - WARM_UP) / LENDERS
    files, counts = _traced(carried_out)
    return {
        "files": len(files),
        "request_packs": counts["packs"] / LENDERS,
        "request_unpacks": counts["unpacks"] / LENDERS,
        "cpu_ms": 1000 * cpu,
        "entered": ", ".join(sorted(files)),
    }


def _traced(carried_out: Callable[[Callable[[int], None]], None]) -> tuple[set[str], Counter[str]]:
    """The project's files that the round after the warm-up enters, and what it packs and unpacks."""
    root = Path(sealscore.__file__).parent
    files: set[str] = set()
    counts: Counter[str] = Counter()
    encoder, codecs = codec._ENCODER, codec._CODECS

    def entered(frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            files.add(frame.f_code.co_filename)

    def done(number: int) -> None:
        if number == WARM_UP:
            codec._ENCODER = _Counted(encoder, counts, "packs")  # type: ignore[assignment]
            for name, known in codecs.items():
                known.whole = _Counted(known.whole, counts, "unpacks", name)  # type: ignore[assignment]
                known.body = _Counted(known.body, counts, "unpacks", name)  # type: ignore[assignment]
            threading.setprofile(entered)
            sys.setprofile(entered)
        elif number == WARM_UP + 1:
            stop()

    def stop() -> None:
        sys.setprofile(None)
        threading.setprofile(None)
        codec._ENCODER = encoder
        for known in codecs.values():
            if isinstance(known.whole, _Counted):
                known.whole, known.body = known.whole._inner, known.body._inner

    try:
        carried_out(done)
    finally:
        stop()
    own = {Path(name) for name in files if name.startswith(str(root))}
    return {path.relative_to(root).as_posix() for path in own} - {"simulations/bench/trace.py"}, counts
