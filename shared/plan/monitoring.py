"""What a plan of counts only asks for: first-passage tables, by month or vintage, day and band."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from sealscore.shared.plan.schema import MAX_EDGES, CategoricalFeature, Name, NumericFeature, Strict, TableSchema
from sealscore.shared.plan.settings import Evaluation, Split, sort_keys

PURPOSE = "monitoring"
OPENED = "opened"
PASSAGES = ("days_30", "days_60", "days_90")
"""The columns of a loan: in which month it was opened, and in which it was first so many days past due, as 202703."""

MAX_MONTHS, MAX_TABLES, MAX_CELLS = 120, 50, 2**16
EVERYBODY = Evaluation(split=Split(kind="hash", test_fraction=0.5, key="monitoring counts everybody"))
"""The evaluation of a plan that judges no model: nobody is set apart as a test person."""

Month = Annotated[str, Field(pattern=r"^[12]\d{3}-(0[1-9]|1[0-2])$")]


def month_index(month: str) -> int:
    """Months since year 0 of a month such as 2027-03."""
    return 12 * int(month[:4]) + int(month[5:]) - 1


class Monitoring(Strict):
    """First-passage tables. A loan enters one cell of each table when it is first 30, 60 and 90 days past due, and with
    `originations` when it is opened.

    Rows are the months from `first_month` to `last_month`: those in which it happened, or with `rows` = "vintage" those
    in which the loan was opened. `by` maps the columns whose bands make a table each to the inner edges of the bands
    (an edge belongs to the lower band); a categorical column has its levels and takes an empty list. Months after the
    first `reference_months` are compared with these. `passing` is a public guess of the share of loans that are ever 30
    days past due, by which the power of the comparison is judged where originations are not counted.
    """

    first_month: Month
    last_month: Month
    rows: Literal["month", "vintage"] = "month"
    originations: bool = False
    by: dict[Name, Annotated[tuple[float, ...], Field(max_length=MAX_EDGES)]] = Field(
        min_length=1, max_length=MAX_TABLES
    )
    reference_months: Annotated[int, Field(ge=1, le=MAX_MONTHS)] = 3
    passing: Annotated[float, Field(gt=0, lt=1)] = 0.1

    _sorted = field_validator("by")(sort_keys)

    @model_validator(mode="after")
    def _ordered(self) -> Monitoring:
        if self.last_month < self.first_month:
            raise ValueError(f"last_month = {self.last_month}: is before first_month = {self.first_month}")
        if len(self.months) > MAX_MONTHS:
            raise ValueError(f"first_month to last_month are {len(self.months)} months; at most {MAX_MONTHS}")
        if self.reference_months >= len(self.months):
            raise ValueError(
                f"reference_months = {self.reference_months}: leaves none of {len(self.months)} months to compare"
            )
        for name, edges in self.by.items():
            if list(edges) != sorted(set(edges)):
                raise ValueError(f"by.{name} = {list(edges)}: edges must rise")
        return self

    @property
    def months(self) -> tuple[str, ...]:
        """The rows of a table, as 2027-03."""
        first, last = month_index(self.first_month), month_index(self.last_month)
        return tuple(f"{index // 12:04d}-{index % 12 + 1:02d}" for index in range(first, last + 1))

    @property
    def events(self) -> tuple[str, ...]:
        """What a loan is counted at, each at most once: names of its columns."""
        return (OPENED, *PASSAGES) if self.originations else PASSAGES

    @property
    def compared(self) -> str:
        """The event whose bands are compared with those of the reference months: that of the most loans."""
        return self.events[0]

    @property
    def last_day(self) -> date:
        """The day on which the last month ends."""
        index = month_index(self.last_month) + 1
        return date(index // 12, index % 12 + 1, 1) - timedelta(days=1)

    def band_keys(self, table: TableSchema, name: str) -> tuple[str, ...]:
        """Keys of the bands of a column of `by`, in the order of cells; where a value may be missing, that is last."""
        feature = next(feature for feature in table.features if feature.name == name)
        if isinstance(feature, CategoricalFeature):
            keys = feature.levels
        else:
            edges = [f"{edge:g}" for edge in self.by[name]]
            keys = (f"up to {edges[0]}", *(f"{low}-{high}" for low, high in pairwise(edges)), f"above {edges[-1]}")
        return (*keys, "missing") if feature.missing else keys

    def cells(self, table: TableSchema) -> int:
        """Cells of all tables: one for each month, event and band of each column of `by`."""
        return len(self.months) * len(self.events) * sum(len(self.band_keys(table, name)) for name in self.by)

    def check_columns(self, where: str, table: TableSchema) -> None:
        """Refuse a table that has not the columns that are counted; `where` is its key in the plan.

        Raises:
            ValueError: with the key and what is allowed.
        """
        features = {feature.name: feature for feature in table.features}
        for name in (OPENED, *PASSAGES):
            found = features.get(name)
            if not (isinstance(found, NumericFeature) and found.integer and found.missing):
                raise ValueError(
                    f"{where}.features: first-passage tables read the column {name!r}, a month as 202703; list "
                    f'{{ name = "{name}", lower = 190001, upper = 299912, integer = true, missing = true }}'
                )
        for name, edges in self.by.items():
            if name not in features or name in (OPENED, *PASSAGES):
                known = sorted(features.keys() - {OPENED, *PASSAGES})
                raise ValueError(f"monitoring.by.{name}: is no column of the lenders' table with bands; it has {known}")
            if (features[name].kind == "numeric") != bool(edges):
                raise ValueError(f"monitoring.by.{name}: numeric columns need edges of bands, others take []")
        if (found_cells := self.cells(table)) > MAX_CELLS:
            raise ValueError(
                f"monitoring: has {found_cells} cells of months, events and bands; at most {MAX_CELLS}: take fewer "
                "months, columns or bands"
            )
