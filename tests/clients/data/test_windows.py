"""A label enters only when the loan's performance window has closed by the plan's cut-off."""

import numpy as np
import pytest

from sealscore.clients.data import DataError, load_records

# The window of 90 days closes on 2025-06-30 for loans of this day, and later for younger ones.
LAST, LATE = "2025-04-01", "2025-04-02"


def test_a_window_that_closes_on_the_very_day_is_closed(csv, plan):
    assert len(load_records(csv({(2, "day"): LAST}), plan, "lender-1")) == 40


@pytest.mark.parametrize("line", [2, 41])
def test_a_day_less_and_the_table_is_refused(csv, plan, line):
    message = "1 of 40 records are dated after 2025-04-01, so their performance window of 90 days had not closed"
    with pytest.raises(DataError, match=message):
        load_records(csv({(line, "day"): LATE}), plan, "lender-1")


def test_neither_a_good_nor_a_test_loan_is_let_in_early(csv, plan):
    """A default shows early: to keep only those in would tell as much."""
    known = load_records(csv(), plan, "lender-1")
    for label in (0, 1):
        for test in (False, True):
            row = int(np.flatnonzero((known.label == label) & (known.test == test))[0])
            with pytest.raises(DataError, match="had not closed"):
                load_records(csv({(row + 2, "day"): LATE}), plan, "lender-1")


def test_a_table_without_days_leaves_it_to_the_plans_word(csv, plan):
    table = plan.groups["lender"].table.model_dump(mode="json") | {"date": None}
    bare = plan.replace(groups__lender__table=table)
    assert len(load_records(csv({(2, "day"): LATE}), bare, "lender-1")) == 40
