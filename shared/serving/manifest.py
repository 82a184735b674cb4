"""`release.toml`: what a release is, who may use it for what, and what platforms tell under it. Operators approve its
hash as they do a plan's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import date
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationError, model_validator

from sealscore.shared.plan.errors import PlanError, explain
from sealscore.shared.plan.schema import Extended, Hashed, Name, Strict
from sealscore.shared.plan.toml import load_as
from sealscore.shared.serving.watch import MOST_QUARTERS

MANIFEST = "release.toml"
Kind = Literal["signal", "capacity", "flag", "reasons", "watch"]
KINDS: tuple[Kind, ...] = ("signal", "capacity", "flag", "reasons")
"""What a token tells; the watch bit comes after it, quarter by quarter."""
CAPACITY_BITS, FLAG_BITS, REASON_BITS, WATCH_BITS = 3, 1, 8, 1
# Two of them are told, four bits each; 0 says none.
MOST_REASONS = 15
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Code = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
Version = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
_MOST_TEXT = 1_000_000


class Capacity(Strict):
    """In which band of public edges an amount lies, told in 3 bits: what an own column of the platform has.

    An edge belongs to the lower band.
    """

    column: Name
    edges: Annotated[tuple[float, ...], Field(min_length=1, max_length=2**CAPACITY_BITS - 2)]

    @model_validator(mode="after")
    def _rising(self) -> Capacity:
        if any(low >= high for low, high in pairwise(self.edges)):
            raise ValueError("edges must rise")
        return self


class Flag(Strict):
    """Whether an own column of the platform, which enters no score, is above a public threshold: 1 bit."""

    column: Name
    above: float


class WatchRule(Strict):
    """Whether a quarter's score of the tower is beyond what that share of the training persons, the worst, was at: 1
    bit a quarter (see `SignalTower.cut`).

    A creator agrees to be watched for a number of quarters that is fixed when she does, at most `quarters`.
    """

    worst: Annotated[float, Field(gt=0, lt=1)]
    quarters: Annotated[int, Field(ge=1, le=MOST_QUARTERS)]


class Told(Extended):
    """What one kind of platform may tell. `meaning` is that of its levels, as ledgers of its platforms have it.

    `reasons` are the features of its tower that a reason may name, at most 15: 8 bits tell the two of them that lowered
    the level most. `watch` is told of who agreed to that, too, in batches and not in a token.
    """

    later: ClassVar[tuple[str, ...]] = ("watch",)

    meaning: Hash
    signal_bits: Annotated[int, Field(ge=1, le=8)]
    capacity: Capacity | None = None
    flag: Flag | None = None
    reasons: Annotated[tuple[Name, ...], Field(max_length=MOST_REASONS)] = ()
    watch: WatchRule | None = None

    @cached_property
    def bits(self) -> dict[Kind, int]:
        """Bits of each kind that is told, of each period in which it is (see `watch.period_of`)."""
        return self.token_bits | ({"watch": WATCH_BITS} if self.watch else {})

    @cached_property
    def token_bits(self) -> dict[Kind, int]:
        """Bits of each kind that a token may tell."""
        found: dict[Kind, int] = {"signal": self.signal_bits}
        if self.capacity:
            found["capacity"] = CAPACITY_BITS
        if self.flag:
            found["flag"] = FLAG_BITS
        if self.reasons:
            found["reasons"] = REASON_BITS
        return found

    def allows(self, values: Mapping[Kind, int], levels: int) -> bool:
        """Whether a token may tell these values: the signal, and of each kind one that it has; `levels` are those of
        the plan's signals.
        """
        known = {"signal": levels, "flag": 2}
        if self.capacity:
            # The last says that the amount is not known.
            known["capacity"] = len(self.capacity.edges) + 2
        places = len(self.reasons)
        first, second = divmod(values.get("reasons", 0), 16)
        return (
            "signal" in values
            and set(values) <= set(self.token_bits)
            and all(0 <= value < known.get(kind, 256) for kind, value in values.items())
            and first <= places
            and second <= places
        )

    def definition(self, kind: Kind) -> str:
        """What a value of a kind means, 64 hexadecimal digits: equal for equal meanings in whatever release."""
        if kind == "signal":
            return self.meaning
        given: Any = [self.meaning, *self.reasons]
        if kind in ("capacity", "flag"):
            given = getattr(self, kind).model_dump(mode="json")
        if kind == "watch" and self.watch:
            # For how long somebody is watched changes no bit.
            given = [self.meaning, self.watch.worst]
        return hashlib.sha256(json.dumps([kind, given], sort_keys=True).encode()).hexdigest()


class Cutoffs(Strict):
    """Points at which the plan's approval rate is met, by the charged tables: of the champion and of the fallback."""

    champion: int
    fallback: int | None = None


class Manifest(Hashed, Extended):
    """The whole of release.toml.

    `purpose_code` is that of scoring, another than the plan's: what was told for training is never used to score.
    `retraining_code` is that under which a consent lets the level enter a later training; without it none does.
    `monitoring_code` is that under which a consent lets the watch bit be told; a release that tells none has none.
    `most_a_day` bounds the tokens of one platform for one lender a day; `batch_places` and `batch_hour` (UTC) are the
    size and the hour of the day's sealed batch of a pair. `files` has the SHA-256 of every other file by its name.
    """

    later: ClassVar[tuple[str, ...]] = ("retraining_code", "monitoring_code")

    version: Literal[1] = 1
    name: Version
    plan: Hash
    purpose_code: Code
    retraining_code: Code | None = None
    monitoring_code: Code | None = None
    lenders: Annotated[tuple[Version, ...], Field(min_length=1, max_length=1000)]
    issued: date
    expires: date
    token_days: Annotated[int, Field(ge=1, le=90)] = 30
    most_a_day: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    batch_places: Annotated[int, Field(ge=8, le=1_000_000)] = 64
    batch_hour: Annotated[int, Field(ge=0, le=23)] = 3
    told: dict[Code, Told] = Field(default_factory=dict)
    cutoffs: Cutoffs | None = None
    files: dict[Annotated[str, Field(pattern=r"^[a-z0-9._/-]{1,200}$")], Hash]

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        if self.expires <= self.issued:
            raise ValueError(f"expires = {self.expires}: must be after issued = {self.issued}")
        if self.retraining_code == self.purpose_code:
            raise ValueError(f"retraining_code = {self.retraining_code!r}: is that of scoring; it needs one of its own")
        if self.monitoring_code is not None and self.monitoring_code in (self.purpose_code, self.retraining_code):
            raise ValueError(
                f"monitoring_code = {self.monitoring_code!r}: is that of scoring or retraining; it needs its own"
            )
        if (self.monitoring_code is None) == any(told.watch for told in self.told.values()):
            raise ValueError("monitoring_code: is needed where a watch bit is told, and only there")
        if len(set(self.lenders)) != len(self.lenders):
            raise ValueError("lenders must be distinct")
        if any(".." in name or name.startswith("/") for name in self.files):
            raise ValueError("files lie in the folder of the release")
        return self

    @classmethod
    def parse(cls, data: Any, source: str = MANIFEST) -> Manifest:
        """Validate plain data; PlanError names the key, the value and what is allowed."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise PlanError(source, explain(error, cls)) from None

    @classmethod
    def load(cls, path: Path) -> Manifest:
        """Read a release.toml; PlanError where it cannot be used."""
        return load_as(cls, path, "sealscore-server release new makes one")

    @classmethod
    def from_canonical(cls, text: str) -> Manifest:
        """The manifest whose canonical text this is; PlanError for any other."""
        if len(text) > _MOST_TEXT:
            raise PlanError(MANIFEST, [f"has {len(text)} characters; at most {_MOST_TEXT}"])
        try:
            found = cls.parse(json.loads(text))
        except (ValueError, RecursionError) as error:
            if isinstance(error, PlanError):
                raise
            raise PlanError(MANIFEST, ["not the canonical text of a release"]) from None
        if found.canonical() != text:
            raise PlanError(MANIFEST, ["not in canonical form"])
        return found
