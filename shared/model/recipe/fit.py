"""The whole fit, from released bins and facts to a score, over anything that gives the sums.

The constants were chosen once, on several public tables; none depends on the table at hand (docs/recipe.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypedDict

import numpy as np

from sealscore.shared.model.additive.codes import Codes
from sealscore.shared.model.additive.curve import PdCurve
from sealscore.shared.model.bins import Binning
from sealscore.shared.model.recipe.budget import FitShares
from sealscore.shared.model.recipe.calibrator import calibrated
from sealscore.shared.model.recipe.design import Design, carried_over, designed
from sealscore.shared.model.recipe.facts import Facts
from sealscore.shared.model.recipe.kernels import basis, power
from sealscore.shared.model.recipe.pairs import TRIED, chosen, evidence
from sealscore.shared.model.recipe.scales import scales
from sealscore.shared.model.recipe.solver import Released, descend

FIRST_ROUNDS, ROUNDS, AVERAGED = 15, 35, 32
# Prior variance of a feature's table before anything is known of it.
FIRST_SCALE = 0.2


class Sums(Protocol):
    """Where the noisy sums come from; weights are float64 [codes.length]."""

    def first(self, round: int, codes: Codes, weights: np.ndarray) -> Released | None:
        """Clipped gradients of the features' units; None where no more can be had."""
        ...

    def pairs(self, scorer: Codes, weights: np.ndarray, codes: Codes) -> Released:
        """Clipped gradients of the pairs' units at the score of `scorer`."""
        ...

    def second(self, round: int, codes: Codes, weights: np.ndarray) -> Released | None:
        """Clipped gradients of all units; None where no more can be had."""
        ...

    def residuals(self, round: int, codes: Codes, weights: np.ndarray, curve: PdCurve) -> Released | None:
        """Sums for the calibration; None where no more can be had."""
        ...


class RuledNumber(TypedDict):
    """A number of a fit, and which rule gave it."""

    value: float | int | list[float]
    rule: str


@dataclass(frozen=True, eq=False)
class Score:
    """The fitted score: codes and weights give the tables, the curve the probabilities.

    `rules` has the numbers that the rules gave, for the model's card.
    """

    codes: Codes
    weights: np.ndarray
    curve: PdCurve
    rules: dict[str, RuledNumber]


def fitted(binning: Binning, facts: Facts, sums: Sums, shares: FitShares) -> Score:
    """The score, from released bins and facts and the sums that it asks for: those that have a share."""
    share = power(facts.signal_to_noise)
    bases = [basis(part, share) for part in binning.features]
    design = designed(bases, FIRST_SCALE, share)

    def first(round: int, weights: np.ndarray) -> Released | None:
        return sums.first(round, design.codes, weights)

    start = np.zeros(design.codes.length)
    start[0] = facts.log_odds / design.codes.intercept
    opening = descend(first, design, facts, start, FIRST_ROUNDS, FIRST_ROUNDS)
    found = scales(opening, design, facts, FIRST_SCALE)
    bases = [base.scaled(scale, share) for base, scale in zip(bases, found.relative, strict=True)]

    prior, seen = None, 0.0
    if shares.pairs:
        together = designed(bases, found.common, share, TRIED, mains=False)
        ratios = evidence(sums.pairs(design.codes, opening.weights, together.codes), together, facts)
        prior, seen = chosen(ratios), float(ratios.max())
    last = designed(bases, found.common, share, prior)
    weights = _second(sums, last, facts, carried_over(opening.weights, design.codes, last.codes))

    def residuals(round: int, curve: PdCurve) -> Released | None:
        return sums.residuals(round, last.codes, weights, curve)

    curve = PdCurve.around(facts.log_odds)
    if shares.calibration:
        curve = calibrated(curve, residuals)
    rules: dict[str, RuledNumber] = {
        "records": {"value": facts.records, "rule": "totals of the noisy histogram, weighted by their noise"},
        "rate": {"value": facts.rate, "rule": "noisy bad outcomes over all, within [0.02, 0.5]"},
        "signal_to_noise": {"value": facts.signal_to_noise, "rule": "records mu h / features"},
        "power": {"value": share, "rule": "0.25 + 0.25 / (1 + signal_to_noise / 20)"},
        "common_scale": {"value": found.common, "rule": "empirical Bayes, geometric mean over features"},
        "relative_scales": {"value": list(found.relative), "rule": "empirical Bayes, each feature's over the common"},
        "pair_evidence": {"value": seen, "rule": "largest log likelihood ratio; 0 where pairs are not looked for"},
        "pair_share": {"value": prior.share if prior else 0.0, "rule": "posterior where the evidence is at least 10"},
        "units": {"value": last.codes.length, "rule": "eigenvalues above 0.002 of a feature's first"},
    }
    return Score(last.codes, weights, curve, rules)


def _second(sums: Sums, design: Design, facts: Facts, weights: np.ndarray) -> np.ndarray:
    def ask(round: int, weights: np.ndarray) -> Released | None:
        return sums.second(round, design.codes, weights)

    return descend(ask, design, facts, weights, ROUNDS, AVERAGED).weights
