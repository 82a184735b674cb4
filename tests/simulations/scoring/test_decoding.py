"""The decoding attack on a small invented world: what it names is the best that can be named, and more told is more."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest

from sealscore.clients.data.derive import derived_columns
from sealscore.shared.model.additive.codes import BinTables
from sealscore.shared.model.additive.table_score import TableScore
from sealscore.shared.model.bins import Binning, histogram
from sealscore.shared.model.calibration import Calibration
from sealscore.shared.model.reasons import contributions
from sealscore.shared.model.score_model import ScoreModel
from sealscore.shared.model.weights import admissible
from sealscore.shared.plan.schema import TableSchema
from sealscore.shared.serving.signal_tower import SignalTower
from sealscore.shared.serving.told_values import told_columns, told_values
from sealscore.simulations.scoring import decoding
from sealscore.simulations.scoring.decoding import BOUND, CAPACITY, OWN, STATES, Attack, DecodedWorld, flips

PERSONS, CELLS = 3000, 12
TABLE = TableSchema.model_validate(
    {
        "id": "id",
        "features": [
            {"name": "LIMIT_BAL", "lower": 0, "upper": 5e5},
            *({"name": name, "lower": -1, "upper": 2, "integer": True, "edges": [-1, 0, 1]} for name in STATES),
        ],
        "derived": [
            {"name": "worst", "lower": -1, "upper": 2, "integer": True, "formula": {"op": "max", "of": list(STATES)}}
        ],
    }
)


def persons_of(seed: int, count: int = PERSONS) -> dict[str, np.ndarray]:
    """Invented records: late months come in a row, and who has a low limit is late more often."""
    random = np.random.default_rng(seed)
    limit = np.round(random.uniform(1, 50, count)) * 1e4
    columns = {"LIMIT_BAL": limit}
    state = random.integers(-1, 3, count).astype(float)
    columns[OWN] = state
    for name in reversed(STATES):
        moves = random.random(count) < np.where(limit < 2e5, 0.5, 0.25)
        state = np.where(moves, random.integers(-1, 3, count), state).astype(float)
        columns[name] = state
    return derived_columns(TABLE, columns)


def tower_of(columns: dict[str, np.ndarray], seed: int, levels: int) -> SignalTower:
    features = (*TABLE.features, *TABLE.derived)
    totals = histogram(columns, features, CELLS).astype(np.float64)
    binning = Binning.from_histogram(features, CELLS, 6, totals)
    random = np.random.default_rng(seed)
    model = ScoreModel(
        features,
        binning,
        TableScore(
            BinTables(0.0, tuple(admissible(np.sort(random.normal(0, 0.6, size))) for size in binning.sizes), ())
        ),
        Calibration(),
        {},
    )
    logits = model.logits(columns)
    return SignalTower("small", model, np.quantile(logits, np.arange(1, levels) / levels), f"{seed:064x}")


@pytest.fixture(scope="module")
def world() -> DecodedWorld:
    training = persons_of(1)
    return DecodedWorld(TABLE, tower_of(training, 2, 8), training, persons_of(3))


def test_what_is_named_is_the_best_that_can_be_named(world: DecodedWorld):
    """Over the very persons that the attacker counted, by another way: of each value told, the commonest vector."""
    candidates = world.candidates()
    places = candidates.places(world.training)
    told = candidates.told(world.tower, world.told(3))
    shown = decoding.joined(told["signal"], told["reasons"])
    groups: dict[int, Counter[tuple[int, ...]]] = defaultdict(Counter)
    for value, bins in zip(shown[places], world.tower.model.binning.quantize(world.training), strict=True):
        groups[value][tuple(bins.tolist())] += 1
    best = sum(max(group.values()) for group in groups.values()) / PERSONS
    weight = np.bincount(places, minlength=len(candidates)).astype(float)
    assert Attack(candidates.target, weight, places).named(shown) == pytest.approx(best)


def test_what_is_told_of_a_candidate_is_what_a_token_tells_of_the_person(world: DecodedWorld):
    candidates = world.candidates()
    told, places = world.told(4), candidates.places(world.test)
    of_candidates = candidates.told(world.tower, told)
    together = told_columns(world.tower, told, world.test)
    for row in range(200):
        columns = {name: values[row : row + 1] for name, values in world.test.items()}
        alone = told_values(world.tower, told, columns)
        assert alone == {kind: int(values[row]) for kind, values in together.items()}
        assert alone == {kind: int(values[places[row]]) for kind, values in of_candidates.items()}
        assert alone["reasons"] == two_reasons(world, told.reasons, columns)


def two_reasons(world: DecodedWorld, names: tuple[str, ...], columns: dict[str, np.ndarray]) -> int:
    """The two features that raise the PD most, the first of the list where two are alike; in plain words of Python."""
    moved = contributions(world.tower.model, world.tower.model.binning.quantize(columns))[0]
    by_name = dict(zip((feature.name for feature in world.tower.model.features), moved.tolist(), strict=True))
    raised = sorted((-by_name[name], place) for place, name in enumerate(names, 1) if by_name[name] > 0)
    first, second = ([place for _, place in raised] + [0, 0])[:2]
    return 16 * first + second


def test_the_more_is_told_the_more_is_named(world: DecodedWorld):
    other = tower_of(dict(world.training), 5, 8)
    own = {"training": world.training[OWN], "test": world.test[OWN]}
    found = decoding.figures(world, other, own)
    kinds = {name: shares["persons"] for name, shares in found["kinds"].items()}
    signal, all_kinds = "8 levels: signal", "8 levels: signal + capacity + reasons"
    assert kinds["nothing"] < kinds[signal] < kinds["8 levels: signal + capacity"] < kinds[all_kinds]
    assert kinds[all_kinds] < kinds[f"{all_kinds} + watch"] < kinds[f"{all_kinds} + watch without errors"]
    assert kinds[signal] < kinds["16 levels: signal"]
    assert kinds[signal] <= BOUND
    pooled = found["pooled"]
    assert pooled["one month, one tower"] < pooled["one month, two towers"]
    assert pooled["1 month, one tower, months drawn"] < pooled["4 months, one tower, months drawn"]
    assert pooled["4 months, one tower, months drawn"] < pooled["4 months, two towers, months drawn"]
    assert found[f"with {OWN}"]["nothing"] < found[f"with {OWN}"]["signal"]


def test_a_bit_that_is_wrong_half_of_the_time_says_nothing(world: DecodedWorld):
    candidates = world.candidates()
    attack = Attack(candidates.target, candidates.by_shares, candidates.places(world.test))
    signal = candidates.told(world.tower, world.told())["signal"]
    bits = (candidates.columns[STATES[0]] > 0).astype(np.int64)
    plain = attack.named(signal)
    assert decoding.watched(attack, signal, bits, 1, 0.5) == pytest.approx(plain)
    assert decoding.watched(attack, signal, bits, 1, 0.0) > plain
    assert sum(flips(4, 0.1).values()) == pytest.approx(1.0)


def test_the_released_shares_are_those_of_each_feature(world: DecodedWorld):
    candidates = world.candidates()
    for part, bins in zip(
        world.tower.model.binning.features, world.tower.model.binning.quantize(candidates.columns).T, strict=True
    ):
        if part.feature.name in candidates.values:
            shares = np.bincount(bins, candidates.by_shares, minlength=part.size)
            assert shares == pytest.approx(np.array(part.reference))


def test_a_band_edge_between_two_bins_tells_candidates_apart(world: DecodedWorld):
    bands = world.candidates().told(world.tower, world.told())["capacity"]
    assert set(bands.tolist()) == set(range(len(CAPACITY.edges) + 1))


def test_what_cannot_be_enumerated_is_refused(world: DecodedWorld, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(decoding, "_MOST", 100)
    with pytest.raises(ValueError, match="too many"):
        world.candidates()
