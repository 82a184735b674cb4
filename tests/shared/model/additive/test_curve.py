import numpy as np
import pytest
from additive_builders import facts
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from sealscore.shared.model.additive import curve as curve_module
from sealscore.shared.model.additive.curve import (
    CURVE_LIMIT,
    KNOTS,
    SUMS,
    PdCurve,
    residual_error,
    residual_sums,
    unclipped,
)
from sealscore.shared.model.recipe.calibrator import ROUNDS, Calibrator
from sealscore.shared.model.recipe.solver import Released

rising = st.lists(st.floats(0, 2), min_size=KNOTS, max_size=KNOTS).map(
    lambda steps: tuple(float(value) for value in np.cumsum(steps) - np.arange(KNOTS) - 1)
)


@given(st.floats(-40, 40), st.sampled_from([0.0, 1.0]), rising, st.floats(-4, 1))
def test_one_record_moves_the_sums_by_at_most_one(fitted, label, corrections, first):
    moved = residual_sums(PdCurve(first, corrections), np.array([fitted]), np.array([label]))
    assert len(moved) == SUMS
    assert np.linalg.norm(moved) <= 1 + 1e-12


def test_the_bound_is_met_and_holds_for_crafted_records():
    # At a knot, where p tends to 0 for a bad record, the whole residual stands in one entry.
    curve = PdCurve(-CURVE_LIMIT)
    lengths = [
        np.linalg.norm(residual_sums(curve, np.array([fitted]), np.array([label])))
        for fitted in np.linspace(-35, 35, 7001)
        for label in (0.0, 1.0)
    ]
    assert 1 - 1e-9 < max(lengths) <= 1 + 1e-12


@given(st.floats(-40, 40), st.sampled_from([0.0, 1.0]), st.integers(0, KNOTS - 2), st.floats(-8, 8))
def test_last_bits_of_a_logit_stay_last_bits_at_the_steepest_curve(fitted, label, place, first):
    corrections = (-CURVE_LIMIT,) * (place + 1) + (CURVE_LIMIT,) * (KNOTS - 1 - place)
    one, bits = (np.array([value]) for value in (fitted, label))
    moved = unclipped(one) + 2.0**10 * 2.0**-53
    with pytest.MonkeyPatch.context() as patch:
        before = residual_sums(PdCurve(first, corrections), one, bits)
        patch.setattr(curve_module, "unclipped", lambda logits: moved)
        after = residual_sums(PdCurve(first, corrections), one, bits)
    # The share of one record more in `residual_error`, with all but what it moves by itself.
    allowed = residual_error(1_000_001) - residual_error(1_000_000)
    assert np.linalg.norm(after - before) <= 2.0**15 * 2.0**-53 <= allowed


def test_records_add_up():
    random = np.random.default_rng(0)
    fitted, labels = random.normal(-1, 2, 200), (random.random(200) < 0.3).astype(float)
    curve = PdCurve(-4.0)
    one_by_one = sum(residual_sums(curve, fitted[i : i + 1], labels[i : i + 1]) for i in range(200))
    assert residual_sums(curve, fitted, labels) == pytest.approx(one_by_one, abs=1e-9)


@given(st.floats(-20, 20))
def test_the_inverted_logit_is_where_clipped_slopes_balance(fitted):
    p = expit(fitted)
    (inverted,) = unclipped(np.array([fitted]))
    rate = expit(inverted)
    assert rate * min(1 - p, 0.5) == pytest.approx((1 - rate) * min(p, 0.5), rel=1e-6, abs=1e-12)


@given(st.floats(-50, 50), st.floats(1e-3, 10))
def test_ranks_stay_as_they_are(fitted, more):
    low, high = unclipped(np.array([fitted, fitted + more]))
    assert high > low


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.0, 5.0, 300.0]))
def test_a_curve_never_falls_and_is_finite_under_any_noise(seed, noise):
    random = np.random.default_rng(seed)
    calibrator = Calibrator(PdCurve.around(facts(1000, 5).log_odds))
    for _ in range(ROUNDS):
        calibrator.update(Released(random.normal(0, noise + 50, SUMS), noise))
    found = calibrator.curve.logits(np.linspace(-30, 30, 2000))
    assert np.isfinite(found).all()
    assert (np.diff(found) >= -1e-9).all()


def test_a_shifted_and_stretched_score_is_put_right():
    random = np.random.default_rng(3)
    true = random.normal(-1.5, 1.2, 30_000)
    labels = (random.random(30_000) < expit(true)).astype(float)
    # What the fit gives: its clip-inverted logits are too high and too flat.
    inverted = 0.7 * true + 0.5
    p = expit(inverted)
    fitted = np.where(p <= 0.5, logit(np.clip(expit(inverted) / (1 - expit(inverted)) / 2, 1e-9, 1 - 1e-9)), 0.0)
    fitted = np.where(p > 0.5, -logit(np.clip((1 - p) / p / 2, 1e-9, 1 - 1e-9)), fitted)
    assert unclipped(fitted) == pytest.approx(inverted, abs=1e-6)
    calibrator = Calibrator(PdCurve.around(facts(30_000, 5, labels.mean()).log_odds))
    for _ in range(ROUNDS):
        sums = residual_sums(calibrator.curve, fitted, labels)
        calibrator.update(Released(sums + 3.0 * random.standard_normal(SUMS), 3.0))
    before, after = (
        float(np.mean(np.abs(expit(z) - expit(true)))) for z in (inverted, calibrator.curve.logits(fitted))
    )
    assert after < 0.2 * before


@pytest.mark.parametrize(
    ("first", "corrections"),
    [
        (np.nan, (0.0,) * KNOTS),
        (0.0, (0.0,) * (KNOTS - 1)),
        (0.0, (0.0, -1.5) + (0.0,) * (KNOTS - 2)),
        # So far out, or so steep, last bits of a logit would grow to more than the claim allows for.
        (-8.5, (0.0,) * KNOTS),
        (1e6, (0.0,) * KNOTS),
        (0.0, (0.0,) * (KNOTS - 1) + (8.5,)),
        (0.0, (0.0,) * (KNOTS - 1) + (np.inf,)),
    ],
)
def test_a_curve_that_is_none_is_refused(first, corrections):
    with pytest.raises(ValueError, match="curve"):
        PdCurve(first, corrections)
