"""The plan: the one contract that every party approves by its hash before it answers anything.

A plan is a TOML file and a frozen pydantic model. Its hash is SHA-256 over the sorted-key JSON of the validated
model, so the order of keys, comments and the writing of a number (1 or 1.0) do not change it.
"""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from shared.plan_errors import PlanError, explain
from shared.schema import CategoricalFeature, Name, Strict, TableSchema

SCHEMA_VERSION: Literal[1] = 1

Fraction = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]


def sort_keys(table: dict[str, Any]) -> dict[str, Any]:
    """Tables are kept sorted, so that nothing can depend on the order in which a file names their keys."""
    return dict(sorted(table.items()))


def _inner(place: Any, step: str) -> Any:
    """One step into plain data; a key that is absent becomes a table, for the validation to judge."""
    if isinstance(place, list) and step.isdigit() and int(step) < len(place):
        return place[int(step)]
    if isinstance(place, dict):
        if place.get(step) is None:
            place[step] = {}
        return place[step]
    return None


class Party(Strict):
    """A lender or a platform. `nominal_records` is public and stands in every denominator, weight and modulus."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
    group: Name
    nominal_records: Annotated[int, Field(ge=1, le=10**9)]


class Group(Strict):
    """The parties of one role, and of one kind where they are platforms: they share a schema and train together.

    `crosses` are pairs of scored features whose products enter the tower beside the features themselves.
    """

    role: Literal["lender", "platform"]
    min_parties: Annotated[int, Field(ge=1)]
    max_colluding: Annotated[int, Field(ge=0)]
    table: TableSchema
    crosses: tuple[tuple[Name, Name], ...] = ()


class Outcome(Strict):
    """What bad means, and until when it was watched."""

    definition: Annotated[str, Field(min_length=3)]
    window_days: Annotated[int, Field(ge=1, le=3650)]
    cutoff: date


class Split(Strict):
    """Which persons are test persons: a published list, a keyed hash of the person, or those who applied late."""

    kind: Literal["ids", "hash", "date"]
    test_fraction: Annotated[float, Field(gt=0, lt=1)]
    file: str | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    key: Annotated[str, Field(min_length=1)] | None = None
    first_test_day: date | None = None

    @model_validator(mode="after")
    def _complete(self) -> Split:
        needs = {"ids": ("file", "sha256"), "hash": ("key",), "date": ("first_test_day",)}
        for kind, names in needs.items():
            for name in names:
                given = getattr(self, name) is not None
                if given != (kind == self.kind):
                    wanted = "needs" if kind == self.kind else "has no use for"
                    raise ValueError(f"a split by {self.kind} {wanted} {name!r}")
        return self


class Evaluation(Strict):
    """How the model is judged.

    `groups` maps protected features to the inner edges of the bands in which they are reported (an edge belongs to
    the lower band); a categorical feature is reported by its levels and takes an empty list.
    """

    split: Split
    groups: dict[Name, tuple[float, ...]] = Field(default_factory=dict)
    cells: Annotated[int, Field(ge=8, le=512)] = 32
    approval_rate: Annotated[float, Field(gt=0, lt=1)] = 0.8

    _sorted = field_validator("groups")(sort_keys)


class Model(Strict):
    """The form of the score: bins per feature, cells of the noisy histogram, and the tower over thermometer codes.

    `hidden` is the width of the small network beside the linear part (0 for none). Crosses are products of codes of
    at most `cross_bins` bins, and `cross_scale` is the size of all of them together against that of the features.
    """

    bins: Annotated[int, Field(ge=2, le=64)] = 16
    grid_cells: Annotated[int, Field(ge=8, le=4096)] = 128
    hidden: Annotated[int, Field(ge=0, le=256)] = 0
    cross_bins: Annotated[int, Field(ge=2, le=32)] = 4
    cross_scale: Annotated[float, Field(gt=0, le=4)] = 0.5


class Shares(Strict):
    """Shares of the squared signal-to-noise budget; the towers share what is left of a training person's equally.

    `evaluation` is a share of the test persons' budget: no person is in both parts, so the two compose in parallel.
    """

    bins: Annotated[float, Field(gt=0, lt=1)] = 0.05
    calibration: Annotated[float, Field(gt=0, lt=1)] = 0.05
    evaluation: Annotated[float, Field(gt=0, le=1)] = 1.0

    @model_validator(mode="after")
    def _room(self) -> Shares:
        if self.bins + self.calibration >= 1:
            raise ValueError("bins + calibration must leave a share for the towers, so be below 1")
        return self


class Privacy(Strict):
    """The claim (epsilon, delta; for a person, neighbouring by adding or removing one) and what bounds it.

    `noise` is "none" in simulations of the same protocol without privacy only: a real node refuses it.
    """

    epsilon: Annotated[float, Field(gt=0, le=50)]
    delta: Annotated[float, Field(gt=0, le=1e-3)]
    label_epsilon: Annotated[float, Field(gt=0, le=20)] | None = None
    clip_norm: Positive = 1.0
    shares: Shares = Shares()
    max_records_per_person: Annotated[int, Field(ge=1, le=100)] = 1
    max_parties_per_person: Annotated[int, Field(ge=1)] | None = None
    spare_attempts: Annotated[float, Field(ge=0, le=1)] = 0.05
    noise: Literal["discrete-gaussian", "none"] = "discrete-gaussian"


class Optimizer(Strict):
    """The server's step: post-processing, so it costs nothing."""

    kind: Literal["momentum", "adam"] = "momentum"
    learning_rate: Positive = 0.2
    momentum: Fraction = 0.9
    second_moment: Fraction = 0.999
    schedule: Literal["constant", "cosine"] = "cosine"
    average_last: Annotated[float, Field(ge=0, le=1)] = 0.5


class Local(Strict):
    """What a party does by itself in a round of FedAvg or FedProx: noisy steps of its own, with all the noise."""

    steps: Annotated[int, Field(ge=1, le=1000)] = 10
    learning_rate: Positive = 0.2
    proximal: Annotated[float, Field(ge=0)] = 0.0


class Training(Strict):
    """The algorithm of a tower. `sample_rate` is the Poisson rate at which each party takes each record in a step."""

    algorithm: Literal["dp-sgd", "fedavg", "fedprox"] = "dp-sgd"
    engine: Literal["fused", "opacus"] = "fused"
    rounds: Annotated[int, Field(ge=1, le=100_000)]
    sample_rate: Annotated[float, Field(gt=0, le=1)]
    optimizer: Optimizer = Optimizer()
    local: Local | None = None

    @model_validator(mode="after")
    def _family(self) -> Training:
        if (self.algorithm == "dp-sgd") == (self.local is not None):
            raise ValueError("local steps belong to fedavg and fedprox, which need them, and to nothing else")
        if self.local is not None and (self.algorithm == "fedprox") != (self.local.proximal > 0):
            raise ValueError("local.proximal must be above 0 for fedprox, and is 0 for fedavg")
        return self


class Plan(Strict):
    """The whole contract. Build one with `Plan.load` or `Plan.parse`, which explain what is wrong with a file."""

    version: Literal[1] = SCHEMA_VERSION
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
    purpose: Annotated[str, Field(min_length=3)]
    expires: date | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    groups: Annotated[dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")], Group], Field(min_length=1)]
    parties: Annotated[tuple[Party, ...], Field(min_length=1)]
    outcome: Outcome
    model: Model = Model()
    privacy: Privacy
    training: Training
    evaluation: Evaluation

    _sorted = field_validator("groups")(sort_keys)

    @model_validator(mode="after")
    def _consistent(self) -> Plan:
        self._check_parties()
        self._check_groups()
        self._check_evaluation()
        return self

    def _check_parties(self) -> None:
        names = [party.name for party in self.parties]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"parties: two are named {name!r}; names must be distinct")
        for party in self.parties:
            if party.group not in self.groups:
                raise ValueError(
                    f"parties: {party.name!r} is of group {party.group!r}; groups of this plan: {sorted(self.groups)}"
                )
        if (spread := self.privacy.max_parties_per_person) and spread > len(names):
            raise ValueError(f"privacy.max_parties_per_person = {spread}: the plan has {len(names)} parties")

    def _check_groups(self) -> None:
        lenders = [name for name, group in self.groups.items() if group.role == "lender"]
        if len(lenders) != 1:
            raise ValueError(f"groups: exactly one must have the role 'lender', found {lenders or 'none'}")
        for name, group in self.groups.items():
            count = len(self.members(name))
            where = f"groups.{name}.min_parties = {group.min_parties}"
            if count == 0:
                raise ValueError(f"groups.{name}: no party of the plan belongs to it; add one under [[parties]]")
            if group.min_parties > count:
                raise ValueError(f"{where}: the plan has {count} of them; allowed: up to {count}")
            if count == 1:
                if group.max_colluding:
                    raise ValueError(f"groups.{name}.max_colluding = {group.max_colluding}: must be 0 for one party")
            elif group.min_parties < group.max_colluding + 2:
                raise ValueError(
                    f"{where}: must be at least max_colluding + 2 = {group.max_colluding + 2}, "
                    "or the rest of a cohort could be told from the sum"
                )
            scored = {feature.name for feature in group.table.scored}
            for pair in group.crosses:
                if not set(pair) <= scored or pair[0] == pair[1]:
                    raise ValueError(f"groups.{name}.crosses: {list(pair)} must be two different scored features")
            if (group.role == "lender") != (group.table.label is not None):
                raise ValueError(f"groups.{name}.table.label: lenders need one, platforms have none")
            if self.evaluation.split.kind == "date" and group.role == "lender" and group.table.date is None:
                raise ValueError(f"groups.{name}.table.date: the split by date needs the lenders' date column")

    def _check_evaluation(self) -> None:
        known = {f.name: f for g in self.groups.values() for f in g.table.protected}
        for name, edges in self.evaluation.groups.items():
            if name not in known:
                raise ValueError(f"evaluation.groups: {name!r} is no protected feature; known: {sorted(known)}")
            if (known[name].kind == "numeric") != bool(edges):
                raise ValueError(f"evaluation.groups.{name}: numeric features need edges of bands, others take []")
            if list(edges) != sorted(set(edges)):
                raise ValueError(f"evaluation.groups.{name} = {list(edges)}: edges must rise")

    @classmethod
    def parse(cls, data: dict[str, Any], source: str = "plan") -> Plan:
        """Validate a mapping; PlanError names the key, the value and what is allowed."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise PlanError(source, explain(error, cls)) from None

    @classmethod
    def loads(cls, text: str, source: str = "plan") -> Plan:
        """Parse TOML text."""
        try:
            return cls.parse(tomllib.loads(text), source)
        except tomllib.TOMLDecodeError as error:
            raise PlanError(source, [f"not valid TOML: {error}"]) from None

    @classmethod
    def load(cls, path: Path) -> Plan:
        """Read a TOML file; PlanError where it is missing, not UTF-8, not TOML or no valid plan."""
        try:
            return cls.loads(path.read_text(encoding="utf-8"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise PlanError(str(path), [f"cannot be read: {error}"]) from None

    @classmethod
    def from_canonical(cls, data: bytes) -> Plan:
        """The plan whose canonical bytes these are; PlanError for any others."""
        try:
            plan = cls.parse(json.loads(data))
        except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
            raise PlanError("plan", [f"not the canonical bytes of a plan: {error}"]) from None
        if plan.canonical() != data:
            raise PlanError("plan", ["not in canonical form: keys sorted, no white space, defaults written out"])
        return plan

    def canonical(self) -> bytes:
        """The bytes that are hashed: sorted-key JSON without white space, ASCII, every default written out."""
        data = self.model_dump(mode="json")
        return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")

    @property
    def hash(self) -> str:
        """SHA-256 of `canonical()`, 64 hexadecimal digits."""
        return hashlib.sha256(self.canonical()).hexdigest()

    def replace(self, **changes: Any) -> Plan:
        """A new validated plan with dotted keys replaced, written with __ for the dot: privacy__epsilon=2."""
        data = self.model_dump(mode="json")
        for key, value in changes.items():
            *path, last = key.split("__")
            place: Any = data
            for step in path:
                place = _inner(place, step)
            if not isinstance(place, dict):
                raise PlanError(self.name, [f"{key.replace('__', '.')}: the plan has no such key"])
            place[last] = value
        return Plan.parse(data, f"{self.name} with {sorted(changes)}")

    def members(self, group: str) -> tuple[Party, ...]:
        """The parties of a group, in the order of the plan."""
        return tuple(party for party in self.parties if party.group == group)

    def party(self, name: str) -> Party:
        """The party of that name; KeyError where there is none."""
        for party in self.parties:
            if party.name == name:
                return party
        raise KeyError(name)

    @property
    def lenders(self) -> str:
        """The name of the lenders' group."""
        return next(name for name, group in self.groups.items() if group.role == "lender")

    def bands(self, name: str) -> tuple[str, ...]:
        """Names of the bands of a feature in `evaluation.groups`, in the order of their tables; the last is missing."""
        feature = next(f for g in self.groups.values() for f in g.table.protected if f.name == name)
        if isinstance(feature, CategoricalFeature):
            return (*feature.levels, "missing")
        edges = [f"{edge:g}" for edge in self.evaluation.groups[name]]
        inner = [f"{low}-{high}" for low, high in pairwise(edges)]
        return (f"up to {edges[0]}", *inner, f"above {edges[-1]}", "missing")

    def multiplicity(self, group: str) -> int:
        """The most records that one person may have in one release of a group: records a party times parties."""
        parties = len(self.members(group))
        spread = self.privacy.max_parties_per_person or parties
        return self.privacy.max_records_per_person * min(spread, parties)

    def nominal_training(self, party: Party) -> int:
        """The public number of training records that stands for a party's: nominal records less the test fraction."""
        return max(1, math.floor(party.nominal_records * (1 - self.evaluation.split.test_fraction) + 0.5))
