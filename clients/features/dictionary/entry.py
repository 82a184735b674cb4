"""An entry of the feature dictionary: one feature, with its column and its bounds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import polars as pl

from sealscore.shared.plan.schema import CategoricalFeature, LevelReason, NumericFeature, NumericReason, Sentence

Direction = Literal["raises", "lowers", "open"]
Said = tuple[str, str]
"""A sentence in English and in Chinese."""
_SENTENCES = ("high", "low", "level", "absent")


@dataclass(frozen=True)
class Entry:
    """One feature.

    `missing` says what a missing value means; None where there is always a value. `direction` says what a larger
    value is expected to do to the probability of default; "open" where no direction is expected. A numeric feature
    has bounds and, with heavy tails, a scale; a categorical one has levels. `en` and `zh` name the feature to an
    applicant whose score it moved.

    The sentences say what lowered a score: of a number that it is `high` or `low`, of a level that the `level` did, and
    of either that the value is `absent`. A protected feature has none: it is never given as a reason.

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
    high: Said | None = None
    low: Said | None = None
    level: Said | None = None
    absent: Said | None = None

    @property
    def reason(self) -> NumericReason | LevelReason | None:
        """The sentences as a plan's feature has them; None for a protected feature."""
        if self.protected:
            return None
        if self.levels:
            return LevelReason(level=_sentence(self.level), missing=_sentence(self.absent))
        return NumericReason(high=_sentence(self.high), low=_sentence(self.low), missing=_sentence(self.absent))

    @property
    def value_keys(self) -> dict[str, Any]:
        """All keys but the sentences: what a value can follow from, and its names."""
        return {key: value for key, value in asdict(self).items() if key not in _SENTENCES}

    @property
    def column(self) -> NumericFeature | CategoricalFeature:
        """The feature as a plan's table names it, with its sentences."""
        common: dict[str, Any] = {"name": self.name, "missing": self.missing is not None, "protected": self.protected}
        common["reason"] = self.reason
        if self.levels:
            return CategoricalFeature(levels=self.levels, **common)
        bounds = {"lower": self.lower, "upper": self.upper, "scale": self.scale, "integer": self.integer}
        return NumericFeature.model_validate({**common, **bounds})

    def bounded(self, counts: bool = False) -> pl.Expr:
        """The column cut to its bounds and in its type; what is no finite number or no level becomes missing.

        `counts` says that the column has whole numbers: they are finite, and stay whole.
        """
        column = pl.col(self.name)
        if self.levels:
            text = column.cast(pl.String)
            return pl.when(text.is_in(self.levels)).then(text).alias(self.name)
        if self.integer and counts:
            return column.cast(pl.Int64).clip(int(self.lower), int(self.upper)).alias(self.name)
        value = column.cast(pl.Float64)
        finite = pl.when(value.is_finite()).then(value.clip(self.lower, self.upper))
        return (finite.round().cast(pl.Int64) if self.integer else finite).alias(self.name)


def _sentence(said: Said | None) -> Sentence | None:
    return Sentence(en=said[0], zh=said[1]) if said else None
