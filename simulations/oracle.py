"""Exact figures on pooled test rows: what only a simulation can know, since no party holds all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from sklearn.metrics import brier_score_loss, roc_auc_score, roc_curve

from shared.model.score_model import ScoreModel
from shared.records import Records

ECE_BINS = 10


def expected_calibration_error(label: np.ndarray, pd: np.ndarray, bins: int = ECE_BINS) -> float:
    """Mean of |bad rate - mean PD| over equal-mass bins of the PD (Naeini et al. 2015), label and pd [n]."""
    parts = np.array_split(np.argsort(pd, kind="stable"), bins)
    return float(sum(len(p) * abs(label[p].mean() - pd[p].mean()) for p in parts if len(p)) / len(pd))


def figures(label: np.ndarray, pd: np.ndarray) -> dict[str, float]:
    """Exact AUC, KS, Brier score and calibration error of PDs [n] against labels [n] (1 is bad)."""
    false_rate, true_rate, _ = roc_curve(label, pd)
    return {
        "auc": float(roc_auc_score(label, pd)),
        "ks": float(np.max(true_rate - false_rate)),
        "brier": float(brier_score_loss(label, np.clip(pd, 0, 1))),
        "ece": expected_calibration_error(label, pd),
    }


class Oracle:
    """All parties' records in one hand."""

    def __init__(self, records: Mapping[str, Records]) -> None:
        self.records = dict(records)
        self.test = [part.test_part() for part in records.values()]
        self.training = [part.training_part() for part in records.values()]

    def judge(self, model: ScoreModel) -> dict[str, float]:
        """Exact figures of a model on the test rows of all parties."""
        pd = np.concatenate([model.pd(part.columns) for part in self.test])
        return figures(pooled_labels(self.test), pd)


def pooled_labels(parts: Iterable[Records]) -> np.ndarray:
    """Labels of all parts, one after the other: int8 [n]."""
    return np.concatenate([part.label for part in parts if part.label is not None])


def pooled_matrix(parts: Iterable[Records]) -> np.ndarray:
    """All columns of all parts but the protected ones, raw and derived: float64 [n, d], NaN where missing."""
    return np.vstack([np.column_stack([part.columns[name] for name in _unprotected(part)]) for part in parts])


def _unprotected(part: Records) -> list[str]:
    return [feature.name for feature in (*part.schema.features, *part.schema.derived) if not feature.protected]
