"""Who is asked about, as of which day, and who may use the answer: read from a party's own consents."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

import polars as pl

from clients.features.dictionary import AS_OF, CONSENT, ID, PERSON

PURPOSE = "credit-scoring"


def live_consents(
    consents: pl.LazyFrame, today: date, purpose: str = PURPOSE, recipients: Collection[str] | None = None
) -> pl.LazyFrame:
    """`creator_id`, `recipient`, `given_at`, `expires` of consents for the purpose that nobody has withdrawn by today.

    Of several consents to one recipient the earliest day and the latest end count. An end in the past is kept: whether
    a consent is live on the day of a run is for the node to see.
    """
    wanted = (pl.col("purpose") == purpose) & (pl.col("given_at") <= today)
    if recipients is not None:
        wanted &= pl.col("recipient").is_in(list(recipients))
    open_ended = pl.col("expires").is_null().any()
    return (
        consents.filter(wanted & (pl.col("withdrawn_at").is_null() | (pl.col("withdrawn_at") > today)))
        .group_by("creator_id", "recipient")
        .agg(
            pl.col("given_at").min(),
            pl.when(open_ended).then(None).otherwise(pl.col("expires").max()).alias("expires"),
        )
    )


def _written() -> pl.Expr:
    """The consents of a group as a table's consent column writes them: PARTY, or PARTY until DAY, with ; between."""
    until = pl.lit(" until ") + pl.col("expires").dt.strftime("%Y-%m-%d")
    return (pl.col("recipient") + until.fill_null("")).sort().str.join("; ").alias(CONSENT)


def asked_of_platform(live: pl.LazyFrame) -> pl.DataFrame:
    """A row for each creator with a live consent: `at`, `creator_id`, `as_of`, `consent`.

    A platform learns the day of an application from the consent. Of several consents the earliest day counts: a table
    has one row for a creator, and what came after the first application may be that loan's own trace.
    """
    found = live.group_by(PERSON).agg(pl.col("given_at").min().alias(AS_OF), _written())
    return found.sort(PERSON).collect().with_row_index("at")


def asked_of_lender(applications: pl.LazyFrame, live: pl.LazyFrame) -> pl.DataFrame:
    """A row for each application: `at`, `application_id`, `creator_id`, `as_of`, `consent` (null without one)."""
    consents = live.group_by(PERSON).agg(_written())
    own = applications.select(ID, PERSON, pl.col("applied_at").alias(AS_OF))
    return own.join(consents, on=PERSON, how="left").sort(ID).collect().with_row_index("at")
