"""Which alert calls for which remedy, by loans whose windows are closed."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.special import expit, logit

from sealscore.clients.retraining.ranking import PairFigure
from sealscore.clients.retraining.remedy import Evidence, evidence_of, remedy_of

SURE, NONE, WORSE = PairFigure(0.0, -0.1, 0.1), PairFigure(0.0, -0.02, 0.02), PairFigure(-0.1, -0.15, -0.05)


def closed(worse: float, gone: bool = False, size: int = 400, closes: int = 100) -> pl.DataFrame:
    """Loans with PDs; so much worse on the logit's scale, or bad by chance alone."""
    random = np.random.default_rng(1)
    pd = expit(random.normal(-1.5, 1.0, size))
    bad = random.random(size) < (0.3 if gone else expit(logit(pd) + worse))
    month = np.where(np.arange(size) % 2 == 0, closes, closes - 1)
    return pl.DataFrame(
        {"loan": [f"{place:06x}" for place in range(size)], "role": "champion", "pd": pd, "bad": bad, "closes": month}
    )


@pytest.mark.parametrize(
    ("measure", "rows", "kind", "code"),
    [
        ("calibration.champion", closed(1.0), "recalibrate", "order-holds"),
        ("calibration.champion", closed(0.0, gone=True), "head", "order-lost"),
        ("calibration.fallback", closed(1.0), "recalibrate", "order-unknown"),
        ("psi.champion.signal.wallet", closed(0.0), "tower", "levels-moved"),
        ("psi.champion.income", closed(0.0), "none", "not-yet"),
        ("psi.champion.points", closed(1.0), "recalibrate", "level-off"),
        ("psi.champion.income", closed(0.0, gone=True), "head", "order-lost"),
        ("psi.fallback.income", closed(1.0), "none", "not-yet"),
        ("roll.0.to.1-29", closed(1.0), "none", "repayment"),
        ("fallback.share", closed(1.0), "none", "operations"),
        ("reviews.overrides", closed(1.0), "none", "operations"),
        ("offers.north", closed(1.0), "none", "groups"),
    ],
)
def test_what_an_alert_calls_for(measure: str, rows: pl.DataFrame, kind: str, code: str):
    role = measure.split(".")[1] if measure.startswith(("psi", "calibration")) else ""
    found = remedy_of(measure, evidence_of(rows, role, 100))
    assert (found.kind, found.code) == (kind, code)
    assert found.why


def test_more_months_are_looked_at_only_where_two_have_too_few_loans():
    found = evidence_of(closed(0.0), "champion", 100)
    assert found is not None
    assert (found.months, found.loans) == (2, 400)
    later = evidence_of(closed(0.0), "champion", 104)
    assert later is not None
    assert (later.months, later.loans) == (5, 200)
    assert evidence_of(closed(0.0), "champion", 120) is None
    assert evidence_of(closed(0.0, size=20), "champion", 100) is None


def test_a_loss_within_the_noise_is_none():
    assert not Evidence(2, 100, 0.7, SURE, NONE).order_is_lost
    assert Evidence(2, 100, 0.7, WORSE, NONE).order_is_lost
