"""Days in other forms than 2022-01-31 are left out of a draft, with how they are written and what to do."""

from __future__ import annotations

import polars as pl
import pytest

from sealscore.shared.plan.errors import PlanError
from sealscore.simulations.draft.columns import guess
from sealscore.simulations.draft.identifiers import find_identifiers

DAYS = {
    "point": [f"{day:02}.01.2022" for day in range(1, 29)],
    "stroke": [f"1/{day}/22" for day in range(1, 29)],
    "clock": [f"{day:02}-01-2022 10:15" for day in range(1, 29)],
    "backwards": [f"2022/01/{day:02}" for day in range(1, 29)],
    "month": [f"2022-{month:02}" for month in range(1, 13)],
    "named": [f"{month}-2015" for month in ("Jan", "Feb", "Mar", "Dec")],
    "chinese": [f"2022年{month}月3日" for month in range(1, 13)],
    "numbers": [202201, 202202, 202212],
    "whole days": [20220131, 20220228, 20221231],
}
NO_DAYS = {
    "amounts": [202201, 202202, 202213],
    "versions": [f"1.{place}" for place in range(20)],
    "words": ["maybe", "march on", "janitor"],
    "long numbers": [20220131, 20220132, 20221231],
    "two": [202201, 202202],
}


@pytest.mark.parametrize("name", DAYS)
def test_a_column_of_days_is_left_out(name: str):
    found = guess(pl.Series("opened", DAYS[name] * 30))
    assert found.feature is None
    assert "2022-01-31" in found.why


@pytest.mark.parametrize("name", NO_DAYS)
def test_another_column_is_not(name: str):
    assert guess(pl.Series("amount", NO_DAYS[name] * 30)).feature is not None


def test_an_identifier_of_few_values_is_refused():
    table = pl.DataFrame({"branch": ["north", "south"] * 100, "who": [f"p{place // 2}" for place in range(200)]})
    with pytest.raises(PlanError, match="'branch' has 2 different values"):
        find_identifiers([table], "branch", None)
    assert find_identifiers([table], "who", None).person == "who"
