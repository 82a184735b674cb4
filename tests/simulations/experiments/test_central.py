import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from sealscore.shared.plan.schema import CategoricalFeature, NumericFeature
from sealscore.simulations.data.datasets import real_data_found
from sealscore.simulations.experiments.central import recipe
from sealscore.simulations.experiments.central.fit import Budget, fit

FEATURES = (
    NumericFeature(name="income", lower=0, upper=1e7),
    NumericFeature(name="late", lower=0, upper=12, integer=True, missing=True),
    CategoricalFeature(name="kind", levels=("a", "b", "c")),
)


def table(records: int, seed: int):
    random = np.random.default_rng(seed)
    income = random.lognormal(8, 1.5, records)
    late = random.poisson(1.0, records).clip(0, 12).astype(float)
    late[random.random(records) < 0.1] = np.nan
    kind = random.integers(0, 3, records).astype(float)
    logits = -1.5 - 0.6 * (np.log(income) - 8) + 0.5 * np.nan_to_num(late) - 0.8 * (kind == 2)
    columns = {"income": income, "late": late, "kind": kind}
    return columns, (random.random(records) < expit(logits)).astype(float), logits


@pytest.mark.parametrize(("epsilon", "gap"), [(None, 0.005), (1.0, 0.012)])
def test_the_recipe_comes_near_the_truth_without_a_key(epsilon, gap):
    columns, labels, _ = table(12_000, 0)
    judged, truth, logits = table(12_000, 1)
    found = [fit(columns, labels, FEATURES, Budget(epsilon), np.random.default_rng(seed)) for seed in range(3)]
    best = roc_auc_score(truth, logits)
    aucs = [roc_auc_score(truth, model.logits(judged)) for model in found]
    assert np.mean(aucs) > best - gap
    errors = [recipe.calibration_error(expit(model.logits(judged)), truth) for model in found]
    assert np.mean(errors) < 0.025


def test_under_next_to_no_budget_it_stays_finite():
    columns, labels, _ = table(300, 0)
    model = fit(columns, labels, FEATURES, Budget(0.05), np.random.default_rng(0))
    assert np.isfinite(model.logits(columns)).all()


@pytest.mark.slow
@pytest.mark.skipif(not real_data_found("uci"), reason="the UCI set is not on this machine; set SEALSCORE_DATA")
@pytest.mark.parametrize("seeds", [1, pytest.param(3, marks=pytest.mark.long)])
def test_the_rows_of_uci_are_reproduced(monkeypatch, seeds: int):
    monkeypatch.setattr(recipe, "SEEDS", seeds)
    found = recipe.run()
    for epsilon, auc in (("0.5", 0.774), ("1", 0.778), ("2", 0.782)):
        assert found[f"epsilon {epsilon}: AUC"] == pytest.approx(auc, abs=0.005)
    assert found["without noise: AUC"] == pytest.approx(0.784, abs=0.002)
    assert found["epsilon 1: calibration error"] < 0.018
