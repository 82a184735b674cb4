"""An entry of the feature dictionary: one feature, with its column and its bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import polars as pl

from sealscore.shared.plan.schema import CategoricalFeature, NumericFeature

Direction = Literal["raises", "lowers", "open"]


@dataclass(frozen=True)
class Entry:
    """One feature.

    `missing` says what a missing value means; None where there is always a value. `direction` says what a larger
    value is expected to do to the probability of default; "open" where no direction is expected. A numeric feature
    has bounds and, with heavy tails, a scale; a categorical one has levels. `en` and `zh` name the feature to an
    applicant whose score it moved.

    `row_local`: the value follows from the person's own rows and public constants alone, to the last bit
    (tests/clients/features/dictionary/test_row_local.py looks at every entry). What is not may enter no score.
    """

    code: str
    name: str
    definition: str
    unit: str
    direction: Direction
    en: str
    zh: str
    missing: str | None = None
    lower: float = 0.0
    upper: float = 1.0
    scale: float | None = None
    integer: bool = False
    levels: tuple[str, ...] = ()
    protected: bool = False
    row_local: bool = True

    @property
    def column(self) -> NumericFeature | CategoricalFeature:
        """The feature as a plan's table names it."""
        common = {"name": self.name, "missing": self.missing is not None, "protected": self.protected}
        if self.levels:
            return CategoricalFeature(levels=self.levels, **common)
        bounds = {"lower": self.lower, "upper": self.upper, "scale": self.scale, "integer": self.integer}
        return NumericFeature.model_validate({**common, **bounds})

    def bounded(self) -> pl.Expr:
        """The column cut to its bounds and in its type; what is no finite number or no level becomes missing."""
        column = pl.col(self.name)
        if self.levels:
            text = column.cast(pl.String)
            return pl.when(text.is_in(self.levels)).then(text).alias(self.name)
        value = column.cast(pl.Float64)
        finite = pl.when(value.is_finite()).then(value.clip(self.lower, self.upper))
        return (finite.round().cast(pl.Int64) if self.integer else finite).alias(self.name)
