"""How well PDs rank and meet outcomes: AUC, KS, gap and Brier score, with bootstrap intervals over persons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit

DRAWS, INTERVAL = 1000, 0.95
LEAST_LOANS, LEAST_BADS = 30, 5
"""Below either nothing is said of loans: an interval of fewer would be of the draws, and not of the world."""
FIGURES = ("auc", "ks", "gap", "brier")
"""Of these the first two are better where they are larger, the others where they are smaller."""
_BLOCK = 2**22
_FARTHEST = 30.0


@dataclass(frozen=True)
class PairFigure:
    """A figure with its interval (95 %)."""

    value: float
    low: float
    high: float

    @property
    def away(self) -> bool:
        """Whether 0 is outside of the interval."""
        return self.low > 0 or self.high < 0

    def plain(self) -> dict[str, float]:
        """As a report has it."""
        return {"value": self.value, "low": self.low, "high": self.high}


def separation(score: np.ndarray, bad: np.ndarray, good: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUC and KS [draws] of a score [n] with weights of bad and of good loans [draws, n]; ties count half.

    NaN where a draw has no bad loan or no good one.
    """
    order = np.argsort(score, kind="stable")
    last = np.flatnonzero(np.append(np.diff(score[order]) > 0, True))
    bads, goods = (np.cumsum(weights[:, order], axis=1)[:, last] for weights in (bad, good))
    with np.errstate(invalid="ignore", divide="ignore"):
        bads, goods = bads / bads[:, -1:], goods / goods[:, -1:]
    before = np.concatenate([np.zeros((len(goods), 1)), goods[:, :-1]], axis=1)
    steps = np.diff(bads, axis=1, prepend=0.0)
    return (steps * (goods + before) / 2).sum(axis=1), np.abs(bads - goods).max(axis=1)


def figures_of(pd: np.ndarray, bad: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """`FIGURES` of PDs [n] and outcomes [n] (0 or 1) under weights [draws, n]: float64 [4, draws].

    The gap is how far the mean PD is from the bad rate; the Brier score the mean squared error of PDs.
    """
    total = weights.sum(axis=1)
    auc, ks = separation(pd, weights * bad, weights * (1 - bad))
    with np.errstate(invalid="ignore", divide="ignore"):
        gap = np.abs(weights @ (pd - bad)) / total
        brier = weights @ (pd - bad) ** 2 / total
    return np.stack([auc, ks, gap, brier])


def drawn(person: Sequence[bytes], draws: int = DRAWS) -> Iterator[np.ndarray]:
    """Weights [some draws, n] of loans: first each once, then in draws of as many persons, blocks of them at a time."""
    known = {name: place for place, name in enumerate(dict.fromkeys(person))}
    of, count = np.array([known[name] for name in person]), len(known)
    yield np.ones((1, len(of)))
    random, left = np.random.default_rng(0), draws
    while left > 0:
        some = min(left, max(1, _BLOCK // max(1, len(of))))
        yield random.multinomial(count, np.full(count, 1 / count), size=some)[:, of].astype(np.float64)
        left -= some


def enough(bad: np.ndarray) -> bool:
    """Whether so many loans, of which these are bad, are judged."""
    bads = int(bad.sum())
    return len(bad) >= LEAST_LOANS and min(bads, len(bad) - bads) >= LEAST_BADS


def judged_pair(
    person: Sequence[bytes], bad: np.ndarray, first: np.ndarray, second: np.ndarray
) -> Mapping[str, tuple[PairFigure, PairFigure, PairFigure]]:
    """Each of `FIGURES` of two PDs [n] of the same loans, and the second's less the first's, by the same draws."""
    blocks = [(figures_of(first, bad, weights), figures_of(second, bad, weights)) for weights in drawn(person)]
    one, other = (np.concatenate(parts, axis=1) for parts in zip(*blocks, strict=True))
    return {
        name: (interval_of(one[place]), interval_of(other[place]), interval_of(other[place] - one[place]))
        for place, name in enumerate(FIGURES)
    }


def order_lost(
    person: Sequence[bytes], bad: np.ndarray, pd: np.ndarray, draws: int = DRAWS
) -> tuple[PairFigure, float]:
    """The AUC of PDs [n] less the one that they promise, with its interval, and the AUC itself.

    Promised is the AUC that loans with these PDs would have, were they right once all are shifted to the bad rate by
    one number on the logit's scale: so a wrong level alone is no loss, nor are loans that are alike since a cut-off
    chose them.
    """
    observed, missing = [], []
    for weights in drawn(person, draws):
        auc, _ = separation(pd, weights * bad, weights * (1 - bad))
        observed.append(auc)
        missing.append(auc - _promised(pd, bad, weights))
    return interval_of(np.concatenate(missing)), float(observed[0][0])


def _promised(pd: np.ndarray, bad: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The promised AUC [draws]; a loan is not compared with itself."""
    shifted = shifted_to(pd, float(bad.mean()))
    found, _ = separation(pd, weights * shifted, weights * (1 - shifted))
    bads, goods = weights @ shifted, weights @ (1 - shifted)
    own = weights**2 @ (shifted * (1 - shifted))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((found * bads * goods - own / 2) / (bads * goods - own))


def shifted_to(pd: np.ndarray, rate: float) -> np.ndarray:
    """PDs [n] moved by one number on the logit's scale, so that their mean is a rate within (0, 1)."""
    logits = logit(np.clip(pd, 1e-9, 1 - 1e-9))

    def beyond(by: float) -> float:
        return float(expit(logits + by).mean()) - rate

    return np.asarray(expit(logits + brentq(beyond, -_FARTHEST, _FARTHEST)))


def interval_of(values: np.ndarray) -> PairFigure:
    """The first value of draws, and the interval of the others."""
    low, high = np.nanquantile(values[1:], [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2])
    return PairFigure(float(values[0]), float(low), float(high))
