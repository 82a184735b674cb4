"""Features of an application at the lender: the bureau's last report, and how earlier loans here were repaid.

`asked` is a frame with a row for each application: `at`, `application_id`, `creator_id` and `as_of`, the day of the
application. Reports and payments from that day on are not seen.
"""

from __future__ import annotations

import polars as pl

from sealscore.clients.features.raw.windows import AS_ASKED, by, last_seen, mean, over, seen, theirs, theirs_by

REPORT = ("score", "months_on_file", "open_accounts", "utilisation", "late_24m", "inquiries_6m")


def application_features(applications: pl.LazyFrame, asked: pl.LazyFrame | None) -> pl.LazyFrame:
    """What was applied for, and the instalment against the declared income. Amounts are in one currency already."""
    instalment = by(pl.col("amount"), pl.col("term_months"))
    wanted = ("product", "amount", "term_months", "declared_income", "age", "gender")
    return theirs(applications, asked, "application_id").select(
        "at",
        *wanted,
        over(instalment, pl.col("declared_income")).alias("instalment_to_income"),
    )


def report_features(bureau: pl.LazyFrame, asked: pl.LazyFrame | None) -> pl.LazyFrame:
    """The last report before the application; a thin file has none, or no score in it."""
    return last_seen(theirs(bureau, asked), "as_of", REPORT, None).rename({"score": "bureau_score"})


def loan_features(decisions: pl.LazyFrame, applications: pl.LazyFrame, asked: pl.LazyFrame | None) -> pl.LazyFrame:
    """How many earlier loans were approved here before the day of the application."""
    approved = decisions.filter(pl.col("decision") == "approved")
    approved = theirs_by(approved, applications, "application_id", asked)
    return seen(approved, "decided_at", [], None).group_by("at").agg(pl.len().alias("earlier_loans"))


def repayment_features(
    repayments: pl.LazyFrame, applications: pl.LazyFrame, asked: pl.LazyFrame | None
) -> pl.LazyFrame:
    """How late instalments of earlier loans were, as seen on the day before the application."""
    instalments = theirs_by(repayments, applications, "application_id", asked)
    due = seen(instalments, "due_at", ["due_at", "paid_at", AS_ASKED], None)
    paid = pl.when(pl.col("paid_at") < pl.col(AS_ASKED)).then(pl.col("paid_at"))
    late = (paid.fill_null(pl.col(AS_ASKED) - pl.duration(days=1)) - pl.col("due_at")).dt.total_days().clip(0)
    # An instalment that fell due yesterday and is open yet is not known to be late by a day, but unpaid it is.
    unpaid = paid.is_null()
    return (
        due.select("at", late=late, counts=(late > 0) | unpaid)
        .group_by("at")
        .agg(mean(pl.col("counts")).alias("late_instalment_share"), pl.col("late").max().alias("worst_days_late"))
    )


# What an applicant without an earlier loan here is worth; shares are missing.
EMPTY = {"earlier_loans": 0}
