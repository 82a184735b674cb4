"""A query that is made once and asked about one applicant after the other.

For a few rows, making a query costs as much as asking it, and an optimiser more than it saves. What adds floats does so
in an order of its own (`windows.added`), so the values are those of whole tables, which another engine computes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from threading import Lock

import polars as pl
from polars.io.plugins import register_io_source

Frames = Mapping[str, pl.DataFrame]
Schemas = Mapping[str, Mapping[str, pl.DataType]]
_AS_WRITTEN = pl.QueryOptFlags.none()


class FrameQuery:
    """What `made` says of frames by name, each with the columns of its schema; threads ask it in turns."""

    def __init__(self, schemas: Schemas, made: Callable[[Mapping[str, pl.LazyFrame]], pl.LazyFrame]) -> None:
        self._asking = Lock()
        self._frames: Frames = {}
        self._query = made({name: self._source(name, schema) for name, schema in schemas.items()})

    def of(self, frames: Frames) -> pl.DataFrame:
        """The answer about these frames."""
        with self._asking:
            self._frames = frames
            try:
                return self._query.collect(engine="in-memory", optimizations=_AS_WRITTEN)
            finally:
                self._frames = {}

    def _source(self, name: str, schema: Mapping[str, pl.DataType]) -> pl.LazyFrame:
        def read(
            columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, batch: int | None
        ) -> Iterator[pl.DataFrame]:
            # Nothing is pushed down here, since nothing is optimised.
            yield self._frames[name]

        return register_io_source(read, schema=dict(schema))
