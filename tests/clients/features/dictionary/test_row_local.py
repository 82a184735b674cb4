"""No person's feature depends on another person's rows: for every entry of the dictionary, to the last bit.

This is what `Entry.row_local` stands on. For several persons the tables are built again without anybody else, in
another order, and with everybody else there twice; the row of the person must be the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_tables import lay_tables

from sealscore.clients.data import DataError
from sealscore.clients.features import Sentiment, Settings, build_table, entries
from sealscore.clients.features.dictionary.dictionary import ID, KINDS, PERSON
from sealscore.clients.features.raw.raw import TABLES

TODAY = date(2024, 12, 1)
EVERY = [(kind, found.name) for kind in KINDS for found in entries(kind)]
PERSONS = ("C00000", "C00007", "C00012", "C00033")
# The columns by which other tables name rows of these; the others' copies need keys of their own there.
OWNERS = {"accounts": "account_id", "applications": ID}
Tables = dict[str, pl.DataFrame]


def owner(tables: Tables, name: str) -> pl.Series:
    """Whose each row of a table is."""
    frame = tables[name]
    if PERSON in frame.columns:
        return frame[PERSON]
    of, key = next((of, key) for of, key in OWNERS.items() if of in tables and key in frame.columns)
    known = tables[of].select(key, PERSON).unique(key)
    return frame.join(known, on=key, how="left", maintain_order="left")[PERSON]


def alone(tables: Tables, person: str) -> Tables:
    """Without anybody else."""
    return {name: frame.filter(owner(tables, name) == person) for name, frame in tables.items()}


def shuffled(tables: Tables, person: str) -> Tables:
    """In another order."""
    return {name: frame.sample(fraction=1.0, shuffle=True, seed=5) for name, frame in tables.items()}


def renamed(frame: pl.DataFrame, of: str) -> pl.DataFrame:
    """The rows under other persons, and under other keys where other tables name them."""
    names = [name for name in (PERSON, *OWNERS.values()) if name in frame.columns]
    return frame.with_columns(pl.format(f"{of} of {{}}", pl.col(name)).alias(name) for name in names)


def doubled(tables: Tables, person: str) -> Tables:
    """Everybody else twice, before the person: under new names, with the same keys where nothing is joined by them."""
    found = {}
    for name, frame in tables.items():
        others = frame.filter(owner(tables, name) != person)
        again = renamed(others, "copy")
        found[name] = pl.concat([again, others, frame.filter(owner(tables, name) == person)])
    return found


def impersonated(tables: Tables, person: str) -> Tables:
    """A stranger whose rows have the keys of all of the person's, wherever no other table is joined by them."""
    found = {}
    for name, frame in tables.items():
        mine = frame.filter(owner(tables, name) == person)
        found[name] = pl.concat([renamed(mine, "stranger"), frame])
    return found


CHANGES = (alone, shuffled, doubled, impersonated)


def rows(
    tables: Tables, folder: Path, kind: str, sentiment: Sentiment | None, person: str | None = None
) -> dict[str, dict]:
    """The table of features: of each person, or of one, the bytes of each column."""
    lay_tables(folder / "raw", kind, **tables)
    built = build_table(folder / "raw", kind, folder / "out", TODAY, Settings(labelled=False), sentiment)
    frame = pl.read_parquet(built.table).sort(ID if kind == "lender" else PERSON)
    found = {}
    for (name,), part in frame.group_by(PERSON):
        if person is None or name == person:
            part = part.sort(ID) if kind == "lender" else part
            found[name] = {column: bits(part[column]) for column in part.columns}
    return found


def bits(values: pl.Series) -> list:
    """Values that are equal only where all their bits are."""
    return values.reinterpret(signed=False).to_list() if values.dtype.is_float() else values.to_list()


@pytest.fixture(scope="module")
def built(drawn: dict[str, Tables], sentiment: Sentiment, tmp_path_factory) -> dict[str, list[tuple]]:
    """Of each kind of party: (change, person, features before, features after)."""
    found: dict[str, list[tuple]] = {}
    for kind, tables in drawn.items():
        before = rows(tables, tmp_path_factory.mktemp("before"), kind, sentiment)
        found[kind] = []
        for change in CHANGES:
            for person in PERSONS:
                after = rows(change(tables, person), tmp_path_factory.mktemp("after"), kind, sentiment, person)
                found[kind].append((change.__name__, person, before[person], after[person]))
    return found


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_a_feature_is_the_same_whoever_else_is_there(built, kind: str, name: str):
    seen = set()
    for change, person, before, after in built[kind]:
        assert after[name] == before[name], (change, person)
        seen |= set(before[name])
    assert seen - {None}, "nobody has a value, so nothing was looked at"


def test_every_entry_says_that_it_is_row_local():
    """The mark stands on the test above, which looks at every entry."""
    assert all(found.row_local for kind in KINDS for found in entries(kind))


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    share=st.floats(0.05, 0.95),
    kind=st.sampled_from(("wallet", "lender")),
    at=st.integers(0, 39),
)
def test_any_others(drawn: dict[str, Tables], tmp_path_factory, seed: int, share: float, kind: str, at: int):
    """Some of the others, in any order."""
    tables, person = drawn[kind], f"C{at:05d}"
    some = tables["consents"][PERSON].unique(maintain_order=True).sample(fraction=share, seed=seed, shuffle=True)
    kept = {*some.to_list(), person}
    changed = {
        name: frame.filter(owner(tables, name).is_in(list(kept))).sample(fraction=1.0, shuffle=True, seed=seed)
        for name, frame in tables.items()
    }
    before = rows(tables, tmp_path_factory.mktemp("before"), kind, None, person)
    assert rows(changed, tmp_path_factory.mktemp("after"), kind, None, person) == before


@pytest.mark.parametrize(
    ("kind", "table", "key"), [("wallet", "accounts", "account_id"), ("lender", "applications", ID)]
)
def test_a_key_that_two_persons_hold_refuses_the_table(
    lay: Callable[..., Path], drawn, tmp_path: Path, kind: str, table: str, key: str
):
    """Other tables are joined by it, so one's rows would enter the other's record, or be lost to the other's."""
    frame = drawn[kind][table]
    claimed = frame.head(1).with_columns(pl.lit("somebody else").alias(PERSON))
    folder = lay(kind, **{table: pl.concat([frame, claimed])})
    with pytest.raises(DataError, match=f"one {key} under several persons") as refused:
        build_table(folder, kind, tmp_path / "out", TODAY)
    (problem,) = [found for found in refused.value.problems if found.column == key]
    assert problem.rows == (1, frame.height + 1)
    assert "somebody else" not in str(refused.value)


@pytest.mark.parametrize("name", [n for n, t in TABLES["short-video"].items() if t.key and PERSON not in t.key])
def test_a_key_of_another_person_takes_no_row_away(
    lay: Callable[..., Path], drawn, tmp_path: Path, name: str, sentiment
):
    tables = drawn["short-video"]
    (key,) = TABLES["short-video"][name].key
    first = pl.concat([tables[name].with_columns(pl.lit("somebody else").alias(PERSON)), tables[name]])
    built = build_table(
        lay("short-video", **{name: first}), "short-video", tmp_path / "out", TODAY, sentiment=sentiment
    )
    assert built.rejected[name] == (0, 2 * tables[name].height)
    twice = pl.concat([tables[name], tables[name].head(3)])
    folder = lay("short-video", **{name: twice})
    built = build_table(folder, "short-video", tmp_path / "out", TODAY, sentiment=sentiment)
    assert built.rejected[name] == (3, twice.height)
    assert {problem.column for problem in built.problems} == {key}


def test_another_with_the_same_papers_is_a_flag_and_no_feature(drawn, tmp_path_factory):
    """The comparing checks tell the officer, and move nobody's record."""
    tables = drawn["lender"]
    papers = tables["identity"].join(tables["applications"].select(ID, PERSON, "applied_at"), on=ID)
    first = papers.sort("applied_at", ID).row(0, named=True)
    number, licence = first["id_number"], "91350100M000100Y43"
    licensed = {
        "licence_number": pl.lit(licence),
        "licence_name": pl.lit("a shop"),
        "licence_registered": pl.lit(date(2020, 1, 1)),
        "licence_expires": pl.lit(date(2040, 1, 1)),
        "licence_status": pl.lit("active"),
    }
    mine = tables["identity"].with_columns(**licensed)
    later = pl.col(ID) != first[ID]
    same = mine.with_columns(
        id_number=pl.when(later).then(pl.lit(number)).otherwise("id_number"),
    )
    folder = tmp_path_factory.mktemp("same")
    found = rows(tables | {"identity": same}, folder, "lender", None)
    flags = pl.read_parquet(folder / "out" / "flags.parquet")
    assert flags.filter(pl.col("code") == "ID07").height > 20
    assert flags.filter(pl.col("code") == "LC06").height > 20
    for person in PERSONS:
        lone = rows(alone(tables | {"identity": same}, person), tmp_path_factory.mktemp("lone"), "lender", None, person)
        assert lone[person] == found[person]
