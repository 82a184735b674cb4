"""A scikit-learn classifier whose fit is a whole federation: `sealscore.FederatedScore`."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from sealscore.clients.data import DataError, Problem
from sealscore.shared.plan.plan import Plan
from sealscore.simulations.data.scenario import Scenario, SimulationSettings
from sealscore.simulations.draft.draft import MOST_DELTA
from sealscore.simulations.draft.text import TEST_FRACTION, WINDOW_DAYS
from sealscore.simulations.experiments.runs import BadSetting
from sealscore.simulations.research.frames import as_frame
from sealscore.simulations.research.simulate import simulated

_NAME, _ROW, _LABEL = "federated-score", "record number", "outcome of the record"


class FederatedScore(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Lenders train one score together on this machine, under differential privacy, by the protocol's own code.

    Every column of X enters the score: numbers, and in frames also words (levels). Blank cells are allowed in columns
    that had some in `fit`. Bounds that are not given are read from X, a look at the data that no epsilon pays for.

    Args:
        epsilon: for a record, at all parties. None: no noise, and no privacy.
        delta: by default a power of ten below one over twice the records, at most 1e-5.
        lenders: how many share the rows in equal parts where `fit` is not told who has which.
        bounds: lower and upper bound of columns by name (`x0`, `x1`, ... for arrays), as (0, 100); beyond them a value
            counts as the bound.
        test_fraction: share of the rows that the protocol holds out for its own figures (`metrics_`).
        seed: drives noise, samples and which rows are held out.
        engine: as `sealscore.simulate` takes it.

    After `fit`: `classes_` [2], `n_features_in_`, `feature_names_in_` (of frames), `model_` (as `run.model`),
    `epsilon_` (what was spent), `metrics_` (exact figures on the rows held out).
    """

    def __init__(
        self,
        epsilon: float | None = 1.0,
        *,
        delta: float | None = None,
        lenders: int = 3,
        bounds: Mapping[str, tuple[float, float]] | None = None,
        test_fraction: float = TEST_FRACTION,
        seed: int = 1,
        engine: str = "in-process",
    ) -> None:
        self.epsilon, self.delta, self.lenders, self.bounds = epsilon, delta, lenders, bounds
        self.test_fraction, self.seed, self.engine = test_fraction, seed, engine

    def fit(self, X: Any, y: Any, parties: Any = None) -> FederatedScore:  # noqa: N803
        """Train.

        Args:
            X: [rows, columns], an array of numbers, or a polars or pandas frame.
            y: [rows], two classes; the second in order is the one whose probability counts as bad.
            parties: [rows], the name of the lender that has each row; by default rows are dealt out in turn.

        Raises:
            ValueError: X, y and parties do not fit together, or y has other than two classes.
            DataError, PlanError: a column cannot be used, or a setting is not allowed (ValueErrors both).
            RunFailed: the federation could not carry it out.
        """
        frame = self._frame(X, reset=True)
        label = self._label(y, frame.height)
        held = self._held(parties, label)
        with tempfile.TemporaryDirectory(prefix="sealscore-") as folder:
            scenario = self._scenario(frame, label, held, Path(folder))
            run = simulated(
                scenario,
                seeds=1,
                seed=None,
                engine=self.engine,
                judge="test",
                baselines=False,
                runs=Path(folder) / "runs",
                progress=False,
                track=None,
                changes={},
            )
            self.model_, self.epsilon_ = run.model, run.epsilon
            self.metrics_ = {name: metric.mean for name, metric in run.metrics.items()}
        return self

    def predict_proba(self, X: Any) -> np.ndarray:  # noqa: N803
        """Probabilities of both classes, float64 [rows, 2].

        Raises:
            NotFittedError: before `fit`.
            ValueError, DataError: X has other columns than in `fit`, or a cell cannot be read.
        """
        check_is_fitted(self)
        bad = self.model_.pd(self._frame(X, reset=False))
        return np.column_stack([1 - bad, bad])

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """The likelier class of each row, [rows]. Raises as `predict_proba`."""
        bad = self.predict_proba(X)[:, 1] > 0.5
        return np.asarray(self.classes_[bad.astype(int)])

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        # A privacy budget needs more records than the small sets of scikit-learn's checks have.
        tags.classifier_tags.poor_score = True
        tags.input_tags.allow_nan = True
        return tags

    def _frame(self, X: Any, reset: bool) -> pl.DataFrame:  # noqa: N803
        if hasattr(X, "columns"):
            found = as_frame(X, "X")
            if not all(dtype.is_numeric() or dtype == pl.Boolean for dtype in found.dtypes):
                validate_data(self, X, reset=reset, skip_check_array=True)
                return found
        checked = validate_data(self, X, reset=reset, dtype=np.float64, ensure_all_finite="allow-nan")
        names = getattr(self, "feature_names_in_", None)
        columns = [f"x{place}" for place in range(checked.shape[1])] if names is None else list(map(str, names))
        return pl.DataFrame(dict(zip(columns, checked.T, strict=True))).fill_nan(None)

    def _label(self, y: Any, rows: int) -> np.ndarray:
        given = column_or_1d(y.to_numpy() if hasattr(y, "to_numpy") else y, warn=True)
        if len(given) != rows:
            raise ValueError(f"Found input variables with inconsistent numbers of samples: [{rows}, {len(given)}]")
        if given.dtype.kind == "f" and not np.isfinite(given).all():
            raise ValueError("Input y contains NaN or infinity.")
        check_classification_targets(given)
        self.classes_, label = np.unique(given, return_inverse=True)
        if len(self.classes_) > 2:
            raise ValueError(f"Only binary classification is supported. y has {len(self.classes_)} classes.")
        if len(self.classes_) < 2:
            raise ValueError("Classifier can't train when only one class is present.")
        return np.asarray(label)

    def _held(self, parties: Any, label: np.ndarray) -> dict[str, np.ndarray]:
        """The rows of each lender, by a name that a plan can have; each gets its part of both classes."""
        rows = len(label)
        if parties is None:
            if isinstance(self.lenders, bool) or not isinstance(self.lenders, int) or not 1 <= self.lenders <= rows:
                raise BadSetting("lenders", f"{self.lenders!r}: must be a whole number from 1 to the rows, {rows}")
            order = np.random.default_rng(self.seed).permutation(rows)
            order = order[np.argsort(label[order], kind="stable")]
            return {f"lender-{at + 1}": np.sort(order[at :: self.lenders]) for at in range(self.lenders)}
        names: Sequence[Any] = pl.Series(parties).to_list() if not hasattr(parties, "tolist") else parties.tolist()
        if len(names) != rows or any(name is None or name != name for name in names):
            raise BadSetting("parties", f"name the lender of each of the {rows} rows; {len(names)} are given")
        known = list(dict.fromkeys(names))
        given = np.array([known.index(name) for name in names])
        return {f"lender-{at + 1}": np.flatnonzero(given == at) for at in range(len(known))}

    def _scenario(
        self, frame: pl.DataFrame, label: np.ndarray, held: Mapping[str, np.ndarray], folder: Path
    ) -> Scenario:
        whole = frame.with_columns(pl.int_range(1, pl.len() + 1).alias(_ROW), pl.Series(_LABEL, label.astype(np.int64)))
        tables = {name: f"{name}.parquet" for name in held}
        for name, rows in held.items():
            whole[rows].write_parquet(folder / tables[name])
        delta = min(MOST_DELTA, float(f"1e{-math.ceil(math.log10(2 * frame.height))}"))
        privacy: dict[str, Any] = {
            "delta": self.delta or delta,
            "max_records_per_person": 1,
            "max_parties_per_person": 1,
        }
        privacy |= {"epsilon": 1.0, "noise": "none"} if self.epsilon is None else {"epsilon": self.epsilon}
        plan = {
            "version": 1,
            "name": _NAME,
            "purpose": "a classifier of scikit-learn, in simulation",
            "seed": self.seed,
            "training": "auto",
            "outcome": {
                "definition": "the second class of y",
                "window_days": WINDOW_DAYS,
                "cutoff": date(2000, 1, 1),
                "placeholder": True,
                "bad_rate": float(np.clip(label.mean(), 0.001, 0.999)),
            },
            "privacy": privacy,
            "evaluation": {
                "split": {"kind": "hash", "test_fraction": self.test_fraction, "key": f"{_NAME} {self.seed}"},
                "table_cells": 16,
            },
            "groups": {
                "lender": {
                    "role": "lender",
                    "min_parties": len(held),
                    "max_colluding": min(1, max(0, len(held) - 2)),
                    "table": {
                        "id": _ROW,
                        "label": _LABEL,
                        "label_bad": "1",
                        "label_good": "0",
                        "read_from_data": True,
                        "features": [self._feature(frame[name]) for name in frame.columns],
                    },
                }
            },
            "parties": [{"name": name, "group": "lender", "nominal_records": len(rows)} for name, rows in held.items()],
        }
        settings = SimulationSettings(dataset=next(iter(tables.values())), tables=tables)
        return Scenario(Plan.parse(plan, "FederatedScore"), settings, folder / "plan.toml")

    def _feature(self, column: pl.Series) -> dict[str, Any]:
        name, blank = column.name, bool(column.null_count())
        if column.dtype == pl.Boolean or not column.dtype.is_numeric():
            levels = sorted(column.drop_nulls().cast(pl.String).unique().to_list())
            if len(levels) < 2:
                fix = "leave the column out"
                raise DataError([Problem("X", "the column has one level only", fix, column=name)])
            return {"name": name, "kind": "categorical", "levels": levels, "missing": blank}
        if name in (self.bounds or {}):
            lower, upper = (self.bounds or {})[name]
        else:
            known = column.drop_nulls().cast(pl.Float64)
            lower, upper = (float(known.min() or 0.0), float(known.max() or 0.0)) if len(known) else (0.0, 1.0)  # type: ignore[arg-type]
            # A column of one value has a range all the same: a plan needs one.
            upper = upper if upper > lower else lower + max(1.0, abs(lower))
        return {"name": name, "lower": float(lower), "upper": float(upper), "clip": True, "missing": blank}
