"""What comments say of a creator, as aggregates: no text and no tone of one comment is kept or written.

Texts are read in slices, so that memory does not grow with the table.
"""

from __future__ import annotations

import polars as pl

from sealscore.clients.features.complaints import COMPLAINTS
from sealscore.clients.features.raw.windows import FINE, MIDDLE, SHORT, fine, mean, seen, theirs
from sealscore.clients.features.sentiment import Sentiment, normalised

SLICE = 250_000
_TONED = {"at": pl.UInt32, "ago": pl.Int32, "score": pl.Float32, "complaint": pl.Boolean}
NEGATIVE = -0.3
FEWEST = 3
"""Comments in a language that is read, below which a channel has no tone."""


def comment_features(
    comments: pl.LazyFrame, asked: pl.LazyFrame | None, sentiment: Sentiment, slice_rows: int = SLICE
) -> pl.LazyFrame:
    """`at` and the tone of comments seen: mean, trend, share negative, share of complaints."""
    scored = _scored(comments, sentiment) if asked is None else _in_slices(comments, asked, sentiment, slice_rows)
    score, read = fine(pl.col("score")), pl.col("score").is_not_null()
    recent, latest = pl.col("ago") < MIDDLE, pl.col("ago") < SHORT
    enough = (read & recent).sum() >= FEWEST
    both = ((read & latest).sum() >= FEWEST) & ((read & ~latest).sum() >= FEWEST)
    return scored.group_by("at").agg(
        recent.sum().alias("comments_90d"),
        pl.when(enough).then(mean(score.filter(recent), FINE)).alias("sentiment_mean_90d"),
        pl.when(both)
        .then(mean(score.filter(latest), FINE) - mean(score.filter(~latest), FINE))
        .alias("sentiment_trend"),
        pl.when(enough).then(mean((pl.col("score") < NEGATIVE).filter(recent))).alias("negative_share_90d"),
        pl.when(enough).then(mean(pl.col("complaint").filter(recent & read))).alias("complaint_share_90d"),
    )


def _in_slices(comments: pl.LazyFrame, asked: pl.LazyFrame, sentiment: Sentiment, rows: int) -> pl.LazyFrame:
    """Comments that are seen without their text, out of `rows` of the table at a time."""
    count = comments.select(pl.len()).collect(engine="streaming").item()
    slices = [theirs(comments.slice(start, rows), asked) for start in range(0, max(count, 1), rows)]
    return pl.concat([_scored(part, sentiment).collect(engine="streaming") for part in slices]).lazy()


def _scored(comments: pl.LazyFrame, sentiment: Sentiment) -> pl.LazyFrame:
    """`at`, `ago`, `score` and `complaint` of comments that are seen."""
    return seen(comments, "posted_at", ["text"]).map_batches(
        lambda part: _toned(part, sentiment), predicate_pushdown=False, projection_pushdown=False, schema=_TONED
    )


def _toned(part: pl.DataFrame, sentiment: Sentiment) -> pl.DataFrame:
    score = sentiment.score(part["text"])
    complains = normalised(part["text"]).str.contains_any(list(COMPLAINTS))
    return part.select("at", "ago").with_columns(
        score.cast(pl.Float32).alias("score"), (complains & (score <= -NEGATIVE).fill_null(True)).alias("complaint")
    )
