"""Whether the keys of two tables are written alike: where they are not, nearly none of one is found in the other."""

from __future__ import annotations

from collections.abc import Collection

from sealscore.clients.data.errors import DataError, Problem

FEW = 0.01
"""The share of keys below which two tables do not name the same things."""
ENOUGH = 20
"""Keys of both tables from which on such a share is no chance."""


def strangers(found: int, keys: int, others: int) -> bool:
    """Whether so few of `keys` distinct keys were found among `others` that the two are not written alike."""
    return min(keys, others) >= ENOUGH and found < FEW * min(keys, others)


def refuse_strangers(source: str, column: str, keys: Collection[str], other: str, others: Collection[str]) -> None:
    """Refuse two tables that have next to no key in common.

    Raises:
        DataError: they have not; it says how many were found, and no key.
    """
    own, theirs = {key for key in keys if key}, {key for key in others if key}
    found = len(own & theirs)
    if strangers(found, len(own), len(theirs)):
        value = f"of {len(own):,} keys {found:,} are among the {len(theirs):,} of its table of {other}"
        raise DataError([Problem(source, value, KEYS_FIX, column, code="no-match")])


KEYS_FIX = "write the key in both tables alike: as text, with its leading zeros, or in both as a whole number"
