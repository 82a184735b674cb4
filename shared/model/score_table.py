"""Tables of scores by label: what a party counts, and the figures that noisy sums of them give."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from sealscore.shared.model.bins import consistent_counts
from sealscore.shared.model.calibration import Calibration
from sealscore.shared.model.score_grid import cell_edges, cell_logits

ECE_BINS = 10


def score_table(logits: np.ndarray, labels: np.ndarray, cells: int) -> np.ndarray:
    """Count records by label and score cell: logits [n], labels [n] (1 is bad) -> int64 [2 * cells], good first.

    Formal guarantees: one record changes one cell by one, provided that its logit depends on no other record
    (`row_logits`); sensitivity 1, square root of k for k tables released together.

    Raises:
        ValueError: lengths differ, or a label is neither 0 nor 1.
    """
    if logits.shape != labels.shape or logits.ndim != 1:
        raise ValueError(f"logits and labels must be two lists of one length, got {logits.shape} and {labels.shape}")
    if not np.isin(labels, (0, 1)).all():
        raise ValueError("labels must be 0 (good) or 1 (bad)")
    cell = np.searchsorted(cell_edges(cells), logits, side="left")
    return np.bincount(cell + cells * labels.astype(np.int64), minlength=2 * cells).astype(np.int64)


@dataclass(frozen=True)
class TableMetrics:
    """Figures of a noisy table; None where the noise leaves no good or no bad records to be told.

    AUC counts ties within a cell as half. Brier score and expected calibration error take a cell's PD at its middle.
    `records` and `bad_rate` are the noisy count of records and the bad ones' share.
    """

    auc: float | None
    ks: float | None
    brier: float | None
    ece: float | None
    bad_rate: float | None
    records: float

    @classmethod
    def of(cls, table: np.ndarray, calibration: Calibration, noise_std: float = 0.0) -> TableMetrics:
        """From float64 [2 * cells] with noise of standard deviation `noise_std` in every cell.

        AUC and Brier score are linear in each half of the table, so noise leaves them unbiased; KS and calibration
        error are taken from cleaned counts, and the error's noise is taken off. All are cut to their range.
        """
        good, bad = np.split(np.asarray(table, dtype=np.float64), 2)
        goods, bads = float(good.sum()), float(bad.sum())
        records = max(0.0, goods + bads)
        if min(goods, bads) < max(1.0, 2 * noise_std * np.sqrt(len(good))):
            return cls(None, None, None, None, None, records)
        pd = calibration.pd(cell_logits(len(good)))
        auc = float(bad @ (np.cumsum(good) - good / 2)) / (goods * bads)
        brier = float(bad @ (1 - pd) ** 2 + good @ pd**2) / records
        shares = [np.cumsum(consistent_counts(half, total)) / total for half, total in ((good, goods), (bad, bads))]
        ks = float(np.max(shares[0] - shares[1]))
        return cls(
            auc=_unit(auc),
            ks=_unit(ks),
            brier=_unit(brier),
            ece=_unit(_calibration_error(good, bad, pd, noise_std)),
            bad_rate=_unit(bads / records),
            records=records,
        )

    def as_dict(self) -> dict[str, float | None]:
        """The figures by name."""
        return asdict(self)


def _unit(value: float) -> float:
    return min(1.0, max(0.0, value))


def _calibration_error(good: np.ndarray, bad: np.ndarray, pd: np.ndarray, noise_std: float) -> float:
    """Mean of |bad rate - mean PD| over about equal-mass bins made of whole cells (Naeini et al. 2015)."""
    counts = consistent_counts(good + bad, float(good.sum() + bad.sum()))
    # The middle of a cell's mass says to which tenth the cell belongs.
    middle = (np.cumsum(counts) - counts / 2) / counts.sum()
    tenth = np.minimum((middle * ECE_BINS).astype(np.int64), ECE_BINS - 1)
    gap = np.bincount(tenth, (1 - pd) * bad - pd * good, minlength=ECE_BINS)
    noise = np.bincount(tenth, noise_std**2 * ((1 - pd) ** 2 + pd**2), minlength=ECE_BINS)
    return float(np.sqrt(np.maximum(gap**2 - noise, 0.0)).sum() / (good.sum() + bad.sum()))
