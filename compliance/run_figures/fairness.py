"""How a score treats groups of people at a cut-off, from noisy tables of scores by label, as far as noise lets one say.

All figures are means of weights over counted records, F = sum_c w_c n_c / sum_c n_c, with a count n_c for each score
cell and label. A table's counts are drawn from what is known of them (`shared.model.released.table_posterior`); a
figure is the mean over the draws, and their deviation is its error: **the noise's, about the exact figure of the same
persons**. The chance of who became a test person is stated apart, by the multinomial variance of a ratio (Casella and
Berger 2002, section 5.5.4), sum_c n_c (w_c - F)^2 / (sum_c n_c)^2; only the verdict on four fifths holds both.

Intervals of one kind of figure hold for all groups at once, at 95 %: each of m comparisons has 1 - 0.05 / m
(Bonferroni; Dunn 1961).

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
from functools import cached_property
from statistics import NormalDist
from typing import Literal

import numpy as np

from sealscore.shared.model.calibration import Calibration
from sealscore.shared.model.released.table_figures import NORMAL_95
from sealscore.shared.model.released.table_posterior import TablePosterior

FOUR_FIFTHS = 0.8
MIN_RECORDS = 30.0
"""Fewer records than this tell nothing of a rate."""

MIN_SIGNAL = 4.0
"""A number of records must be this many of its standard errors for a ratio over it to be near normal."""

MAX_STANDARD_ERROR = 0.1
"""With a larger standard error, an interval is too wide to tell anything."""

Verdict = Literal["reference", "at least four fifths", "below four fifths", "cannot tell", "too few to tell"]


@dataclass(frozen=True)
class Estimate:
    """A figure, the standard error that noise gives it, and the one that sampling does.

    `width` is half the width of an interval in standard errors: by default that of one interval at 95 %.
    """

    value: float
    standard_error: float
    sampling_error: float = 0.0
    width: float = NORMAL_95

    @property
    def low(self) -> float:
        """Lower end of the interval for the exact figure of the same persons."""
        return self.value - self.width * self.standard_error

    @property
    def high(self) -> float:
        """Upper end of the interval for the exact figure of the same persons."""
        return self.value + self.width * self.standard_error

    @property
    def half_with_sampling(self) -> float:
        """Half the width of the interval that also holds who became a test person."""
        return self.width * math.hypot(self.standard_error, self.sampling_error)


@dataclass(frozen=True)
class Cutoff:
    """Approved are the lowest `cells` score cells of the tables: logits up to `logit`, a PD of at most `pd`."""

    cells: int
    logit: float
    pd: float


@dataclass(frozen=True)
class BandFigures:
    """The figures of one group (a band of a protected attribute); None where there are too few records to tell.

    `records` is the noisy count, and `least` what it must reach for any figure to be told. `ratio`, `good_gap` and
    `bad_gap` compare with the reference group and are None at the reference itself.
    """

    band: str
    reference: bool
    records: Estimate
    least: float
    approved: Estimate | None
    ratio: Estimate | None
    good_approved: Estimate | None
    good_gap: Estimate | None
    bad_refused: Estimate | None
    bad_gap: Estimate | None
    calibration_gap: Estimate | None

    @property
    def verdict(self) -> Verdict:
        """What can be said of the approval-rate ratio, noise and sampling held, for all groups at once at 95 %."""
        if self.reference:
            return "reference"
        if self.ratio is None:
            return "too few to tell"
        if self.ratio.value + self.ratio.half_with_sampling < FOUR_FIFTHS:
            return "below four fifths"
        low = self.ratio.value - self.ratio.half_with_sampling
        return "at least four fifths" if low >= FOUR_FIFTHS else "cannot tell"


def simultaneous(comparisons: int) -> float:
    """Half the width, in standard errors, of intervals that hold at once at 95 % for so many comparisons."""
    return NormalDist().inv_cdf(1 - 0.025 / max(1, comparisons))


def cutoff(posterior: TablePosterior, approval_rate: float, calibration: Calibration) -> Cutoff:
    """The edge of a cell at which the share approved comes nearest to `approval_rate`.

    Raises:
        ValueError: the rate is not between 0 and 1.
    """
    if not 0 < approval_rate < 1:
        raise ValueError(f"a cut-off needs an approval rate between 0 and 1, got {approval_rate}")
    counts = posterior.counts.mean(axis=(0, 1))
    shares = np.cumsum(counts)[:-1] / max(float(counts.sum()), 1e-9)
    index = int(np.abs(shares - approval_rate).argmin())
    logit = float(posterior.edges[index])
    return Cutoff(index + 1, logit, float(calibration.pd(np.array(logit))))


def approved_share(posterior: TablePosterior, cut: Cutoff) -> Estimate | None:
    """The share of a table's records that a cut-off approves; None where they are too few to tell."""
    return _Mean.of(posterior.counts, _approved(posterior, cut)).estimate(NORMAL_95)


def fairness(
    tables: Mapping[str, TablePosterior], cut: Cutoff, calibration: Calibration, comparisons: int
) -> tuple[BandFigures, ...]:
    """The figures of every band of one attribute, in the order given; the draws of bands are independent.

    `comparisons` is the number of groups, of all attributes, that are compared at once with a reference. The reference
    is the band with the highest approval rate among those of which it can be told.
    """
    width = simultaneous(comparisons)
    bands = {name: _Band(posterior, cut, calibration) for name, posterior in tables.items()}
    rates = {name: rate.value for name, band in bands.items() if (rate := band.approved.estimate(width)) is not None}
    told = {name: rate for name, rate in rates.items() if rate > 0}
    reference = max(told, key=lambda name: told[name]) if told else None
    found = []
    for name, band in bands.items():
        best = bands[reference] if reference is not None and name != reference else None
        found.append(
            BandFigures(
                band=name,
                reference=name == reference,
                records=band.records,
                least=band.least,
                approved=band.approved.estimate(width),
                ratio=None if best is None else band.approved.over(best.approved).estimate(width),
                good_approved=band.good_approved.estimate(width),
                good_gap=None if best is None else band.good_approved.less(best.good_approved).estimate(width),
                bad_refused=band.bad_refused.estimate(width),
                bad_gap=None if best is None else band.bad_refused.less(best.bad_refused).estimate(width),
                calibration_gap=band.calibration_gap.estimate(width),
            )
        )
    return tuple(found)


@dataclass(frozen=True)
class _Mean:
    """A figure in each draw, float64 [draws], and its standard error by sampling; `told` where records are enough."""

    drawn: np.ndarray
    sampling_error: float
    told: bool

    @classmethod
    def of(cls, counts: np.ndarray, weights: np.ndarray) -> _Mean:
        """The mean of weights [labels, cells] over counts [draws, labels, cells]."""
        totals = np.maximum(counts.sum(axis=(1, 2)), 1e-9)
        drawn, mean, total = (counts * weights).sum(axis=(1, 2)) / totals, counts.mean(axis=0), float(totals.mean())
        spread = float((mean * (weights - drawn.mean()) ** 2).sum())
        return cls(drawn, math.sqrt(spread) / total, total >= least_records(totals))

    def estimate(self, width: float) -> Estimate | None:
        """The figure; None where there are too few records, or where its interval would tell nothing."""
        error = float(self.drawn.std())
        if not self.told or error > MAX_STANDARD_ERROR:
            return None
        return Estimate(float(self.drawn.mean()), error, self.sampling_error, width)

    def less(self, other: _Mean) -> _Mean:
        """The difference to a figure of other persons."""
        sampling = math.hypot(self.sampling_error, other.sampling_error)
        return _Mean(self.drawn - other.drawn, sampling, self.told and other.told)

    def over(self, other: _Mean) -> _Mean:
        """The ratio to a figure of other persons, its sampling error by the delta method."""
        below = np.maximum(other.drawn, 1e-9)
        ratio = self.drawn / below
        sampling = math.hypot(self.sampling_error, float(ratio.mean()) * other.sampling_error) / float(below.mean())
        return _Mean(ratio, sampling, self.told and other.told)


def least_records(totals: np.ndarray) -> float:
    """The fewest records of a table of which a rate can be told, from draws of their number, float64 [draws]."""
    return max(MIN_RECORDS, MIN_SIGNAL * float(totals.std()))


@dataclass(frozen=True)
class _Band:
    """The figures of one band before it is compared."""

    posterior: TablePosterior
    cut: Cutoff
    calibration: Calibration

    @cached_property
    def records(self) -> Estimate:
        totals = self.posterior.totals
        return Estimate(float(totals.mean()), float(totals.std()))

    @cached_property
    def least(self) -> float:
        return least_records(self.posterior.totals)

    @cached_property
    def approved(self) -> _Mean:
        return _Mean.of(self.posterior.counts, _approved(self.posterior, self.cut))

    @cached_property
    def good_approved(self) -> _Mean:
        return _Mean.of(self.posterior.counts[:, :1], _approved(self.posterior, self.cut))

    @cached_property
    def bad_refused(self) -> _Mean:
        return _Mean.of(self.posterior.counts[:, 1:], 1 - _approved(self.posterior, self.cut))

    @cached_property
    def calibration_gap(self) -> _Mean:
        pd = self.calibration.pd(self.posterior.middles)
        return _Mean.of(self.posterior.counts, np.stack([-pd, 1 - pd]))


def _approved(posterior: TablePosterior, cut: Cutoff) -> np.ndarray:
    """1 for each cell that is approved, else 0: float64 [1, cells]."""
    return np.asarray(np.arange(posterior.cells) < cut.cells, dtype=np.float64)[None]
