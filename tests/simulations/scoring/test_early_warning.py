"""What the watch bit is worth: bits of quarters that follow from the loan's terms alone, and counts that add up."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sealscore.simulations.scoring import early_warning
from sealscore.simulations.scoring.early_warning import SHARE, WORST, WatchedLoans, figures, largest, show

DAYS = np.array([["2030-04-01", "2030-07-01", "NaT"]] * 4, dtype="datetime64[D]")
LATE, NEVER = np.datetime64("2030-07-20", "D"), np.datetime64("4000-01-01", "D")


def four_loans() -> WatchedLoans:
    """A bad loan with a bit of 1 in time, one whose bit comes too late, a good one with a bit, a good one without."""
    return WatchedLoans(
        bad=np.array([True, True, False, False]),
        test=np.array([True] * 4),
        day30=np.array([LATE, LATE, NEVER, NEVER]),
        over=np.array([NEVER, NEVER, np.datetime64("2030-05-01", "D"), NEVER]),
        scores=np.array([[0.1, 0.9, np.nan], [0.9, 0.1, np.nan], [0.1, 0.1, np.nan], [0.9, 0.9, np.nan]]),
        days=DAYS,
    )


def test_bits_count_while_the_lender_does_not_know_and_are_in_time_a_month_before():
    found = figures(four_loans(), np.ones(4, dtype=bool), 0.2)
    # Of the third loan the second bit comes when all is paid.
    assert found["flagged_quarters"] == pytest.approx(3 / 7)
    assert found["flagged_loans"] == pytest.approx(3 / 4)
    assert (found["caught"], found["reachable"]) == (0.5, 1.0)
    assert (found["bad_rate_flagged"], found["bad_rate_others"]) == (pytest.approx(2 / 3), 0.0)
    assert found["lead"] == float((LATE - DAYS[0, 0]).astype(int))


def test_the_share_is_the_largest_that_flags_no_more_than_is_wanted():
    loans = four_loans()
    everybody = np.ones(4, dtype=bool)
    assert largest(loans, everybody, 0.0, "flagged_quarters") == max(one for one in WORST if one <= 0.1)
    assert largest(loans, everybody, 1.0, "flagged_loans") == WORST[-1]


def test_a_small_world_is_judged_by_what_its_training_loans_chose(capsys: pytest.CaptureFixture[str]):
    assert early_warning.main(["--creators", "2000", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    for by, parts in result["chosen"].items():
        assert parts["training"][by] <= SHARE
        assert parts["training"]["worst"] == parts["test"]["worst"]
        assert parts["test"]["caught"] <= parts["test"]["reachable"]
    # More bits of 1 warn of more, and never of fewer.
    caught = [one["caught"] for one in result["by_share"]]
    assert caught == sorted(caught)
    assert len(show(result).splitlines()) == 2 + 4 + len(WORST)
    # Bits tell something: whoever is flagged turns bad more often than others do.
    widest = result["by_share"][-1]
    assert widest["bad_rate_flagged"] > widest["bad_rate_others"]
