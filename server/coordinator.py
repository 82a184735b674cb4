"""The coordinator: the phases of a plan, in order, over an exchange. It holds no data and no way to any.

Each phase is one method under the name that it has at the party.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from server.exchange import Exchange, wait_for
from server.optimizer import ServerOptimizer, averaged
from server.rounds import AttemptsSpent, Rounds, Sum
from shared.aggregation import Aggregation
from shared.model.bins import Binning, histogram_length
from shared.model.calibration import Calibration, fit
from shared.model.build import crosses_of, initial_tower
from shared.model.score_model import ScoreModel
from shared.model.score_table import TableMetrics
from shared.model.tower import flatten, load_flat
from shared.phases import Phase
from shared.plan import Plan
from shared.privacy.mechanisms import Mechanism, Mechanisms


class Observer(Protocol):
    """Is told how a run goes on; nothing that it is told depends on a record other than through noised sums."""

    def phase(self, phase: Phase) -> None:
        """A phase begins."""
        ...

    def round(self, row: dict[str, Any]) -> None:
        """A round is done: phase, round, attempts, cohort size, seconds, and what the mechanism reports."""
        ...


@dataclass
class Outcome:
    """What a run gives: the model, its evaluation by noisy tables, and how the phases went.

    `tables` maps "all" and every band (`SEX: 1`) to the figures of its noisy table; `early` tells why a training
    phase ended before its last round, where it did.
    """

    model: ScoreModel
    tables: dict[str, dict[str, float]]
    answered: dict[str, dict[str, int]]
    early: dict[str, str] = field(default_factory=dict)


class Coordinator:
    """Runs a plan. Every party must be there before the first phase; MissingParties names those that are not."""

    def __init__(
        self,
        plan: Plan,
        run: str,
        exchange: Exchange,
        aggregation: Aggregation,
        observer: Observer,
        patience: float = 60.0,
        timeout: float | None = None,
    ) -> None:
        self._plan = plan
        self._exchange = exchange
        self._observer = observer
        self._patience = patience
        self._mechanisms = Mechanisms(plan)
        self._rounds = Rounds(plan, run, exchange, aggregation, timeout)
        self._early: dict[str, str] = {}

    def run(self) -> Outcome:
        """All phases: PhaseFailed or MissingParties where the plan cannot be carried out."""
        wait_for(self._exchange, [party.name for party in self._plan.parties], self._patience, poll=0.2)
        bin_phase, train_phase, calibrate_phase, evaluate_phase = self._mechanisms.phases
        binning = self.bin(bin_phase)
        parts = {"bins": self._rounds.publish(bin_phase, "bins", binning.to_bytes())}
        weights = self.train_tower(train_phase, binning, parts)
        calibration = self.calibrate(calibrate_phase, weights, parts)
        tables = self.evaluate(evaluate_phase, weights, calibration, parts)
        group = self._plan.lenders
        tower = initial_tower(self._plan, group, binning)
        load_flat(tower, weights)
        answered = {phase: dict(counts) for phase, counts in self._rounds.answered.items()}
        features, crosses = self._plan.groups[group].table.scored, crosses_of(self._plan, group)
        card = {"plan": self._plan.hash, "name": self._plan.name}
        model = ScoreModel(features, binning, tower, calibration, card, crosses)
        return Outcome(model, tables, answered, self._early)

    def bin(self, phase: Phase) -> Binning:
        """Quantile bins of every scored feature of a group, from a noisy histogram over public cells."""
        features = self._plan.groups[phase.group].table.scored
        length = histogram_length(features, self._plan.model.grid_cells)
        found = self._single(phase, self._mechanisms.mechanism(phase, length), np.zeros(0), {})
        return Binning.from_histogram(features, self._plan.model.grid_cells, self._plan.model.bins, found.values)

    def train_tower(self, phase: Phase, binning: Binning, parts: dict[str, str]) -> np.ndarray:
        """The tower's weights, float64 [p]: rounds of noisy gradients, or of averaged local steps.

        Ends early, and says so in `Outcome.early`, when the attempts in the budget are spent.
        """
        self._observer.phase(phase)
        weights = flatten(initial_tower(self._plan, phase.group, binning))
        mechanism = self._mechanisms.mechanism(phase, len(weights))
        settings = self._plan.training.optimizer
        optimizer = ServerOptimizer(settings, phase.rounds, len(weights))
        iterates = []
        for round in range(1, phase.rounds + 1):
            try:
                found = self._rounds.ask(phase, round, mechanism, weights, parts)
            except AttemptsSpent as spent:
                if not iterates:
                    raise
                self._early[phase.name] = f"{spent}; the model is that of {round - 1} of {phase.rounds} rounds"
                break
            gradient = self._gradient(found, mechanism)
            weights = optimizer.step(weights, gradient, round)
            iterates.append(weights)
            rate = optimizer.learning_rate(round)
            self._report(phase, round, found, learning_rate=rate, **self._signal(gradient, found, mechanism))
        return averaged(iterates, settings.average_last)

    def calibrate(self, phase: Phase, weights: np.ndarray, parts: dict[str, str]) -> Calibration:
        """From logits to probabilities of default, by a noisy table of scores and labels of training persons."""
        mechanism = self._mechanisms.mechanism(phase, self._mechanisms.table_length(phase))
        found = self._single(phase, mechanism, weights, parts)
        return fit(found.values, mechanism.total_std(len(found.cohort)))

    def evaluate(
        self, phase: Phase, weights: np.ndarray, calibration: Calibration, parts: dict[str, str]
    ) -> dict[str, dict[str, float]]:
        """The protocol's own figures of the model, from noisy tables of scores and labels of test persons."""
        mechanism = self._mechanisms.mechanism(phase, self._mechanisms.table_length(phase))
        found = self._single(phase, mechanism, weights, parts)
        std, cells = mechanism.total_std(len(found.cohort)), 2 * self._plan.evaluation.cells
        names = ["all", *(f"{g}: {band}" for g in self._plan.evaluation.groups for band in self._plan.bands(g))]
        tables = np.split(found.values, range(cells, mechanism.length, cells))
        return {
            name: TableMetrics.of(table, calibration, std).as_dict() for name, table in zip(names, tables, strict=True)
        }

    def _single(self, phase: Phase, mechanism: Mechanism, weights: np.ndarray, parts: dict[str, str]) -> Sum:
        """The one sum of a phase that has one round."""
        self._observer.phase(phase)
        found = self._rounds.ask(phase, 1, mechanism, weights, parts)
        self._report(phase, 1, found)
        return found

    def _gradient(self, found: Sum, mechanism: Mechanism) -> np.ndarray:
        """The sum as a gradient per record, or as the averaged step of FedAvg: float64 [p]."""
        training = self._plan.training
        records = sum(self._plan.nominal_training(self._plan.party(party)) for party in found.cohort)
        gradient = found.values / (training.sample_rate * records)
        return gradient * training.local.learning_rate * training.local.steps if training.local else gradient

    def _signal(self, gradient: np.ndarray, found: Sum, mechanism: Mechanism) -> dict[str, float]:
        """Norm of the gradient and the noise's part of it, both from public or released numbers."""
        training = self._plan.training
        records = sum(self._plan.nominal_training(self._plan.party(party)) for party in found.cohort)
        per_entry = mechanism.total_std(len(found.cohort)) / (training.sample_rate * records)
        if training.local:
            per_entry *= training.local.learning_rate * np.sqrt(training.local.steps)
        return {
            "gradient_norm": float(np.linalg.norm(gradient)),
            "noise_norm": float(per_entry * np.sqrt(mechanism.length)),
        }

    def _report(self, phase: Phase, round: int, found: Sum, **more: float) -> None:
        row = {"phase": phase.name, "round": round, "rounds": phase.rounds, "attempts": found.attempts}
        row |= {"cohort": len(found.cohort), "seconds": found.seconds, "failures": found.failures}
        self._observer.round(row | more)
