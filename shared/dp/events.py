"""What left a party, as events that document the mechanism completely.

An event says enough for any accountant to bound its privacy loss without knowing the code that made
it (the idea of dp-accounting's `DpEvent`). Ledgers keep events, never a bare epsilon. Kinds and
fields are never removed and never change their meaning; new mechanisms get new kinds.

All events of a claim speak of one protected unit, a person (all records of that person that the
party or parties hold), under one neighbouring relation, adding or removing that person.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
# No party counts to more, and products of two are still numbers that can be written.
Count = Annotated[int, Field(ge=1, le=2**53, strict=True)]
Text = Annotated[str, Field(min_length=1)]


class UnknownEvent(ValueError):
    """A record that is not an event known here; its loss cannot be bounded, so it is not skipped."""


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    unit: Literal["person"] = "person"
    neighbouring: Literal["add-or-remove"] = "add-or-remove"
    count: Count


class SampledGaussian(_Event):
    """`count` Gaussian sums, each over a fresh Poisson sample of the records.

    Every record is in the sample independently with probability `sample_rate`, and moves the sum by at
    most 1 in L2 norm if it is (in the mechanism's own unit: clip norm with its error and rounding). A
    person has at most `multiplicity` records, so adding that person adds K ~ Binomial(multiplicity,
    sample_rate) of them and moves the sum by at most K. Gaussian noise of standard deviation
    `noise_multiplier` in every coordinate is added to the sum. Samples and noise are secret.

    Dominating pair: N(0, s^2) against the mixture of N(k, s^2) with Binomial weights (Choquette-Choo,
    Ganesh, Steinke, Thakurta 2023, "Privacy Amplification for Matrix Mechanisms", corollary 4.7).
    """

    kind: Literal["sampled-gaussian"] = "sampled-gaussian"
    noise_multiplier: Positive
    sample_rate: Annotated[float, Field(gt=0, le=1)]
    multiplicity: Count = 1


class Gaussian(_Event):
    """`count` Gaussian sums over all records.

    Adding or removing one person moves the sum by at most `sensitivity` in L2 norm; Gaussian noise of
    standard deviation `noise_multiplier` is added in every coordinate. Both are in the same unit, so
    only their ratio matters: the pair is N(0, s^2) against N(sensitivity, s^2).
    """

    kind: Literal["gaussian"] = "gaussian"
    noise_multiplier: Positive
    sensitivity: Positive = 1.0


class RandomizedResponse(_Event):
    """`count` bits of a person, each kept with probability e^epsilon / (1 + e^epsilon), else flipped.

    Coins are secret and independent for each bit; the bit sent is stored and sent again, never drawn
    again (one event however often it is sent). Whatever stands in the place of an absent person's bit,
    each output's probability changes by a factor of at most e^epsilon.
    """

    kind: Literal["randomized-response"] = "randomized-response"
    epsilon: Annotated[float, Field(gt=0, le=100)]


class Disclosure(_Event):
    """`count` messages of at most `bits` bits about a person, disclosed to `recipient` as they are.

    Without noise and without epsilon: the recipient is entitled to them (a consented signal), nobody
    else can open them. Reported in bits beside the claim, which does not cover the recipient's view.
    """

    kind: Literal["disclosure"] = "disclosure"
    bits: Count
    recipient: Text


class NoNoise(_Event):
    """`count` releases of `what` without any noise: epsilon is infinite (simulation only)."""

    kind: Literal["no-noise"] = "no-noise"
    what: Text


Event = Annotated[SampledGaussian | Gaussian | RandomizedResponse | Disclosure | NoNoise, Field(discriminator="kind")]
KINDS: tuple[type[_Event], ...] = (SampledGaussian, Gaussian, RandomizedResponse, Disclosure, NoNoise)

_ADAPTER: TypeAdapter[Event] = TypeAdapter(Event)


def parse_event(record: Mapping[str, Any]) -> Event:
    """The event that a stored record (`event.model_dump()`) describes.

    Raises:
        UnknownEvent: an unknown kind or field, or a value out of its range.
    """
    try:
        return _ADAPTER.validate_python(dict(record))
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"]) or "kind"
        raise UnknownEvent(f"not a privacy event: {place}: {problem['msg']}") from error


def require_known(events: Iterable[Event]) -> list[Event]:
    """The events as a list.

    Raises:
        UnknownEvent: one of them is of no kind listed here (a subclass of a kind is not that kind).
    """
    known = list(events)
    for event in known:
        if type(event) not in KINDS:
            raise UnknownEvent(f"not a privacy event: {type(event).__name__}")
    return known


def merge(events: Iterable[Event]) -> list[Event]:
    """Events that differ in nothing but their count, added up; ordered by kind and fields.

    The result does not depend on the order of `events`. Composition is order-free for the bounds of
    all accountants here, so merging changes no claim; it makes composing fast.

    Raises:
        UnknownEvent: one of them is of no kind listed in this module.
    """
    counts: dict[Event, int] = {}
    for event in require_known(events):
        single = event.model_copy(update={"count": 1})
        counts[single] = counts.get(single, 0) + event.count
    merged = [single.model_copy(update={"count": count}) for single, count in counts.items()]
    return sorted(merged, key=_order)


def _order(event: Event) -> tuple[int, str]:
    return KINDS.index(type(event)), event.model_dump_json()
