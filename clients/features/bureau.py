"""Features of an application at the lender: the bureau's last report, and how earlier loans here were repaid.

`asked` is a frame with a row for each application: `at`, `application_id`, `creator_id` and `as_of`, the day of the
application. Reports and payments from that day on are not seen.
"""

from __future__ import annotations

import polars as pl

from sealscore.clients.features.raw.windows import by, last_seen, mean, over, seen

REPORT = ("score", "months_on_file", "open_accounts", "utilisation", "late_24m", "inquiries_6m")


def application_features(applications: pl.LazyFrame, asked: pl.LazyFrame) -> pl.LazyFrame:
    """What was applied for, and the instalment against the declared income. Amounts are in one currency already."""
    instalment = by(pl.col("amount"), pl.col("term_months"))
    wanted = ("product", "amount", "term_months", "declared_income", "age", "gender")
    return asked.join(applications.select("application_id", *wanted), on="application_id").select(
        "at",
        *wanted,
        over(instalment, pl.col("declared_income")).alias("instalment_to_income"),
    )


def report_features(bureau: pl.LazyFrame, asked: pl.LazyFrame) -> pl.LazyFrame:
    """The last report before the application; a thin file has none, or no score in it."""
    return last_seen(bureau, asked, "as_of", REPORT, None).rename({"score": "bureau_score"})


def repayment_features(
    repayments: pl.LazyFrame, decisions: pl.LazyFrame, applications: pl.LazyFrame, asked: pl.LazyFrame
) -> pl.LazyFrame:
    """Earlier loans here: how many, and how late their instalments were as seen on the day before the application."""
    owner = applications.select("application_id", "creator_id")
    approved = decisions.filter(pl.col("decision") == "approved").join(owner, on="application_id")
    earlier = seen(approved, asked, "decided_at", [], None).group_by("at").agg(pl.len().alias("earlier_loans"))
    due = seen(repayments.join(owner, on="application_id"), asked, "due_at", ["due_at", "paid_at"], None)
    paid = pl.when(pl.col("paid_at") < pl.col("as_of")).then(pl.col("paid_at"))
    late = (paid.fill_null(pl.col("as_of") - pl.duration(days=1)) - pl.col("due_at")).dt.total_days().clip(0)
    # An instalment that fell due yesterday and is open yet is not known to be late by a day, but unpaid it is.
    unpaid = paid.is_null()
    lateness = (
        due.join(asked.select("at", "as_of"), on="at")
        .group_by("at")
        .agg(
            mean((late > 0) | unpaid).alias("late_instalment_share"),
            late.max().alias("worst_days_late"),
        )
    )
    return earlier.join(lateness, on="at", how="full", coalesce=True)


# What an applicant without an earlier loan here is worth; shares are missing.
EMPTY = {"earlier_loans": 0}
