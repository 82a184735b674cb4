"""What comments say of a creator, as aggregates: no text and no tone of one comment is kept or written.

Texts are read in slices, so that memory does not grow with the table.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from sealscore.clients.features.complaints import COMPLAINTS
from sealscore.clients.features.raw.windows import FINE, MIDDLE, SHORT, fine, mean, seen
from sealscore.clients.features.sentiment import Sentiment, normalised

SLICE = 250_000
NEGATIVE = -0.3
FEWEST = 3
"""Comments in a language that is read, below which a channel has no tone."""


def comment_features(
    comments: pl.LazyFrame, asked: pl.LazyFrame, sentiment: Sentiment, slice_rows: int = SLICE
) -> pl.LazyFrame:
    """`at` and the tone of comments seen: mean, trend, share negative, share of complaints."""
    scored = [_scored(part, sentiment) for part in _slices(comments, asked, slice_rows)]
    if not scored:
        return pl.LazyFrame(schema={"at": pl.UInt32, "comments_90d": pl.UInt32})
    score, read = fine(pl.col("score")), pl.col("score").is_not_null()
    recent, latest = pl.col("ago") < MIDDLE, pl.col("ago") < SHORT
    enough = (read & recent).sum() >= FEWEST
    both = ((read & latest).sum() >= FEWEST) & ((read & ~latest).sum() >= FEWEST)
    return (
        pl.concat(scored)
        .lazy()
        .group_by("at")
        .agg(
            recent.sum().alias("comments_90d"),
            pl.when(enough).then(mean(score.filter(recent), FINE)).alias("sentiment_mean_90d"),
            pl.when(both)
            .then(mean(score.filter(latest), FINE) - mean(score.filter(~latest), FINE))
            .alias("sentiment_trend"),
            pl.when(enough).then(mean((pl.col("score") < NEGATIVE).filter(recent))).alias("negative_share_90d"),
            pl.when(enough).then(mean(pl.col("complaint").filter(recent & read))).alias("complaint_share_90d"),
        )
    )


def _slices(comments: pl.LazyFrame, asked: pl.LazyFrame, rows: int) -> Iterator[pl.DataFrame]:
    """Comments that are seen, out of `rows` of the table at a time."""
    count = comments.select(pl.len()).collect(engine="streaming").item()
    for start in range(0, count, rows):
        part = seen(comments.slice(start, rows), asked, "posted_at", ["text"]).collect(engine="streaming")
        if part.height:
            yield part


def _scored(part: pl.DataFrame, sentiment: Sentiment) -> pl.DataFrame:
    """`at`, `ago`, `score` and `complaint` of comments, without their text."""
    score = sentiment.score(part["text"])
    complains = normalised(part["text"]).str.contains_any(list(COMPLAINTS))
    return part.select("at", "ago").with_columns(
        score.cast(pl.Float32).alias("score"), (complains & (score <= -NEGATIVE).fill_null(True)).alias("complaint")
    )
