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


class WarningRules(Strict):
    """The whole of the file; what it leaves out has its default.

    `watch` is of loans with a watch bit of 1, and `score`, where it is given, of those that have no more than a low
    score of the lender's own at their application.
    """

    arrears: ArrearsRules = ArrearsRules()
    watch: PointsRule = PointsRule()
    score: PointsRule | None = None

    @classmethod
    def load(cls, path: Path) -> WarningRules:
        """Read such a file; PlanError names the key, the value and what is allowed."""
        return load_as(cls, path, "write one with a table [arrears]; docs/warning.md has an example")
