"""Cells of a report: rates with their intervals, and none of few cases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sealscore.clients.watch.noise.statistics import rate_interval


def rate_cell(hits: int, of: int, floor: int) -> dict[str, Any]:
    """A rate with its 95 % interval; nothing but None of fewer cases than `floor`."""
    if of < floor:
        return {"cases": None, "rate": None, "low": None, "high": None}
    low, high = rate_interval(hits, of)
    return {"cases": of, "rate": hits / of, "low": low, "high": high}


def hidden(cases: Sequence[int], floor: int) -> list[bool]:
    """Which of the parts of a known whole are not shown: those of few cases, and the next smallest until all that is
    hidden is not few, since its sum follows from the others.
    """
    found = [count < floor for count in cases]
    rest = [place for place, few in enumerate(found) if not few]
    rest.sort(key=lambda place: cases[place], reverse=True)
    while rest and 0 < sum(count for count, few in zip(cases, found, strict=True) if few) < floor:
        found[rest.pop()] = True
    return found


def count_cell(count: int, floor: int) -> int | None:
    """A count; None where it is few, and not 0."""
    return None if 0 < count < floor else count
