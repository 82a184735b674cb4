"""The plan: the one contract that every party approves by its hash before it answers anything.

A plan is a TOML file and a frozen pydantic model. Its hash is SHA-256 over the sorted-key JSON of the validated
model, so the order of keys, comments and the writing of a number (1 or 1.0) do not change it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from datetime import date
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from sealscore.shared.identity.identity import Card
from sealscore.shared.identity.trust import enrolled
from sealscore.shared.plan.bounds import (
    MAX_BANDS,
    MAX_CROSSES,
    MAX_GROUPS,
    MAX_PARTIES,
    MAX_TEXT,
    MOST_COUNT,
    MOST_RECORDS,
)
from sealscore.shared.plan.errors import PlanError, explain
from sealscore.shared.plan.monitoring import EVERYBODY, PURPOSE, Monitoring
from sealscore.shared.plan.schema import CategoricalFeature, Extended, Name, NumericFeature, Strict, TableSchema
from sealscore.shared.plan.settings import (
    AUTO,
    Alignment,
    Evaluation,
    Model,
    Outcome,
    Positive,
    Privacy,
    ScoresFrom,
    Shares,
    SignalsFrom,
    Training,
    sort_keys,
)
from sealscore.shared.plan.toml import load_toml, parse_toml

SCHEMA_VERSION: Literal[1] = 1
# The name under which the server signs; no party may have it.
SERVER = "server"
_SIGNAL = "signal."
# The name of the tower that reads no signal; no group of a plan that has one may have it.
FALLBACK = "fallback"


def _inner(place: Any, step: str) -> Any:
    """One step into plain data; a key that is absent becomes a table, for the validation to judge."""
    if isinstance(place, list) and step.isdigit() and int(step) < len(place):
        return place[int(step)]
    if isinstance(place, dict):
        if place.get(step) is None:
            place[step] = {}
        return place[step]
    return None


def as_authored(data: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a plan as an author wrote them, with what canonical bytes never leave open.

    A plan with platforms that says nothing of a fallback gets one. Canonical bytes without the key mean a plan without
    it, as they did before there was one. A plan of counts, which judges no model, gets the evaluation that it must
    have.
    """
    if "monitoring" in data and "evaluation" not in data:
        data = {**data, "evaluation": EVERYBODY.model_dump(mode="json", exclude_none=True)}
    groups, model = data.get("groups"), data.get("model", {})
    parties = groups.values() if isinstance(groups, Mapping) else ()
    platforms = any(isinstance(group, Mapping) and group.get("role") == "platform" for group in parties)
    if not (platforms and isinstance(model, Mapping)) or "fallback" in model:
        return dict(data)
    return {**data, "model": {**model, "fallback": True}}


def signal_name(platforms: str) -> str:
    """The feature under which lenders know the signal of a group of platforms."""
    return f"{_SIGNAL}{platforms}"


def signal_platforms(feature: str) -> str | None:
    """The group of platforms whose signal bears that name; None for a name that is no signal's."""
    return feature.removeprefix(_SIGNAL) if feature.startswith(_SIGNAL) else None


class Party(Strict):
    """A lender or a platform. `nominal_records` is public and stands in every denominator, weight and modulus.

    `card` is the party's enrolment card as one line of text; a plan without cards cannot be approved by a real node.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
    group: Name
    nominal_records: Annotated[int, Field(ge=1, le=10**9)]
    card: str | None = None


class Group(Strict):
    """The parties of one role, and of one kind where they are platforms: they share a schema and train together.

    `crosses` are pairs of features whose products enter the tower beside the features themselves; at lenders the
    signal of a kind of platform is a feature too, `signal.<group>`. `clip_norm` overrides the plan's for this tower.
    """

    role: Literal["lender", "platform"]
    min_parties: Annotated[int, Field(ge=1)]
    max_colluding: Annotated[int, Field(ge=0)]
    table: TableSchema
    crosses: Annotated[tuple[tuple[Name, Name], ...], Field(max_length=MAX_CROSSES)] = ()
    clip_norm: Positive | None = None


class Plan(Extended):
    """The whole contract. Build one with `Plan.load` or `Plan.parse`, which explain what is wrong with a file.

    Ledgers keep approved plans for good: a key that is added later has a default under which plans without it mean
    what they meant before.

    `purpose` says in words what the model is for; `purpose_code` is what consents and budgets know it by. `bundle` is
    the SHA-256 of the app bundle that carries messages in a deployment: nodes run no other. With `signals_from` only
    the lenders train, on levels that they were told under an earlier plan: platforms tell nothing new. With
    `monitoring` nothing is trained: lenders count first passages of their loans. With `scores_from` nobody trains:
    scores of an earlier plan are calibrated and evaluated again.
    """

    later: ClassVar[tuple[str, ...]] = ("signals_from", "monitoring", "scores_from")

    version: Literal[1] = SCHEMA_VERSION
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
    purpose: Annotated[str, Field(min_length=3)]
    purpose_code: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")] = "credit-scoring"
    server_card: str | None = None
    expires: date | None = None
    bundle: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    groups: Annotated[
        dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")], Group],
        Field(min_length=1, max_length=MAX_GROUPS),
    ]
    parties: Annotated[tuple[Party, ...], Field(min_length=1, max_length=MAX_PARTIES)]
    outcome: Outcome
    alignment: Alignment = Alignment()
    signals_from: SignalsFrom | None = None
    monitoring: Monitoring | None = None
    scores_from: ScoresFrom | None = None
    model: Model = Model()
    privacy: Privacy
    training: Training = AUTO
    evaluation: Evaluation

    _sorted = field_validator("groups")(sort_keys)

    @model_validator(mode="after")
    def _consistent(self) -> Plan:
        self._check_parties()
        self._check_groups()
        self._check_evaluation()
        self._check_platforms()
        self._check_fallback()
        self._check_scores_from()
        self._check_cards()
        self._check_sizes()
        self._check_auto()
        if self.monitoring is not None:
            self._check_monitoring(self.monitoring)
        return self

    def _check_parties(self) -> None:
        names = [party.name for party in self.parties]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"parties: two are named {name!r}; names must be distinct")
        for party in self.parties:
            if party.name == SERVER:
                raise ValueError(f"parties: no party may be named {SERVER!r}")
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
            if group.role == "lender":
                scored |= {signal_name(platform) for platform in self.platforms}
            for pair in group.crosses:
                if not set(pair) <= scored or pair[0] == pair[1]:
                    raise ValueError(f"groups.{name}.crosses: {list(pair)} must be two different scored features")
            if (group.role == "lender" and self.monitoring is None) != (group.table.label is not None):
                raise ValueError(
                    f"groups.{name}.table.label: lenders need one where a model is trained; platforms and plans with "
                    "[monitoring] have none"
                )
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

    def _check_platforms(self) -> None:
        if self.signals_from is not None:
            self._check_signals_from(self.signals_from)
        if not self.platforms:
            return
        privacy, split = self.privacy, self.evaluation.split
        if privacy.label_epsilon is None and privacy.noise != "none" and self.signals_from is None:
            raise ValueError("privacy.label_epsilon: a plan with platforms needs one: labels reach them under it")
        if self.model.signal_bits > privacy.signal_bits:
            raise ValueError(
                f"model.signal_levels = {self.model.signal_levels}: needs {self.model.signal_bits} bits a person, and "
                f"privacy.signal_bits allows {privacy.signal_bits}"
            )
        for name in self.platforms:
            if split.kind == "date" and self.groups[name].table.date is None:
                raise ValueError(f"groups.{name}.table.date: the split by date needs the platforms' date column too")

    def _check_signals_from(self, source: SignalsFrom) -> None:
        if set(source.meanings) != set(self.platforms):
            raise ValueError(
                f"signals_from.meanings has {sorted(source.meanings)}: it must name the groups of platforms, "
                f"{sorted(self.platforms) or 'of which there are none'}"
            )
        if self.privacy.label_epsilon is not None:
            raise ValueError("privacy.label_epsilon: with signals_from no labels reach platforms; leave it out")
        if told := sorted(name for group in self.platforms for name in self.groups_at(group)):
            raise ValueError(
                f"evaluation.groups: with signals_from platforms tell no bands, and {', '.join(told)} would be told by "
                "them; leave it out, or have it in the lenders' table"
            )

    def _check_monitoring(self, asked: Monitoring) -> None:
        """A plan of counts reads nothing of what others say of models: it would mislead whoever approves it."""
        if self.purpose_code != PURPOSE:
            raise ValueError(f"purpose_code = {self.purpose_code!r}: a plan with [monitoring] has {PURPOSE!r}")
        unused = {
            "signals_from": self.signals_from is not None,
            "scores_from": self.scores_from is not None,
            "training": not self.training.auto,
            "evaluation": self.evaluation != EVERYBODY,
            "privacy.label_epsilon": self.privacy.label_epsilon is not None,
            "privacy.shares": self.privacy.shares != Shares(),
        }
        if given := [name for name, there in unused.items() if there]:
            raise ValueError(f"{', '.join(given)}: a plan with [monitoring] trains nothing; leave it out")
        if self.platforms:
            raise ValueError(
                f"groups.{self.platforms[0]}: a plan with [monitoring] counts lenders' loans alone; leave platforms out"
            )
        if asked.last_day > self.outcome.cutoff:
            raise ValueError(
                f"outcome.cutoff = {self.outcome.cutoff}: monitoring.last_month ends on {asked.last_day}, and a month "
                "must be over; move the cut-off"
            )
        asked.check_columns(f"groups.{self.lenders}.table", self.groups[self.lenders].table)

    def _check_fallback(self) -> None:
        if not self.model.fallback:
            return
        shares = self.privacy.shares
        if not self.platforms:
            raise ValueError("model.fallback: a plan without platforms has no signal to do without; leave it out")
        if FALLBACK in self.groups:
            raise ValueError(f"groups.{FALLBACK}: that is the name of the fallback's tower; rename the group")
        if shares.bins + shares.signal + shares.calibration + shares.fallback >= 1:
            raise ValueError(
                f"privacy.shares.fallback = {shares.fallback:g}: bins + signal + calibration + fallback must leave a "
                "share for the other towers, so be below 1"
            )

    def _check_scores_from(self) -> None:
        if self.scores_from is None:
            return
        if self.platforms and self.signals_from is None:
            raise ValueError("scores_from: scores are kept with the levels that they read, so signals_from is needed")
        scored = {self.lenders, *([FALLBACK] if self.model.fallback else [])}
        if set(self.scores_from.towers) != scored:
            raise ValueError(
                f"scores_from.towers has {sorted(self.scores_from.towers)}: it must name those that score, "
                f"{sorted(scored)}"
            )

    def _check_cards(self) -> None:
        given = [self.server_card, *(party.card for party in self.parties)]
        if any(given) and not all(given):
            raise ValueError(
                "cards: the server and every party need one (server_card, parties.card), or nobody has one"
            )
        if self.enrolled:
            roles = {party.name: self.groups[party.group].role for party in self.parties}
            for name, card in self.cards.items():
                if card.role != roles.get(name, "server"):
                    raise ValueError(f"cards: that of {name!r} is for a {card.role}, not a {roles.get(name, 'server')}")

    def _check_sizes(self) -> None:
        """Whoever looks at a plan has not agreed to it yet: nothing in it may be too much to compute or to send."""
        privacy, training = self.privacy, self.training
        for name in self.groups:
            if (records := self.multiplicity(name)) > MOST_RECORDS:
                raise ValueError(
                    f"groups.{name}: a person may have {records} records in one release "
                    "(privacy.max_records_per_person times its parties); "
                    f"at most {MOST_RECORDS}: lower it, or max_parties_per_person"
                )
        steps = training.local.steps if training.local else 1
        taken = math.ceil(training.rounds * (1 + privacy.spare_attempts)) * steps
        if taken > MOST_COUNT:
            raise ValueError(f"training: rounds with their spare attempts take {taken} steps; at most {MOST_COUNT}")
        for name in self.platforms:
            bands = math.prod(len(self.bands(feature)) for feature in self.groups_at(name))
            if bands > MAX_BANDS:
                raise ValueError(
                    f"evaluation.groups: the features at {name} have {bands} combinations of bands; at most {MAX_BANDS}"
                )

    def _check_auto(self) -> None:
        """The recipe reads none of what others tune: a value that has no effect would mislead whoever approves it."""
        if not self.training.auto:
            return
        told = Model(signal_levels=self.model.signal_levels, fallback=self.model.fallback)
        shares = Shares(evaluation=self.privacy.shares.evaluation, fallback=self.privacy.shares.fallback)
        given = [
            *(f"model.{name}" for name in Model.model_fields if getattr(self.model, name) != getattr(told, name)),
            *(
                f"privacy.shares.{name}"
                for name in Shares.model_fields
                if getattr(self.privacy.shares, name) != getattr(shares, name)
            ),
            *(["privacy.clip_norm"] if self.privacy.clip_norm != 1 else []),
        ]
        for name, group in self.groups.items():
            given += [f"groups.{name}.{key}" for key in ("crosses", "clip_norm") if getattr(group, key)]
            given += [f"the weight of {feature.name!r}" for feature in group.table.scored if feature.weight != 1]
        if given:
            raise ValueError(
                f'training = "auto" has no use for {", ".join(given)}: leave them out, or write a [training] table'
            )

    @property
    def enrolled(self) -> bool:
        """Whether the plan names the cards of all."""
        return self.server_card is not None

    @cached_property
    def cards(self) -> dict[str, Card]:
        """The enrolment cards by name, the server's among them; none where the plan names none.

        Raises:
            ValueError: a card is none, is of another name than its party, or two are of one holder.
        """
        if self.server_card is None:
            return {}
        found = {SERVER: Card.from_text(self.server_card)}
        found |= {party.name: Card.from_text(party.card or "") for party in self.parties}
        for name, card in found.items():
            if card.name != name:
                raise ValueError(f"cards: that of {name!r} is of {card.name!r}")
        return enrolled(found.values())

    @classmethod
    def parse(cls, data: dict[str, Any], source: str = "plan") -> Plan:
        """Validate a mapping; PlanError names the key, the value and what is allowed."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise PlanError(source, explain(error, cls)) from None

    @classmethod
    def loads(cls, text: str, source: str = "plan") -> Plan:
        """Parse TOML text, as `as_authored` reads it."""
        return cls.parse(as_authored(parse_toml(text, source)), source)

    @classmethod
    def load(cls, path: Path) -> Plan:
        """Read a TOML file, as `as_authored` does; PlanError where it is missing, not UTF-8, not TOML or no plan."""
        return cls.parse(as_authored(load_toml(path)), str(path))

    @classmethod
    def from_canonical(cls, data: bytes) -> Plan:
        """The plan whose canonical bytes these are; PlanError for any others."""
        if len(data) > MAX_TEXT:
            raise PlanError("plan", [f"has {len(data)} bytes; at most {MAX_TEXT}"])
        try:
            content = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise PlanError("plan", [f"not the canonical bytes of a plan: {error}"]) from None
        plan = cls.parse(content)
        if plan.canonical() != data:
            raise PlanError("plan", ["not in canonical form: keys sorted, no white space, defaults written out"])
        return plan

    def canonical(self) -> bytes:
        """The bytes that are hashed: sorted-key JSON without white space, ASCII, every default written out."""
        data = self.model_dump(mode="json")
        return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")

    @cached_property
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
        return self._members.get(group, ())

    def party(self, name: str) -> Party:
        """The party of that name; KeyError where there is none."""
        return self._party[name]

    @cached_property
    def _party(self) -> dict[str, Party]:
        return {party.name: party for party in self.parties}

    @cached_property
    def _members(self) -> dict[str, tuple[Party, ...]]:
        return {group: tuple(party for party in self.parties if party.group == group) for group in self.groups}

    @cached_property
    def platforms(self) -> tuple[str, ...]:
        """The names of the platforms' groups, sorted: one for each kind of platform."""
        return tuple(name for name, group in self.groups.items() if group.role == "platform")

    @property
    def trained(self) -> tuple[str, ...]:
        """The groups whose towers this plan trains: all, or the lenders alone where it has `signals_from`."""
        return (self.lenders,) if self.signals_from is not None else (*self.platforms, self.lenders)

    def groups_at(self, group: str) -> tuple[str, ...]:
        """The features of `evaluation.groups` that lie at the parties of a group; lenders' own come first."""
        lenders = {feature.name for feature in self.groups[self.lenders].table.protected}
        here = {feature.name for feature in self.groups[group].table.protected}
        wanted = self.evaluation.groups
        return tuple(name for name in wanted if name in here and (group == self.lenders or name not in lenders))

    def clip_norm(self, group: str) -> float:
        """The norm to which gradients of a group's tower are clipped."""
        return self.groups[group].clip_norm or self.privacy.clip_norm

    @cached_property
    def lenders(self) -> str:
        """The name of the lenders' group."""
        return next(name for name, group in self.groups.items() if group.role == "lender")

    def bands(self, name: str) -> tuple[str, ...]:
        """Keys of the bands of a feature in `evaluation.groups`, in the order of their tables; the last is missing."""
        feature = self._protected(name)
        if isinstance(feature, CategoricalFeature):
            return (*feature.levels, "missing")
        edges = [f"{edge:g}" for edge in self.evaluation.groups[name]]
        inner = [f"{low}-{high}" for low, high in pairwise(edges)]
        return (f"up to {edges[0]}", *inner, f"above {edges[-1]}", "missing")

    def band_names(self, name: str) -> dict[str, str]:
        """What reports call each band of a feature in `evaluation.groups`, by its key: the schema's names of levels."""
        bands, feature = self.bands(name), self._protected(name)
        names = feature.level_names if isinstance(feature, CategoricalFeature) else None
        return dict(zip(bands, (*names, "missing") if names else bands, strict=True))

    def _protected(self, name: str) -> NumericFeature | CategoricalFeature:
        return next(f for g in self.groups.values() for f in g.table.protected if f.name == name)

    def multiplicity(self, group: str) -> int:
        """The most records that one person may have in one release of a group: records a party times parties."""
        parties = len(self.members(group))
        spread = self.privacy.max_parties_per_person or parties
        return self.privacy.max_records_per_person * min(spread, parties)

    def insiders(self, group: str) -> int:
        """How many parties of a group are taken to know their own noise in a sum: at least one where there are several.

        A party needs no server to collude with: each round's sum follows from the weights that it is sent next, and its
        own share of the noise comes off. So `max_colluding` = 0 counts on one party less than all, too.
        """
        return max(self.groups[group].max_colluding, min(1, len(self.members(group)) - 1))

    @property
    def counted(self) -> Monitoring:
        """What a plan of counts asks for; TypeError for a plan that trains."""
        if self.monitoring is None:
            raise TypeError(f"plan {self.name} trains a model and counts no first passages")
        return self.monitoring

    @property
    def undivided(self) -> bool:
        """True where a person can be in what test persons release and in what others do, so that all of it adds up."""
        return self.monitoring is not None or self.evaluation.split.moves

    def nominal_training(self, party: Party) -> int:
        """The public number of training records that stands for a party's: nominal records less the test fraction."""
        return max(1, math.floor(party.nominal_records * (1 - self.evaluation.split.test_fraction) + 0.5))
