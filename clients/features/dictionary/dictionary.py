"""The feature dictionary: what each feature means, in which unit and bounds, and what is said of it to an applicant.

A table of features is described once, here. The columns of a plan's table (`table_schema`), the bounds to which
computed values are cut (`bounded`) and docs/features.md all come from these entries.
"""

from __future__ import annotations

from typing import Literal, get_args

import polars as pl

from sealscore.clients.features.dictionary.entry import Entry
from sealscore.clients.features.dictionary.lender import LENDER
from sealscore.clients.features.dictionary.video import SHORT_VIDEO
from sealscore.clients.features.dictionary.wallet import WALLET
from sealscore.shared.plan.schema import TableSchema

Kind = Literal["short-video", "wallet", "lender"]
KINDS: tuple[Kind, ...] = get_args(Kind)
ID, PERSON, AS_OF, CONSENT, LABEL = "application_id", "creator_id", "as_of", "consent", "bad"


def entries(kind: Kind) -> tuple[Entry, ...]:
    """The features of one kind of party, in the order of its table.

    Raises:
        KeyError: there is no such kind.
    """
    return {"short-video": SHORT_VIDEO, "wallet": WALLET, "lender": LENDER}[kind]


def entry(name: str) -> Entry:
    """The feature of that name at any kind of party.

    Raises:
        KeyError: there is none.
    """
    for known in (found for kind in KINDS for found in entries(kind)):
        if known.name == name:
            return known
    raise KeyError(name)


def kind_of(schema: TableSchema) -> Kind:
    """The kind of party whose table has all features of a plan's table.

    Raises:
        KeyError: there is none; the text names the features that the nearest kind has not.
    """
    wanted = {feature.name for feature in schema.features}
    lacking = {kind: wanted - {found.name for found in entries(kind)} for kind in KINDS}
    kind = min(KINDS, key=lambda kind: len(lacking[kind]))
    if lacking[kind]:
        raise KeyError(f"no feature of a {kind} party: {', '.join(sorted(lacking[kind]))}")
    return kind


def bounded(frame: pl.LazyFrame, kind: Kind) -> pl.LazyFrame:
    """The frame with every feature of the kind within its bounds, in the dictionary's order, after other columns.

    A feature that the frame lacks is missing in every row, where the dictionary allows that.
    """
    present = frame.collect_schema()
    known = entries(kind)
    kept = [name for name in present if name not in {found.name for found in known}]
    absent = [pl.lit(None).alias(found.name) for found in known if found.name not in present]
    counts = {name for name, dtype in present.items() if dtype.is_integer()}
    return frame.with_columns(absent).select(*kept, *(found.bounded(found.name in counts) for found in known))
