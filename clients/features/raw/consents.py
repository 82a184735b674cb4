"""Who is asked about, as of which day, and who may use the answer: read from a party's own consents."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

import polars as pl

from sealscore.clients.features.dictionary.dictionary import AS_OF, CONSENT, ID, PERSON

PURPOSE = "credit-scoring"


def live_consents(
    consents: pl.LazyFrame, today: date, purpose: str = PURPOSE, recipients: Collection[str] | None = None
) -> pl.LazyFrame:
    """`creator_id`, `recipient`, `given_at`, `expires`, `first_given` of consents that nobody has withdrawn by today.

    They are those for the purpose and to the recipients; `first_given` is the first day on which the creator gave one,
    also one withdrawn since. A withdrawal ends all that the creator gave that recipient up to its day, in whichever row
    it stands. An end in the past is kept: whether a consent is live on the day of a run is for the node to see.
    """
    wanted = (pl.col("purpose") == purpose) & (pl.col("given_at") <= today)
    if recipients is not None:
        wanted &= pl.col("recipient").is_in(list(recipients))
    return (
        consents.filter(wanted)
        .with_columns(
            first_given=pl.col("given_at").min().over(PERSON),
            ended=pl.col("withdrawn_at").filter(pl.col("withdrawn_at") <= today).max().over(PERSON, "recipient"),
        )
        .filter(pl.col("ended").is_null() | (pl.col("given_at") > pl.col("ended")))
        .select(PERSON, "recipient", "given_at", "expires", "first_given")
    )


def _written(consents: pl.LazyFrame, of: str) -> pl.LazyFrame:
    """The consents of each value of the column `of`, as a table's consent column writes them: PARTY, or PARTY until
    DAY, with ; between. Of several to one recipient the latest end counts.
    """
    open_ended = pl.col("expires").is_null().any()
    until = pl.lit(" until ") + pl.col("expires").dt.strftime("%Y-%m-%d")
    return (
        consents.group_by(of, "recipient")
        .agg(pl.when(open_ended).then(None).otherwise(pl.col("expires").max()).alias("expires"))
        .group_by(of)
        .agg((pl.col("recipient") + until.fill_null("")).sort().str.join("; ").alias(CONSENT))
    )


def asked_of_platform(live: pl.LazyFrame) -> pl.DataFrame:
    """A row for each creator with a live consent: `at`, `creator_id`, `as_of`, `consent`.

    A platform learns the day of an application from the consent. Of several consents the earliest day counts, also of
    one withdrawn since: a table has one row for a creator, and what came after the first application may be that loan's
    own trace. So the row is of no later day than any application that a lender may join it with (see
    `asked_of_lender`), whichever it picks, where both write the same days of consents.
    """
    days = live.group_by(PERSON).agg(pl.col("first_given").first().alias(AS_OF))
    return days.join(_written(live, PERSON), on=PERSON).sort(PERSON).collect().with_row_index("at")


def asked_of_lender(applications: pl.LazyFrame, live: pl.LazyFrame) -> pl.DataFrame:
    """A row for each application: `at`, `application_id`, `creator_id`, `as_of`, `consent` (null without one).

    An application has the consents that were given by its day. One given later came with a later application, and a
    platform may tell what it saw up to that day, the outcome of this one included.
    """
    own = applications.select(ID, PERSON, pl.col("applied_at").alias(AS_OF))
    given = own.join(live, on=PERSON).filter(pl.col("given_at") <= pl.col(AS_OF))
    return own.join(_written(given, ID), on=ID, how="left").sort(ID).collect().with_row_index("at")
