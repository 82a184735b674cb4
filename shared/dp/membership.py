"""What a claim of (epsilon, delta) means against somebody who wonders whether a person was among the records.

The attacker knows everything but that, sees everything that was released, and may compute without limit. A test of
theirs that accuses persons who were absent with probability `a` (false positives) and persons who were present with
probability `b` (true positives) meets, for neighbouring worlds that differ by that person,

    b <= e^epsilon a + delta   and   1 - a <= e^epsilon (1 - b) + delta

(Wasserman, Zhou 2010, "A Statistical Framework for Differential Privacy", theorem 2.4; Kairouz, Oh, Viswanath 2015,
"The Composition Theorem for Differential Privacy", theorem 2.1). Everything here follows from these by Bayes' rule.
"""

from __future__ import annotations

import math

BASE_RATES = (0.01, 0.1, 0.5)
"""How likely the person is to be among the records before anything is released: 1, 10 and 50 %."""


def most_believed(epsilon: float, rate: float) -> float:
    """The highest belief after, where the belief before was `rate`: e^epsilon p / (1 - p + e^epsilon p).

    Bayes' rule under a likelihood ratio of at most e^epsilon. With delta above 0 an output may be rare and tell more;
    `precision` bounds what that is worth.
    """
    _check(epsilon, 0.0, rate)
    return rate / (rate + math.exp(-epsilon) * (1 - rate))


def least_believed(epsilon: float, rate: float) -> float:
    """The lowest belief after: p / (p + e^epsilon (1 - p))."""
    _check(epsilon, 0.0, rate)
    return rate / (rate + math.exp(min(epsilon, 700.0)) * (1 - rate))


def success(epsilon: float, delta: float, rate: float) -> float:
    """The most that the probability of a right guess can be, present or absent, at that base rate.

    The largest of p b + (1 - p)(1 - a) over the region above, which it takes in one of its corners: guessing "absent"
    or "present" for all but a share of delta, or the test at which both errors are (1 - delta) / (1 + e^epsilon).
    """
    _check(epsilon, delta, rate)
    corner = 1 - (1 - delta) / (1 + math.exp(min(epsilon, 700.0)))
    return max(corner, 1 - rate + rate * delta, rate + (1 - rate) * delta)


def precision(epsilon: float, delta: float, rate: float, false_positives: float) -> float:
    """The most that the share of true accusations can be, of a test that accuses so large a share of the absent.

    p b / (p b + (1 - p) a) with b at its bound: the (epsilon, delta) form of `most_believed`, to which it falls as a
    grows. An attacker who accuses nobody wrongly can still be right about a share of delta of those who were present.
    """
    _check(epsilon, delta, rate)
    if not 0 <= false_positives <= 1:
        raise ValueError(f"a share of false positives must be in [0, 1], got {false_positives}")
    present = rate * min(1.0, math.exp(min(epsilon, 700.0)) * false_positives + delta)
    accused = present + (1 - rate) * false_positives
    return present / accused if accused else rate


def _check(epsilon: float, delta: float, rate: float) -> None:
    if not epsilon >= 0:
        raise ValueError(f"epsilon must be at least 0, got {epsilon}")
    if not 0 <= delta < 1:
        raise ValueError(f"delta must be in [0, 1), got {delta}")
    if not 0 < rate < 1:
        raise ValueError(f"a base rate must be above 0 and below 1, got {rate}")
