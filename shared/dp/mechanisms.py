"""From the plan to what each phase adds and charges: noise, sensitivity, grid and length of every sum.

Formal guarantees. In each attempt of a phase, the parties that do not collude add discrete Gaussian noise whose
variances sum to at least `noise_std`^2 (in units of the grid), while one person moves the sum by at most the
sensitivity that the event states, in any weights. `docs/proofs/shared-noise.md` and `docs/proofs/rounding.md` give
the argument; it assumes that at most `max_colluding` parties of the group collude with the server and that the
secrets of the others' streams are unknown to it. It holds against any one party by itself as well (`Plan.insiders`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from sealscore.shared.crypto.aggregation import SumShape
from sealscore.shared.dp.accountant import Accountant, PldAccountant
from sealscore.shared.dp.effort import TooMuchWork
from sealscore.shared.dp.events import Event, Gaussian, NoNoise, RandomizedResponse, SampledGaussian
from sealscore.shared.dp.measure import measure
from sealscore.shared.dp.noise_calibration import PlannedRelease, Solved, UnreachableBudget, borne_out, solve
from sealscore.shared.phases.order import Phase, phases
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import Plan
from sealscore.shared.randomness.noise import FastDiscreteGaussian, NoiseSampler, grid_scale, support_bound, tv_bound
from sealscore.shared.randomness.streams import Stream

# A party may hold up to this many times its nominal records; a public constant, so that bounds stay public.
HEADROOM = 2
_MAX_EXACT = 2**53


@dataclass(frozen=True)
class Mechanism:
    """How one phase's sum over `length` entries is bounded, noised and charged.

    A vector is measured in `grid` units and cut off at `bound`. `noise_std` is the standard deviation, in grid
    units, of the noise that the honest parties add together. `insiders` parties of a cohort are not counted on.
    """

    phase: Phase
    length: int
    grid: float
    bound: int
    noise_std: float
    insiders: int
    parties: int
    own_noise_only: bool
    event: Event

    @cached_property
    def shape(self) -> SumShape:
        """The shape of the sum: the bound of a vector plus the farthest that its noise can reach."""
        farthest = support_bound(grid_scale(self.noise_std)) if self.noise_std else 0
        return SumShape(self.length, self.bound + farthest, self.parties)

    def own_scale(self, cohort: int) -> float:
        """Scale, in grid units, of the discrete Gaussian that one party of a cohort of that size adds."""
        if self.noise_std == 0:
            return 0.0
        return grid_scale(self.noise_std, 1 if self.own_noise_only else max(1, cohort - self.insiders))

    def own_noise(self, cohort: int) -> float:
        """The deviation of one party's own noise over that of all the noise that the event counts on."""
        if self.noise_std == 0:
            return 0.0
        return 1.0 if self.own_noise_only else 1.0 / math.sqrt(max(1, cohort - self.insiders))

    def total_std(self, cohort: int) -> float:
        """Standard deviation, in the sum's own unit, of the noise in the sum over a cohort of that size."""
        return self.own_scale(cohort) * math.sqrt(cohort) * self.grid

    def counts(self, counts: np.ndarray, weights: np.ndarray | float = 1.0) -> np.ndarray:
        """Counts int64 [length] in grid units, cut off at the bound; `weights` are multiples of the grid up to 1."""
        return np.asarray(np.minimum(counts * np.rint(np.asarray(weights) / self.grid).astype(np.int64), self.bound))

    def noised(
        self, vector: np.ndarray, stream: Stream, cohort: int, sampler: NoiseSampler | None = None
    ) -> np.ndarray:
        """Add one party's noise to its vector int64 [length] within the bound; ValueError on any other vector."""
        if vector.shape != (self.length,) or vector.dtype != np.int64:
            raise ValueError(f"expected int64 [{self.length}], got {vector.dtype} {vector.shape}")
        if self.length and not -self.bound <= int(vector.min()) <= int(vector.max()) <= self.bound:
            raise ValueError("the vector exceeds the public bound of its phase")
        if self.noise_std == 0:
            return vector
        noise = (sampler or FastDiscreteGaussian()).sample(stream, self.own_scale(cohort), self.length)
        return vector + noise


def to_grid(vector: np.ndarray, grid: float, bound: int) -> np.ndarray:
    """Round float64 [p] to multiples of `grid`, in grid units, cut off at `bound`: int64 [p] in [-bound, bound].

    An entry that is not finite counts as 0.

    Formal guarantees: two vectors at L2 distance s give results within s / grid + sqrt(p): rounding moves an entry
    by at most 1/2, and cutting off brings no two entries farther apart.

    Raises:
        ValueError: the bound is negative or above 2^53, where float64 has no all integers.
    """
    if not 0 <= bound <= _MAX_EXACT:
        raise ValueError(f"the bound must be in [0, 2^53], got {bound}")
    with np.errstate(over="ignore"):
        scaled = np.where(np.isfinite(vector), vector, 0.0) / grid
    return np.clip(np.rint(scaled), -bound, bound).astype(np.int64)


class Mechanisms:
    """All mechanisms of a plan; the noise is solved once from the whole of it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.phases = phases(plan)
        self._made: dict[tuple[str, int], Mechanism] = {}
        self._longest: dict[str, int] = {}

    @cached_property
    def noise_multipliers(self) -> dict[str, float]:
        """Noise multiplier of each phase by its name, in units of one record's largest norm; 0 without noise."""
        if self.plan.privacy.noise == "none":
            return {phase.name: 0.0 for phase in self.phases if not phase.paired}
        solved: dict[str, float] = {}
        for part in self.composed:
            releases = [self._release(phase) for phase in part]
            if (left := 1 - sum(release.share for release in releases)) > 1e-9 and len(self.composed) > 1:
                # The solver knows ratios only, so a share that no phase takes must be a release that never happens.
                releases.append(PlannedRelease(name="unused", kind="gaussian", share=left, attempts=1))
            solved |= self._solve(releases).noise_multipliers
        for phase in (phase for part in self.composed for phase in part):
            self._check_noise(phase, solved[phase.name])
        return solved

    def _check_noise(self, phase: Phase, multiplier: float) -> None:
        """Refuse noise of which one party's share would no more be Gaussian on the grid, or that no sum can hold.

        The shortest sum has the coarsest grid, and the longest one the farthest noise.
        """
        longest, shortest = self.longest(phase), phase.summed.shortest(self.plan, phase.tower)
        wrong = "large"
        try:
            self._made_with(multiplier, phase, shortest).own_scale(len(self.plan.members(phase.group)))
            wrong = "small, or privacy.clip_norm" if phase.summed.trains else "small"
            _ = self._made_with(multiplier, phase, longest).shape.bits
        except ValueError as error:
            what = f"privacy.epsilon = {self.plan.privacy.epsilon}: too {wrong} for {phase.name}: {error}"
            raise PlanError(self.plan.name, [what]) from None

    @cached_property
    def composed(self) -> tuple[tuple[Phase, ...], ...]:
        """The phases with a sum, in parts of which each person is in one only: what a part releases composes.

        Training and test persons are two parts, unless the split is by date, which moves persons: two parties may not
        agree in which part a person is, and after a newer export one party may not agree with itself. Counts of first
        passages are of everybody.
        """
        summed = tuple(phase for phase in self.phases if not phase.paired)
        if self.plan.undivided:
            return (summed,)
        return tuple(tuple(phase for phase in summed if phase.test is test) for test in (False, True))

    def _solve(self, part: list[PlannedRelease]) -> Solved:
        privacy = self.plan.privacy
        try:
            return solve(tuple(part), privacy.epsilon, privacy.delta, self.distance)
        except (UnreachableBudget, TooMuchWork) as error:
            raise PlanError(self.plan.name, [f"privacy.epsilon = {privacy.epsilon}: {error}"]) from None

    @cached_property
    def distance(self) -> float:
        """Distance of all noise that is ever drawn from exact discrete Gaussians: draws times the bound of one.

        Not below a round figure, so that plans that differ in their parties only have the same noise.
        """
        draws = sum(
            phase.attempts * phase.steps * self.longest(phase) * len(self.plan.members(phase.group))
            for phase in self.phases
            if not phase.paired
        )
        return max(1e-9, draws * tv_bound(float(2**20)))

    def longest(self, phase: Phase) -> int:
        """The most entries that a sum of the phase may have, as the plan says; a score table has all of them."""
        if phase.name not in self._longest:
            self._longest[phase.name] = phase.summed.longest(self.plan, phase.tower)
        return self._longest[phase.name]

    def _release(self, phase: Phase) -> PlannedRelease:
        multiplicity = self.plan.multiplicity(phase.group)
        if phase.summed.trains:
            return PlannedRelease(
                name=phase.name,
                kind="sampled",
                share=phase.summed.share(self.plan, phase.tower),
                attempts=phase.attempts * phase.steps,
                sensitivity=1.0,
                sample_rate=self.plan.training.sample_rate,
                multiplicity=multiplicity,
            )
        return PlannedRelease(
            name=phase.name,
            kind="gaussian",
            share=phase.summed.share(self.plan, phase.tower),
            attempts=phase.attempts,
            sensitivity=phase.summed.sensitivity(self.plan, phase.tower) * multiplicity,
            sample_rate=1.0,
            multiplicity=1,
        )

    def event(self, phase: Phase) -> Event:
        """What one answer of this phase is charged."""
        return self._event(self.noise_multipliers[phase.name], phase)

    def _event(self, multiplier: float, phase: Phase) -> Event:
        if self.plan.privacy.noise == "none":
            return NoNoise(count=phase.steps, what=phase.name)
        multiplicity = self.plan.multiplicity(phase.group)
        if phase.summed.trains:
            rate = self.plan.training.sample_rate
            return SampledGaussian(
                noise_multiplier=multiplier, sample_rate=rate, count=phase.steps, multiplicity=multiplicity
            )
        sensitivity = phase.summed.sensitivity(self.plan, phase.tower) * multiplicity
        return Gaussian(noise_multiplier=multiplier, sensitivity=sensitivity, count=1)

    def mechanism(self, phase: Phase, length: int) -> Mechanism:
        """The mechanism of a phase whose sum has `length` entries (public: it follows from what was published)."""
        key = (phase.name, length)
        if key not in self._made:
            self._made[key] = self._made_with(self.noise_multipliers[phase.name], phase, length)
        return self._made[key]

    def _made_with(self, multiplier: float, phase: Phase, length: int) -> Mechanism:
        most = HEADROOM * max(party.nominal_records for party in self.plan.members(phase.group))
        found = measure(self.plan, phase, length, most)
        bound, noise_std = math.ceil(found.most * most / found.grid), multiplier * found.unit / found.grid
        return Mechanism(
            phase=phase,
            length=length,
            grid=found.grid,
            bound=bound,
            noise_std=noise_std,
            insiders=self.plan.insiders(phase.group),
            parties=len(self.plan.members(phase.group)),
            own_noise_only=self.plan.training.local is not None and phase.summed.trains,
            event=self._event(multiplier, phase),
        )

    def claim(self, answered: Callable[[Phase], int] | None = None, accountant: Accountant | None = None) -> float:
        """Epsilon at the plan's delta for a person, all phases composed: what everything but sealed payloads tells.

        `answered` gives the answers that parties gave in a phase (spare attempts that were never used cost nothing);
        by default all that are in the budget. Where a person is in one part only, the claim is the larger figure.
        """
        return max(self._figures(answered, accountant or PldAccountant(), ()))

    def platform_claim(self, answered: Callable[[Phase], int] | None = None) -> float | None:
        """The same against a platform, alone or with the server: composed with a person's noisy labels.

        By PLD, or as the sum of both figures where that is less: the distance of the noise, which has no part in the
        labels, costs more of delta the larger the composed figure is, and may leave none. All platforms get the same
        coin, so the labels count once, however many platforms there are. None where no platform gets labels under an
        epsilon.
        """
        epsilon = self.plan.privacy.label_epsilon
        if not self.plan.platforms or epsilon is None:
            return None
        lenders = len(self.plan.members(self.plan.lenders))
        labels = min(self.plan.privacy.max_parties_per_person or lenders, lenders)
        added = self.claim(answered) + labels * epsilon
        with suppress(UnreachableBudget):
            released = (RandomizedResponse(epsilon=epsilon, count=labels),)
            return min(added, max(self._figures(answered, PldAccountant(), released)))
        return added

    def _figures(
        self, answered: Callable[[Phase], int] | None, used: Accountant, labels: tuple[Event, ...]
    ) -> list[float]:
        """Epsilon of each part; labels are those of training persons."""
        count, privacy = answered or (lambda phase: phase.attempts), self.plan.privacy
        figures = []
        for part in self.composed:
            events: list[Event] = [
                self.event(phase).model_copy(update={"count": phase.steps * count(phase)})
                for phase in part
                if count(phase)
            ]
            if not all(phase.test for phase in part):
                events += labels
            figures.append(borne_out(partial(used.epsilon, events), privacy.epsilon, privacy.delta, self.distance))
        return figures
