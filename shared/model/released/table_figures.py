"""Figures of a noisy table of scores by label, each with the interval in which the exact one of these persons lies."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sealscore.shared.model.calibration import Calibration
from sealscore.shared.model.released.table_posterior import DRAWS, ERROR, RANKING, TablePosterior

ECE_BINS = 10
NORMAL_95 = 1.959963984540054
"""Half the width of a 95 % interval in standard errors."""

# A figure whose interval is wider, each way, tells nothing: it is lost in noise.
WIDEST = {"auc": 0.1, "ks": 0.15, "brier": 0.05, "ece": 0.05, "bad_rate": 0.1}


@dataclass(frozen=True)
class Figure:
    """An estimate with its 95 % interval for the exact figure of the same persons: noise only, not sampling."""

    value: float
    low: float
    high: float

    @property
    def half(self) -> float:
        """The larger of the two distances from the value to an end."""
        return max(self.high - self.value, self.value - self.low)

    @classmethod
    def of_draws(cls, drawn: np.ndarray) -> Figure:
        """Mean and quantiles of draws, float64 [draws]."""
        low, high = np.quantile(drawn, [0.025, 0.975])
        value = float(np.mean(drawn))
        return cls(value, min(value, float(low)), max(value, float(high)))

    @classmethod
    def of_record(cls, figures: Mapping[str, Any], name: str) -> Figure | None:
        """From `TableFigures.as_dict` as a run's record keeps it; None where it is lost or has no interval there."""
        value, ends = figures.get(name), (figures.get("intervals") or {}).get(name)
        return None if value is None or ends is None else cls(value, *ends)

    @classmethod
    def mean(cls, figures: Sequence[Figure]) -> Figure:
        """The mean of figures whose noises are independent: distances to an end add as the root of their squares.

        Raises:
            ValueError: there is no figure.
        """
        if not figures:
            raise ValueError("a mean needs at least one figure")
        value = math.fsum(figure.value for figure in figures) / len(figures)
        below = math.hypot(*(figure.value - figure.low for figure in figures)) / len(figures)
        above = math.hypot(*(figure.high - figure.value for figure in figures)) / len(figures)
        return cls(value, value - below, value + above)

    def less(self, other: Figure) -> Figure:
        """The difference to a figure whose noise is independent."""
        value = self.value - other.value
        below = math.hypot(self.value - self.low, other.high - other.value)
        above = math.hypot(self.high - self.value, other.value - other.low)
        return Figure(value, value - below, value + above)


@dataclass(frozen=True)
class TableFigures:
    """Figures of a noisy table; None where they are lost in its noise.

    AUC counts ties within a part of a cell as half. The calibration error is that of ten bins of equal mass (Naeini et
    al. 2015). `records` is the number of records, `bad_rate` the bad ones' share.
    """

    auc: Figure | None
    ks: Figure | None
    brier: Figure | None
    ece: Figure | None
    bad_rate: Figure | None
    records: Figure

    @classmethod
    def of(
        cls, table: np.ndarray, calibration: Calibration, noise_std: float = 0.0, draws: int = DRAWS
    ) -> TableFigures:
        """From float64 [2 * cells] with noise of standard deviation `noise_std` in each count.

        Raises:
            ValueError: as `TablePosterior.of`.
        """
        table = np.asarray(table, dtype=np.float64)
        goods, bads = (float(half.sum()) for half in np.split(table, 2))
        error = noise_std * math.sqrt(len(table))
        records = max(0.0, goods + bads)
        counted = Figure(records, max(0.0, records - NORMAL_95 * error), records + NORMAL_95 * error)
        if min(goods, bads) < max(1.0, 2 * noise_std * math.sqrt(len(table) / 2)):
            return cls(None, None, None, None, None, counted)
        posterior = TablePosterior.of(table, noise_std, calibration, RANKING, draws)
        found = _ranking(posterior, calibration)
        smooth = posterior if posterior.exact else TablePosterior.of(table, noise_std, calibration, ERROR, draws)
        found["ece"] = _calibration_error(smooth.split(), calibration.pd(smooth.fine))
        told = {name: _told(name, drawn) for name, drawn in found.items()}
        return cls(**told, records=counted)

    def as_dict(self) -> dict[str, Any]:
        """The figures by name, and under `intervals` their low and high ends; None where there is no figure."""
        figures: dict[str, Figure | None] = {
            name: getattr(self, name) for name in ("auc", "ks", "brier", "ece", "bad_rate", "records")
        }
        told: dict[str, Any] = {name: None if found is None else found.value for name, found in figures.items()}
        ends = {name: None if found is None else [found.low, found.high] for name, found in figures.items()}
        return told | {"intervals": ends}


def _told(name: str, drawn: np.ndarray) -> Figure | None:
    if not np.isfinite(drawn).all():
        return None
    figure = Figure.of_draws(drawn)
    return figure if figure.half <= WIDEST[name] else None


def _ranking(posterior: TablePosterior, calibration: Calibration) -> dict[str, np.ndarray]:
    """AUC, KS, Brier score and bad rate of each draw."""
    good, bad = posterior.split().transpose(1, 0, 2)
    goods, bads = good.sum(axis=1), bad.sum(axis=1)
    below, caught = np.cumsum(good, axis=1), np.cumsum(bad, axis=1)
    pd = calibration.pd(posterior.fine)
    with np.errstate(divide="ignore", invalid="ignore"):  # a draw without good or bad records: lost in noise
        return {
            "auc": ((below - good / 2) * bad).sum(axis=1) / (goods * bads),
            "ks": (below / goods[:, None] - caught / bads[:, None]).max(axis=1),
            "brier": (bad @ (1 - pd) ** 2 + good @ pd**2) / (goods + bads),
            "bad_rate": bads / (goods + bads),
        }


def _calibration_error(split: np.ndarray, pd: np.ndarray) -> np.ndarray:
    """Mean of |bad rate - mean PD| over bins of equal mass, of each draw: float64 [draws]."""
    good, bad = split.transpose(1, 0, 2)
    mass = np.pad(np.cumsum(good + bad, axis=1), ((0, 0), (1, 0)))
    gap = np.pad(np.cumsum(bad * (1 - pd) - good * pd, axis=1), ((0, 0), (1, 0)))
    at = np.linspace(0, 1, ECE_BINS + 1)
    rows: Iterable[tuple[np.ndarray, np.ndarray]] = zip(mass, gap, strict=True)
    return np.array([np.abs(np.diff(np.interp(at * m[-1], m, g))).sum() / max(m[-1], 1.0) for m, g in rows])
