"""FederatedScore: scikit-learn's own checks, frames with words, who has which rows, and what is refused."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

import sealscore as ss
from sealscore.clients.data import DataError
from sealscore.shared.plan.errors import PlanError
from sealscore.simulations.experiments.runs import BadSetting

# A check that makes no sense here would stand here with the reason; none does.
EXPECTED_FAILED_CHECKS: dict[str, str] = {}


@pytest.mark.slow
@parametrize_with_checks(
    [ss.FederatedScore(epsilon=None)], expected_failed_checks=lambda estimator: EXPECTED_FAILED_CHECKS
)
def test_scikit_learns_own_checks(estimator: Any, check: Any):
    check(estimator)


@pytest.mark.long
@parametrize_with_checks([ss.FederatedScore()], expected_failed_checks=lambda estimator: EXPECTED_FAILED_CHECKS)
def test_scikit_learns_own_checks_under_noise(estimator: Any, check: Any):
    check(estimator)


@pytest.fixture(scope="module")
def fitted(loans: pl.DataFrame) -> ss.FederatedScore:
    who = np.array(["north", "south"])[np.arange(1500) % 2]
    return ss.FederatedScore(epsilon=8.0).fit(loans.drop("default"), loans["default"], parties=who)


def test_frames_with_words_and_blanks(fitted: ss.FederatedScore, loans: pl.DataFrame):
    columns = loans.drop("default")
    proba = fitted.predict_proba(columns)
    assert proba.shape == (1500, 2)
    assert proba.sum(axis=1) == pytest.approx(np.ones(1500))
    assert fitted.metrics_["auc"] > 0.65
    assert 0 < fitted.epsilon_ <= 8
    assert fitted.n_features_in_ == 3
    of_pandas = pd.DataFrame(columns.to_dict(as_series=False))
    assert np.array_equal(fitted.predict_proba(of_pandas), proba)
    assert np.array_equal(pickle.loads(pickle.dumps(fitted)).predict(columns), fitted.predict(columns))


def test_parties_are_those_that_were_named(fitted: ss.FederatedScore):
    assert [party.nominal_records for party in fitted.model_.release.plan.parties] == [750, 750]


def test_bounds_are_taken_as_given(loans: pl.DataFrame):
    x = loans.select("income")
    free = ss.FederatedScore(epsilon=None, lenders=1, bounds={"income": (0, 200)}).fit(x, loans["default"])
    (feature,) = free.model_.release.plan.groups["lender"].table.features
    assert (feature.lower, feature.upper) == (0, 200)
    assert free.epsilon_ is None


X = np.random.default_rng(0).normal(size=(60, 2))
Y = np.arange(60) % 2


@pytest.mark.parametrize(
    ("settings", "given", "error", "said"),
    [
        ({}, (X, Y + 0.25 * (X[:, 0] > 0)), ValueError, "continuous"),
        ({}, (X, np.arange(60) % 3), ValueError, "classes"),
        ({}, (X, np.zeros(60)), ValueError, "one class"),
        ({}, (X, Y[:-1]), ValueError, r"\[60, 59\]"),
        ({}, (X, Y, ["a", "b"]), BadSetting, "60 rows; 2 are given"),
        ({}, (X, Y, ["a"] * 59 + [None]), BadSetting, "parties"),
        ({"lenders": 0}, (X, Y), BadSetting, "lenders"),
        ({"epsilon": -1.0}, (X, Y), PlanError, r"privacy\.epsilon"),
        ({"bounds": {"x0": (3, 1)}}, (X, Y), PlanError, "upper"),
        ({"engine": "slow"}, (X, Y), BadSetting, "engine"),
        ({}, (pl.DataFrame({"word": ["same"] * 60}), Y), DataError, "one level"),
    ],
)
def test_that_is_refused(settings: dict[str, Any], given: tuple[Any, ...], error: type[Exception], said: str):
    with pytest.raises(error, match=said):
        ss.FederatedScore(**settings).fit(*given)


def test_before_it_is_fitted_and_with_other_columns(fitted: ss.FederatedScore, loans: pl.DataFrame):
    with pytest.raises(NotFittedError):
        ss.FederatedScore().predict(X)
    with pytest.raises(ValueError, match="feature names"):
        fitted.predict(loans.drop("default").rename({"late": "later"}))
    with pytest.raises(DataError, match="kind"):
        fitted.predict(loans.drop("default").with_columns(kind=pl.lit("boat")))
