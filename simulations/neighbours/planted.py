"""Persons whom no world draws and any data set may have: one who uses others' numbers, one whose rows are odd.

A drawn world is too tidy to show what one person can do to others' records: in it nobody shares a number, no row is at
fault and no key stands twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl

from sealscore.simulations.world.build import read_manifest

APPLICATIONS = 20
"""So many applications more at each lender, each under another applicant's numbers."""
ODD_ROWS = 20
"""So many rows of each kind of oddity in each table."""
_PAPERS = ("id_number", "licence_number")
# Keys of single rows; by the others whole tables are joined, and who shares those is refused.
_OWN_KEYS = ("video_id", "comment_id", "order_id")
_KEYS = (*_OWN_KEYS, "application_id", "account_id")
_AMOUNTS = ("amount", "views", "followers", "age", "score")


def plant_shared_numbers(raw: Path) -> str:
    """Let one person of a world in `raw` use others' numbers before they do, at each lender; who it is.

    It is the one with applications at the most lenders. The applications that are added were never paid out, so they
    are in no table of closed loans.
    """
    lenders = [party for party, held in read_manifest(raw)["parties"].items() if held["kind"] == "lender"]
    applied = pl.concat(_applications(raw, lender).with_columns(lender=pl.lit(lender)) for lender in lenders)
    at = applied.group_by("creator_id").agg(pl.col("lender").n_unique(), pl.col("applied_at").min())
    person = str(at.sort("lender", "applied_at", "creator_id", descending=[True, False, False])["creator_id"][0])
    for lender in lenders:
        _plant(raw, lender, person)
    return person


def plant_odd_rows(raw: Path, besides: str) -> str:
    """Give one person of a world in `raw`, not `besides`, rows that repeat others' keys, are at fault, and are under
    another writing of the identifier, all before anybody else's rows; who it is.

    It is one of those at the most short-video platforms, which have the most kinds of rows, and of these at the most
    parties.
    """
    parties = read_manifest(raw)["parties"]
    at: Counter[str] = Counter()
    for party, held in parties.items():
        who = held["tables"]["consents"]["columns"]["creator_id"]
        persons = pl.scan_parquet(raw / party / "consents.parquet").select(pl.col(who).unique()).collect()[who]
        at.update(dict.fromkeys(persons, len(parties) if held["kind"] == "video" else 1))
    person = min(at.keys() - {besides}, key=lambda name: (-at[name], name))
    for party, held in parties.items():
        for table, described in held["tables"].items():
            if "creator_id" in described["columns"]:
                _make_odd(raw / party / f"{table}.parquet", described["columns"], person)
    return person


def _make_odd(path: Path, columns: Mapping[str, str], person: str) -> None:
    frame, who = pl.read_parquet(path), columns["creator_id"]
    own, others = frame.filter(pl.col(who) == person).head(ODD_ROWS), frame.filter(pl.col(who) != person)

    def renamed(what: str) -> list[pl.Expr]:
        return [(pl.col(columns[key]) + f"-{what}").alias(columns[key]) for key in _KEYS if key in columns]

    odd = [own.with_columns(pl.lit(person.lower()).alias(who), *renamed("spelt"))]
    for key in _OWN_KEYS:
        if key in columns:
            odd.append(own.head(others.height).with_columns(others[columns[key]].head(own.height)))
    for name in _AMOUNTS:
        if name in columns:
            below = (-1 - pl.col(columns[name]).abs()).cast(own.schema[columns[name]])
            odd.append(own.with_columns(below.alias(columns[name]), *renamed(name)))
    pl.concat([*odd, frame]).write_parquet(path)


def _applications(raw: Path, lender: str) -> pl.DataFrame:
    return pl.read_parquet(raw / lender / "applications.parquet")


def _plant(raw: Path, lender: str, person: str) -> None:
    applications, identity = _applications(raw, lender), pl.read_parquet(raw / lender / "identity.parquet")
    own = applications.filter(pl.col("creator_id") == person).sort("applied_at", "application_id").head(1)
    if own.is_empty():
        return
    closed = pl.read_parquet(raw / lender / "outcomes.parquet").select("application_id")
    later = applications.filter((pl.col("creator_id") != person) & (pl.col("applied_at") > own["applied_at"][0]))
    others = (
        later.join(closed, on="application_id", how="semi")
        .unique("creator_id", keep="last", maintain_order=True)
        .join(identity.select("application_id", *_PAPERS), on="application_id")
        .sort("applied_at", "application_id")
    )
    # Of all days there are, so that some of them train and some test.
    others = others[np.unique(np.linspace(0, others.height - 1, APPLICATIONS).astype(int))] if others.height else others
    names = [f"{own['application_id'][0]}-{number}" for number in range(others.height)]
    added = pl.concat([own] * others.height).with_columns(pl.Series("application_id", names))
    paper = identity.filter(pl.col("application_id") == own["application_id"][0])
    papers = pl.concat([paper] * others.height).with_columns(
        pl.Series("application_id", names), *(others[column] for column in _PAPERS)
    )
    pl.concat([applications, added]).write_parquet(raw / lender / "applications.parquet")
    pl.concat([identity, papers]).write_parquet(raw / lender / "identity.parquet")
