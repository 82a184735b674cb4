"""The tables of the benchmark of drafts, and the plan that is drafted for each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from sealscore.simulations.data.scenario import Scenario
from sealscore.simulations.draft.draft import Wishes, drafted
from sealscore.simulations.draft.text import TEST_FRACTION, toml

# Training rows from which a plan must not be worse than a lender alone.
ROWS = 4000


@dataclass(frozen=True)
class BenchTable:
    """A table with its label, the budgets at which the gap to trees is measured, and the columns that are left out.

    For the lead it is cut to `rows`, where there are any. The columns of `platform` are a platform's, as `draft
    --platform` names them.
    """

    file: str
    label: str
    bad: str
    gaps: tuple[float, ...] = ()
    without: tuple[str, ...] = ()
    rows: int | None = None
    platform: str | None = None


TABLES = {
    "uci": BenchTable(
        "uci_credit_default.csv",
        "default.payment.next.month",
        "1",
        gaps=(1.0, 2.0),
        without=("SEX", "EDUCATION", "MARRIAGE", "AGE"),
        rows=round(ROWS / (1 - TEST_FRACTION)),
    ),
    "uci-vertical": BenchTable(
        "uci_credit_default.csv",
        "default.payment.next.month",
        "1",
        platform="LIMIT_BAL,PAY_0,PAY_2,PAY_3,PAY_4,PAY_5",
    ),
    "belanche": BenchTable("belanche_credit.csv", "Status", "bad", gaps=(2.0,)),
    "german": BenchTable("german_credit.csv", "creditability", "bad"),
    "loanapp": BenchTable("loanapp.csv", "approve", "0"),
}


def drafted_scenario(folder: Path, name: str, frame: pl.DataFrame, table: BenchTable) -> Scenario:
    """The plan that `sealscore-sim draft` writes into a folder for a table of these rows; the rows lie beside it."""
    file, wishes = folder / f"{name}.csv", Wishes(label=table.label, bad=table.bad, platform=table.platform)
    frame.write_csv(file)
    place = folder / f"{name}.toml"
    place.write_text(toml(drafted([file], wishes, folder), wishes, date.today()), encoding="utf-8")
    return Scenario.load(place)
