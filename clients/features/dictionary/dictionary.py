"""The feature dictionary: what each feature means, in which unit and bounds, and what is said of it to an applicant.

A table of features is described once, here. The columns of a plan's table (`table_schema`), the bounds to which
computed values are cut (`bounded`) and docs/features.md all come from these entries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import polars as pl

from sealscore.shared.plan.schema import CategoricalFeature, NumericFeature, TableSchema

Kind = Literal["short-video", "wallet", "lender"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Direction = Literal["raises", "lowers", "open"]
ID, PERSON, AS_OF, CONSENT, LABEL = "application_id", "creator_id", "as_of", "consent", "bad"


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


def entries(kind: Kind) -> tuple[Entry, ...]:
    """The features of one kind of party, in the order of its table.

    Raises:
        KeyError: there is no such kind.
    """
    from sealscore.clients.features.dictionary.lender import LENDER
    from sealscore.clients.features.dictionary.video import SHORT_VIDEO
    from sealscore.clients.features.dictionary.wallet import WALLET

    return {"short-video": SHORT_VIDEO, "wallet": WALLET, "lender": LENDER}[kind]


def entry(name: str) -> Entry:
    """The feature of that name at any kind of party.

    Raises:
        KeyError: there is none.
    """
    for known in (found for kind in KINDS for found in entries(kind)):
        if known.name == name:
            return known
    raise KeyError(name)


def kind_of(schema: TableSchema) -> Kind:
    """The kind of party whose table has all features of a plan's table.

    Raises:
        KeyError: there is none; the text names the features that the nearest kind has not.
    """
    wanted = {feature.name for feature in schema.features}
    lacking = {kind: wanted - {found.name for found in entries(kind)} for kind in KINDS}
    kind = min(KINDS, key=lambda kind: len(lacking[kind]))
    if lacking[kind]:
        raise KeyError(f"no feature of a {kind} party: {', '.join(sorted(lacking[kind]))}")
    return kind


def table_schema(kind: Kind, names: Sequence[str] | None = None) -> TableSchema:
    """The table that `build_table` writes, for `groups.NAME.table` of a plan; with some of its features on demand.

    It names this release's dictionary.

    Raises:
        KeyError: there is no such kind, or no feature of one of those names.
    """
    from sealscore.clients.features.dictionary.digest import dictionary_digest

    known = {found.name: found.column for found in entries(kind)}
    features = tuple(known.values()) if names is None else tuple(known[name] for name in names)
    common = {"date": AS_OF, "consent": CONSENT, "features": features, "dictionary": dictionary_digest()}
    if kind == "lender":
        return TableSchema(id=ID, person=PERSON, label=LABEL, **common)
    return TableSchema(id=PERSON, **common)


def bounded(frame: pl.LazyFrame, kind: Kind) -> pl.LazyFrame:
    """The frame with every feature of the kind within its bounds, in the dictionary's order, after other columns.

    A feature that the frame lacks is missing in every row, where the dictionary allows that.
    """
    present = set(frame.collect_schema().names())
    known = entries(kind)
    kept = [name for name in frame.collect_schema().names() if name not in {found.name for found in known}]
    absent = [pl.lit(None).alias(found.name) for found in known if found.name not in present]
    return frame.with_columns(absent).select(*kept, *(found.bounded() for found in known))
