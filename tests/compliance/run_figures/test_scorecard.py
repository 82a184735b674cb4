"""What moves a score, against sums over all bins by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from sealscore.compliance.run_figures.scorecard import bin_names, effects
from sealscore.shared.model.bins import Binning, FeatureBins
from sealscore.shared.model.calibration import Calibration
from sealscore.shared.model.coding import Coding, Crosses
from sealscore.shared.model.reasons import contributions
from sealscore.shared.model.score_model import ScoreModel
from sealscore.shared.model.weights import TowerWeights
from sealscore.shared.plan.schema import CategoricalFeature, NumericFeature

PARTS = (
    FeatureBins(NumericFeature(name="income", lower=0, upper=1e6), (10.0, 20_000.0), (0.5, 0.3, 0.2)),
    FeatureBins(CategoricalFeature(name="sector", levels=("food", "other"), missing=True), (), (0.7, 0.2, 0.1)),
    FeatureBins(NumericFeature(name="flat", lower=0, upper=1), (0.5,), (0.5, 0.5)),
)


def model(
    crosses: Crosses | None = None, hidden: int = 0, slope: float = 2.0, parts: tuple[FeatureBins, ...] = PARTS
) -> ScoreModel:
    binning = Binning(parts)
    coding = Coding(binning, crosses)
    weights = np.random.default_rng(4).normal(0, 1, TowerWeights.length(coding.width, hidden))
    # Nothing depends on the feature "flat".
    flat = next(place for features, place in coding.units if features == (2,))
    weights[flat] = 0
    features = tuple(part.feature for part in parts)
    return ScoreModel(
        features, binning, TowerWeights(weights, coding.width, hidden), Calibration(slope, 0.3), {}, crosses
    )


def test_bins_in_words():
    assert [bin_names(part) for part in PARTS] == [
        ("up to 10", "above 10, up to 20,000", "above 20,000"),
        ("level food", "level other", "missing"),
        ("up to 0.5", "above 0.5"),
    ]


def test_a_linear_score_by_hand():
    found = {effect.feature: effect for effect in effects(model())}
    for place, part in enumerate(PARTS):
        effect = found[part.feature.name]
        bins = np.zeros((part.size, 3), dtype=np.int64)
        bins[:, place] = np.arange(part.size)
        # 20 points double the odds, so a logit is 20 / ln 2 points, and a riskier one takes points off.
        by_hand = -contributions(model(), bins)[:, place] * 20 / np.log(2)
        assert effect.points == pytest.approx(by_hand.tolist())
        assert effect.size == pytest.approx(float(np.abs(by_hand) @ np.array(part.reference)))
        assert effect.bins == bin_names(part)
        assert effect.points[effect.riskiest] == min(effect.points)
        assert effect.points[effect.safest] == max(effect.points)
    assert found["flat"].size == 0


def test_the_largest_comes_first_and_calibration_scales_all():
    once, twice = effects(model(slope=1.0)), effects(model(slope=2.0))
    assert [effect.size for effect in once] == sorted((effect.size for effect in once), reverse=True)
    assert [effect.size for effect in twice] == pytest.approx([2 * effect.size for effect in once])


def test_reason_codes_name_what_raises_the_pd():
    found = {effect.feature: effect for effect in effects(model())}
    assert (found["flat"].first, found["flat"].named) == (0, 0)
    for effect in found.values():
        assert 0 <= effect.first <= effect.named <= 1
    # There are fewer features than reason codes, so each is named whenever it raises the PD.
    sector = found["sector"]
    raising = sum(share for share, points in zip(sector.shares, sector.points, strict=True) if points < 0)
    assert sector.named == pytest.approx(raising, abs=0.03)
    assert sum(effect.first for effect in found.values()) <= 1


def test_a_proxy_moves_the_score_and_is_no_reason():
    income, *others = PARTS
    marked = dataclasses.replace(income, feature=income.feature.model_copy(update={"proxy": True}))
    plain, found = (
        {effect.feature: effect for effect in effects(model(parts=(first, *others)))} for first in (income, marked)
    )
    assert plain["income"].first > 0
    assert (found["income"].first, found["income"].named) == (0, 0)
    assert found["income"].points == plain["income"].points
    assert found["sector"].first > plain["sector"].first


@pytest.mark.parametrize(("crosses", "hidden"), [(Crosses((("income", "sector"),)), 0), (None, 3)])
def test_crosses_and_networks_are_averages_over_the_other_features(crosses: Crosses | None, hidden: int):
    scored = model(crosses, hidden)
    income = next(effect for effect in effects(scored) if effect.feature == "income")
    for index, points in enumerate(income.points):
        bins = np.array([[index, sector, flat] for sector in range(3) for flat in range(2)])
        weights = np.array([PARTS[1].reference[s] * PARTS[2].reference[f] for _, s, f in bins])
        by_hand = -contributions(scored, bins)[:, 0] @ weights * 20 / np.log(2)
        assert points == pytest.approx(by_hand, abs=1.5)


def test_a_report_made_twice_says_the_same():
    assert effects(model(hidden=2)) == effects(model(hidden=2))
