"""Accountants: from events to epsilon at a delta.

The claim is a PLD figure (`PldAccountant`); Opacus's accountants check it. An accountant raises on an
event that it does not know rather than guess. There is no GDP accountant: its central-limit figure
is not an upper bound.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from functools import lru_cache
from importlib.metadata import version
from typing import Any, Literal, Protocol

from sealscore.shared.dp.effort import composable, single_points, spend
from sealscore.shared.dp.events import (
    Disclosure,
    Event,
    Gaussian,
    NoNoise,
    RandomizedResponse,
    SampledGaussian,
    merge,
)

DISCRETISATION = 1e-3
"""Width of the grid of privacy losses on which PLDs are composed, rounded against the claim."""

# What is smaller counts as so much: dp-accounting computes with its inverse.
_LEAST = 1e-12


class UnsupportedEvent(ValueError):
    """An accountant has no bound for an event, so it gives none for the list."""


class Accountant(Protocol):
    """Bounds the epsilon of composed events."""

    @property
    def name(self) -> str:
        """Short name for reports, as "pld"."""
        ...

    @property
    def version(self) -> str:
        """The library that computes, with its version."""
        ...

    def epsilon(self, events: Iterable[Event], delta: float) -> float:
        """The smallest epsilon that this accountant can show for the (adaptive) composition of `events`.

        No events cost 0.0; an event without noise costs infinity; disclosures cost nothing here:
        their bits are counted, not composed.

        Raises:
            ValueError: delta is not in (0, 1).
            UnknownEvent, UnsupportedEvent: an event cannot be bounded.
        """
        ...


def _checked_delta(delta: float) -> float:
    if not 0.0 < delta < 1.0:
        raise ValueError(f"delta must be in (0, 1), got {delta}")
    return delta


def _as_gaussian(event: Event) -> float | None:
    """(sensitivity / noise)^2 summed over the event's count if it is a plain Gaussian, else None.

    Composed Gaussians are one Gaussian with the squares added (Dong, Roth, Su 2019, corollary 3.3),
    and a sampled one at rate 1 takes all `multiplicity` records.
    """
    if isinstance(event, Gaussian):
        return event.count * (event.sensitivity / event.noise_multiplier) ** 2
    if isinstance(event, SampledGaussian) and event.sample_rate == 1.0:
        return event.count * (event.multiplicity / event.noise_multiplier) ** 2
    return None


class PldAccountant:
    """Privacy loss distributions by dp-accounting, pessimistic, connect-the-dots discretisation.

    (Koskela, Jaelkoe, Honkela 2020; Doroshenko et al. 2022, "Connect the Dots".) The figure is an upper
    bound at every `discretisation`; a finer one is tighter where single losses are far below it, that
    is, for claims below about 0.2.

    Randomized response composes by the pair that dominates every mechanism of its epsilon (Kairouz, Oh,
    Viswanath 2015), which covers any stand-in for an absent person's bit.

    What would take longer than any claim is worth (see `sealscore.shared.dp.effort`) has an infinite epsilon, a
    bound too.
    """

    name = "pld"

    def __init__(self, discretisation: float = DISCRETISATION) -> None:
        if not (math.isfinite(discretisation) and discretisation > 0):
            raise ValueError(f"discretisation must be above 0, got {discretisation}")
        self.discretisation = discretisation

    @property
    def version(self) -> str:
        """As "dp-accounting 0.6.0"."""
        return f"dp-accounting {version('dp-accounting')}"

    def epsilon(self, events: Iterable[Event], delta: float) -> float:
        """See `Accountant.epsilon`; supports every kind of event, at any multiplicity.

        Raises:
            TooMuchWork: within `effort.limited`, the figure costs more than is left.
        """
        _checked_delta(delta)
        merged = merge(events)
        if any(isinstance(event, NoNoise) for event in merged):
            return math.inf
        try:
            squares, others = 0.0, []
            for event in merged:
                if (square := _as_gaussian(event)) is None:
                    others.append(event)
                else:
                    squares += square
            if not composable(others, squares, self.discretisation):
                return math.inf
        except (OverflowError, ZeroDivisionError):  # noise that is next to none, or counts that are no float
            return math.inf
        for event in others:
            if not isinstance(event, SampledGaussian | RandomizedResponse | Disclosure):
                raise UnsupportedEvent(f"the PLD accountant has no bound for {type(event).__name__}")
        return _figure(tuple(others), squares, self.discretisation, delta)


@lru_cache(maxsize=4096)
def _figure(others: tuple[Event, ...], squares: float, discretisation: float, delta: float) -> float:
    """Verification, reports and reviews ask for the same figures many times."""
    composed = _composed(others, squares, discretisation)
    return 0.0 if composed is None else max(0.0, float(composed.get_epsilon_for_delta(delta)))


@lru_cache(maxsize=8)
def _composed(others: tuple[Event, ...], squares: float, discretisation: float) -> Any:
    """The loss of everything, which has a figure at each delta; None where nothing is lost."""
    parts = []
    for event in others:
        if isinstance(event, SampledGaussian):
            parts.append(_sampled(event, discretisation))
        elif isinstance(event, RandomizedResponse):
            parts.append(_randomized_response(event, discretisation))
    if squares > 0:
        parts.append(_gaussian(squares, discretisation))
    if not parts:
        return None
    composed = parts[0]
    for part in parts[1:]:
        composed = composed.compose(part)
    return composed


@lru_cache(maxsize=256)
def _sampled(event: SampledGaussian, discretisation: float) -> Any:
    return _single(event.model_copy(update={"count": 1}), discretisation).self_compose(event.count)


@lru_cache(maxsize=64)
def _single(event: SampledGaussian, discretisation: float) -> Any:
    """The loss of one invocation: what takes time, and the same for every count."""
    from dp_accounting.pld import privacy_loss_distribution as pld

    spend(single_points(event, discretisation))
    if event.multiplicity == 1:
        return pld.from_gaussian_mechanism(
            event.noise_multiplier,
            value_discretization_interval=discretisation,
            sampling_prob=event.sample_rate,
        )
    taken = range(event.multiplicity + 1)
    try:
        return pld.from_mixture_gaussian_mechanism(
            event.noise_multiplier,
            sensitivities=[float(k) for k in taken],
            sampling_probs=binomial_weights(event.multiplicity, event.sample_rate),
            value_discretization_interval=discretisation,
        )
    except RecursionError:
        # dp-accounting's search does not end where all losses lie within a point of the grid. A person whose records
        # are taken all at once, as soon as one is, loses more (corollary 4.7: the pair is monotone in K).
        return pld.from_gaussian_mechanism(
            event.noise_multiplier / event.multiplicity,
            value_discretization_interval=discretisation,
            sampling_prob=-math.expm1(event.multiplicity * math.log1p(-event.sample_rate)),
        )


@lru_cache(maxsize=64)
def _gaussian(squares: float, discretisation: float) -> Any:
    from dp_accounting.pld import privacy_loss_distribution as pld

    noise = 1.0 / math.sqrt(max(squares, _LEAST))
    return pld.from_gaussian_mechanism(noise, value_discretization_interval=discretisation)


@lru_cache(maxsize=64)
def _randomized_response(event: RandomizedResponse, discretisation: float) -> Any:
    from dp_accounting.pld import privacy_loss_distribution as pld

    # dp-accounting draws the bit uniformly with this probability, below 1; half of those draws flip it.
    uniform = 2.0 / (1.0 + math.exp(max(event.epsilon, _LEAST)))
    single = pld.from_randomized_response(uniform, 2, value_discretization_interval=discretisation)
    return single.self_compose(event.count)


def binomial_weights(trials: int, rate: float) -> list[float]:
    """P(K = k) for K ~ Binomial(trials, rate), k = 0..trials."""
    return [math.comb(trials, k) * rate**k * (1.0 - rate) ** (trials - k) for k in range(trials + 1)]


class OpacusAccountant:
    """Opacus's accountants as a second opinion on Gaussian events.

    "prv" (Gopi, Lee, Wutschitz 2021; within `eps_error` of the truth) or "rdp" (Mironov 2017; about a
    tenth above it). They know one record a person and no randomized response.
    """

    def __init__(self, mechanism: Literal["prv", "rdp"], eps_error: float = 0.01) -> None:
        if mechanism not in ("prv", "rdp"):
            raise ValueError(f"mechanism must be 'prv' or 'rdp', got {mechanism!r}")
        self.mechanism = mechanism
        self.eps_error = eps_error

    @property
    def name(self) -> str:
        """The mechanism's name after the library's, as in opacus-prv."""
        return f"opacus-{self.mechanism}"

    @property
    def version(self) -> str:
        """As "opacus 1.6.0"."""
        return f"opacus {version('opacus')}"

    def epsilon(self, events: Iterable[Event], delta: float) -> float:
        """See `Accountant.epsilon`.

        Raises:
            UnsupportedEvent: a randomized response, or a sampled event with multiplicity above 1.
        """
        _checked_delta(delta)
        merged = merge(events)
        history: list[tuple[float, float, int]] = []
        squares = 0.0
        for event in merged:
            square = _as_gaussian(event)
            if square is not None:
                squares += square
            elif isinstance(event, SampledGaussian) and event.multiplicity == 1:
                history.append((event.noise_multiplier, event.sample_rate, event.count))
            elif isinstance(event, SampledGaussian):
                raise UnsupportedEvent(
                    f"{self.name} accounts for one record a person, not {event.multiplicity}; use PldAccountant"
                )
            elif not isinstance(event, Disclosure | NoNoise):
                raise UnsupportedEvent(f"{self.name} has no bound for {type(event).__name__}; use PldAccountant")
        if any(isinstance(event, NoNoise) for event in merged):
            return math.inf
        if squares > 0:
            history.append((1.0 / math.sqrt(squares), 1.0, 1))
        return _opacus_epsilon(self.mechanism, tuple(history), delta, self.eps_error) if history else 0.0


@lru_cache(maxsize=64)
def _opacus_epsilon(
    mechanism: str, history: tuple[tuple[float, float, int], ...], delta: float, eps_error: float
) -> float:
    """Seconds of work, for a figure that all runs of a plan have in common."""
    from opacus.accountants import create_accountant

    accountant = create_accountant(mechanism)
    accountant.history = list(history)
    extra = {"eps_error": eps_error} if mechanism == "prv" else {}
    with warnings.catch_warnings():
        # PRV takes the logarithm of 0 where nothing is sampled, RDP's best order can be its last: both still bound.
        warnings.simplefilter("ignore")
        return max(0.0, float(accountant.get_epsilon(delta=delta, **extra)))
