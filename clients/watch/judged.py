"""The measures of one month against their thresholds, and the alerts that two breaches in a row make."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from sealscore.clients.watch.measures import WatchedMeasure
from sealscore.clients.watch.months import month_text
from sealscore.clients.watch.noise.nulls import Null
from sealscore.clients.watch.noise.thresholds import LIVES, horizon, thresholds
from sealscore.clients.watch.settings import WatchSettings

Severity = Literal["medium", "high"]
_HIGH = 2.0
"""Times its threshold from which on both of an alert's months make it severe."""


@dataclass(frozen=True)
class Judged:
    """A measure in a month: `value` and `threshold` are None where it has too few cases, or no reference yet."""

    name: str
    family: str
    reference: str
    cases: int
    value: float | None = None
    threshold: float | None = None
    unreferenced: bool = False
    """Whether its reference months are over and had too few cases: it is never judged."""

    @property
    def breach(self) -> bool:
        """Whether the value is beyond its threshold."""
        return self.value is not None and self.threshold is not None and self.value > self.threshold


@dataclass(frozen=True)
class WatchAlert:
    """Two breaches of a measure in a row."""

    id: str
    measure: str
    severity: Severity
    owner: str

    def plain(self) -> dict[str, Any]:
        """As the log keeps it."""
        return asdict(self)


@dataclass(frozen=True)
class JudgedMonth:
    """All measures of a month of a release, by one level for all of them."""

    release: str
    month: int
    level: float
    measures: tuple[Judged, ...]
    alerts: tuple[WatchAlert, ...] = ()

    def plain(self) -> dict[str, Any]:
        """As the log keeps it: no count below what is judged, and nothing of a person."""
        rows = [
            {"name": one.name, "family": one.family, "value": one.value, "threshold": one.threshold}
            for one in self.measures
            if one.value is not None
        ]
        return {
            "form": 1,
            "what": "month",
            "release": self.release,
            "month": month_text(self.month),
            "level": self.level,
            "measures": rows,
            "alerts": [alert.plain() for alert in self.alerts],
        }


def judged_month(
    measures: Sequence[WatchedMeasure], release: str, first: int, month: int, lives: int = LIVES
) -> JudgedMonth:
    """Judge the measures of a month. The same measures give the same thresholds: the draws follow from the names."""
    seed = hashlib.sha256(f"{release} {month}".encode()).digest()
    random = np.random.Generator(np.random.PCG64(int.from_bytes(seed[:16], "big")))
    planned = {one.name: one.planned for one in measures}
    found = thresholds(planned, month, horizon(first, month), random, lives)
    rows = []
    for one in measures:
        null: Null | None = one.planned.null if one.planned.begins <= month else None
        cases = null.sizes.get(month, 0) if null is not None else 0
        value = null.statistic(month) if null is not None and one.name in found.values else None
        without = one.planned.null is None and one.planned.begins <= month
        rows.append(Judged(one.name, one.family, one.reference, cases, value, found.values.get(one.name), without))
    return JudgedMonth(release, month, found.level, tuple(rows))


def alerts_of(
    now: JudgedMonth, before: Mapping[str, Any] | None, raised: Iterable[str], settings: WatchSettings
) -> tuple[WatchAlert, ...]:
    """The alerts of a month, given what the log keeps of the month before it.

    A measure that goes on breaching makes no second alert: only the two months in which it began do.
    """
    earlier = {
        row["name"]: row["value"] / row["threshold"] if row["threshold"] else 1.0
        for row in (before or {}).get("measures", ())
        if row["threshold"] is not None and row["value"] > row["threshold"]
    }
    known, found = set(raised), []
    for one in now.measures:
        if one.breach and one.name in earlier and one.name not in known:
            times = min(earlier[one.name], one.value / one.threshold if one.threshold else 1.0)  # type: ignore[operator]
            id = hashlib.sha256(f"{now.release} {one.name} {now.month}".encode()).hexdigest()[:12]
            severity: Severity = "high" if times >= _HIGH else "medium"
            found.append(WatchAlert(id, one.name, severity, settings.owner(one.family)))
    return tuple(found)
