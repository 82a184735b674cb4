"""Boosted trees on pooled rows, tuned by cross-validation on training rows alone: what there is to learn at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sealscore.shared.caches import cache_folder
from sealscore.shared.files import write_whole

FOLDS, MOST_TREES, PATIENCE = 3, 800, 30
RATE = 0.1

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Trees:
    """Settings of XGBoost that may be chosen: depth of a tree, and the least weight of a leaf."""

    depth: int
    leaf: float

    def params(self, seed: int) -> dict[str, Any]:
        """All settings, for one thread."""
        return {
            "objective": "binary:logistic",
            "eval_metric": "auc",
            "eta": RATE,
            "max_depth": self.depth,
            "min_child_weight": self.leaf,
            "subsample": 0.8,
            "nthread": 1,
            "seed": seed,
        }


ANY = tuple(Trees(depth, leaf) for depth in (2, 3, 4, 6) for leaf in (1.0, 20.0))
"""Trees of any depth: they may combine columns."""

ADDITIVE = (Trees(1, 1.0), Trees(1, 20.0))
"""Trees of one cut: a sum over columns, as a scorecard is."""


def tuned_pd(
    training: np.ndarray,
    label: np.ndarray,
    scored: np.ndarray,
    choices: tuple[Trees, ...],
    seed: int,
    progress: Progress = lambda done, total: None,
) -> np.ndarray:
    """PDs of rows `scored` float64 [m, d] by the best of the choices on `training` [n, d] and its labels [n].

    What was chosen is kept on disk, by data, seed and choices; a file there that is no choice is passed over.
    """
    import xgboost

    rows = xgboost.DMatrix(training, label=label)
    trees, count = _chosen(rows, training, label, choices, seed, progress)
    model = xgboost.train(trees.params(seed), rows, count)
    return np.asarray(model.predict(xgboost.DMatrix(scored)), dtype=np.float64)


def _chosen(
    rows: Any, training: np.ndarray, label: np.ndarray, choices: tuple[Trees, ...], seed: int, progress: Progress
) -> tuple[Trees, int]:
    import xgboost

    place = _place(training, label, choices, seed, xgboost.__version__)
    if (known := _kept(place, choices)) is not None:
        return known
    # A fold must hold both outcomes.
    folds = max(2, min(FOLDS, int(np.bincount(label, minlength=2).min())))
    found = []
    for at, trees in enumerate(choices):
        progress(at, len(choices))
        told: Any = xgboost.cv(
            trees.params(seed),
            rows,
            MOST_TREES,
            nfold=folds,
            stratified=True,
            early_stopping_rounds=PATIENCE,
            as_pandas=False,
            seed=seed,
        )
        curve = told["test-auc-mean"]
        found.append((curve[-1], -at, len(curve)))
    progress(len(choices), len(choices))
    _, at, count = max(found)
    with contextlib.suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place, json.dumps({**asdict(choices[-at]), "trees": count}), durable=False)
    return choices[-at], count


def _place(training: np.ndarray, label: np.ndarray, choices: tuple[Trees, ...], seed: int, version: str) -> Path:
    settings = [repr(choices), training.shape, FOLDS, MOST_TREES, PATIENCE, RATE, seed, version]
    digest = hashlib.sha256(json.dumps(settings).encode())
    for values in (training, label):
        digest.update(np.ascontiguousarray(values).tobytes())
    return cache_folder() / "trees" / f"{digest.hexdigest()[:32]}.json"


def _kept(place: Path, choices: tuple[Trees, ...]) -> tuple[Trees, int] | None:
    try:
        found = json.loads(place.read_bytes())
        trees, count = Trees(found["depth"], found["leaf"]), int(found["trees"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (trees, count) if trees in choices and 1 <= count <= MOST_TREES else None
