"""The parts of a plan that say how to train, to judge and to protect. `shared.plan.plan` puts them together."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from sealscore.shared.plan.schema import MAX_EDGES, Extended, Name, Strict

Fraction = Annotated[float, Field(ge=0, lt=1)]
# Within what a product of several is still a float.
Positive = Annotated[float, Field(ge=1e-9, le=1e9)]
Share = Annotated[float, Field(ge=1e-6, lt=1)]
Form = Literal["exact", "creator-id", "phone", "national-id"]
"""The name of a normal form of identifiers (`sealscore.shared.persons.identifiers`)."""


def sort_keys(table: dict[str, Any]) -> dict[str, Any]:
    """Tables are kept sorted, so that nothing can depend on the order in which a file names their keys."""
    return dict(sorted(table.items()))


class Outcome(Extended):
    """What bad means, and until when it was watched.

    `bad_rate` is a public guess of the share of bad loans, by which a plan's promise is judged before it runs; nothing
    that parties compute depends on it. `placeholder` marks a window and a cut-off that nobody has thought about yet:
    a real node refuses them.
    """

    later: ClassVar[tuple[str, ...]] = ("bad_rate", "placeholder")

    definition: Annotated[str, Field(min_length=3)]
    window_days: Annotated[int, Field(ge=1, le=3650)]
    cutoff: date
    bad_rate: Annotated[float, Field(gt=0, lt=1)] | None = None
    placeholder: bool = False

    @property
    def meaning(self) -> str:
        """What a label of this outcome means, whatever the plan: labels of one meaning are released once."""
        return f"{self.definition}|{self.window_days}"


class Split(Strict):
    """Which persons are test persons: a published list, a keyed hash of the person, or those who applied late.

    By a list or a hash it follows from the person alone, for good and at every party. By date it follows from a party's
    own records: the same person can be in the other part at another party, and after a newer export of the table.
    """

    kind: Literal["ids", "hash", "date"]
    test_fraction: Annotated[float, Field(gt=0, lt=1)]
    file: str | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    key: Annotated[str, Field(min_length=1)] | None = None
    first_test_day: date | None = None

    @property
    def moves(self) -> bool:
        """True where a person can come to be in the other part."""
        return self.kind == "date"

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


class Alignment(Strict):
    """How persons of lenders and platforms are matched: the way, the normal form of identifiers, how many are enough.

    "private" is private set intersection. "exact" compares digests: it is for simulations, where it saves time and
    gives the same pairs, and a real node refuses it. `min_overlap` counts the persons that a lender and a platform
    share; with fewer, both operators are told, each by the own node, and the run goes on.
    """

    method: Literal["private", "exact"] = "private"
    identifier: Form = "exact"
    min_overlap: Annotated[int, Field(ge=1)] = 100


class SignalsFrom(Extended):
    """Where a plan that trains no towers of platforms takes its signals from: what was told under another plan.

    `plan` is that plan's hash. `meanings` has, by group of platforms, what the levels mean (see `signal_meaning`). With
    `retraining`, the code of a purpose, persons of whom nothing was told then have the levels of their tokens, where
    the consent named that purpose.
    """

    later: ClassVar[tuple[str, ...]] = ("retraining",)

    plan: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    meanings: dict[Name, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]] = Field(min_length=1)
    retraining: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")] | None = None

    _sorted = field_validator("meanings")(sort_keys)


class ScoresFrom(Strict):
    """Which scores a plan keeps that trains nothing and calibrates them anew: those of another plan's run.

    `plan` is that plan's hash. `towers` has, by the name of each tower that scores, a digest of its bins, codes and
    weights (`messages.parts.score_digest`): parties sum at no others.
    """

    plan: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    towers: dict[Name, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]] = Field(min_length=1)

    _sorted = field_validator("towers")(sort_keys)


class Evaluation(Extended):
    """How the model is judged.

    `groups` maps protected features to the inner edges of the bands in which they are reported (an edge belongs to
    the lower band); a categorical feature is reported by its levels and takes an empty list. `cells` is the number of
    score cells of the calibration table, and of the evaluation's unless `table_cells` says another. `overall_share` is
    the part of the evaluation's squared signal-to-noise budget that the table of all test persons has, the groups
    share the rest alike; without it all tables have the same. `fallback_share` is the part of the evaluation's share
    that the table of the fallback has, where there is one. `validation` is the share of the training persons whom a
    simulation that is judged on validation holds out; nothing else reads it.
    """

    later: ClassVar[tuple[str, ...]] = ("table_cells", "overall_share", "fallback_share", "validation")

    split: Split
    groups: dict[Name, Annotated[tuple[float, ...], Field(max_length=MAX_EDGES)]] = Field(
        default_factory=dict, max_length=100
    )
    cells: Annotated[int, Field(ge=8, le=512)] = 32
    table_cells: Annotated[int, Field(ge=8, le=512)] | None = None
    overall_share: Annotated[float, Field(ge=0.01, le=0.99)] | None = None
    fallback_share: Annotated[float, Field(ge=0.01, le=0.99)] = 0.1
    approval_rate: Annotated[float, Field(gt=0, lt=1)] = 0.8
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.2

    _sorted = field_validator("groups")(sort_keys)

    @property
    def judged_cells(self) -> int:
        """The number of score cells of each table of the evaluation."""
        return self.table_cells or self.cells


class Model(Extended):
    """The form of the score: bins per feature, cells of the noisy histogram, and the tower over thermometer codes.

    `hidden` is the width of the small network beside the linear part (0 for none). Crosses are products of codes of
    at most `cross_bins` bins, and `cross_scale` is the size of all of them together against that of the features.
    A platform's tower is cut into `signal_levels` levels, which weigh `signal_weight` among the lender's features.
    With a `fallback` lenders also train a score of their own features, for applicants without a signal.
    """

    later: ClassVar[tuple[str, ...]] = ("fallback",)

    bins: Annotated[int, Field(ge=2, le=64)] = 16
    grid_cells: Annotated[int, Field(ge=8, le=4096)] = 128
    hidden: Annotated[int, Field(ge=0, le=256)] = 0
    cross_bins: Annotated[int, Field(ge=2, le=32)] = 4
    cross_scale: Annotated[float, Field(gt=0, le=4)] = 0.5
    signal_levels: Annotated[int, Field(ge=2, le=256)] = 16
    signal_weight: Annotated[float, Field(gt=0, le=4)] = 1.0
    fallback: bool = False

    @property
    def signal_bits(self) -> int:
        """Bits in which one level is sent."""
        return (self.signal_levels - 1).bit_length()


class Shares(Extended):
    """Shares of the squared signal-to-noise budget; the towers share what is left of a training person's equally.

    Phases of one kind share theirs equally; `signal` is for the edges of the platforms' levels, where there are any.
    `evaluation` is a share of the test persons' budget: no person is in both parts, so the two compose in parallel. By
    date there is one budget for everybody, of which it takes its part beside the others. `fallback` is for training and
    calibration of the fallback, where there is one.
    """

    later: ClassVar[tuple[str, ...]] = ("fallback",)

    bins: Share = 0.05
    signal: Share = 0.01
    calibration: Share = 0.05
    evaluation: Annotated[float, Field(ge=1e-6, le=1)] = 1.0
    fallback: Share = 0.2

    @model_validator(mode="after")
    def _room(self) -> Shares:
        if self.bins + self.signal + self.calibration >= 1:
            raise ValueError("bins + signal + calibration must leave a share for the towers, so be below 1")
        return self


class Privacy(Strict):
    """The claim (epsilon, delta; for a person, neighbouring by adding or removing one) and what bounds it.

    `signal_bits` bounds what a lender may ever be told of one person's channel, over the life of the platform's data
    set. A node charges `reserve_block` answers of a phase at once: after a crash, all of them count as given. `noise`
    is "none" in simulations of the same protocol without privacy only: a real node refuses it.
    """

    epsilon: Annotated[float, Field(ge=1e-9, le=50)]
    delta: Annotated[float, Field(ge=1e-30, le=1e-3)]
    label_epsilon: Annotated[float, Field(ge=1e-3, le=20)] | None = None
    signal_bits: Annotated[int, Field(ge=1, le=64)] = 4
    clip_norm: Positive = 1.0
    shares: Shares = Shares()
    max_records_per_person: Annotated[int, Field(ge=1, le=100)] = 1
    max_parties_per_person: Annotated[int, Field(ge=1)] | None = None
    spare_attempts: Annotated[float, Field(ge=0, le=1)] = 0.05
    reserve_block: Annotated[int, Field(ge=1, le=50)] = 1
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
    proximal: Annotated[float, Field(ge=0, le=1e9)] = 0.0


# Rounds of both of its phases: shared.model.recipe.fit.
_AUTO: dict[str, Any] = {"algorithm": "auto", "rounds": 50, "sample_rate": 1.0}


class Training(Strict):
    """The algorithm of a tower. `sample_rate` is the Poisson rate at which each party takes each record in a step.

    `training = "auto"` stands for the additive recipe, which has no other key: all records in each round, bins, steps,
    clip norm and shares by its own rules (`shared.model.additive`).
    """

    algorithm: Literal["dp-sgd", "fedavg", "fedprox", "auto"] = "dp-sgd"
    engine: Literal["fused", "opacus"] = "fused"
    rounds: Annotated[int, Field(ge=1, le=100_000)]
    sample_rate: Annotated[float, Field(ge=1e-6, le=1)]
    optimizer: Optimizer = Optimizer()
    local: Local | None = None

    @model_validator(mode="before")
    @classmethod
    def _written_short(cls, value: Any) -> Any:
        return dict(_AUTO) if value == "auto" else value

    @property
    def auto(self) -> bool:
        """Whether the additive recipe trains."""
        return self.algorithm == "auto"

    @model_validator(mode="after")
    def _family(self) -> Training:
        if self.auto:
            if self.model_dump() != self.model_construct(**_AUTO).model_dump():
                raise ValueError('training = "auto" has no other key')
            return self
        if (self.algorithm == "dp-sgd") == (self.local is not None):
            raise ValueError("local steps belong to fedavg and fedprox, which need them, and to nothing else")
        if self.local is not None and (self.algorithm == "fedprox") != (self.local.proximal > 0):
            raise ValueError("local.proximal must be above 0 for fedprox, and is 0 for fedavg")
        return self


AUTO = Training.model_validate("auto")
"""What a plan that says nothing of training means."""
