"""The types of `policy.toml`: what a lender's risk officer decides about applications, in words that a person reads.

What a rule can name is a type: an own input of the lender, or an event that stands against an applicant. Neither the
role of the model nor the status of a signal can be written, so no policy can punish who does not consent; the model's
role chooses between the two cut-offs, and that is all that it does.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationError

from sealscore.shared.plan.errors import PlanError, explain
from sealscore.shared.plan.schema import Extended, Hashed, Sentence, Strict
from sealscore.shared.serving.manifest import Code
from sealscore.shared.serving.release import CHAMPION

POLICY = "policy.toml"
SKIP = "skip"
"""The neutral rule of an optional input that has no value: rules that read it do not hit."""
Effect = Literal["review", "decline"]
# Each stands against an applicant where it is there; that it is not there is no good sign, and cannot be read as one.
Event = Literal["bought-traffic", "score-shopping", "many-applications"]
MANY: Event = "many-applications"
"""So many decisions on one person within some days, of whatever application: `at_least`, `within_days`."""
MOST_MANY, MOST_DAYS = 20, 365
InputName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Money = Annotated[int, Field(gt=0, le=10**12)]
Points = Annotated[int, Field(ge=-1000, le=2000)]
Rate = Annotated[float, Field(ge=0, le=5)]
Cell = bool | float | str | None
_NUMBERS = ("amount", "number", "count")


class PolicyInput(Strict):
    """An own input of the lender, beside the score. `sensitive` ones are reported as bands, never as values.

    An optional input has a `neutral` value, which rules read where there is none, or "skip": they do not hit then.
    """

    kind: Literal["amount", "number", "count", "yes-no", "choice"]
    required: bool = True
    neutral: bool | float | str | None = None
    lower: float | None = None
    upper: float | None = None
    levels: Annotated[tuple[Code, ...], Field(max_length=100)] = ()
    sensitive: bool = True

    @property
    def numeric(self) -> bool:
        """Whether its values are numbers."""
        return self.kind in _NUMBERS

    def fault(self, value: Any) -> str | None:
        """Why a value is none of this input, in words without the value; None where it is one."""
        if self.kind == "yes-no":
            return None if isinstance(value, bool) else "must be true or false"
        if self.kind == "choice":
            known = isinstance(value, str) and value in self.levels
            return None if known else f"is none of its levels: {', '.join(self.levels)}"
        if isinstance(value, bool) or not isinstance(value, int | float):
            return "must be a number"
        lower, upper = self.lower, self.upper
        if lower is None or upper is None or not lower <= value <= upper:
            return f"is outside its bounds, {lower} to {upper}"
        if self.kind == "count" and value != math.floor(value):
            return "must be a whole number"
        return None


class PolicyRule(Extended):
    """One check before a loan: what it reads, when it hits, what follows, and what an applicant is told then.

    It reads an own `input` with one comparison, or an `event`. `queue` is who reviews, by default the product's.
    `within_days` goes with the event `many-applications`: on how many days decisions are counted, today's among them.
    """

    later: ClassVar[tuple[str, ...]] = ("within_days",)

    id: Code
    input: InputName | None = None
    event: Event | None = None
    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None
    equals: bool | str | None = None
    among: tuple[Code, ...] | None = None
    within_days: Annotated[int, Field(ge=1, le=MOST_DAYS)] | None = None
    effect: Effect
    queue: Code | None = None
    reason: Sentence

    @cached_property
    def comparison(self) -> tuple[str, Any] | None:
        """Its one comparison and threshold; None where it has none or several."""
        found = [(name, value) for name in COMPARISONS if (value := getattr(self, name)) is not None]
        return found[0] if len(found) == 1 else None

    def hits(self, value: Cell) -> bool:
        """Whether it hits at a value of its input."""
        if value is None or self.comparison is None:
            return False
        name, threshold = self.comparison
        return COMPARISONS[name](value, threshold)

    def counts(self, recent: Sequence[int]) -> bool:
        """Whether `many-applications` hits: `recent` are days ago of the person's earlier decisions."""
        days, least = self.within_days or 0, self.at_least or math.inf
        return 1 + sum(ago < days for ago in recent) >= least


COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "above": operator.gt,
    "at_least": operator.ge,
    "below": operator.lt,
    "at_most": operator.le,
    "equals": operator.eq,
    "among": lambda value, levels: value in levels,
}


class RoleCutoffs(Strict):
    """Points from which on an application is approved, and from which on a person looks at it; less is a decline."""

    approve: Points
    review: Points


class PointBand(Strict):
    """What applies from some points on (`start`) to below others (`end`, none for the best band).

    `largest` is the most that is lent in it. Bands are of points alone: the same for either model.
    """

    name: Code
    start: Points
    end: Points | None = None
    largest: Money
    annual_rate: Rate


class Affordable(Strict):
    """What somebody can pay back: (income x share - existing debt service) a month, over term and rate.

    With `capacity_unit`, the currency that one unit of the release's capacity band is, the lower edge of that band
    stands in where the income is missing. An income at hand is used whether or not a band was told.
    """

    income: InputName
    share: Annotated[float, Field(gt=0, le=1)]
    debt_service: InputName | None = None
    capacity_unit: Annotated[float, Field(gt=0, le=1e9)] | None = None


class Advance(Strict):
    """A limit that is a share of an own input, as of an invoice or of a month's sales."""

    input: InputName
    share: Annotated[float, Field(gt=0, le=10)]


class StatutoryCap(Strict):
    """What the law allows, as the configuration states it: `source` names it."""

    id: Code
    source: Annotated[str, Field(min_length=3, max_length=200)]
    principal: Money | None = None
    annual_rate: Rate | None = None


class LoanLimits(Strict):
    """How much is lent: the least of all limits. `exposure` is over a person's open loans and approvals here."""

    smallest: Money
    largest: Money
    step: Money = 1
    exposure: Money
    terms: Annotated[tuple[Annotated[int, Field(ge=1, le=360)], ...], Field(min_length=1, max_length=60)]
    loss_given_default: Annotated[float, Field(gt=0, le=1)]
    affordable: Affordable | None = None
    advances: tuple[Advance, ...] = ()
    statutory: tuple[StatutoryCap, ...] = ()


class RandomApprovals(Strict):
    """A random share of those whom points alone would decline, from `start` points on; so a book can be judged.

    Whether somebody is chosen follows from a key of the lender, the `series`, the product and the person: asking again
    draws nothing new, and a replay draws the same.
    """

    series: Code
    start: Points
    propensity: Annotated[float, Field(gt=0, le=0.2)]
    largest: Money


class PolicyProduct(Strict):
    """A product: what it asks of an applicant, its rules, cut-offs by the model's role, bands and limits."""

    inputs: dict[InputName, PolicyInput]
    rules: Annotated[tuple[PolicyRule, ...], Field(max_length=200)] = ()
    champion: RoleCutoffs
    fallback: RoleCutoffs
    bands: Annotated[tuple[PointBand, ...], Field(min_length=1, max_length=50)]
    limits: LoanLimits
    queue: Code
    random: RandomApprovals | None = None

    def cutoffs(self, role: str) -> RoleCutoffs:
        """Those of a model's role: the only place where a policy meets it."""
        return self.champion if role == CHAMPION else self.fallback

    def band(self, points: int) -> PointBand:
        """The band of these points; the lowest one for those below all."""
        return next((band for band in reversed(self.bands) if band.start <= points), self.bands[0])


class ReviewQueue(Strict):
    """Where persons decide, and in how many days. `reviewers` are who may; anybody with a name where none is given."""

    days: Annotated[int, Field(ge=1, le=365)]
    reviewers: tuple[Annotated[str, Field(min_length=2, max_length=80)], ...] = ()


class NoticeTerms(Strict):
    """What a notice says of the lender: who it is, how to object, within how many days, and who reviews that."""

    lender: Sentence
    contact: Sentence
    object_days: Annotated[int, Field(ge=1, le=365)]
    queue: Code


class LawfulBasis(Strict):
    """What allows a decline without a person: counsel's words, and the source. Without it each is only proposed."""

    basis: Annotated[str, Field(min_length=10, max_length=500)]
    source: Annotated[str, Field(min_length=3, max_length=200)]


class DecisionPolicy(Hashed):
    """The whole of policy.toml. `declines` is the queue of declines that a person has to decide."""

    version: Literal[1] = 1
    name: Code
    revision: Annotated[int, Field(ge=1, le=1_000_000)]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    valid_days: Annotated[int, Field(ge=1, le=90)]
    declines: Code
    notice: NoticeTerms
    automatic_declines: LawfulBasis | None = None
    queues: Annotated[dict[Code, ReviewQueue], Field(min_length=1)]
    products: Annotated[dict[Code, PolicyProduct], Field(min_length=1, max_length=100)]

    @classmethod
    def parse(cls, data: Any, source: str = POLICY) -> DecisionPolicy:
        """Validate plain data by its types alone; PlanError names the key, the value and what is allowed."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            said = [line.replace("the plan needs it", "the policy needs it") for line in explain(error, cls)]
            raise PlanError(source, said) from None
