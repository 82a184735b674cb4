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
    """Which of the parts of a known whole are not shown: those of few cases, and of a single one also the next
    smallest, since it would follow from the others.
    """
    found = [count < floor for count in cases]
    rest = [place for place, few in enumerate(found) if not few]
    if sum(found) == 1 and cases[found.index(True)] and rest:
        found[min(rest, key=lambda place: cases[place])] = True
    return found
