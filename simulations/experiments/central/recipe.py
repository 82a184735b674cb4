"""The additive recipe on UCI's 19 raw columns without protected ones: AUC and calibration error on the test rows.

Means and deviations over seeds of the noise. One fit takes about a second of CPU.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from sealscore.shared.plan.schema import NumericFeature
from sealscore.simulations.data.datasets import load
from sealscore.simulations.experiments.central.fit import Budget, Columns, fit

SEEDS = 5
EPSILONS: tuple[float | None, ...] = (0.5, 1.0, 2.0, None)
_TEST_IDS = "uci_credit_default_test_ids.txt"
_TENTHS = 10


def uci_features() -> tuple[NumericFeature, ...]:
    """The raw columns, with bounds that anybody would write."""
    months = range(2, 7)
    states = [f"PAY_{month}" for month in (0, *months)]
    amounts = {f"BILL_AMT{month}": (-4e5, 2e6) for month in (1, *months)}
    amounts |= {f"PAY_AMT{month}": (0.0, 2e6) for month in (1, *months)}
    return (
        NumericFeature(name="LIMIT_BAL", lower=0, upper=1e6),
        *(NumericFeature(name=name, lower=-2, upper=8, integer=True) for name in states),
        *(NumericFeature(name=name, lower=lower, upper=upper) for name, (lower, upper) in amounts.items()),
    )


def uci_rows() -> tuple[Columns, np.ndarray, Columns, np.ndarray]:
    """Columns and labels of the training rows, and of the test rows."""
    data = load("uci")
    test = np.isin(data.frame["ID"].to_numpy(), (data.folder / _TEST_IDS).read_text().split())
    columns = {feature.name: data.frame[feature.name].cast(float).to_numpy() for feature in uci_features()}
    labels = data.frame["default.payment.next.month"].cast(float).to_numpy()
    training, judged = ({name: column[part] for name, column in columns.items()} for part in (~test, test))
    return training, labels[~test], judged, labels[test]


def calibration_error(pd: np.ndarray, labels: np.ndarray) -> float:
    """Mean gap between PD and rate over ten parts of equal size."""
    tenths = np.array_split(np.argsort(pd, kind="stable"), _TENTHS)
    return float(sum(abs(pd[part].mean() - labels[part].mean()) * len(part) for part in tenths) / len(pd))


def run() -> dict[str, Any]:
    """Figures by budget."""
    training, labels, judged, truth = uci_rows()
    found: dict[str, Any] = {}
    for epsilon in EPSILONS:
        began, name = time.process_time(), "without noise" if epsilon is None else f"epsilon {epsilon:g}"
        aucs, errors, pairs = [], [], 0
        seeds = SEEDS if epsilon is not None else 1
        for seed in range(seeds):
            model = fit(training, labels, uci_features(), Budget(epsilon), np.random.default_rng(seed))
            pd = expit(model.logits(judged))
            aucs.append(float(roc_auc_score(truth, pd)))
            errors.append(calibration_error(pd, truth))
            pairs += bool(model.score.codes.pairs)
        found |= {f"{name}: AUC": float(np.mean(aucs)), f"{name}: AUC, deviation": float(np.std(aucs))}
        found |= {f"{name}: calibration error": float(np.mean(errors)), f"{name}: fits with pairs": pairs}
        found[f"{name}: CPU seconds a fit"] = (time.process_time() - began) / seeds
    return found


if __name__ == "__main__":
    for name, value in run().items():
        print(f"{name:<34}  {value:.4f}")
