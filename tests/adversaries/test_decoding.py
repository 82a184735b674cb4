"""A curious lender that wants a platform's columns: what a level gives away of them, and what a float would.

On the real UCI set, where the columns are nobody's invention. The attacker has the published tower, its bins and the
edges of its levels, and enumerates every vector of bins that a record can have (derived features follow from raw
ones, so most combinations cannot be). Of those that fit what it saw it names the most probable. As its prior it is
given the true joint distribution of bin vectors over the training persons, with a trace of the product of the
marginals where nobody was seen: more than the plan or the model publish, and more than a lender could have.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

import numpy as np
import pytest
from doubles import DirectExchange, Quiet, nodes_of

from sealscore.clients.data.derive import derived_columns
from sealscore.clients.roles.lender import Lender
from sealscore.server.run.coordinator import Coordinator, RunOutcome
from sealscore.server.transport.messenger import ClearMessenger
from sealscore.shared.messages.aggregation import PlainSum
from sealscore.shared.messages.codec import decode
from sealscore.shared.messages.messages import Hello, PairRequest, Publish, SumRequest
from sealscore.shared.messages.parts import edges_from_bytes
from sealscore.shared.model.bins import FeatureBins
from sealscore.shared.model.score_model import ScoreModel
from sealscore.shared.model.signal import signal_levels
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.schema import TableSchema
from sealscore.simulations.data.datasets import real_data_found
from sealscore.simulations.data.scenario import Scenario, resolve
from sealscore.simulations.engine.federation import load_parties

PLAN, GROUP, LENDER, PLATFORM = "uci_vertical_eps2", "channel", "lender", "platform"
# Of the applicants with a level, at most so many may have all their bins named.
BOUND, FLOATS = 0.15, 0.90
# A column of the lender's own: the state of payment in the month before those that the platform holds.
OWN = "PAY_6"
CHUNK = 50_000

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not real_data_found("uci"), reason="the UCI set is not on this machine; set SEALSCORE_DATA"),
]


@dataclass
class Attack:
    """What the attacker knows, and the applicants that it attacks.

    `levels` int64 [n] is what the lender was told of the test applicants, `truth` int16 [n, features] their bins, and
    `training` int16 [m, features] those of the training persons. `own` float64 [n] and `own_training` [m] are a column
    of the lender's own.
    """

    tower: ScoreModel
    edges: np.ndarray
    levels: np.ndarray
    truth: np.ndarray
    training: np.ndarray
    own: np.ndarray
    own_training: np.ndarray

    @cached_property
    def vectors(self) -> np.ndarray:
        """Every vector of bins that a record can have: int16 [m, features], each once."""
        raw = {part.feature.name: _values(part) for part in self.tower.binning.features if _raw(part)}
        table = Scenario.load(resolve(PLAN)).plan.groups[GROUP].table
        for feature in table.features:
            if feature.name not in raw and not feature.protected:
                raw[feature.name] = np.arange(feature.lower, feature.upper + 1)  # read by derived features only
        grid = np.array(list(product(*raw.values())))
        columns = derived_columns(table, dict(zip(raw, grid.T, strict=True)))
        bins = self.tower.binning.quantize(columns)
        return bins[np.unique(self.code(bins), return_index=True)[1]]

    def code(self, bins: np.ndarray) -> np.ndarray:
        """A number for each vector of bins: int64 [m]."""
        return np.ravel_multi_index(tuple(bins.T.astype(np.int64)), self.tower.binning.sizes)

    @cached_property
    def logits(self) -> np.ndarray:
        """The tower's logit of every vector."""
        starts = range(0, len(self.vectors), CHUNK)
        return np.concatenate([self.tower.logits_of_bins(self.vectors[at : at + CHUNK]) for at in starts])

    @cached_property
    def prior(self) -> np.ndarray:
        """How probable each vector is, up to a factor: seen in training, or as the marginals say by one record."""
        seen, counts = np.unique(self.code(self.training), return_counts=True)
        codes = self.code(self.vectors)
        weight = np.ones(len(codes))
        for place, size in enumerate(self.tower.binning.sizes):
            share = np.bincount(self.training[:, place], minlength=size) / len(self.training)
            weight *= share[self.vectors[:, place]]
        weight /= max(weight.sum(), 1e-300)
        place = np.searchsorted(codes, seen)
        assert np.array_equal(codes[place], seen), "a record has a vector that was called impossible"
        weight[place] += counts
        return weight

    def among(self, value: float) -> Attack:
        """The attack on those of whom the lender's own column has this value; the prior is that of such persons."""
        here, there = self.own == value, self.own_training == value
        part = replace(
            self,
            levels=self.levels[here],
            truth=self.truth[here],
            training=self.training[there],
            own=self.own[here],
            own_training=self.own_training[there],
        )
        part.__dict__ |= {"vectors": self.vectors, "logits": self.logits}
        return part

    def recovered(self, told: np.ndarray, shown: np.ndarray) -> float:
        """Share of applicants named, who `told` the attacker a value each where vectors would have `shown` another."""
        order = np.lexsort((-self.prior, shown))
        first = np.r_[True, shown[order][1:] != shown[order][:-1]]
        values, guesses = shown[order][first], order[first]
        place = np.searchsorted(values, told)
        found = np.append(values, np.nan)[place] == told
        guess = guesses[np.minimum(place, len(guesses) - 1)]
        return float(np.mean(found & (self.vectors[guess] == self.truth).all(axis=1)))


def _raw(part: FeatureBins) -> bool:
    return not hasattr(part.feature, "formula")


def _values(part: FeatureBins) -> np.ndarray:
    """One value of each bin of a raw feature: the edge that belongs to it, and the upper bound for the last."""
    if part.feature.kind == "categorical":
        return np.arange(len(part.feature.levels), dtype=np.float64)
    return np.array([*part.edges, part.feature.upper])


def carried_out(plan, records: dict[str, Records]) -> tuple[RunOutcome, Lender, np.ndarray]:
    """A run of the plan without seals, which change no model, with the lender and the edges that were published."""
    nodes, _ = nodes_of(plan, records)
    exchange = DirectExchange(nodes)
    outcome = Coordinator(plan, "run", ClearMessenger(exchange), PlainSum(), Quiet()).run()
    sent = (decode(raw, Hello, Publish, SumRequest, PairRequest) for log in exchange.log for raw in log.values())
    edges = next(m.body for m in sent if isinstance(m, Publish) and m.name == "edges")
    return outcome, nodes[LENDER].role, edges_from_bytes(edges, plan.model.signal_levels)


@pytest.fixture(scope="module")
def attack() -> Attack:
    scenario = Scenario.load(resolve(PLAN))
    records = load_parties(scenario)
    outcome, lender, edges = carried_out(scenario.plan.replace(alignment__method="exact"), records)
    tower, platform = outcome.towers[GROUP], records[PLATFORM]
    told = lender.scored_records().test_part()
    level = dict(zip(told.person, told.columns[f"signal.{GROUP}"].tolist(), strict=True))
    bins = tower.binning.quantize(platform.columns)
    test = np.array([person in level and not np.isnan(level[person]) for person in platform.person]) & platform.test
    persons = np.array(platform.person)[test]
    levels = np.array([level[person] for person in persons], dtype=np.int64)
    assert np.array_equal(levels, signal_levels(tower.logits_of_bins(bins[test]), edges))
    own = dict(zip(records[LENDER].person, records[LENDER].columns[OWN].tolist(), strict=True))
    known = np.array([own[person] for person in platform.person])
    return Attack(tower, edges, levels, bins[test], bins[~platform.test], known[test], known[~platform.test])


def test_the_attack_is_on_every_test_applicant_and_every_vector(attack: Attack):
    assert len(attack.levels) == 6000
    assert len(attack.vectors) > 10_000
    assert set(attack.code(attack.truth)) <= set(attack.code(attack.vectors))
    # All unprotected columns that FATE's split gives the platform stand in the vector.
    named = {part.feature.name for part in attack.tower.binning.features}
    assert {"LIMIT_BAL", "EDUCATION", "PAY_0", "PAY_2", "PAY_3", "PAY_4", "PAY_5"} <= named


def test_a_level_names_all_bins_of_few_applicants(attack: Attack):
    blind = attack.recovered(np.zeros(len(attack.levels)), np.zeros(len(attack.vectors)))
    levels = attack.recovered(attack.levels, signal_levels(attack.logits, attack.edges))
    print(f"\nall bins named: {blind:.1%} without a signal, {levels:.1%} with {len(attack.edges) + 1} levels")
    assert blind < levels <= BOUND


def test_a_float_would_name_nearly_all(attack: Attack):
    """The same attack on a logit of four bytes in the place of the level: without it the bound above says nothing."""
    told = attack.tower.logits_of_bins(attack.truth).astype(np.float32)
    floats = attack.recovered(told, attack.logits.astype(np.float32))
    print(f"\nall bins named with a float32 logit: {floats:.1%}")
    assert floats > FLOATS


def test_more_levels_would_tell_more(attack: Attack):
    """Between the two: with the same tower, a level of a byte is no protection."""
    edges = np.quantile(attack.tower.logits_of_bins(attack.training), np.arange(1, 256) / 256)
    found = attack.recovered(
        signal_levels(attack.tower.logits_of_bins(attack.truth), edges), signal_levels(attack.logits, edges)
    )
    assert found > 2 * BOUND


def test_with_its_own_column_a_lender_names_a_few_more(attack: Attack):
    """What two columns of one person have in common, the holder of one knows of the other without any signal."""
    blind, levels = 0.0, 0.0
    for value in np.unique(attack.own):
        part = attack.among(value)
        share = len(part.levels) / len(attack.levels)
        blind += share * part.recovered(np.zeros(len(part.levels)), np.zeros(len(part.vectors)))
        levels += share * part.recovered(part.levels, signal_levels(part.logits, part.edges))
    print(f"\nall bins named with {OWN}: {blind:.1%} without a signal, {levels:.1%} with a level")
    assert blind < levels <= BOUND


# By how many towers of the same persons a lender was told a level: share of applicants all of whose bins are named.
FURTHER = {1: 0.108, 2: 0.189, 3: 0.269}


@pytest.mark.long
def test_each_further_tower_of_the_same_persons_names_more():
    """What a limit of 8 or 12 bits gives up against one of 4: each plan trains a tower of its own, by another seed.

    The attacker names the first tower's bins from the levels of several. Their bins differ, so it enumerates every
    record that any of them tells from another, and its prior is the joint distribution of training persons over these.
    """
    scenario = Scenario.load(resolve(PLAN))
    records = load_parties(scenario)
    platform, towers = records[PLATFORM], list[tuple[ScoreModel, np.ndarray]]()
    for seed in FURTHER:
        plan = scenario.plan.replace(alignment__method="exact", seed=seed, name=f"plan-{seed}")
        outcome, _, edges = carried_out(plan, records)
        towers.append((outcome.towers[GROUP], edges))
    codes, levels = told_by(towers, distinct_records(towers, scenario.plan.groups[GROUP].table))
    order = np.unique(codes, axis=0, return_index=True)[1]
    codes, levels = codes[order], levels[order]
    test = {name: values[platform.test] for name, values in platform.columns.items()}
    training = {name: values[~platform.test] for name, values in platform.columns.items()}
    truth, told = told_by(towers, test)
    weight = joint_prior(codes, told_by(towers, training)[0], towers[0][0], training)
    for count, measured in FURTHER.items():
        found = named(codes[:, 0], weight, levels[:, :count], truth[:, 0], told[:, :count])
        print(f"\nall bins named with levels of {count} towers: {found:.1%}")
        assert found == pytest.approx(measured, abs=0.01)


def distinct_records(towers: list[tuple[ScoreModel, np.ndarray]], table: TableSchema) -> dict[str, np.ndarray]:
    """Columns of every record that a bin of any of the towers tells from another."""
    raw: dict[str, np.ndarray] = {}
    for tower, _ in towers:
        for part in filter(_raw, tower.binning.features):
            raw[part.feature.name] = np.union1d(raw.get(part.feature.name, []), _values(part))
    for feature in table.features:
        if feature.name not in raw and not feature.protected:
            raw[feature.name] = np.arange(feature.lower, feature.upper + 1)
    grid = np.array(list(product(*raw.values())), dtype=np.float64)
    return derived_columns(table, dict(zip(raw, grid.T, strict=True)))


def told_by(
    towers: list[tuple[ScoreModel, np.ndarray]], columns: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """A number for the bins of each record, and its level, by each of the towers: int64 [n, towers] both."""
    codes, levels = [], []
    for tower, edges in towers:
        bins = tower.binning.quantize(columns)
        codes.append(np.ravel_multi_index(tuple(bins.T.astype(np.int64)), tower.binning.sizes))
        starts = range(0, len(bins), CHUNK)
        logits = np.concatenate([tower.logits_of_bins(bins[at : at + CHUNK]) for at in starts])
        levels.append(signal_levels(logits, edges))
    return np.stack(codes, axis=1), np.stack(levels, axis=1)


def joint_prior(
    codes: np.ndarray, training: np.ndarray, tower: ScoreModel, columns: dict[str, np.ndarray]
) -> np.ndarray:
    """How often training persons have each row of `codes`, with a trace of the first tower's marginals."""
    seen, counts = np.unique(training, axis=0, return_counts=True)
    rows = {tuple(row): count for row, count in zip(seen.tolist(), counts.tolist(), strict=True)}
    weight = np.ones(len(codes))
    bins = np.unravel_index(codes[:, 0], tower.binning.sizes)
    for place, (found, own) in enumerate(zip(bins, tower.binning.quantize(columns).T, strict=True)):
        weight *= (np.bincount(own, minlength=tower.binning.sizes[place]) / len(own))[found]
    weight /= max(weight.sum(), 1e-300)
    return weight + np.array([rows.get(tuple(row), 0) for row in codes.tolist()])


def named(codes: np.ndarray, weight: np.ndarray, levels: np.ndarray, truth: np.ndarray, told: np.ndarray) -> float:
    """Share of applicants whose first tower's bins are the most probable of those that fit all their levels."""
    base = int(levels.max()) + 1
    shown, seen = (np.ravel_multi_index(tuple(one.T), (base,) * levels.shape[1]) for one in (levels, told))
    order = np.lexsort((codes, shown))
    pairs = np.stack([shown[order], codes[order]])
    first = np.r_[True, (pairs[:, 1:] != pairs[:, :-1]).any(axis=0)]
    together = np.bincount(np.cumsum(first) - 1, weight[order])
    shown, codes = pairs[:, first]
    best = np.lexsort((-together, shown))
    head = np.r_[True, shown[best][1:] != shown[best][:-1]]
    guess = dict(zip(shown[best][head].tolist(), codes[best][head].tolist(), strict=True))
    return float(np.mean([guess.get(one) == true for one, true in zip(seen.tolist(), truth.tolist(), strict=True)]))
