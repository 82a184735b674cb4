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

import numpy as np
import pytest
from doubles import DirectExchange, Quiet, nodes_of

from sealscore.clients.roles.lender import Lender
from sealscore.server.run.coordinator import Coordinator, RunOutcome
from sealscore.server.transport.exchange import ClearMessenger
from sealscore.shared.crypto.aggregation import PlainSum
from sealscore.shared.messages.codec import decode
from sealscore.shared.messages.messages import Hello, PairRequest, Publish, SumRequest
from sealscore.shared.messages.parts import edges_from_bytes
from sealscore.shared.model.signal import signal_levels
from sealscore.shared.persons.records import Records
from sealscore.shared.serving.signal_tower import SignalTower
from sealscore.simulations.data.datasets import real_data_found
from sealscore.simulations.data.scenario import Scenario, resolve
from sealscore.simulations.engine.federation import load_parties
from sealscore.simulations.scoring.decoding import BOUND, GROUP, LENDER, OWN, PLAN, PLATFORM, Attack, Candidates

# Share of applicants of whom a float names all bins, at the least.
FLOATS = 0.90

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not real_data_found("uci"), reason="the UCI set is not on this machine; set SEALSCORE_DATA"),
]


@dataclass(frozen=True)
class Told:
    """What the lender was told in a run, and the attack on its test applicants.

    `levels` int64 [n] is what it was told of them, and `own` float64 a column of its own, of training and test persons.
    """

    candidates: Candidates
    attack: Attack
    tower: SignalTower
    levels: np.ndarray
    training: dict[str, np.ndarray]
    own: dict[str, np.ndarray]

    @cached_property
    def logits(self) -> np.ndarray:
        """The tower's logit of every candidate."""
        return self.candidates.logits(self.tower)

    def among(self, value: float) -> Attack:
        """The attack on those of whom the lender's own column has this value; the prior is that of such persons."""
        known = self.candidates.places(self.training)[self.own["training"] == value]
        weight = self.candidates.by_persons(known)
        return replace(self.attack, weight=weight, persons=self.attack.persons[self.own["test"] == value])


def carried_out(plan, records: dict[str, Records]) -> tuple[RunOutcome, Lender, np.ndarray]:
    """A run of the plan without seals, which change no model, with the lender and the edges that were published."""
    nodes, _ = nodes_of(plan, records)
    exchange = DirectExchange(nodes)
    outcome = Coordinator(plan, "run", ClearMessenger(exchange), PlainSum(), Quiet()).run()
    sent = (decode(raw, Hello, Publish, SumRequest, PairRequest) for log in exchange.log for raw in log.values())
    edges = next(m.body for m in sent if isinstance(m, Publish) and m.name == "edges")
    return outcome, nodes[LENDER].role, edges_from_bytes(edges, plan.model.signal_levels)


@pytest.fixture(scope="module")
def told() -> Told:
    scenario = Scenario.load(resolve(PLAN))
    records = load_parties(scenario)
    plan = scenario.plan.replace(alignment__method="exact")
    outcome, lender, edges = carried_out(plan, records)
    platform, table = records[PLATFORM], plan.groups[GROUP].table
    tower = SignalTower(GROUP, outcome.towers[GROUP], edges, "of this run")
    received = lender.scored_records().test_part()
    level = dict(zip(received.person, received.columns[f"signal.{GROUP}"].tolist(), strict=True))
    test = np.array([person in level and not np.isnan(level[person]) for person in platform.person]) & platform.test
    levels = np.array([level[person] for person in np.array(platform.person)[test]], dtype=np.int64)
    own = dict(zip(records[LENDER].person, records[LENDER].columns[OWN].tolist(), strict=True))
    known = np.array([own[person] for person in platform.person])
    training, attacked = (
        {name: values[rows] for name, values in platform.columns.items()} for rows in (~platform.test, test)
    )
    candidates = Candidates.of(table, tower.model.binning)
    weight, persons = candidates.by_persons(candidates.places(training)), candidates.places(attacked)
    attack = Attack(candidates.target, weight, persons)
    return Told(candidates, attack, tower, levels, training, {"training": known[~platform.test], "test": known[test]})


def test_the_attack_is_on_every_test_applicant_and_every_vector(told: Told):
    assert len(told.levels) == 6000
    assert told.candidates.target.max() > 10_000
    # What a candidate stands for has the levels that were told of it.
    assert np.array_equal(signal_levels(told.logits, told.tower.edges)[told.attack.persons], told.levels)
    # All unprotected columns that FATE's split gives the platform stand in the vector.
    named = {part.feature.name for part in told.tower.model.binning.features}
    assert {"LIMIT_BAL", "EDUCATION", "PAY_0", "PAY_2", "PAY_3", "PAY_4", "PAY_5"} <= named


def test_a_level_names_all_bins_of_few_applicants(told: Told):
    blind = told.attack.named(np.zeros(len(told.candidates), dtype=np.int64))
    levels = told.attack.named(signal_levels(told.logits, told.tower.edges), told.levels)
    print(f"\nall bins named: {blind:.1%} without a signal, {levels:.1%} with {len(told.tower.edges) + 1} levels")
    assert blind < levels <= BOUND


def test_a_float_would_name_nearly_all(told: Told):
    """The same attack on a logit of four bytes in the place of the level: without it the bound above says nothing."""
    floats = told.attack.named(told.logits.astype(np.float32).view(np.int32).astype(np.int64))
    print(f"\nall bins named with a float32 logit: {floats:.1%}")
    assert floats > FLOATS


def test_more_levels_would_tell_more(told: Told):
    """Between the two: with the same tower, a level of a byte is no protection."""
    edges = np.quantile(told.tower.model.logits(told.training), np.arange(1, 256) / 256)
    assert told.attack.named(signal_levels(told.logits, edges)) > 2 * BOUND


def test_with_its_own_column_a_lender_names_a_few_more(told: Told):
    """What two columns of one person have in common, the holder of one knows of the other without any signal."""
    blind, levels = 0.0, 0.0
    shown, nothing = signal_levels(told.logits, told.tower.edges), np.zeros(len(told.candidates), dtype=np.int64)
    for value in np.unique(told.own["test"]):
        part, share = told.among(value), float(np.mean(told.own["test"] == value))
        blind += share * part.named(nothing)
        levels += share * part.named(shown)
    print(f"\nall bins named with {OWN}: {blind:.1%} without a signal, {levels:.1%} with a level")
    assert blind < levels <= BOUND
