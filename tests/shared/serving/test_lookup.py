"""Look-up tables say what the model says, to the last bit, alone and in a block, whatever the model is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from additive_builders import binned
from hypothesis import given, settings
from hypothesis import strategies as st

from sealscore.shared.model.additive.codes import BinTables, PairTable
from sealscore.shared.model.additive.curve import KNOTS, PdCurve
from sealscore.shared.model.additive.table_score import TableScore
from sealscore.shared.model.bins import Binning, FeatureBins
from sealscore.shared.model.calibration import Calibration
from sealscore.shared.model.coding import Coding, Crosses
from sealscore.shared.model.reasons import contributions
from sealscore.shared.model.score_model import ScoreModel
from sealscore.shared.model.weights import TowerWeights, admissible
from sealscore.shared.serving.lookup import LookUp

SEEDS = st.integers(0, 2**32 - 1)


def tower(random: np.random.Generator, hidden: int = 0, crosses: bool = False) -> ScoreModel:
    """A tower with weights of both signs."""
    parts = binned(random, int(random.integers(3, 7)))
    names = [part.feature.name for part in parts]
    pairs = ((names[0], names[1]), (names[2], names[0])) if crosses else ()
    crossed, binning = Crosses(pairs, bins=3), Binning(tuple(parts))
    width = Coding(binning, crossed).width
    vector = admissible(random.normal(0, 0.6, TowerWeights.length(width, hidden)))
    weights = TowerWeights(vector, width, hidden)
    return ScoreModel(features(parts), binning, weights, Calibration(1.3, -0.4), {}, crossed)


def tables(random: np.random.Generator, curved: bool = False) -> ScoreModel:
    """An additive model with pairs, in some of which a feature is left and in some right."""
    parts = binned(random, 5)
    sizes = [part.size for part in parts]
    mains = tuple(admissible(random.normal(0, 0.7, size)) for size in sizes)
    pairs = tuple(
        PairTable(left, right, admissible(random.normal(0, 0.3, (sizes[left], sizes[right]))))
        for left, right in ((0, 1), (1, 3), (0, 4))
    )
    corrections = tuple(admissible(np.cumsum(random.uniform(-0.2, 0.3, KNOTS))).tolist())
    curve = PdCurve(-3.0, corrections) if curved else None
    score = TableScore(BinTables(float(admissible(np.array(-1.2))), mains, pairs), curve)
    return ScoreModel(features(parts), Binning(tuple(parts)), score, Calibration(), {})


def features(parts: list[FeatureBins]) -> list:
    return [part.feature for part in parts]


MODELS: dict[str, Callable[[np.random.Generator], ScoreModel]] = {
    "linear": tower,
    "crosses": lambda random: tower(random, crosses=True),
    "hidden": lambda random: tower(random, hidden=4),
    "hidden with crosses": lambda random: tower(random, hidden=3, crosses=True),
    "additive": tables,
    "additive with a curve": lambda random: tables(random, curved=True),
}


def bins_of(model: ScoreModel, random: np.random.Generator, count: int = 12) -> np.ndarray:
    """Bins of records, those of the first and of the last bins among them."""
    sizes = np.array(model.binning.sizes)
    drawn = random.integers(0, sizes, (count, len(sizes)))
    return np.vstack([np.zeros_like(sizes), sizes - 1, drawn])


@pytest.mark.parametrize("kind", MODELS)
@given(SEEDS)
@settings(max_examples=25)
def test_logits_are_those_of_the_model_to_the_last_bit(kind: str, seed: int):
    random = np.random.default_rng(seed)
    model = MODELS[kind](random)
    bins, look = bins_of(model, random), LookUp(model)
    expected = model.logits_of_bins(bins)
    assert look.logits(bins).tolist() == expected.tolist()
    assert [look.logit(row) for row in bins.tolist()] == expected.tolist()


@pytest.mark.parametrize("kind", MODELS)
@given(SEEDS)
@settings(max_examples=25)
def test_contributions_are_those_of_the_model(kind: str, seed: int):
    random = np.random.default_rng(seed)
    model = MODELS[kind](random)
    bins, look = bins_of(model, random), LookUp(model)
    many = look.moved_of(bins)
    np.testing.assert_allclose(many, contributions(model, bins), rtol=0, atol=1e-12)
    assert [look.moved(row) for row in bins.tolist()] == many.tolist()


@pytest.mark.parametrize("kind", MODELS)
@given(SEEDS)
@settings(max_examples=25)
def test_bins_are_those_of_the_model(kind: str, seed: int):
    random = np.random.default_rng(seed)
    model = MODELS[kind](random)
    look = LookUp(model)
    for _ in range(20):
        values = {}
        for part in model.binning.features:
            feature = part.feature
            choices = [np.nan] if feature.missing else []
            if feature.kind == "categorical":
                choices += [float(level) for level in range(len(feature.levels))]
            else:
                choices += [*part.edges, *(np.nextafter(edge, 99) for edge in part.edges), -1e9, 1e9, -0.0]
            values[feature.name] = float(random.choice(choices))
        expected = model.binning.quantize({name: np.array([value]) for name, value in values.items()})
        assert look.bins_of(values) == expected[0].tolist()


def test_a_value_that_is_absent_is_no_missing_one():
    model = tower(np.random.default_rng(0))
    with pytest.raises(KeyError):
        LookUp(model).bins_of({})
