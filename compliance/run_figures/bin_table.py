"""A score as a scorecard: a row a bin, with its share, its points, and how many loans in it went bad where it is known.

The published model and the released shares of bins give all but the outcomes: no phase of the protocol releases
outcomes by bin, so a real federation's card has no bad rate, weight of evidence or information value. A simulation
knows the exact counts, and its card has them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from sealscore.compliance.run_figures.scorecard import effects
from sealscore.shared.model.reasons import contributions
from sealscore.shared.model.score_model import POINTS_TO_DOUBLE, ScoreModel, points
from sealscore.shared.text.foreign import plain

BASE = "base points"
# Added to the counts of a bin, so that one without bad loans has a weight of evidence (Siddiqi 2006, chapter 6).
_HALF = 0.5
_SCHEMA = {
    "feature": pl.String,
    "bin": pl.String,
    "share": pl.Float64,
    "bad_rate": pl.Float64,
    "woe": pl.Float64,
    "iv": pl.Float64,
    "points": pl.Int64,
    "contribution": pl.Float64,
}


def bin_table(model: ScoreModel, outcomes: Mapping[str, Sequence[Sequence[int]]] | None = None) -> pl.DataFrame:
    """The card of a model: first the average applicant's points, then a row a bin, the largest feature first.

    Columns: `feature`, `bin`, `share` (as released), `bad_rate`, `woe` (weight of evidence, ln of the share of good
    loans over that of bad ones), `iv` (information value of the whole feature), `points` (whole, to be added to the
    base points), `contribution` (to the log odds of default, against the average applicant; below 0 is safer).

    Args:
        model: a published score.
        outcomes: by feature, the exact numbers of good and of bad loans in each bin; without them `bad_rate`, `woe` and
            `iv` are null.

    Points add up to the score where the model is a sum over bins; with pairs, a network or a curve they are means over
    applicants, and add up to it on average.
    """
    rows: list[tuple[object, ...]] = [(BASE, "", None, None, None, None, round(_base(model)), None)]
    for effect in effects(model):
        rates, weights, value = _evidence((outcomes or {}).get(effect.feature))
        for place, (name, share, moved) in enumerate(zip(effect.bins, effect.shares, effect.points, strict=True)):
            told = (rates[place], weights[place], value) if rates else (None, None, None)
            logit = -moved * np.log(2) / POINTS_TO_DOUBLE
            rows.append((effect.feature, name, share, *told, round(moved), logit))
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def card_csv(card: pl.DataFrame) -> str:
    """A card as CSV: names of levels are as a reader sees them, and none begins a formula in a spreadsheet."""
    shown = [pl.Series(name, [_cell(value) for value in card[name]]) for name in ("feature", "bin")]
    return card.with_columns(shown).write_csv(float_precision=6)


def _cell(value: str) -> str:
    told = plain(value)
    return f"'{told}" if told[:1] in ("=", "+", "-", "@") else told


def _base(model: ScoreModel) -> float:
    """Points of the average applicant, against whom contributions are counted."""
    bins = np.zeros((1, len(model.features)), dtype=np.int64)
    pd = model.calibration.pd(model.logits_of_bins(bins))
    logit = np.log(pd / (1 - pd)) - contributions(model, bins).sum(axis=1)
    return float(points(1 / (1 + np.exp(-logit)))[0])


def _evidence(counts: Sequence[Sequence[int]] | None) -> tuple[list[float | None], list[float | None], float | None]:
    """Bad rate and weight of evidence of each bin, and the feature's information value."""
    if counts is None:
        return [], [], None
    good, bad = np.asarray(counts, dtype=np.float64)
    seen = good + bad > 0
    rates = [float(b / (g + b)) if any_ else None for g, b, any_ in zip(good, bad, seen, strict=True)]
    good, bad = good + _HALF, bad + _HALF
    good, bad = good / good.sum(), bad / bad.sum()
    weights = np.log(good / bad)
    told = [float(weight) if any_ else None for weight, any_ in zip(weights, seen, strict=True)]
    return rates, told, float((good - bad) @ np.where(seen, weights, 0.0))
