"""What each phase and round cost in epsilon, from the plan and the number of answers, by the claim's own accountant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.phases.kind import Kind
from sealscore.shared.phases.order import Phase


@dataclass(frozen=True)
class PhaseCost:
    """A phase that released sums: `alone` is its epsilon by itself, `total` that of all phases up to it."""

    phase: Phase
    answers: int
    alone: float
    total: float


@dataclass(frozen=True)
class Moment:
    """A moment of a run: how many sums had been answered, the phase, and epsilon so far.

    `platform` is the figure against a platform, which from the release of labels on also holds noisy labels.
    """

    answers: int
    phase: str
    epsilon: float
    platform: float | None


def phase_costs(mechanisms: Mechanisms, answered: Callable[[str], int]) -> list[PhaseCost]:
    """The phases with sums, in order; `answered` gives the attempts by a phase's name.

    Epsilons do not add up: losses compose more slowly, and training and test persons are different people, so
    that the figure of a person is the larger of the two.
    """
    found: list[PhaseCost] = []
    counts: dict[str, int] = {}
    for phase in mechanisms.phases:
        if phase.paired:
            continue
        counts[phase.name] = answered(phase.name)
        alone = _claim(mechanisms, {phase.name: counts[phase.name]})
        found.append(PhaseCost(phase, counts[phase.name], alone, _claim(mechanisms, counts)))
    return found


def moments(mechanisms: Mechanisms, answered: Callable[[str], int], about: int = 8) -> list[Moment]:
    """Epsilon along a run, at about so many moments of each phase with many rounds and after each other phase."""
    found = [Moment(0, "", 0.0, None)]
    counts: dict[str, int] = {}
    before, labelled = 0, False
    for phase in mechanisms.phases:
        if phase.kind is Kind.LABELS and mechanisms.plan.privacy.label_epsilon is not None:
            labelled = True
            found.append(_moment(mechanisms, counts, before, phase.name, labelled))
        if phase.paired:
            continue
        total = answered(phase.name)
        # Epsilon rises steeply at first, so the first rounds of a phase are looked at more closely.
        for count in sorted({-(-total * part**2 // about**2) for part in range(about + 1)} - {0}):
            counts[phase.name] = count
            found.append(_moment(mechanisms, counts, before + count, phase.name, labelled))
        before += total
    return found


def _moment(mechanisms: Mechanisms, counts: Mapping[str, int], answers: int, phase: str, labelled: bool) -> Moment:
    platform = mechanisms.platform_claim(lambda phase: counts.get(phase.name, 0)) if labelled else None
    return Moment(answers, phase, _claim(mechanisms, counts), platform)


def _claim(mechanisms: Mechanisms, counts: Mapping[str, int]) -> float:
    return mechanisms.claim(lambda phase: counts.get(phase.name, 0))
