"""Consents: read from a column, with their last day, and live only until then."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from clients.data import DataError, Table, check_table
from shared.schema import NumericFeature, TableSchema

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


def test_a_day_that_is_none_is_named_with_its_row():
    with pytest.raises(DataError, match=r"(?s)t\.csv.*consent.*row.*2.*YYYY-MM-DD"):
        records("bank-a", "bank-a until soon")
