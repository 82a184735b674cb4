"""Worlds that can be had without some of their persons: what every party would hold had they never been there.

A person is the normal form of an identifier under the plan. Whoever is left out is left out of the rawest tables that
there are, and the parties' own code runs on what remains: so what a feature, a check or a choice of records makes of
other people's rows is part of the difference between two worlds.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from sealscore.clients.data import load_records
from sealscore.clients.features import Sentiment
from sealscore.clients.features.dictionary.dictionary import CONSENT
from sealscore.shared.persons.identifiers import NORMAL_FORMS
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.plan import Plan
from sealscore.simulations.data.creators import live_on
from sealscore.simulations.data.datasets import WORLD
from sealscore.simulations.data.identities import rewritten
from sealscore.simulations.data.scenario import Scenario
from sealscore.simulations.world.build import build, read_manifest
from sealscore.simulations.world.config import PRESETS, load_config
from sealscore.simulations.world.party_features import party_features

NOBODY: frozenset[str] = frozenset()
_PERSON = "creator_id"
# Rows that name no person are those of whoever has the application or account that they name.
_BELONGINGS = {"application_id": "applications", "account_id": "accounts"}

Tell = Callable[[str], None]


class World(Protocol):
    """All tables of the parties of a plan, with or without some persons."""

    plan: Plan

    def records(self, without: frozenset[str] = NOBODY) -> dict[str, Records]:
        """Each party's records, as it would have loaded them had those persons never been there.

        Raises:
            DataError: a party's tables without them cannot be used.
        """
        ...

    def raw_rows(self) -> dict[str, Counter[str]]:
        """By table (`lender-1/applications`) how many rows each person has there."""
        ...

    def shared_numbers(self) -> dict[str, Counter[str]]:
        """By column that others may use too (`lender-1/id_number`) with how many others each person shares a value."""
        ...


class RawWorld:
    """A creator world in `raw` (as `sealscore-sim world build` writes it), whose tables may have been edited since.

    Features are computed by the parties' own code, again for each party in whose tables somebody is left out.
    """

    def __init__(self, plan: Plan, raw: Path, rewrite_ids: bool = False) -> None:
        self.plan = plan
        self._raw, self._manifest, self._rewrite = raw, read_manifest(raw), rewrite_ids
        self._sentiment = Sentiment.shipped()
        self._parties = [party.name for party in plan.parties]
        form = NORMAL_FORMS[plan.alignment.identifier]
        self._persons = {party: {spelt: form(spelt) for spelt in self._spellings(party)} for party in self._parties}
        self._whole: dict[str, Records] | None = None

    def records(self, without: frozenset[str] = NOBODY) -> dict[str, Records]:
        if self._whole is None:
            self._whole = {party: self._built(party, self._raw) for party in self._parties}
        found = dict(self._whole)
        for party, persons in self._persons.items():
            gone = [spelt for spelt, person in persons.items() if person in without]
            if gone:
                with self._thinned(party, gone) as folder:
                    found[party] = self._built(party, folder)
        return found

    def raw_rows(self) -> dict[str, Counter[str]]:
        found = {}
        for party in self._parties:
            for table in self._manifest["parties"][party]["tables"]:
                counts = self._owned(party, table, self._raw).group_by(_PERSON).len().collect()
                rows: Counter[str] = Counter()
                for spelt, count in counts.drop_nulls(_PERSON).rows():
                    rows[self._persons[party][spelt]] += count
                found[f"{party}/{table}"] = rows
        return found

    def shared_numbers(self) -> dict[str, Counter[str]]:
        found = {}
        for party in self._parties:
            if "identity" not in self._manifest["parties"][party]["tables"]:
                continue
            filed = self._owned(party, "identity", self._raw)
            for column in ("id_number", "licence_number"):
                uses = filed.select(_PERSON, pl.col(self._name(party, "identity", column)).alias("number"))
                uses = uses.drop_nulls().unique()
                others = uses.with_columns((pl.len() - 1).over("number").alias("others"))
                totals = others.group_by(_PERSON).agg(pl.col("others").sum()).filter(pl.col("others") > 0).collect()
                found[f"{party}/{column}"] = Counter(
                    {self._persons[party][spelt]: count for spelt, count in totals.rows()}
                )
        return found

    def _name(self, party: str, table: str, column: str) -> str:
        """The party's own name of a column."""
        return str(self._manifest["parties"][party]["tables"][table]["columns"][column])

    def _owned(self, party: str, table: str, folder: Path) -> pl.LazyFrame:
        """A raw table with whose each row is in the column `creator_id`, as the party writes it; null is nobody."""
        columns: dict[str, Any] = self._manifest["parties"][party]["tables"][table]["columns"]
        frame = pl.scan_parquet(folder / party / f"{table}.parquet")
        if _PERSON in columns:
            return frame.with_columns(pl.col(columns[_PERSON]).alias(_PERSON))
        key = next(key for key in _BELONGINGS if key in columns)
        owner = self._owned(party, _BELONGINGS[key], folder)
        owner = owner.select(pl.col(self._name(party, _BELONGINGS[key], key)).alias("key"), _PERSON).unique("key")
        return frame.join(owner, left_on=columns[key], right_on="key", how="left", maintain_order="left")

    def _spellings(self, party: str) -> list[str]:
        found: set[str] = set()
        for table in self._manifest["parties"][party]["tables"]:
            persons = self._owned(party, table, self._raw).select(pl.col(_PERSON).unique()).collect()
            found |= set(persons[_PERSON].drop_nulls())
        return sorted(found)

    @contextmanager
    def _thinned(self, party: str, gone: list[str]) -> Iterator[Path]:
        """A folder with the party's raw tables without the rows of those persons."""
        with tempfile.TemporaryDirectory(prefix="sealscore-") as name:
            folder = Path(name)
            (folder / party).mkdir()
            for path in (self._raw / party).iterdir():
                if path.suffix != ".parquet":
                    shutil.copy(path, folder / party / path.name)
            for table in self._manifest["parties"][party]["tables"]:
                path = self._raw / party / f"{table}.parquet"
                own = pl.scan_parquet(path).collect_schema().names()
                others = ~pl.col(_PERSON).is_in(gone) | pl.col(_PERSON).is_null()
                left = self._owned(party, table, self._raw).filter(others).select(own).collect()
                left.write_parquet(folder / party / path.name)
            yield folder

    def _built(self, party: str, raw: Path) -> Records:
        with tempfile.TemporaryDirectory(prefix="sealscore-") as name:
            built = party_features(raw, self._manifest, party, Path(name), self._sentiment)
            frame = pl.read_parquet(built.table)
            consents = live_on(frame[CONSENT].to_list(), self.plan.outcome.cutoff)
            frame = frame.with_columns(pl.Series(CONSENT, consents, dtype=pl.String))
            if self._rewrite:
                table = self.plan.groups[self.plan.party(party).group].table
                frame = rewritten(frame, table, self._parties.index(party))
            path = Path(name) / f"{party}.parquet"
            frame.write_parquet(path)
            return load_records(path, self.plan, party, Path(name))


class TableWorld:
    """The parties' own tables of features as files, where nothing rawer is known."""

    def __init__(self, plan: Plan, files: dict[str, Path]) -> None:
        self.plan, self._files = plan, files
        self._whole: dict[str, Records] | None = None

    def records(self, without: frozenset[str] = NOBODY) -> dict[str, Records]:
        if self._whole is None:
            self._whole = {party: self._loaded(party, file, file.parent) for party, file in self._files.items()}
        found = dict(self._whole)
        for party, file in self._files.items() if without else ():
            frame = pl.read_parquet(file)
            gone = self._people(party, frame).is_in(list(without))
            if gone.any():
                with tempfile.TemporaryDirectory(prefix="sealscore-") as folder:
                    thinned = Path(folder) / file.name
                    frame.filter(~gone).write_parquet(thinned)
                    found[party] = self._loaded(party, thinned, file.parent)
        return found

    def raw_rows(self) -> dict[str, Counter[str]]:
        return {
            party: Counter(self._people(party, pl.read_parquet(file)).to_list()) for party, file in self._files.items()
        }

    def shared_numbers(self) -> dict[str, Counter[str]]:
        return {}

    def _people(self, party: str, frame: pl.DataFrame) -> pl.Series:
        table = self.plan.groups[self.plan.party(party).group].table
        form = NORMAL_FORMS[self.plan.alignment.identifier]
        return pl.Series([form(text) for text in frame[table.person or table.id].cast(pl.String).to_list()])

    def _loaded(self, party: str, file: Path, split_folder: Path) -> Records:
        return load_records(file, self.plan, party, split_folder)


@contextmanager
def world_of(
    scenario: Scenario,
    plan: Plan | None = None,
    edit: Callable[[Path], None] = lambda raw: None,
    tell: Tell = lambda what: None,
) -> Iterator[World]:
    """The world of a scenario, in a folder that is deleted afterwards; under another plan of the same parties if given.

    A creator world's raw tables may be edited before anybody reads them.

    Raises:
        DataError, PlanError: as for a run.
    """
    settings = scenario.settings
    with tempfile.TemporaryDirectory(prefix="sealscore-") as name:
        folder = Path(name)
        # Loans under a plan of counts come of no feature: a lender's rows of a person are all that there is.
        if settings.dataset == WORLD and (plan or scenario.plan).monitoring is None:
            config = settings.world or "default"
            named = config if config in PRESETS else str(scenario.path.parent / config)
            drawn = load_config(named, creators=settings.creators, seed=settings.creators_seed)
            build(drawn, folder / "raw", lambda what: tell(f"creator world: {what}"))
            edit(folder / "raw")
            yield RawWorld(plan or scenario.plan, folder / "raw", settings.rewrite_ids)
        else:
            yield TableWorld(plan or scenario.plan, scenario.materialise(folder))
