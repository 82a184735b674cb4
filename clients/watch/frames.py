"""What is measured: frames of scores, decisions, reviews, loans and repayments. A simulated life makes the same."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

Schema = dict[str, pl.DataType | type[pl.DataType]]
SCORES: Schema = {
    "application": pl.String, "month": pl.Int64, "role": pl.String, "points": pl.Int64, "bins": pl.List(pl.Int64),
}  # fmt: skip
DECISIONS: Schema = {
    "decision": pl.String, "month": pl.Int64, "role": pl.String, "points": pl.Int64, "signal": pl.Boolean,
    "offered": pl.Boolean, "waited": pl.Boolean, "group": pl.String, "settled": pl.Int64,
}  # fmt: skip
REVIEWS: Schema = {
    "month": pl.Int64, "proposal": pl.String, "disputed": pl.Boolean, "override": pl.Boolean, "reversal": pl.Boolean,
    "late": pl.Boolean, "days": pl.Int64, "rules": pl.List(pl.String),
}  # fmt: skip
LOANS: Schema = {
    "loan": pl.String, "start": pl.Int64, "role": pl.String, "pd": pl.Float64, "signal": pl.Boolean,
    "group": pl.String, "over": pl.Int64,
}  # fmt: skip
REPAYMENTS: Schema = {"loan": pl.String, "month": pl.Int64, "days_past_due": pl.Int64}


@dataclass(frozen=True)
class WatchBook:
    """All that a lender may read of one release, a frame a kind; months are numbers (`months.month_number`).

    `scores` has the last version of each application in a month; of a score `bins` are those of its role's model.
    `decisions` are those on such scores: `offered` by a program or a person in the month that `settled` it (null
    while it waits), `waited` for a person. Of a review `days`
    went by until a person decided, `late` where its day had passed, `rules` are those that had hit. `loans` began by a
    decision (`start`, `role`, `pd`), or are any of the lender's (null there); `over` is the month that closed it.
    `repayments` have the days past due of a loan at a month's end. `erased` and `withdrawn` count lines that were not
    read. Its `repr` shows nothing of a person.
    """

    scores: pl.DataFrame = field(repr=False)
    decisions: pl.DataFrame = field(repr=False)
    reviews: pl.DataFrame = field(repr=False)
    loans: pl.DataFrame = field(repr=False)
    repayments: pl.DataFrame = field(repr=False)
    erased: int = 0
    withdrawn: int = 0

    @property
    def first(self) -> int | None:
        """The first month with a score; None where there is none."""
        found = self.scores["month"].min()
        return None if found is None else int(found)  # type: ignore[arg-type]
