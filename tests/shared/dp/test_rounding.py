import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sealscore.shared.dp.mechanisms import to_grid
from sealscore.shared.dp.rounding import clip_error, grid_for
from sealscore.shared.model.weights import MAX_WIDTH

FINITE = st.floats(-1e6, 1e6)


@given(st.floats(1e-6, 1e6), st.integers(1, 10**7))
def test_the_grid_is_the_largest_power_of_two_within_the_allowance(clip, parameters):
    grid = grid_for(clip, parameters)
    assert math.frexp(grid)[0] == 0.5
    allowance = Fraction(clip) ** 2 / 10_000
    assert Fraction(grid) ** 2 * parameters <= allowance < Fraction(2 * grid) ** 2 * parameters


@pytest.mark.parametrize(("clip", "parameters"), [(0.0, 1), (-1.0, 1), (math.inf, 1), (math.nan, 1), (1.0, 0)])
def test_no_grid_without_a_clip_norm_and_parameters(clip, parameters):
    with pytest.raises(ValueError, match="clip norm"):
        grid_for(clip, parameters)


@given(
    hnp.arrays(np.float64, 6, elements=FINITE),
    hnp.arrays(np.float64, 6, elements=FINITE),
    st.integers(-20, 3),
    st.integers(0, 2**40),
)
def test_rounding_and_saturation_keep_the_distance(one, other, exponent, bound):
    grid = 2.0**exponent
    a, b = to_grid(one, grid, bound), to_grid(other, grid, bound)
    assert a.dtype == np.int64
    assert np.abs(a).max() <= bound
    distance = math.sqrt(math.fsum((one - other) ** 2)) / grid
    assert math.sqrt(float(((a - b).astype(float) ** 2).sum())) <= (distance + math.sqrt(6)) * (1 + 1e-12)


def test_values_round_saturate_and_vanish():
    vector = np.array([0.3, -0.8, 1e300, -1e300, 1e308, math.nan, math.inf, -math.inf])
    assert to_grid(vector, 0.5, 100).tolist() == [1, -2, 100, -100, 100, 0, 0, 0]
    assert to_grid(np.array([1e308]), 2.0**-40, 2**53).tolist() == [2**53]


@pytest.mark.parametrize("bound", [-1, 2**53 + 1])
def test_a_bound_that_floats_cannot_hold_is_refused(bound):
    with pytest.raises(ValueError, match="bound"):
        to_grid(np.zeros(1), 1.0, bound)


def test_the_float_error_is_small_where_it_is_used_and_grows_with_everything():
    assert clip_error(16_000, 300) < 1e-6
    assert clip_error(16_000, 300) < clip_error(32_000, 300)
    assert clip_error(1000, 100) < clip_error(1000, 504, hidden=4) < clip_error(1000, 1716, hidden=16) < 1e-4
    assert clip_error(1000, 300, clip_norm=1.0) < clip_error(1000, 300, clip_norm=0.01)
    # Twice the sum's rounding alone: 2 n^2 u.
    assert clip_error(10**6, 100) > 2 * 10**12 * 2.0**-53


def test_codes_too_wide_for_exact_products_have_no_bound():
    assert clip_error(10, MAX_WIDTH + 1) > 0
    with pytest.raises(ValueError, match="too wide"):
        clip_error(10, MAX_WIDTH + 2)


@pytest.mark.parametrize(("parameters", "hidden"), [(1, 0), (0, 0), (505, 4), (3, 3), (100, -1)])
def test_numbers_that_no_tower_has_are_refused(parameters, hidden):
    with pytest.raises(ValueError, match=r"tower|needed"):
        clip_error(10, parameters, hidden)
