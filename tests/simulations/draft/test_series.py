"""What a draft derives from columns that are one thing at several times."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
from strange_loans import ROWS, stranger

from sealscore.shared.plan.schema import DerivedFeature
from sealscore.simulations.data.scenario import Scenario
from sealscore.simulations.draft.draft import Draft
from sealscore.simulations.engine.federation import load_parties

Drafted = Callable[..., tuple[Draft, Scenario]]
MONTHS = 4


def months(together: bool = True, name: str = "delay_{}") -> pl.DataFrame:
    """Loans with a number of each month: states of one borrower, or numbers that have nothing to do with each other."""
    random = np.random.default_rng(5)
    usual = random.integers(-1, 3, ROWS) if together else np.zeros(ROWS, dtype=np.int64)
    columns = [usual + random.integers(-1, 2, ROWS) for _ in range(MONTHS)]
    return stranger().with_columns(pl.Series(name.format(at), column) for at, column in enumerate(columns, start=1))


def derived_of(scenario: Scenario, group: str = "lender") -> dict[str, DerivedFeature]:
    return {feature.name: feature for feature in scenario.plan.groups[group].table.derived}


def test_a_series_gives_its_sum_ends_and_count(draft_of: Drafted):
    frame = months()
    _, scenario = draft_of(frame)
    found = derived_of(scenario)
    assert set(found) == {"delay_sum", "delay_max", "delay_min", "delay_above_0"}
    values = frame.select(f"delay_{at}" for at in range(1, MONTHS + 1)).to_numpy()
    expected = {"delay_sum": values.sum(1), "delay_max": values.max(1), "delay_min": values.min(1)}
    parts = load_parties(scenario).values()
    for name, numbers in (expected | {"delay_above_0": (values > 0).sum(1)}).items():
        had = np.sort(np.concatenate([part.columns[name] for part in parts]))
        assert found[name].lower <= numbers.min()
        assert numbers.max() <= found[name].upper
        assert np.array_equal(had, np.sort(numbers))


def test_what_a_row_lacks_is_missing_in_what_is_derived(draft_of: Drafted):
    frame = months()
    lacking = frame["delay_1"].to_numpy() == 0
    frame = frame.with_columns(pl.when(pl.Series(lacking)).then(None).otherwise(pl.col("delay_1")).alias("delay_1"))
    _, scenario = draft_of(frame)
    largest = np.concatenate([part.columns["delay_max"] for part in load_parties(scenario).values()])
    assert derived_of(scenario)["delay_max"].missing
    assert np.isnan(largest).sum() == lacking.sum()


def test_nothing_is_derived_from_columns_that_most_rows_lack(draft_of: Drafted):
    frame = months()
    half = pl.Series(np.arange(ROWS) % 3 > 0)
    _, scenario = draft_of(frame.with_columns(pl.when(half).then(None).otherwise(pl.col("delay_4")).alias("delay_4")))
    assert not derived_of(scenario)


def test_a_name_that_is_taken_stays_the_columns(draft_of: Drafted):
    _, scenario = draft_of(months().with_columns(pl.Series("delay_max", np.linspace(0, 9, ROWS))))
    assert set(derived_of(scenario)) == {"delay_sum", "delay_min", "delay_above_0"}


def test_a_series_of_protected_columns_gives_nothing(draft_of: Drafted):
    _, scenario = draft_of(months(name="age_at_{}"))
    assert not derived_of(scenario)


def test_what_tells_the_outcome_by_itself_is_left_out(draft_of: Drafted):
    random = np.random.default_rng(8)
    bad = (stranger()["status"] == "charged off").to_numpy()
    delays = random.integers(-50, 50, ROWS) + random.integers(-5, 5, (MONTHS, ROWS))
    # In some month or other: no column by itself tells it, the largest does.
    delays[random.integers(0, MONTHS, ROWS)[bad], np.flatnonzero(bad)] = random.integers(90, 130, bad.sum())
    frame = stranger().with_columns(pl.Series(f"delay_{at}", delay) for at, delay in enumerate(delays, start=1))
    _, scenario = draft_of(frame)
    assert set(derived_of(scenario)) == {"delay_sum", "delay_min", "delay_above_0"}


def test_each_side_has_its_own_series(draft_of: Drafted):
    frame = months()
    for at in range(1, 4):
        frame = frame.with_columns((pl.col(f"delay_{at}") * 7 + pl.col("late")).alias(f"bill{at}"))
    _, scenario = draft_of(frame, platform="delay_*")
    assert {name.split("_")[0] for name in derived_of(scenario, "platform")} == {"delay"}
    assert {name.split("_")[0] for name in derived_of(scenario)} == {"bill"}


def test_numbered_columns_of_a_kind_each_are_no_series(draft_of: Drafted):
    _, scenario = draft_of(months(together=False))
    assert not derived_of(scenario)
