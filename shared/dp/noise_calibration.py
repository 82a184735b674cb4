"""From a budget to noise: one scalar, found by PLD, shared out over the releases of a plan.

The shares steer how much noise each release gets and prove nothing; the claim is the PLD figure of the
composition of every attempt of every release with the noise found.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from sealscore.shared.closed_forms import gaussian_mu
from sealscore.shared.dp import noise_calibration_cache as budget_cache
from sealscore.shared.dp.accountant import DISCRETISATION, PldAccountant, binomial_weights
from sealscore.shared.dp.effort import MOST_SINGLE, MOST_TO_SOLVE, single_points
from sealscore.shared.dp.events import Event, Gaussian, SampledGaussian
from sealscore.shared.plan.bounds import MOST_COUNT, MOST_RECORDS

MAX_NOISE = 1e6
"""Largest noise multiplier that `solve` tries: no sum over a person's sensitivity survives it."""

MAX_EPSILON = 100.0
"""Largest epsilon that `solve` accepts: far below, a claim says nothing any more."""

TOLERANCE = 1e-3
"""`solve` stops when the claim is below the budget by at most this part of it."""

_log = logging.getLogger(__name__)


# Above it, e^epsilon is no float64 any more.
_LARGEST = 700.0


class UnreachableBudget(ValueError):
    """No noise within reason meets the budget."""


@dataclass(frozen=True, slots=True)
class PlannedRelease:
    """One release of a plan: `attempts` noisy sums of the same kind.

    `share` is its weight among the releases (any positive numbers; only ratios matter). "gaussian": one
    person moves the sum by at most `sensitivity` in L2 norm, in the release's own unit; `sample_rate`
    and `multiplicity` stay 1. "sampled": Poisson sampling at `sample_rate`, one record moves the sum by
    at most `sensitivity`, and one person has up to `multiplicity` records.

    Raises:
        ValueError: a field is out of its range.
    """

    name: str
    kind: Literal["gaussian", "sampled"]
    share: float
    attempts: int
    sensitivity: float = 1.0
    sample_rate: float = 1.0
    multiplicity: int = 1

    def __post_init__(self) -> None:
        if self.kind not in ("gaussian", "sampled"):
            raise ValueError(f"release {self.name}: kind must be 'gaussian' or 'sampled', got {self.kind!r}")
        for field, value in (("share", self.share), ("sensitivity", self.sensitivity)):
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"release {self.name}: {field} must be finite and above 0, got {value}")
        for field, number, most in (
            ("attempts", self.attempts, MOST_COUNT),
            ("multiplicity", self.multiplicity, MOST_RECORDS),
        ):
            if not 1 <= number <= most:
                raise ValueError(f"release {self.name}: {field} must be from 1 to {most}, got {number}")
        if not 0.0 < self.sample_rate <= 1.0:
            raise ValueError(f"release {self.name}: sample_rate must be in (0, 1], got {self.sample_rate}")
        if self.kind == "gaussian" and (self.sample_rate, self.multiplicity) != (1.0, 1):
            raise ValueError(
                f"release {self.name}: an unsampled release states its sensitivity for the whole person; "
                "sample_rate and multiplicity must be 1"
            )

    def noise_multiplier(self, scale: float) -> float:
        """Noise multiplier, in the release's own unit, at which it takes share * scale^2 of the budget.

        The budget is counted in squares of the mu of Gaussian differential privacy: attempts *
        (sensitivity / sigma)^2 for a Gaussian (Dong, Roth, Su 2019), attempts * chi^2 of the pair for a
        sampled one, which for one record is attempts * rate^2 * (e^(1/sigma^2) - 1) (Bu, Dong, Long, Su
        2020, section 2.3). An allocation only. Rounded to seven digits, so that nodes with another
        libm solve the same number.
        """
        square = self.share * scale * scale / self.attempts
        if self.kind == "gaussian":
            sigma = 1.0 / math.sqrt(square)
        elif self.multiplicity == 1:
            sigma = 1.0 / math.sqrt(math.log1p(square / self.sample_rate**2))
        else:
            sigma = _mixture_noise(square, self.sample_rate, self.multiplicity)
        return _round(sigma * self.sensitivity, 7)

    def event(self, noise_multiplier: float, count: int | None = None) -> Event:
        """The event of `count` attempts (default all) with this noise multiplier."""
        count = self.attempts if count is None else count
        if self.kind == "gaussian":
            return Gaussian(noise_multiplier=noise_multiplier, sensitivity=self.sensitivity, count=count)
        return SampledGaussian(
            noise_multiplier=noise_multiplier / self.sensitivity,
            sample_rate=self.sample_rate,
            multiplicity=self.multiplicity,
            count=count,
        )


@dataclass(frozen=True, slots=True)
class Solved:
    """The noise for a budget.

    `epsilon` is the PLD figure at `delta` (what was left of the given delta for the accountant) of all
    `events`, at most the budget. `noise_multipliers` maps each release's name to the standard deviation
    of its noise in the release's own unit.
    """

    scale: float
    epsilon: float
    delta: float
    noise_multipliers: Mapping[str, float]
    events: tuple[Event, ...]


def accounting_delta(epsilon: float, delta: float, tv: float) -> float:
    """The delta at which to account mechanisms that are within `tv` in total variation of the real ones.

    If the accounted mechanism is (epsilon, d), one at a distance tv from it on every input is
    (epsilon, d + (1 + e^epsilon) * tv); this gives d.

    Raises:
        UnreachableBudget: nothing is left.
    """
    left = delta - (1.0 + math.exp(epsilon)) * tv
    if left <= 0:
        raise UnreachableBudget(
            f"delta {delta:g} does not exceed (1 + e^epsilon) * {tv:g}, the distance of the noise drawn from "
            f"the noise accounted at epsilon {epsilon:g}: raise delta or lower epsilon"
        )
    return left


def borne_out(figure: Callable[[float], float], hint: float | None, delta: float, tv: float) -> float:
    """An epsilon for mechanisms within `tv` of the accounted ones, whose epsilon at a delta is what `figure` gives.

    The distance takes from delta what it takes at the `hint`, if the figure is not above that: what is close to an
    (f, d) mechanism loses no more at f than at a larger epsilon. Otherwise a figure is sought that bears itself out.

    Raises:
        UnreachableBudget: nothing of delta is left for the accountant.
    """

    def left(at: float) -> float:
        return accounting_delta(min(at, _LARGEST), delta, tv)

    if hint is not None:
        with suppress(UnreachableBudget):
            if (found := figure(left(hint))) <= hint:
                return found
    assumed, found = -1.0, figure(delta)
    while assumed < found < math.inf:
        assumed = found * 1.005 + 1e-6
        found = figure(left(assumed))
    return found


def solve(
    releases: Sequence[PlannedRelease],
    epsilon: float,
    delta: float,
    tv: float = 0.0,
    discretisation: float = DISCRETISATION,
) -> Solved:
    """The least noise, shared out by the releases' shares, that keeps all attempts within the budget.

    The PLD epsilon of the composition is at most `epsilon` and at most 0.1 % below it. Results are kept
    in the process and on disk; one read from disk is composed again before it is used.

    Args:
        releases: at least one, with different names.
        epsilon: budget of a person, in (0, 100].
        delta: in (0, 1).
        tv: total variation distance of all noise drawn from the noise accounted (draws * `tv_bound`).
        discretisation: of the PLD accountant.

    Raises:
        ValueError: an argument is out of its range.
        UnreachableBudget: no noise multiplier up to 1e6 meets the budget, or to find it takes too long.
        TooMuchWork: within `effort.limited`, it costs more than is left.
    """
    if not releases:
        raise ValueError("solve needs at least one release")
    names = [release.name for release in releases]
    if len(set(names)) != len(names):
        raise ValueError(f"two releases have the same name: {sorted(names)}")
    if not (math.isfinite(epsilon) and epsilon > 0):
        raise ValueError(f"epsilon must be finite and above 0, got {epsilon}")
    if not 0.0 < delta < 1.0:
        raise ValueError(f"delta must be in (0, 1), got {delta}")
    if not (math.isfinite(tv) and tv >= 0):
        raise ValueError(f"tv must be finite and at least 0, got {tv}")
    if epsilon > MAX_EPSILON:
        raise UnreachableBudget(f"epsilon {epsilon:g} is above {MAX_EPSILON:g}, the most that is solved for")
    return _solve(tuple(releases), float(epsilon), accounting_delta(epsilon, delta, tv), discretisation)


@lru_cache(maxsize=256)
def _solve(releases: tuple[PlannedRelease, ...], epsilon: float, delta: float, discretisation: float) -> Solved:
    accountant = PldAccountant(discretisation)
    key = _cache_key(releases, epsilon, delta, accountant)
    kept = budget_cache.read(key)
    if kept is not None:
        solved = _composed(releases, kept, delta, accountant)
        if _within(solved.epsilon, epsilon):
            return solved
        _log.warning("a stored noise scale does not meet its budget and is solved again: %s", budget_cache.path())
    solved = _search(releases, epsilon, delta, accountant)
    budget_cache.write(key, solved.scale)
    return solved


def _cache_key(releases: tuple[PlannedRelease, ...], epsilon: float, delta: float, accountant: PldAccountant) -> str:
    """SHA-256 over everything that the solved scale depends on, hexadecimal."""
    planned = [asdict(release) for release in releases]
    inputs = [1, planned, epsilon, delta, accountant.discretisation, accountant.version]
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def _within(figure: float, epsilon: float) -> bool:
    return epsilon * (1.0 - TOLERANCE) <= figure <= epsilon


def _at(releases: tuple[PlannedRelease, ...], scale: float) -> tuple[dict[str, float], tuple[Event, ...]]:
    """The noise multipliers of a scale by release, and the events that they make."""
    noise = {release.name: release.noise_multiplier(scale) for release in releases}
    return noise, tuple(release.event(noise[release.name]) for release in releases)


def _composed(releases: tuple[PlannedRelease, ...], scale: float, delta: float, accountant: PldAccountant) -> Solved:
    noise, events = _at(releases, scale)
    return Solved(scale, accountant.epsilon(events, delta), delta, noise, events)


def _search(releases: tuple[PlannedRelease, ...], epsilon: float, delta: float, accountant: PldAccountant) -> Solved:
    """Bracketing and bisection, stepping by the Gaussian model: most budgets take three compositions."""
    floor = _least_scale(releases)
    target = gaussian_mu(epsilon * (1.0 - TOLERANCE / 2), delta)
    scale = max(floor, _round(target / math.sqrt(sum(release.share for release in releases)), 6))
    low, high, work = 0.0, math.inf, 0.0
    for _ in range(100):
        # Counted whether or not a figure was known: who solves a plan must not find what others do not.
        work += sum(_points(event, accountant.discretisation) for event in _at(releases, scale)[1])
        if work > MOST_TO_SOLVE:
            raise _too_long(epsilon, delta)
        solved = _composed(releases, scale, delta, accountant)
        if _within(solved.epsilon, epsilon):
            return solved
        if scale <= floor and math.isinf(solved.epsilon):
            raise _too_long(epsilon, delta)
        if solved.epsilon < epsilon:
            low = scale
        elif scale <= floor:
            raise UnreachableBudget(
                f"epsilon {epsilon:g} at delta {delta:g} is out of reach: with the largest noise multiplier "
                f"tried, {MAX_NOISE:g}, these releases still cost epsilon {solved.epsilon:.3g}; epsilon can be "
                f"chosen from there to {MAX_EPSILON:g}"
            )
        else:
            high = scale
        step = scale * target / gaussian_mu(min(solved.epsilon, 700.0), delta)
        if not low < step < high:
            step = math.sqrt(low * high) if low > 0 and high < math.inf else scale * (2 if low > 0 else 0.5)
        scale = max(floor, _round(step, 6))
    raise UnreachableBudget(
        f"epsilon {epsilon:g} at delta {delta:g}: the accountant's figure jumps over the budget between the "
        f"scales {low:g} and {high:g}; choose another epsilon or a finer discretisation"
    )


def _too_long(epsilon: float, delta: float) -> UnreachableBudget:
    return UnreachableBudget(
        f"epsilon {epsilon:g} at delta {delta:g}: to find the noise takes too long with so many records a person and "
        "so small a rate: lower max_records_per_person or max_parties_per_person, or raise sample_rate"
    )


def _points(event: Event, discretisation: float) -> float:
    """What composing a sampled event costs; nothing where it has no bound, and is not composed."""
    if not isinstance(event, SampledGaussian) or event.sample_rate == 1.0:
        return 0.0
    points = single_points(event, discretisation)
    return points if points <= MOST_SINGLE else 0.0


def _least_scale(releases: tuple[PlannedRelease, ...]) -> float:
    """The scale at which the largest noise multiplier is MAX_NOISE."""
    low, high = 1e-12, 1e12
    while high / low > 1.0 + 1e-6:
        middle = math.sqrt(low * high)
        if max(release.noise_multiplier(middle) for release in releases) > MAX_NOISE:
            low = middle
        else:
            high = middle
    return high


def _round(value: float, digits: int) -> float:
    return float(f"{value:.{digits - 1}e}")


def _mixture_noise(square: float, rate: float, multiplicity: int) -> float:
    """sigma at which chi^2(sum_k w_k N(k, sigma^2) | N(0, sigma^2)) = `square`, w Binomial.

    chi^2 = sum_kl w_k w_l (e^(kl / sigma^2) - 1), falling in sigma.
    """
    weights = np.asarray(binomial_weights(multiplicity, rate))
    products = np.multiply.outer(np.arange(multiplicity + 1), np.arange(multiplicity + 1)).astype(np.float64)
    pairs = np.multiply.outer(weights, weights)
    low, high = 1e-3, 1e12
    with np.errstate(over="ignore", invalid="ignore"):
        while high / low > 1.0 + 1e-9:
            middle = math.sqrt(low * high)
            terms = np.where(products > 0, pairs * np.expm1(products / middle**2), 0.0)
            if float(terms.sum()) > square:
                low = middle
            else:
                high = middle
    return high
