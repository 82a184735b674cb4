"""AUC, KS, gap and Brier score against other code, and what their intervals say of quiet and of broken scores."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import ks_2samp
from sklearn.metrics import brier_score_loss, roc_auc_score

from sealscore.clients.retraining.ranking import (
    FIGURES,
    drawn,
    enough,
    figures_of,
    judged_pair,
    order_lost,
    separation,
    shifted_to,
)


def loans(random: np.random.Generator, size: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """PDs and outcomes that follow from them."""
    pd = expit(random.normal(-1.5, 1.0, size))
    return pd, (random.random(size) < pd).astype(float)


def named(size: int) -> list[bytes]:
    return [str(place).encode() for place in range(size)]


def test_figures_are_those_of_other_code_with_ties_and_weights():
    random = np.random.default_rng(0)
    pd, bad = loans(random)
    pd = np.round(pd, 1)
    weights = np.stack([np.ones(len(pd)), random.integers(0, 3, len(pd)).astype(float)])
    found = figures_of(pd, bad, weights)
    for place, one in enumerate(weights):
        repeated = np.repeat(np.arange(len(pd)), one.astype(int))
        p, b = pd[repeated], bad[repeated]
        expected = (
            roc_auc_score(b, p),
            ks_2samp(p[b == 1], p[b == 0]).statistic,
            abs(p.mean() - b.mean()),
            brier_score_loss(b, p),
        )
        np.testing.assert_allclose(found[:, place], expected)


def test_a_draw_without_a_bad_loan_says_nothing():
    auc, ks = separation(np.array([0.1, 0.2]), np.zeros((1, 2)), np.ones((1, 2)))
    assert np.isnan(auc).all()
    assert np.isnan(ks).all()


def test_draws_are_of_persons_and_the_same_each_time():
    person = [b"a", b"b", b"a", b"c"]
    weights = np.concatenate([*drawn(person, 50)])
    assert weights.shape == (51, 4)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 2])
    np.testing.assert_array_equal(weights[1:, [0, 1, 3]].sum(axis=1), np.full(50, 3))
    np.testing.assert_array_equal(weights, np.concatenate([*drawn(person, 50)]))


@pytest.mark.parametrize(("size", "bads", "expected"), [(29, 9, False), (40, 4, False), (40, 36, False), (40, 5, True)])
def test_few_loans_are_not_judged(size: int, bads: int, expected: bool):
    assert enough(np.array([1.0] * bads + [0.0] * (size - bads))) == expected


def test_two_pds_of_one_order_differ_in_level_alone():
    pd, bad = loans(np.random.default_rng(2))
    low = expit(logit(pd) - 1.0)
    found = judged_pair(named(len(pd)), bad, low, pd)
    assert set(found) == set(FIGURES)
    for name in ("auc", "ks"):
        assert found[name][2].value == 0
        assert not found[name][2].away
    assert found["gap"][2].high < 0
    assert found["brier"][2].high < 0
    assert found["gap"][0].value > 0.08


def test_a_better_order_stands_out_of_the_noise():
    random = np.random.default_rng(3)
    pd, bad = loans(random, 1500)
    worse = expit(logit(pd) + random.normal(0, 2.0, len(pd)))
    auc = judged_pair(named(len(pd)), bad, worse, pd)["auc"]
    assert auc[2].low > 0
    assert auc[0].low < auc[0].value < auc[0].high


def test_pds_are_shifted_by_one_number():
    pd = np.array([0.05, 0.1, 0.4])
    found = shifted_to(pd, 0.5)
    assert found.mean() == pytest.approx(0.5)
    np.testing.assert_allclose(np.diff(logit(found)), np.diff(logit(pd)))


def test_an_order_that_holds_is_rarely_called_lost_whatever_the_level_and_whoever_was_chosen():
    random, lost = np.random.default_rng(4), 0
    for _ in range(40):
        pd, bad = loans(random, 400)
        chosen = pd < 0.25
        order, _ = order_lost(named(int(chosen.sum())), bad[chosen], expit(logit(pd[chosen]) - 0.7), 200)
        lost += order.high < 0
    # 2.5 % of them, so one of 40; six or more have a chance of 1 in 3,000.
    assert lost <= 5


def test_an_order_that_is_gone_is_called_lost():
    random = np.random.default_rng(5)
    pd, _ = loans(random, 600)
    order, auc = order_lost(named(600), (random.random(600) < 0.25).astype(float), pd)
    assert order.high < 0
    assert abs(auc - 0.5) < 0.08
