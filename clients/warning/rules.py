"""A lender's own arrears rules, from a small TOML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from sealscore.shared.plan.schema import Strict
from sealscore.shared.plan.toml import load_as

Days = Annotated[int, Field(ge=1, le=3650)]
Instalments = Annotated[int, Field(ge=1, le=1000)]


class ArrearsRules(Strict):
    """From how many days past due, or how many open instalments past their day, a loan is listed, and is urgent."""

    days: Days = 5
    missed: Instalments = 2
    urgent_days: Days = 30
    urgent_missed: Instalments = 3

    @model_validator(mode="after")
    def _in_order(self) -> ArrearsRules:
        for name in ("days", "missed"):
            least, urgent = getattr(self, name), getattr(self, f"urgent_{name}")
            if urgent < least:
                raise ValueError(f"urgent_{name} = {urgent}: must be {name} = {least} or more")
        return self


class PointsRule(Strict):
    """Up to how many points, at its application, a loan is listed; None for whichever."""

    points: int | None = None


class ShareRule(Strict):
    """The worst share of loans that run with nothing in arrears, by points at their application (see `ranking.ranks`).

    A watch bit of 1 counts as so many points less, one of 0 as so many more.
    """

    of: Annotated[float, Field(gt=0, le=1)]
    bit: Annotated[int, Field(ge=0, le=1000)] = 0


class WarningRules(Strict):
    """The whole of the file; what it leaves out has its default.

    `watch` is of loans with a watch bit of 1, and `score`, where it is given, of those that have no more than a low
    score of the lender's own at their application. `share` lists a share of the lender's loans instead of both.
    """

    arrears: ArrearsRules = ArrearsRules()
    watch: PointsRule = PointsRule()
    score: PointsRule | None = None
    share: ShareRule | None = None

    @model_validator(mode="after")
    def _one_way(self) -> WarningRules:
        if self.share is not None and (self.score is not None or self.watch.points is not None):
            raise ValueError("share: lists by rank, so [watch] and [score] have no use beside it; leave them out")
        return self

    @classmethod
    def load(cls, path: Path) -> WarningRules:
        """Read such a file; PlanError names the key, the value and what is allowed."""
        return load_as(cls, path, "write one with a table [arrears]; docs/warning.md has an example")
