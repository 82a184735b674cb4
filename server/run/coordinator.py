"""The coordinator: the phases of a plan, in order, over an exchange. It has no data and no way to any.

Each phase is one method under the name that it has at the party.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import numpy as np
from scipy.special import logit

from sealscore.server.run.additive_fit import FederatedSums
from sealscore.server.run.cohort_sums import AskedSums, CohortSums
from sealscore.server.run.kept_scores import KeptScore, PublishedScore
from sealscore.server.run.progress.pace import exchanges
from sealscore.server.run.rounds import Observer, Rounds
from sealscore.server.run.run_journal import RunJournal
from sealscore.server.run.tower_fit import fitted_tower
from sealscore.server.transport.exchange import Messenger, PartyClient, PhaseFailed, wait_for
from sealscore.server.transport.journal import Journal
from sealscore.server.transport.pairs import PairExchange
from sealscore.shared.crypto.aggregation import Aggregation
from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.messages.parts import edges_to_bytes, weights_to_bytes
from sealscore.shared.model.additive.curve import SUMS, PdCurve
from sealscore.shared.model.additive.table_score import TableScore
from sealscore.shared.model.bins import Binning
from sealscore.shared.model.build import coding_of, crosses_of, initial_tower
from sealscore.shared.model.calibration import Calibration, fit
from sealscore.shared.model.recipe.calibrator import calibrated
from sealscore.shared.model.recipe.facts import LEAST_RECORDS, Facts
from sealscore.shared.model.recipe.fit import fitted
from sealscore.shared.model.recipe.solver import Released
from sealscore.shared.model.released.score_tables import ScoreTables
from sealscore.shared.model.score_model import ScoreModel
from sealscore.shared.model.signal import CELLS, level_edges
from sealscore.shared.model.weights import TowerWeights
from sealscore.shared.phases.additive.tower_budget import fit_shares, label_keep, tower_mu
from sealscore.shared.phases.bin_rule import bin_rule
from sealscore.shared.phases.evaluate import table_weights
from sealscore.shared.phases.kind import Kind
from sealscore.shared.phases.order import Phase
from sealscore.shared.plan.features import tower_features
from sealscore.shared.plan.plan import FALLBACK, Plan
from sealscore.shared.plan.towers import planned_tower, towers

_Outcome = TypeVar("_Outcome")


@dataclass
class RunOutcome:
    """What a run gives: the models, the evaluation by noisy tables, and how the phases went.

    `model` is the score; `towers` are those of the platforms by group, whose logits become signals. `answered` counts
    by phase and party what may have been answered, `crossed` the bytes of payloads by sender and recipient. `early`
    says why a training phase ended before its last round, where it did. `fallback` is the score that reads no signal,
    with `fallback_tables`, where the plan has one. `signals` are, by group of platforms, the published parts from which
    its levels follow, byte for byte: `bins`, `tower`, `edges`, and `codes` of an additive tower. `rows` are
    what the observer got of rounds. `scores` are, by tower that scores, what parties were asked for before calibration.
    """

    model: ScoreModel
    towers: dict[str, ScoreModel]
    tables: ScoreTables
    answered: dict[str, dict[str, int]]
    crossed: dict[tuple[str, str], int]
    early: dict[str, str] = field(default_factory=dict)
    fallback: ScoreModel | None = None
    fallback_tables: ScoreTables | None = None
    signals: dict[str, dict[str, bytes]] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    scores: dict[str, PublishedScore] = field(default_factory=dict)


@dataclass
class WatchOutcome:
    """What a run of a plan of counts gives: the noisy sum, float64 [cells], and the standard deviation of its noise.

    The rest is as in `RunOutcome`.
    """

    values: np.ndarray
    noise: float
    answered: dict[str, dict[str, int]]
    rows: list[dict[str, Any]]
    crossed: dict[tuple[str, str], int] = field(default_factory=dict)
    early: dict[str, str] = field(default_factory=dict)


class _Trained(NamedTuple):
    """A tower, the parameters at which parties score with it, and the parts that they need for it."""

    model: ScoreModel
    weights: np.ndarray
    parts: dict[str, str]


class _CountedRecords(NamedTuple):
    """Bins, the number of training records that their noisy histogram counted, and of which parties."""

    binning: Binning
    records: float
    parties: tuple[str, ...]


class Coordinator:
    """Runs a plan. Every party must be there before the first phase; MissingParties names those that are not.

    With the journal of a run that was killed, it continues that run. A party without which the plan cannot continue
    may be away for `absence` seconds in mid-run. `sums` make the sums, where parties are not to be asked for them by
    messages. `kept` are the scores that the plan calibrates again, where it names any.
    """

    def __init__(
        self,
        plan: Plan,
        run: str,
        messenger: Messenger,
        aggregation: Aggregation,
        observer: Observer,
        patience: float = 60.0,
        timeout: float | None = None,
        journal: Journal | None = None,
        absence: float = 0.0,
        sums: CohortSums | None = None,
        kept: Mapping[str, KeptScore] = MappingProxyType({}),
    ) -> None:
        self._plan = plan
        self._messenger = messenger
        self._patience = patience
        self._mechanisms = Mechanisms(plan)
        self._asker = PartyClient(plan, run, messenger, timeout, absence)
        self._journal = journal = journal or Journal(plan.hash, run)
        sums = sums or AskedSums(self._asker, aggregation)
        self._rounds = Rounds(plan, run, self._asker, sums, observer, journal)
        self._pairs = PairExchange(plan, self._asker, journal)
        self._counted: dict[str, _CountedRecords] = {}
        self._kept = kept
        self._published: dict[str, PublishedScore] = {}
        # The lenders' rate of bad outcomes.
        self._rate = math.nan

    def run(self) -> RunOutcome:
        """All phases: PhaseFailed or MissingParties where the plan cannot be carried out.

        Where it never can be, all parties are told that it is over, and the error says who heard it.
        """
        return self._to_the_end(self._carried_out)

    def carry_out(self) -> RunOutcome | WatchOutcome:
        """What the plan asks for: a model, or counts; raises as `run`."""
        return self.run() if self._plan.monitoring is None else self.watch()

    def watch(self) -> WatchOutcome:
        """The one phase of a plan of counts; raises as `run`."""
        return self._to_the_end(self._watched)

    def _to_the_end(self, carry_out: Callable[[], _Outcome]) -> _Outcome:
        try:
            if not self._journal.ended:
                wait_for(self._messenger, [party.name for party in self._plan.parties], self._patience, poll=0.2)
            found = carry_out()
            self._journal.end(self._asker.run)
            self._asker.finish(self._mechanisms.phases[-1])
            return found
        except PhaseFailed as error:
            if error.final:
                settled = self._asker.finish(self._mechanisms.phases[-1])
                names = [party.name for party in self._plan.parties]
                error.settled = tuple(settled)
                error.untold = tuple(name for name in names if name not in settled)
            raise

    def _carried_out(self) -> RunOutcome:
        lenders = self._plan.lenders
        if self._plan.training.auto and self._plan.scores_from is None:
            self._rate = self.count_outcomes(self._phase(Kind.RATE, lenders))
        pairs = {}
        for group in self._plan.platforms:
            if self._plan.signals_from is None:
                pairs[group] = self._platforms(group)
            else:
                self.reuse_signal(self._phase(Kind.REUSE, group))
        scores = {tower.name: self._scored(tower.name) for tower in towers(self._plan) if tower.scores}
        model, tables = scores.pop(lenders)
        fallback, fallback_tables = scores.get(FALLBACK, (None, None))
        return RunOutcome(
            model,
            {group: tower for group, (tower, _) in pairs.items()},
            tables,
            self._answered(),
            dict(self._pairs.crossed),
            self._rounds.early,
            fallback,
            fallback_tables,
            {group: parts for group, (_, parts) in pairs.items()},
            self._rounds.rows,
            self._published,
        )

    def _watched(self) -> WatchOutcome:
        values, noise = self.count_passages(self._phase(Kind.PASSAGES, self._plan.lenders))
        return WatchOutcome(values, noise, self._answered(), self._rounds.rows)

    def _answered(self) -> dict[str, dict[str, int]]:
        summed = (phase for phase in self._mechanisms.phases if not phase.paired)
        return {phase.name: dict(self._rounds.answered(phase)) for phase in summed}

    def _platforms(self, group: str) -> tuple[ScoreModel, dict[str, bytes]]:
        """The phases of one kind of platform; gives its tower, and the parts from which its levels follow."""
        self.align(self._phase(Kind.ALIGN, group))
        trained = self._trained(group)
        edges = self.signal_edges(self._phase(Kind.EDGES, group), trained.weights, trained.parts)
        told = self.disclose_signal(self._phase(Kind.SIGNAL, group), trained.weights, edges, trained.parts)
        if self._plan.groups_at(group):
            self.disclose_groups(self._phase(Kind.GROUPS, group))
        return trained.model, {name: self._rounds.bodies[key] for name, key in told.items()}

    def _scored(self, tower: str) -> tuple[ScoreModel, ScoreTables]:
        """A score of the lenders, calibrated, and its evaluation."""
        model, weights, parts = self._kept_score(tower) if tower in self._kept else self._trained(tower)
        bodies = {name: self._rounds.bodies[key] for name, key in parts.items()}
        self._published[tower] = PublishedScore(bodies["bins"], weights, bodies.get("codes"))
        if isinstance(model.weights, TableScore):
            curve = model.weights.curve
            weights = weights if curve is None else np.concatenate([weights, curve.vector()])
        else:
            model.calibration = self.calibrate(self._phase(Kind.CALIBRATE, tower), weights, parts)
        return model, self.evaluate(self._phase(Kind.EVALUATE, tower), weights, parts)

    def _kept_score(self, tower: str) -> _Trained:
        """A score of an earlier plan as it was published then; an additive one with a curve from new sums."""
        kept, first = self._kept[tower], next(one for one in self._mechanisms.phases if one.tower == tower)
        model, weights = kept.model, kept.published.weights
        parts: dict[str, str] = {}
        for name, body in kept.published.parts.items():
            parts |= self._rounds.publish(first, name, body)
        tables, calibration = model.weights, Calibration()
        card = model.card | self._card(tower)
        if isinstance(tables, TableScore):
            start = tables.curve or PdCurve.around(float(logit(card["recipe"]["rate"]["value"])))
            phase = self._phase(Kind.RESIDUALS, tower)
            mechanism = self._mechanisms.mechanism(phase, SUMS)

            def ask(round: int, curve: PdCurve) -> Released | None:
                parameters = np.concatenate([weights, curve.vector()])
                found = self._rounds.summed(phase, round, mechanism, parameters, parts)
                return None if found is None else Released(found.values, mechanism.total_std(len(found.cohort)))

            tables = TableScore(tables.tables, calibrated(start, ask))
        crosses = None if model.coding is None else model.coding.crosses
        return _Trained(ScoreModel(model.features, model.binning, tables, calibration, card, crosses), weights, parts)

    def _trained(self, tower: str) -> _Trained:
        """Bins and a tower, not calibrated where it is linear or a network."""
        binning, parts = self._binned(tower)
        if tower in self._plan.platforms:
            self.release_labels(self._phase(Kind.LABELS, tower))
        if self._plan.training.auto:
            return self.fit_additive(tower, binning, parts)
        weights = self.train_tower(self._phase(Kind.TRAIN, tower), binning, parts)
        return _Trained(self._model(tower, binning, weights, Calibration()), weights, parts)

    def _binned(self, tower: str) -> tuple[Binning, dict[str, str]]:
        """Bins of a tower and their published part: of a histogram of its own, or its share of another tower's."""
        counted = planned_tower(self._plan, tower).bins
        if counted == tower:
            return self.bin(self._phase(Kind.BIN, tower))
        found = self._counted[counted]
        binning = found.binning.only(tower_features(self._plan, tower))
        self._counted[tower] = found._replace(binning=binning)
        first = next(phase for phase in self._mechanisms.phases if phase.tower == tower)
        return binning, self._rounds.publish(first, "bins", binning.to_bytes())

    def count_outcomes(self, phase: Phase) -> float:
        """The share of bad outcomes, from noisy counts of good and bad ones."""
        found = self._rounds.single(phase, self._mechanisms.mechanism(phase, 2), np.zeros(0), {})
        good, bad = found.values.tolist()
        return float(bad / max(good + bad, LEAST_RECORDS))

    def fit_additive(self, tower: str, binning: Binning, parts: dict[str, str]) -> _Trained:
        """Tables of a tower by the additive recipe: its first phase, pairs, its second phase, and the curve."""
        features, (_, records, counted) = len(binning.features), self._counted[tower]
        mu, keep = tower_mu(self._plan, tower), label_keep(self._plan, tower)
        facts = Facts.of(records, self._rate * records, features, mu, keep)
        sums = FederatedSums(self._rounds, self._mechanisms, tower, facts, parts, counted)
        score = fitted(binning, facts, sums, fit_shares(self._plan, tower))
        curve = score.curve if planned_tower(self._plan, tower).scores else None
        card = self._card(tower) | {"recipe": score.rules}
        tables = TableScore(score.codes.tables(score.weights), curve)
        model = ScoreModel(tower_features(self._plan, tower), binning, tables, Calibration(), card)
        return _Trained(model, score.weights, sums.parts)

    def count_passages(self, phase: Phase) -> tuple[np.ndarray, float]:
        """Noisy counts of first passages, float64 [cells], and the standard deviation of the noise in each."""
        mechanism = self._mechanisms.mechanism(phase, self._mechanisms.longest(phase))
        found = self._rounds.single(phase, mechanism, np.zeros(0), {})
        return found.values, mechanism.total_std(len(found.cohort))

    def align(self, phase: Phase) -> None:
        """Each lender and each platform find the persons that both know, and name them by handles."""
        self._carry(phase, {})

    def release_labels(self, phase: Phase) -> None:
        """Each lender sends each platform the noisy labels of aligned training persons, once."""
        self._carry(phase, {})

    def signal_edges(self, phase: Phase, weights: np.ndarray, parts: dict[str, str]) -> np.ndarray:
        """Edges of the signal's levels, float64 [levels - 1], from a noisy histogram of the tower's logits."""
        found = self._rounds.single(phase, self._mechanisms.mechanism(phase, CELLS), weights, parts)
        return level_edges(found.values, self._plan.model.signal_levels)

    def disclose_signal(
        self, phase: Phase, weights: np.ndarray, edges: np.ndarray, parts: dict[str, str]
    ) -> dict[str, str]:
        """Each platform sends each lender the level of every aligned person, once; gives the parts that it names."""
        named = parts | self._rounds.publish(phase, "tower", weights_to_bytes(weights))
        named |= self._rounds.publish(phase, "edges", edges_to_bytes(edges))
        self._carry(phase, named)
        return named

    def disclose_groups(self, phase: Phase) -> None:
        """Each platform sends each lender the bands of test persons' protected attributes."""
        self._carry(phase, {})

    def reuse_signal(self, phase: Phase) -> None:
        """Each platform agrees that each lender uses again what it was told under the earlier plan."""
        self._carry(phase, {})

    def bin(self, phase: Phase) -> tuple[Binning, dict[str, str]]:
        """Quantile bins of every feature of a tower, from a noisy histogram; and their published part."""
        rule = bin_rule(self._plan, phase.tower)
        found = self._rounds.single(phase, self._mechanisms.mechanism(phase, rule.length), np.zeros(0), {})
        binning = rule.binning(found.values)
        self._counted[phase.tower] = _CountedRecords(binning, rule.records(found.values), found.cohort)
        return binning, self._rounds.publish(phase, "bins", binning.to_bytes())

    def train_tower(self, phase: Phase, binning: Binning, parts: dict[str, str]) -> np.ndarray:
        """The tower's weights, float64 [p]: rounds of noisy gradients, or of averaged local steps."""
        from sealscore.shared.model.tower import flatten  # late: torch comes with it, which additive towers do without

        weights = flatten(initial_tower(self._plan, phase.tower, binning))
        mechanism = self._mechanisms.mechanism(phase, len(weights))
        return fitted_tower(self._plan, self._rounds, phase, mechanism, weights, parts)

    def calibrate(self, phase: Phase, weights: np.ndarray, parts: dict[str, str]) -> Calibration:
        """From logits to probabilities of default, by a noisy table of scores and labels of training persons."""
        mechanism = self._mechanisms.mechanism(phase, self._mechanisms.longest(phase))
        found = self._rounds.single(phase, mechanism, weights, parts)
        return fit(found.values, mechanism.total_std(len(found.cohort)))

    def evaluate(self, phase: Phase, weights: np.ndarray, parts: dict[str, str]) -> ScoreTables:
        """Noisy tables of scores and labels of test persons: all of them, and by the bands of attributes."""
        mechanism = self._mechanisms.mechanism(phase, self._mechanisms.longest(phase))
        found = self._rounds.single(phase, mechanism, weights, parts)
        bands = {name: self._plan.bands(name) for name in planned_tower(self._plan, phase.tower).bands}
        std = mechanism.total_std(len(found.cohort))
        return ScoreTables.of_sum(found.values, bands, table_weights(self._plan, phase.tower), std)

    def _phase(self, kind: Kind, tower: str) -> Phase:
        return next(phase for phase in self._mechanisms.phases if (phase.kind, phase.tower) == (kind, tower))

    def _carry(self, phase: Phase, parts: dict[str, str]) -> None:
        self._rounds.begin(phase)
        started, journal = time.monotonic(), self._journal
        if isinstance(journal, RunJournal):
            every = exchanges(self._plan, phase)
            journal.told = lambda: self._rounds.step(phase, journal.payloads(phase), every)
        self._pairs.carry(phase, phase.of.gives, parts)
        row = {"phase": phase.name, "round": 1, "rounds": 1, "attempts": 1, "cohort": len(self._plan.parties)}
        self._rounds.note(row | {"seconds": time.monotonic() - started, "failures": {}})

    def _model(self, tower: str, binning: Binning, weights: np.ndarray, calibration: Calibration) -> ScoreModel:
        width = coding_of(self._plan, tower, binning).width
        features, crosses = tower_features(self._plan, tower), crosses_of(self._plan, tower)
        published = TowerWeights(weights, width, self._plan.model.hidden)
        return ScoreModel(features, binning, published, calibration, self._card(tower), crosses)

    def _card(self, tower: str) -> dict[str, Any]:
        return {"plan": self._plan.hash, "name": self._plan.name, "group": tower}
