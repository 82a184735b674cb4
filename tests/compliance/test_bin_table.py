"""The card of a score: points that add up to it, evidence by counts, and CSV that is no formula."""

from __future__ import annotations

import csv
import io

import numpy as np
import polars as pl
import pytest

from sealscore.compliance.run_figures.bin_table import BASE, bin_table, card_csv
from sealscore.shared.model.bins import Binning, FeatureBins
from sealscore.shared.model.calibration import Calibration
from sealscore.shared.model.coding import Coding
from sealscore.shared.model.score_model import ScoreModel, points
from sealscore.shared.model.weights import TowerWeights
from sealscore.shared.plan.schema import CategoricalFeature, NumericFeature

PARTS = (
    FeatureBins(NumericFeature(name="late", lower=0, upper=9, missing=True), (1.0, 4.0), (0.5, 0.2, 0.2, 0.1)),
    FeatureBins(CategoricalFeature(name="=kind", levels=("=1+1", "b")), (), (0.25, 0.75)),
)


@pytest.fixture(scope="module")
def model() -> ScoreModel:
    """A sum over bins."""
    binning = Binning(PARTS)
    units = Coding(binning, None).width
    weights = TowerWeights(np.linspace(0.25, 1.0, units + 1), width=units, hidden=0)
    return ScoreModel([part.feature for part in PARTS], binning, weights, Calibration(1.5, -0.5), {})


def test_contributions_and_base_points_add_up_to_each_score(model: ScoreModel):
    card = bin_table(model)
    by_bin = {part: card.filter(pl.col("feature") == part.feature.name)["contribution"].to_list() for part in PARTS}
    base = card.row(0, named=True)
    assert base["feature"] == BASE
    for late in range(4):
        for kind in range(2):
            pd = model.calibration.pd(model.logits_of_bins(np.array([[late, kind]])))
            moved = by_bin[PARTS[0]][late] + by_bin[PARTS[1]][kind]
            assert points(pd)[0] == pytest.approx(base["points"] - moved * 20 / np.log(2), abs=0.51)
    assert card["bad_rate"].null_count() == card.height
    assert card.filter(pl.col("feature") == "late")["share"].to_list() == [0.5, 0.2, 0.2, 0.1]


def test_evidence_follows_from_counts(model: ScoreModel):
    card = bin_table(model, {"late": [[90, 10, 0, 0], [10, 40, 0, 50]]}).filter(pl.col("feature") == "late")
    assert card["bad_rate"].to_list() == [0.1, 0.8, None, 1.0]
    good, bad = np.array([90.5, 10.5, 0.5, 0.5]) / 102, np.array([10.5, 40.5, 0.5, 50.5]) / 102
    weights = np.log(good / bad)
    assert card["woe"].to_list() == [pytest.approx(w) if p != 2 else None for p, w in enumerate(weights)]
    assert card["iv"].unique().to_list() == [pytest.approx((good - bad) @ weights)]
    assert card["woe"][0] > 0 > card["woe"][1]


def test_no_cell_of_the_csv_is_a_formula(model: ScoreModel):
    rows = list(csv.reader(io.StringIO(card_csv(bin_table(model)))))
    assert len(rows) == 1 + 1 + 4 + 2
    assert {row[0] for row in rows} == {"feature", BASE, "late", "'=kind"}
