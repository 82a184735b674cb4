"""The columns that a group of parties holds: names, bounds and levels, all of them public."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    model_serializer,
    model_validator,
)

from sealscore.shared.text.foreign import plain


class Strict(BaseModel):
    """A frozen model that refuses unknown keys: a contract with a typo is no contract."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Hashed(Strict):
    """A contract of its own that parties approve by its hash."""

    def canonical(self) -> str:
        """The text that is hashed and kept: sorted-key JSON without white space, ASCII, every default written out."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), allow_nan=False)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of `canonical()`, 64 hexadecimal digits."""
        return hashlib.sha256(self.canonical().encode("ascii")).hexdigest()


class Extended(Strict):
    """A model that got keys after plans were approved: one that does not set them keeps its hash, so they stand in
    canonical form only where their value is not the default."""

    later: ClassVar[tuple[str, ...]] = ()

    @model_serializer(mode="wrap")
    def _without_defaults(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = plain(self)
        for name in self.later:
            if getattr(self, name) == type(self).model_fields[name].default:
                data.pop(name, None)
        return data


Name = Annotated[str, Field(min_length=1, max_length=120)]
# Bounds of a plan's lists. Whoever looks at a plan has not agreed to it yet: its size must not cost time or memory.
MAX_FEATURES, MAX_EDGES, MAX_INPUTS = 1000, 1000, 200
MAX_SENTENCE = 200


def _one_line(text: str) -> str:
    if text != text.strip() or plain(text, MAX_SENTENCE) != text:
        raise ValueError("must be one line of visible text: no line feeds, control characters or blanks around it")
    return text


Words = Annotated[str, Field(min_length=1, max_length=MAX_SENTENCE), AfterValidator(_one_line)]


class Sentence(Strict):
    """What an applicant is told, in English and in Chinese: at most 200 characters of visible text each."""

    en: Words
    zh: Words


class NumericReason(Strict):
    """The sentences for a number that lowered the score, by where it lies against the median of the training persons.

    They say what is ("There are many refunds"), and not what it did: a creator is told the same where it raised the
    score. What is not given is made of the feature's name (see `sealscore.shared.serving.reason_texts`).
    """

    high: Sentence | None = None
    low: Sentence | None = None
    missing: Sentence | None = None

    @model_validator(mode="after")
    def _some(self) -> NumericReason:
        return _with_sentence(self)


class LevelReason(Strict):
    """The sentences for a level that lowered the score: one whatever the level is, or by its side of the median."""

    level: Sentence | None = None
    high: Sentence | None = None
    low: Sentence | None = None
    missing: Sentence | None = None

    @model_validator(mode="after")
    def _some(self) -> LevelReason:
        return _with_sentence(self)


_Reason = TypeVar("_Reason", NumericReason, LevelReason)


def _with_sentence(reason: _Reason) -> _Reason:
    if not any(getattr(reason, direction) for direction in type(reason).model_fields):
        raise ValueError(f"give a sentence for one of {', '.join(type(reason).model_fields)}, or leave reason out")
    return reason


def _check_reason(feature: NumericFeature | CategoricalFeature) -> None:
    """Refuse sentences that nobody would ever be told."""
    if feature.reason is None:
        return
    for never in ("protected", "proxy"):
        if getattr(feature, never):
            raise ValueError(f"reason: a feature with {never} = true is never given as a reason; leave reason out")
    if feature.reason.missing and not feature.missing:
        raise ValueError("reason.missing: no value can be missing; leave it out, or write missing = true")
    if isinstance(feature, CategoricalFeature) and not feature.ordered:
        for side in ("high", "low"):
            if getattr(feature.reason, side):
                raise ValueError(f"reason.{side}: the levels have no order; write reason.level, or ordered = true")


class NumericFeature(Extended):
    """A number with public bounds; the bin grid is uniform in x, or in asinh(x / scale) where a scale is given.

    A value beyond a bound is refused, or counts as that bound where `clip` is set.

    `input_only` columns are read to derive others and do not enter the score themselves. `edges` are public edges
    of the bins (an edge belongs to the lower bin); without them the bins are quantiles, found under noise. `weight`
    scales the feature's units in the code, and with them how fast it is learnt. `reason` is what an applicant is told
    whose score it lowered; a `proxy` stands in for a protected attribute, enters the score, and is never told.
    """

    later: ClassVar[tuple[str, ...]] = ("clip", "reason", "proxy")

    kind: Literal["numeric"] = "numeric"
    name: Name
    lower: float
    upper: float
    scale: float | None = Field(default=None, gt=0)
    edges: Annotated[tuple[float, ...], Field(max_length=MAX_EDGES)] = ()
    integer: bool = False
    clip: bool = False
    missing: bool = False
    protected: bool = False
    input_only: bool = False
    weight: float = Field(default=1.0, gt=0, le=4)
    reason: NumericReason | None = None
    proxy: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> NumericFeature:
        if not self.lower < self.upper:
            raise ValueError(f"upper must be above lower = {self.lower}")
        if self.integer and not (self.lower.is_integer() and self.upper.is_integer()):
            raise ValueError("an integer feature needs integer bounds")
        if list(self.edges) != sorted(set(self.edges)) or not all(self.lower <= e < self.upper for e in self.edges):
            raise ValueError("edges must rise and lie within [lower, upper)")
        _check_reason(self)
        return self

    def transform(self, values: np.ndarray) -> np.ndarray:
        """Map values [any shape] to the axis on which the bin grid is uniform."""
        return np.asarray(np.arcsinh(values / self.scale) if self.scale else values, dtype=np.float64)

    def inverse(self, position: np.ndarray) -> np.ndarray:
        """Map positions on the grid's axis back to values."""
        return np.asarray(np.sinh(position) * self.scale if self.scale else position, dtype=np.float64)


class Formula(Strict):
    """How a derived feature follows from numeric columns of the same record.

    - linear: the sum of weight times column (weights default to 1);
    - max, min: the largest or smallest of the columns;
    - count-above: how many of the columns exceed `threshold`;
    - ratio: `linear` of the columns over max(the sum of `per`, `floor`).
    """

    op: Literal["linear", "max", "min", "count-above", "ratio"]
    of: tuple[Name, ...] = Field(min_length=1, max_length=MAX_INPUTS)
    weights: tuple[float, ...] | None = None
    threshold: float | None = None
    per: Annotated[tuple[Name, ...], Field(max_length=MAX_INPUTS)] | None = None
    floor: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _complete(self) -> Formula:
        wanted = {"threshold": self.op == "count-above", "per": self.op == "ratio", "floor": self.op == "ratio"}
        for name, needed in wanted.items():
            if (getattr(self, name) is not None) != needed:
                raise ValueError(f"op = {self.op!r} {'needs' if needed else 'has no use for'} {name!r}")
        if self.weights is not None and (self.op not in ("linear", "ratio") or len(self.weights) != len(self.of)):
            raise ValueError("weights go with linear and ratio, one for each column of 'of'")
        return self

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns that the formula reads."""
        return (*self.of, *(self.per or ()))


class DerivedFeature(NumericFeature):
    """A number that each party computes from its own columns, record by record, cut off at the bounds."""

    formula: Formula

    @model_validator(mode="after")
    def _plain(self) -> DerivedFeature:
        if self.protected or self.input_only:
            raise ValueError("a derived feature is neither protected nor input_only")
        if self.clip:
            raise ValueError("a derived feature is cut off at its bounds by itself: leave clip out")
        return self


class CategoricalFeature(Extended):
    """One of a fixed list of levels. Levels are text; a numeric column is matched by its shortest decimal form.

    A value that is none of them is refused, or counts as the level `other` where one is named. `level_names` are what
    reports call the levels, one for each; without them levels are called as they are written. `reason` and `proxy` are
    as for a numeric feature.
    """

    later: ClassVar[tuple[str, ...]] = ("level_names", "other", "reason", "proxy")

    kind: Literal["categorical"] = "categorical"
    name: Name
    levels: tuple[Annotated[str, Field(max_length=1000)], ...] = Field(min_length=2, max_length=200)
    level_names: tuple[Name, ...] | None = None
    ordered: bool = False
    other: Name | None = None
    missing: bool = False
    protected: bool = False
    weight: float = Field(default=1.0, gt=0, le=4)
    reason: LevelReason | None = None
    proxy: bool = False

    @model_validator(mode="after")
    def _distinct(self) -> CategoricalFeature:
        if len(set(self.levels)) != len(self.levels):
            raise ValueError("levels must be distinct")
        if self.other is not None and self.other not in self.levels:
            raise ValueError(f"other = {self.other!r}: must be one of the levels")
        names = self.level_names
        if names is not None and not len(set(names)) == len(names) == len(self.levels):
            raise ValueError(f"level_names must be {len(self.levels)} distinct names, one for each level")
        _check_reason(self)
        return self


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return "derived" if "formula" in value else str(value.get("kind", "numeric"))
    return "derived" if isinstance(value, DerivedFeature) else str(getattr(value, "kind", "numeric"))


_Column = Annotated[NumericFeature, Tag("numeric")] | Annotated[CategoricalFeature, Tag("categorical")]
Column = Annotated[_Column, Discriminator(_kind)]
Feature = Annotated[_Column | Annotated[DerivedFeature, Tag("derived")], Discriminator(_kind)]


class TableSchema(Extended):
    """The table of one group of parties.

    `id` names the record, `person` whom it is about (by default the record's own id), `label` the outcome (lenders
    only), `date` the day of the application, from which the performance window runs and by which a plan may split.
    `label_bad` and `label_good` are how the label column writes the two outcomes; they are matched as levels are.
    `consent` lists what each record's person consented to, as `lender-1 until 2027-03-31; federation`: the parties
    with which the record may be joined, and "federation" for sums (see `sealscore.shared.persons.consent` for
    purposes and dates). A real node reads consents where its operator says, whatever stands here. Of a raw table from
    which the features are computed at most the share `most_rejected` of the rows may be at fault; those rows are left
    out. `dictionary` is the SHA-256 of the feature dictionary from which all parties compute the features, where the
    plan names one. `read_from_data` marks bounds, levels or flags that somebody read from records: they tell of those
    records outside any budget, so a real node refuses such a table.
    """

    later: ClassVar[tuple[str, ...]] = ("dictionary", "read_from_data")

    id: Name
    person: Name | None = None
    label: Name | None = None
    label_bad: Name = "1"
    label_good: Name = "0"
    date: Name | None = None
    consent: Name | None = None
    features: tuple[Column, ...] = Field(min_length=1, max_length=MAX_FEATURES)
    derived: Annotated[tuple[DerivedFeature, ...], Field(max_length=MAX_FEATURES)] = ()
    most_rejected: Annotated[float, Field(ge=0, le=1)] = 0.01
    dictionary: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    read_from_data: bool = False

    @model_validator(mode="after")
    def _names(self) -> TableSchema:
        names = [feature.name for feature in (*self.features, *self.derived)]
        special = [name for name in (self.id, self.person, self.label, self.date, self.consent) if name]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"feature {name!r} is listed twice")
            if name in special:
                raise ValueError(f"column {name!r} cannot be a feature: it is the id, person, label, date or consent")
        if len(set(special) | {self.id}) != len(special):
            raise ValueError(
                "id, person, label, date and consent must be columns of their own; leave person out if it is the id"
            )
        if self.label_bad == self.label_good:
            raise ValueError(f"label_bad and label_good must differ, both are {self.label_bad!r}")
        if not self.scored:
            raise ValueError("at least one feature must enter the score: neither protected nor input_only")
        return self

    @model_validator(mode="after")
    def _derivations(self) -> TableSchema:
        columns = {feature.name: feature for feature in self.features}
        for derived in self.derived:
            for name in derived.formula.inputs:
                column = columns.get(name)
                if not isinstance(column, NumericFeature):
                    raise ValueError(f"derived feature {derived.name!r} reads {name!r}, which is no numeric feature")
                if column.protected:
                    raise ValueError(f"derived feature {derived.name!r} reads {name!r}, which is protected")
                if column.missing and not derived.missing:
                    raise ValueError(f"derived feature {derived.name!r} needs missing = true, as {name!r} has it")
                if column.proxy and not derived.proxy:
                    raise ValueError(f"derived feature {derived.name!r} needs proxy = true, as {name!r} has it")
        return self

    @property
    def person_column(self) -> str:
        """The column that names the person of a record."""
        return self.person or self.id

    @property
    def scored(self) -> tuple[NumericFeature | CategoricalFeature, ...]:
        """The features that enter the score: columns that are not protected nor mere inputs, then the derived."""
        raw = (f for f in self.features if not f.protected and not (isinstance(f, NumericFeature) and f.input_only))
        return (*raw, *self.derived)

    @property
    def protected(self) -> tuple[NumericFeature | CategoricalFeature, ...]:
        """The features that may enter the evaluation only."""
        return tuple(feature for feature in self.features if feature.protected)

    def feature(self, name: str) -> NumericFeature | CategoricalFeature:
        """The feature of that name; KeyError where there is none."""
        for feature in (*self.features, *self.derived):
            if feature.name == name:
                return feature
        raise KeyError(name)
