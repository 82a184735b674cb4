import math
from dataclasses import astuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealscore.shared.model.recipe.budget import FitShares


@given(st.floats(1, 1e8), st.integers(1, 500), st.floats(1e-3, 20), st.booleans(), st.floats(0.51, 1))
def test_shares_are_the_whole_budget(records, features, mu, scores, keep):
    found = FitShares.planned(records, features, mu, scores, keep)
    assert math.fsum(astuple(found)) == pytest.approx(1)
    assert min(found.bins, found.first, found.second) > 0
    assert (found.rate > 0) == scores
    assert scores or not found.calibration


def test_what_cannot_show_takes_no_share():
    # snr = n mu 0.16 / f at the assumed rate.
    assert FitShares.planned(10_000, 16, 1.0).pairs > 0
    few = FitShares.planned(1_000, 16, 1.0)
    assert few.pairs == 0
    assert few.calibration > 0
    least = FitShares.planned(900, 16, 1.0)
    assert least.calibration == 0
    assert least.second > few.second
    assert FitShares.planned(10_000, 1, 1.0).pairs == 0
    assert FitShares.planned(100_000, 41, 1.0).pairs == 0
    assert FitShares.planned(10_000, 16, 1.0, keep=0.7).pairs == 0
