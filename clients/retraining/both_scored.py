"""Applications that two releases scored, read from the log: one answered, the other was in its shadow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from sealscore.clients.decision.loans import LOAN
from sealscore.clients.decision.service import KIND
from sealscore.clients.scoring.score_log import ScoreLine
from sealscore.clients.watch.frames import Schema
from sealscore.clients.watch.reading import WatchReader

BOTH: Schema = {
    "score": pl.String, "application": pl.String, "person": pl.Binary, "product": pl.String, "signal": pl.Boolean,
    "offered": pl.Boolean, "role_1": pl.String, "role_2": pl.String, "points_1": pl.Int64, "points_2": pl.Int64,
    "pd_1": pl.Float64, "pd_2": pl.Float64,
}  # fmt: skip
"""A row an answer, 1 for the champion and 2 for the challenger; `offered` is null where nobody decided."""


@dataclass
class BothReader(WatchReader):
    """A watch's reader of the champion's lines that also keeps what the challenger says of the same application.

    `loans` has the score of each loan's decision; `alone` counts answers without one of the other release.
    """

    challenger: str = ""
    loans: dict[str, str] = field(default_factory=dict)
    alone: int = 0
    _rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    _scored: dict[str, str] = field(default_factory=dict)

    def read(self, lines: Iterable[ScoreLine]) -> None:
        """The next lines."""
        super().read(self._looked_at(lines))

    def _looked_at(self, lines: Iterable[ScoreLine]) -> Iterator[ScoreLine]:
        for line in lines:
            if line.content is not None:
                if line.kind == "score":
                    self._both(line.content, line.person)
                elif line.kind == KIND:
                    self._decided(line.content)
                elif line.kind == LOAN and (score := self._scored.get(line.content["decision_id"] or "")):
                    self.loans[line.content["loan"]] = score
            yield line

    @property
    def rows(self) -> pl.DataFrame:
        """Every answer of both, in order."""
        return pl.DataFrame([*self._rows.values()], schema=BOTH)

    def _both(self, content: Mapping[str, Any], person: bytes) -> None:
        shadow = content.get("shadow", {})
        releases = content["release"], shadow.get("release")
        if releases not in ((self.release, self.challenger), (self.challenger, self.release)):
            return
        if "pd" not in shadow:
            self.alone += 1
            return
        first, second = (content, shadow) if content["release"] == self.release else (shadow, content)
        self._rows[content["score_id"]] = {
            "score": content["score_id"],
            "application": content["application_id"],
            "person": person,
            "product": content["product"],
            "signal": any(signal["status"] == "used" for signal in content["signals"]),
            "offered": None,
            **{f"{name}_1": first[name] for name in ("role", "points", "pd")},
            **{f"{name}_2": second[name] for name in ("role", "points", "pd")},
        }

    def _decided(self, content: Mapping[str, Any]) -> None:
        row = self._rows.get(content["score_id"])
        if row is not None:
            row["offered"] = content["state"] == "approved"
            self._scored[content["decision_id"]] = content["score_id"]
