"""How a score treats groups of people at a cut-off, from noisy tables of scores by label, as far as noise lets one say.

All figures are means of weights over counted records, F = sum_c w_c n_c / sum_c n_c, with a count n_c for each score
cell and label. A count carries noise of known standard deviation s, and the records are a sample, so by the delta
method

    Var(F) = sum_c (n_c + s^2) (w_c - F)^2 / (sum_c n_c)^2 :

the first part is the multinomial variance of a ratio, the second the noise's (Casella and Berger 2002, section 5.5.4).

- approved: w = 1 where the score is approved, over all records of a group (selection rate). Groups are compared by
  the ratio to the group with the highest rate; a ratio below four fifths is generally taken as evidence of adverse
  impact (Uniform Guidelines on Employee Selection Procedures, 29 CFR 1607.4(D)).
- good approved: the same over the loans that turned out good: the true positive rate of equal opportunity, where
  approval is the favourable decision and repayment the qualified outcome (Hardt, Price, Srebro 2016, definition 2.2).
- bad refused: w = 1 where the score is refused, over the loans that turned out bad; with the last, equalized odds
  (ibid., definition 2.1).
- calibration gap: w = 1 - PD at bad and -PD at good loans: the bad rate less the mean PD of a group (calibration
  within groups: Kleinberg, Mullainathan, Raghavan 2017, section 1.1, over the whole group). PDs are those of the
  middle of a cell.

Gaps are differences to the same reference group. A cut-off lies at the edge of a cell, so whom it approves is exact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sealscore.shared.model.bins import consistent_counts
from sealscore.shared.model.calibration import Calibration
from sealscore.shared.model.score_grid import cell_edges, cell_logits

FOUR_FIFTHS = 0.8
NORMAL_95 = 1.959963984540054
"""Half the width of a 95 % interval in standard errors."""

MIN_RECORDS = 30.0
"""Fewer records than this tell nothing of a rate."""

MIN_SIGNAL = 4.0
"""A count must be this many standard deviations of its noise for a ratio over it to be near normal."""

MAX_STANDARD_ERROR = 0.1
"""An interval wider than about 20 points each way tells nothing."""

Verdict = Literal["reference", "at least four fifths", "below four fifths", "cannot tell", "too few to tell"]


@dataclass(frozen=True)
class Estimate:
    """A figure with its standard error, from noise and sampling together."""

    value: float
    standard_error: float

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval."""
        return self.value - NORMAL_95 * self.standard_error

    @property
    def high(self) -> float:
        """Upper end of the 95 % interval."""
        return self.value + NORMAL_95 * self.standard_error

    def less(self, other: Estimate) -> Estimate:
        """The difference to an estimate from other persons."""
        return Estimate(self.value - other.value, math.hypot(self.standard_error, other.standard_error))

    def over(self, other: Estimate) -> Estimate:
        """The ratio to an estimate above 0 from other persons, by the delta method."""
        ratio = self.value / other.value
        return Estimate(ratio, math.hypot(self.standard_error, ratio * other.standard_error) / other.value)


@dataclass(frozen=True)
class Cutoff:
    """Approved are the lowest `cells` score cells: logits up to `logit`, a PD of at most `pd`."""

    cells: int
    logit: float
    pd: float


@dataclass(frozen=True)
class BandFigures:
    """The figures of one group (a band of a protected attribute); None where there are too few records to tell.

    `records` is the noisy count. `ratio`, `good_gap` and `bad_gap` compare with the reference group and are None at
    the reference itself.
    """

    band: str
    reference: bool
    records: Estimate
    approved: Estimate | None
    ratio: Estimate | None
    good_approved: Estimate | None
    good_gap: Estimate | None
    bad_refused: Estimate | None
    bad_gap: Estimate | None
    calibration_gap: Estimate | None

    @property
    def verdict(self) -> Verdict:
        """What can be said of the approval-rate ratio with 95 % confidence."""
        if self.reference:
            return "reference"
        if self.ratio is None:
            return "too few to tell"
        if self.ratio.high < FOUR_FIFTHS:
            return "below four fifths"
        return "at least four fifths" if self.ratio.low >= FOUR_FIFTHS else "cannot tell"


def cutoff(table: np.ndarray, approval_rate: float, calibration: Calibration) -> Cutoff:
    """The edge of a cell at which the share approved comes nearest to `approval_rate`; table float64 [2 * cells].

    Raises:
        ValueError: the table has no two halves of at least two cells, or the rate is not between 0 and 1.
    """
    if table.ndim != 1 or len(table) < 4 or len(table) % 2 or not 0 < approval_rate < 1:
        raise ValueError("a cut-off needs a table of two halves and an approval rate between 0 and 1")
    good, bad = np.split(np.asarray(table, dtype=np.float64), 2)
    counts = consistent_counts(good + bad, max(1.0, float(table.sum())))
    shares = np.cumsum(counts)[:-1] / counts.sum()
    index = int(np.abs(shares - approval_rate).argmin())
    logit = float(cell_edges(len(good))[index])
    return Cutoff(index + 1, logit, float(calibration.pd(np.array(logit))))


def approved_share(table: np.ndarray, cut: Cutoff, noise_std: float) -> Estimate | None:
    """The share of a table's records that a cut-off approves; None where they are too few to tell."""
    return _mean(np.asarray(table, dtype=np.float64), np.tile(_approved(table, cut), 2), noise_std)


def fairness(
    tables: Mapping[str, np.ndarray], cut: Cutoff, calibration: Calibration, noise_std: float
) -> tuple[BandFigures, ...]:
    """The figures of every band of one attribute, in the order given: tables float64 [2 * cells] by band.

    `noise_std` is the standard deviation of the noise in every count. The reference is the band with the highest
    approval rate among those of which it can be told.

    Raises:
        ValueError: the noise is negative or not finite.
    """
    if not (math.isfinite(noise_std) and noise_std >= 0):
        raise ValueError(f"the noise must be finite and not negative, got {noise_std}")
    rates = {band: approved_share(table, cut, noise_std) for band, table in tables.items()}
    told = {band: rate.value for band, rate in rates.items() if rate is not None and rate.value > 0}
    reference = max(told, key=lambda band: told[band]) if told else None
    good = {band: _good_approved(table, cut, noise_std) for band, table in tables.items()}
    bad = {band: _bad_refused(table, cut, noise_std) for band, table in tables.items()}

    def gap(figures: Mapping[str, Estimate | None], band: str) -> Estimate | None:
        own, other = figures[band], figures[reference] if reference is not None else None
        return None if own is None or other is None or band == reference else own.less(other)

    found = []
    for band, table in tables.items():
        rate, best = rates[band], rates[reference] if reference is not None else None
        compared = rate is not None and best is not None and band != reference
        found.append(
            BandFigures(
                band=band,
                reference=band == reference,
                records=Estimate(max(0.0, float(table.sum())), noise_std * math.sqrt(len(table))),
                approved=rate,
                ratio=rate.over(best) if compared and rate is not None and best is not None else None,
                good_approved=good[band],
                good_gap=gap(good, band),
                bad_refused=bad[band],
                bad_gap=gap(bad, band),
                calibration_gap=_calibration_gap(table, calibration, noise_std),
            )
        )
    return tuple(found)


def _approved(table: np.ndarray, cut: Cutoff) -> np.ndarray:
    """1 for each cell that is approved, else 0: float64 [cells]."""
    return np.asarray(np.arange(len(table) // 2) < cut.cells, dtype=np.float64)


def _good_approved(table: np.ndarray, cut: Cutoff, noise_std: float) -> Estimate | None:
    good, _ = np.split(np.asarray(table, dtype=np.float64), 2)
    return _mean(good, _approved(table, cut), noise_std)


def _bad_refused(table: np.ndarray, cut: Cutoff, noise_std: float) -> Estimate | None:
    _, bad = np.split(np.asarray(table, dtype=np.float64), 2)
    return _mean(bad, 1 - _approved(table, cut), noise_std)


def _calibration_gap(table: np.ndarray, calibration: Calibration, noise_std: float) -> Estimate | None:
    pd = calibration.pd(cell_logits(len(table) // 2))
    return _mean(np.asarray(table, dtype=np.float64), np.concatenate([-pd, 1 - pd]), noise_std)


def _mean(counts: np.ndarray, weights: np.ndarray, noise_std: float) -> Estimate | None:
    """The mean weight of the counted records and its standard error, as the module says; None if too few to tell."""
    total = float(counts.sum())
    if total < max(MIN_RECORDS, MIN_SIGNAL * noise_std * math.sqrt(len(counts))):
        return None
    value = float(weights @ counts) / total
    spread = (weights - value) ** 2
    # Noise leaves the sum over raw counts unbiased; a negative one says that there is no spread to be seen.
    variance = max(0.0, float(spread @ counts)) + noise_std**2 * float(spread.sum())
    error = math.sqrt(variance) / total
    return None if error > MAX_STANDARD_ERROR else Estimate(value, error)
