"""Which remedy an alert calls for, by what is known of loans whose windows are closed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from sealscore.clients.retraining.ranking import PairFigure, drawn, enough, interval_of, order_lost

RemedyKind = Literal["recalibrate", "head", "tower", "none"]
_LONGEST = 12
"""Months of closed windows that are looked at, where those of the alert alone have too few loans."""


@dataclass(frozen=True)
class Evidence:
    """What closed windows of `months` months say of the model that the alert is about.

    `order` is the AUC less the one that the PDs promise, `level` the mean PD less the bad rate, both with intervals.
    """

    months: int
    loans: int
    auc: float
    order: PairFigure
    level: PairFigure

    @property
    def order_is_lost(self) -> bool:
        """Whether it ranks worse than it promises, beyond the noise."""
        return self.order.high < 0

    def plain(self) -> dict[str, Any]:
        """As a proposal has it."""
        figures = {"order": self.order.plain(), "level": self.level.plain()}
        return {"months": self.months, "loans": self.loans, "auc": self.auc, **figures}


@dataclass(frozen=True)
class Remedy:
    """What is proposed; `code` says why, `why` in words."""

    kind: RemedyKind
    code: str
    why: str


def evidence_of(closed: pl.DataFrame, role: str, month: int) -> Evidence | None:
    """What loans say whose windows closed with the two months of an alert, or with more until they are enough.

    `closed` is what `portfolio.outcomes` gives. None where the loans of a year are too few.
    """
    own = closed.filter(pl.col("role") == role)
    for months in range(2, _LONGEST + 1):
        rows = own.filter(pl.col("closes").is_between(month - months + 1, month))
        bad, pd = rows["bad"].cast(pl.Float64).to_numpy(), rows["pd"].to_numpy()
        if not enough(bad):
            continue
        loans = [loan.encode() for loan in rows["loan"].to_list()]
        order, auc = order_lost(loans, bad, pd)
        level = np.concatenate([weights @ (pd - bad) / weights.sum(axis=1) for weights in drawn(loans)])
        return Evidence(months, rows.height, auc, order, interval_of(level))
    return None


def remedy_of(measure: str, evidence: Evidence | None) -> Remedy:
    """The remedy for an alert of a measure."""
    family, *rest = measure.split(".")
    if family == "calibration":
        return _of_calibration(evidence)
    if family == "psi":
        if rest[1:2] == ["signal"]:
            return Remedy(
                "tower",
                "levels-moved",
                f"levels of {rest[-1]} are spread otherwise than in training, so edges no longer cut as they did, "
                "and the head alone would learn from levels that mean less",
            )
        return _of_population(evidence)
    code, why = _WITHOUT.get(family, _WITHOUT["reviews"])
    return Remedy("none", code, why)


_WITHOUT = {
    "roll": (
        "repayment",
        "loans pay later than they did, whoever scored them; no window shows yet that PDs are wrong. Look at the early "
        "warning and at limits, and wait for the calibration's windows",
    ),
    "fallback": (
        "operations",
        "more or fewer applicants bring a platform's token; each model answers for those it was trained on. Ask the "
        "platforms what changed",
    ),
    "reviews": (
        "operations",
        "persons decide otherwise than they did, and a model changes nothing of that; look at rules",
    ),
    "offers": (
        "groups",
        "offers to a group changed; find out by which rule or feature before any model is trained again",
    ),
}


def _of_calibration(evidence: Evidence | None) -> Remedy:
    if evidence is None:
        return Remedy(
            "recalibrate",
            "order-unknown",
            "PDs are off; too few loans tell whether the order still holds, so the cheapest plan comes first",
        )
    if evidence.order_is_lost:
        return _head(evidence)
    return Remedy(
        "recalibrate",
        "order-holds",
        f"PDs are off, and the order holds: the AUC of {evidence.auc:.3f} is what these PDs promise, within noise",
    )


def _of_population(evidence: Evidence | None) -> Remedy:
    if evidence is not None and evidence.order_is_lost:
        return _head(evidence)
    if evidence is not None and evidence.level.away:
        return Remedy(
            "recalibrate", "level-off", "applicants changed, PDs of closed windows are off, and the order holds"
        )
    return Remedy(
        "none",
        "not-yet",
        "applicants changed; nothing known so far shows that the score is wrong for them. Their first windows will",
    )


def _head(evidence: Evidence) -> Remedy:
    return Remedy(
        "head",
        "order-lost",
        f"the AUC of {evidence.auc:.3f} is {-evidence.order.value:.3f} below what these PDs promise, beyond the noise, "
        "and no calibration brings an order back",
    )
