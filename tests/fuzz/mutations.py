"""What all fuzz tests share: valid inputs that are spoiled, limits on time and memory, and how many examples there are.

Examples follow from the tests' own code, so a run repeats; inputs that once found a fault stand beside their test as
`@example`. Without a word a quarter of them is tried; in the environment, SEALSCORE_EXAMPLES=all asks for each (`make
long` does), and FUZZ_EXAMPLES for so many fresh ones instead.
"""

from __future__ import annotations

import copy
import math
import os
import signal
import struct
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

MEBIBYTE = 2**20
_FRESH = int(os.environ.get("FUZZ_EXAMPLES", "0"))
_SHARE = 1 if os.environ.get("SEALSCORE_EXAMPLES") == "all" else 4


def fuzz(examples: int = 300, few: int | None = None) -> settings:
    """Settings of a fuzz test: so many examples, or a share of them (see above), or `few` where each takes seconds."""
    shared = -(-examples // _SHARE) if few is None or _SHARE == 1 else few
    return settings(
        max_examples=_FRESH or shared,
        derandomize=not _FRESH,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


class TooMuch(AssertionError):
    """A parser that took longer, or more memory, than an input of that size may cost."""


@contextmanager
def limits(seconds: float = 10.0, memory: int = 32 * MEBIBYTE) -> Iterator[None]:
    """Raise TooMuch where the block takes more CPU, or allocates more bytes at a time than so many."""

    def hang(number: int, frame: FrameType | None) -> None:
        raise TooMuch(f"not done after {seconds:g} s")

    before = signal.signal(signal.SIGVTALRM, hang)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    if peak > memory:
        raise TooMuch(f"{peak / MEBIBYTE:.0f} MiB")


# Lengths and counts as they stand in heads of messages, near the borders of their types.
_NUMBERS = [0, 1, 2, 31, 127, 128, 255, 256, 2**15, 2**16, 2**24, 2**31 - 1, 2**31, 2**32 - 1]
_WORDS = [struct.pack(form, n) for n in _NUMBERS for form in (">I", "<I", ">Q")] + [b"\xff" * 8, b"\0" * 16]


@st.composite
def spoiled(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds with up to four changes: bits, cuts, insertions, repeats, numbers in heads, pieces of others."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["bit", "cut", "drop", "insert", "repeat", "number", "splice"])):
            case "bit" if place < len(data):
                data[place] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del data[place:]
            case "drop":
                del data[place : place + draw(st.integers(1, 40))]
            case "insert":
                data[place:place] = draw(st.binary(max_size=40))
            case "repeat":
                data[place:place] = data[place : place + draw(st.integers(1, 200))] * draw(st.integers(1, 20))
            case "number":
                word = draw(st.sampled_from(_WORDS))
                data[place : place + len(word)] = word
            case "splice":
                data[place:] = draw(st.sampled_from(seeds))[draw(st.integers(0, 200)) :]
    return bytes(data)


def noise(seeds: Sequence[bytes], size: int = 300) -> st.SearchStrategy[bytes]:
    """Spoiled seeds, and bytes that were never anything."""
    return st.one_of(spoiled(seeds), st.binary(max_size=size))


def deep(levels: int) -> Any:
    """Lists in lists."""
    found: Any = []
    for _ in range(levels):
        found = [found]
    return found


ODD: list[Any] = [
    *(None, True, False, -1, 0, 1, 2, 50, 51, 255, 2**31, 2**31 - 1, 2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 1, 10**18),
    *(-(2**63), 0.0, -0.0, 0.5, 1.0, 1e-320, 1e-300, 1e-12, 1e12, 1e300, 1.7e308, math.nan, math.inf, -math.inf),
    *("", " ", "\0", "\n", "a", "1", "nan", "2020-02-30", "9999-12-31", "\u202e\u202d", "é", "x" * 5000, "a." * 300),
    *("0" * 64, "ab" * 32, "server", "lender-1", "lender-2", "video-1", "train_tower:lender", "bin:lender"),
    *([], {}, [[]], [None], {"a": 1}, [0] * 300, ["x"] * 300, deep(40)),
]
# Values that JSON text or TOML can say and the wire cannot.
TEXT_ONLY: list[Any] = [2**64, -(2**70), 10**400, "\ud800", deep(400)]


def places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of everything within plain data."""
    steps = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list | tuple) else ()
    for step, inner in steps:
        yield (*path, step)
        yield from places(inner, (*path, step))


@st.composite
def altered(draw: st.DrawFn, seeds: Sequence[Any], odd: Sequence[Any] = ODD) -> Any:
    """Plain data (dicts, lists, values) of one of the seeds, with up to three places replaced, removed or doubled."""
    data = copy.deepcopy(seeds[draw(st.integers(0, len(seeds) - 1))])
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(data))
        if not found:
            return data
        *path, last = found[draw(st.integers(0, len(found) - 1))]
        holder = data
        for step in path:
            holder = holder[step]
        match draw(st.sampled_from(["odd", "odd", "odd", "number", "bytes", "remove", "double", "extra"])):
            case "odd":
                holder[last] = copy.deepcopy(odd[draw(st.integers(0, len(odd) - 1))])
            case "number":
                holder[last] = draw(st.one_of(st.integers(-(2**63), 2**64 - 1), st.floats()))
            case "bytes" if isinstance(holder[last], bytes):
                holder[last] = draw(noise([holder[last]]))
            case "remove":
                del holder[last]
            case "double" if isinstance(holder, list):
                holder.insert(last, copy.deepcopy(holder[last]))
            case "extra" if isinstance(holder, dict):
                holder[draw(st.text(max_size=5))] = copy.deepcopy(odd[draw(st.integers(0, len(odd) - 1))])
    return data
