"""In which month each loan was opened and first 30, 60 and 90 days past due, from the lender's table of repayments."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import polars as pl

from sealscore.clients.data import DataError, Problem
from sealscore.clients.data.cells import WrongTypeError, identifiers
from sealscore.clients.data.column_mapping import ColumnMapping
from sealscore.clients.data.table import Table
from sealscore.clients.watch.repayments import RepaymentTable
from sealscore.shared.plan.monitoring import OPENED, PASSAGES
from sealscore.shared.plan.schema import TableSchema

_DAYS = {name: int(name.removeprefix("days_")) for name in PASSAGES}
_COLUMNS = (OPENED, *PASSAGES)


def passages(rows: pl.DataFrame) -> pl.DataFrame:
    """A row for each loan of a table of repayments: `loan`, and months such as 202703, null for what never happened.

    `rows` have `loan`, `month` (`months.month_number`) and `days_past_due` at its end. A loan was opened in its first
    month and passed in the first month at whose end it was so many days past due or more, so a month that is corrected
    later moves a loan to another cell and never counts it twice.
    """
    written = pl.col("month") // 12 * 100 + pl.col("month") % 12 + 1
    first = [
        written.filter(pl.col("days_past_due") >= days).min().cast(pl.Int64).alias(name) for name, days in _DAYS.items()
    ]
    return rows.group_by("loan").agg(written.min().cast(pl.Int64).alias(OPENED), *first).sort("loan")


@dataclass(frozen=True)
class MonitoredLoans(ColumnMapping):
    """A lender's data under a plan of counts: the months of its loans come from the table of `repayments`.

    Records are those of the data, matched by their id; one without a row in the table is in no cell.
    """

    repayments: RepaymentTable | None = None

    @classmethod
    def of(cls, own: ColumnMapping, repayments: RepaymentTable | None) -> MonitoredLoans:
        """The data as a node reads them for other plans, with its table of repayments."""
        given = {field.name: getattr(own, field.name) for field in dataclasses.fields(ColumnMapping)}
        return cls(**given, repayments=repayments)

    def read(self, schema: TableSchema, label: bool, identifier: str, lenient: bool = False) -> Table:
        """As a column mapping; the columns of months are those of the table of repayments.

        Raises:
            DataError: as there; no table of repayments is named, or it cannot be read.
        """
        if not any(feature.name in _COLUMNS for feature in schema.features):
            # Who is there and consents, which no fault of the repayments may hide: a withdrawal has to be seen.
            return super().read(schema, label, identifier, lenient)
        if self.repayments is None:
            what = "a plan of counts reads the table of repayments, and none is named"
            raise DataError([Problem("node.toml", what, "say under [data.repayments] where it lies")])
        kept = tuple(feature for feature in schema.features if feature.name not in _COLUMNS)
        table = super().read(schema.model_copy(update={"features": kept}), label, identifier, lenient)
        if schema.id not in table.frame.columns:
            return table  # the check of the table says that it is missing
        return with_passages(table, schema.id, self.repayments.histories())


def with_passages(table: Table, loan: str, rows: pl.DataFrame) -> Table:
    """A table of loans with the columns of their months, by the column that names the loan."""
    try:
        ids = identifiers(table.frame[loan])[0]
    except WrongTypeError:
        return table  # the check of the table says so
    found = pl.DataFrame({"loan": ids}).join(passages(rows), on="loan", how="left", maintain_order="left")
    frame = table.frame.with_columns(found[name] for name in _COLUMNS)
    header = (*(name for name in table.header if name not in _COLUMNS), *_COLUMNS)
    return dataclasses.replace(table, frame=frame, header=header)
