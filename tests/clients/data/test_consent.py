"""Consents: read from a column, with their last day, and live only until then."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from sealscore.clients.data import DataError, Table, check_table
from sealscore.shared.plan.schema import NumericFeature, TableSchema

PURPOSE = "credit-scoring"
SCHEMA = TableSchema(id="id", consent="consent", features=(NumericFeature(name="views", lower=0, upper=10),))


def records(*cells: str | None):
    frame = pl.DataFrame({"id": [f"p{n}" for n in range(len(cells))], "consent": cells, "views": [1.0] * len(cells)})
    return check_table(Table.of(frame, "t.csv"), SCHEMA, label_required=False, max_records_per_person=1).records


def test_a_consent_is_live_through_its_last_day():
    found = records("bank-a until 2027-03-31; bank-b", "bank-b until 2026-01-01", "bank-a", None, " ; ")
    assert found.consenting("bank-a", PURPOSE, date(2027, 3, 31)) == ("p0", "p2")
    assert found.consenting("bank-a", PURPOSE, date(2027, 4, 1)) == ("p2",)
    assert found.consenting("bank-b", PURPOSE, date(2026, 1, 1)) == ("p0", "p1")
    assert found.consenting("bank-b", PURPOSE, date(2026, 1, 2)) == ("p0",)
    assert found.consenting("bank-c", PURPOSE, date(2026, 1, 1)) == ()


def test_by_default_today_counts():
    assert records("bank-a until 2000-01-01", "bank-a until 9999-12-31").consenting("bank-a", PURPOSE) == ("p1",)


PERSONS = SCHEMA.model_copy(update={"person": "who"})


@pytest.mark.parametrize("most", [1, 2, 3])
@pytest.mark.parametrize("order", [0, 1])
def test_who_withdrew_in_one_record_has_withdrawn_in_all_also_where_it_is_not_kept(most: int, order: int):
    cells = ["bank-a", "bank-a withdrawn 2024-01-01"][:: 1 if order else -1]
    persons = [f"p{n // 2}" for n in range(60)]
    frame = pl.DataFrame(
        {"id": [f"r{n}" for n in range(60)], "who": persons, "consent": cells * 30, "views": [1.0] * 60}
    )
    found = check_table(Table.of(frame, "t.csv"), PERSONS, label_required=False, max_records_per_person=most).records
    assert not found.live("bank-a", PURPOSE).any()
    assert found.consenting("bank-a", PURPOSE) == ()
    assert found.live("bank-a", PURPOSE, date(2023, 12, 31)).all()


def test_a_record_without_a_consent_withdraws_none():
    frame = pl.DataFrame({"id": ["1", "2"], "who": ["p", "p"], "consent": ["bank-a", None], "views": [1.0, 1.0]})
    found = check_table(Table.of(frame, "t.csv"), PERSONS, label_required=False, max_records_per_person=2).records
    assert found.live("bank-a", PURPOSE).tolist() == [True, False]


def test_a_day_that_is_none_is_named_with_its_row():
    with pytest.raises(DataError, match=r"(?s)t\.csv.*consent.*row.*2.*YYYY-MM-DD"):
        records("bank-a", "bank-a until soon")
