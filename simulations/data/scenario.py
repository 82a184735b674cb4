"""A scenario: a plan, and what only a simulation knows beside it, in one TOML file.

The plan is what real parties would approve. The extra table `[simulation]` says on which data set the parties are
simulated and how it is dealt out among them; it is no part of the plan and not under its hash.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import Field, ValidationError, model_validator

from sealscore.clients.data import DataError, Problem, Table, check_table
from sealscore.shared.plan.errors import PlanError, explain
from sealscore.shared.plan.plan import Party, Plan, as_authored
from sealscore.shared.plan.schema import Name, Strict
from sealscore.shared.plan.toml import load_toml
from sealscore.simulations.data import creators, datasets
from sealscore.simulations.data.identities import consents, everybody, rewritten
from sealscore.simulations.data.partition import overlapping, partition, split_columns
from sealscore.simulations.world import synthetic
from sealscore.simulations.world.config import PRESETS, WorldConfig, load_config

PLANS = Path(__file__).parents[1] / "plans"
MAIN_JOB, MAIN_DATASET = "uci_vertical_eps2", "uci"
MAIN_JOB_WITHOUT_DATA = "creators_small"

Share = Annotated[float, Field(gt=0, le=1)]


class SimulationSettings(Strict):
    """The table `[simulation]`.

    `dataset` is "uci", "belanche", "synthetic", "world" or a path seen from the scenario's folder. `seed` deals the
    rows out; without one the plan's seed does. `creators` is the size of the synthetic set or of the world, and
    `creators_seed` which one it is: like a real set it stays the same when the plan's seed changes. `world` is the
    config of the creator world: "default", "small" or a TOML file, seen from the scenario's folder. Each party of the
    plan holds what the world's party of that name does.

    `tables` maps groups or parties to files of their own: a group's is dealt out as the data set would be, a party's is
    that party's whole. `record_numbers` is a column that files get, with the number of each row, where they name no
    records. With `labelled_only` rows whose label is neither good nor bad are left out.

    `coverage` maps groups to the share of all persons that each of their parties knows, whoever else does; the
    parties of a group that is not named share all persons out among them. In the synthetic set, a person who is at
    several lenders has a loan of its own at each. `consent` is the share of persons who agree to a pair of a lender
    and a platform, for tables whose consent column the data set lacks. With `rewrite_ids` every party writes persons'
    identifiers in another way, all alike in the normal form "creator-id".
    """

    dataset: Annotated[str, Field(min_length=1)]
    tables: dict[str, Annotated[str, Field(min_length=1)]] = Field(default_factory=dict)
    record_numbers: Name | None = None
    labelled_only: bool = False
    partition: Literal["equal", "quantity", "label-skew"] = "equal"
    alpha: Annotated[float, Field(gt=0, le=1e6)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    creators: Annotated[int, Field(ge=100, le=10_000_000)] | None = None
    creators_seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    world: Annotated[str, Field(min_length=1)] | None = None
    coverage: dict[str, Share] = Field(default_factory=dict)
    consent: Share = 1.0
    rewrite_ids: bool = False

    @model_validator(mode="after")
    def _used(self) -> SimulationSettings:
        if (self.alpha is not None) != (self.partition != "equal"):
            raise ValueError("alpha belongs to the partitions 'quantity' and 'label-skew', which need it")
        invented = self.dataset in (datasets.SYNTHETIC, datasets.WORLD)
        if not invented and (self.creators, self.creators_seed) != (None, None):
            raise ValueError(
                "creators and creators_seed belong to the data sets 'synthetic' and 'world'; others are used whole"
            )
        if self.dataset != datasets.WORLD and self.world is not None:
            raise ValueError("world belongs to the data set 'world'")
        if invented and (self.tables or self.record_numbers or self.labelled_only):
            raise ValueError("tables, record_numbers and labelled_only belong to data sets from files")
        if self.dataset == datasets.WORLD and (self.partition != "equal" or self.coverage or self.consent != 1.0):
            raise ValueError("the world deals itself out: partition, coverage and consent have no use for it")
        return self


class _Extra(Strict):
    """What a scenario's file holds beside the plan."""

    simulation: SimulationSettings


@dataclass(frozen=True)
class Scenario:
    """A plan and its settings; `path` is the file they came from."""

    plan: Plan
    settings: SimulationSettings
    path: Path

    @classmethod
    def load(cls, path: Path) -> Scenario:
        """Read a scenario.

        Raises:
            PlanError: the file is missing, not TOML, or plan or settings are wrong; one line for each problem.
        """
        return cls.parse(read_tables(path), path)

    @classmethod
    def parse(cls, tables: Mapping[str, Any], path: Path) -> Scenario:
        """The scenario of a file's tables; `path` is the file that they are of, or will be.

        Raises:
            PlanError: as `load` does.
        """
        data = dict(tables)
        problems: list[str] = []
        settings, plan = None, None
        try:
            settings = _settings(data.pop("simulation", None), str(path))
        except PlanError as error:
            problems += error.problems
        try:
            plan = Plan.parse(as_authored(data), str(path))
            for key, given in (("signals_from", plan.signals_from), ("scores_from", plan.scores_from)):
                if given is not None:
                    raise PlanError(str(path), [f"{key}: a simulation runs one plan, so none ran before; leave it out"])
        except PlanError as error:
            problems += error.problems
        if settings is not None and plan is not None:
            problems += _disagreements(plan, settings)
        if settings is None or plan is None or problems:
            raise PlanError(str(path), problems)
        return cls(plan, settings, path)

    def replace(self, **changes: Any) -> Scenario:
        """The scenario with dotted keys replaced, written with __ for the dot; those of settings after simulation__.

        Raises:
            PlanError: as `load` does.
        """
        here = {key: value for key, value in changes.items() if not key.startswith("simulation__")}
        found = self.settings.model_dump(mode="json")
        for key in changes.keys() - here.keys():
            _, *inner, last = key.split("__")
            place: Any = found
            for step in inner:
                place = place.setdefault(step, {}) if isinstance(place, dict) else None
            if not isinstance(place, dict):
                raise PlanError(str(self.path), [f"{key.replace('__', '.')}: the settings have no such key"])
            place[last] = changes[key]
        settings = _settings(found, str(self.path))
        plan = self.plan.replace(**here) if here else self.plan
        if problems := _disagreements(plan, settings):
            raise PlanError(str(self.path), problems)
        return dataclasses.replace(self, plan=plan, settings=settings)

    def with_seed(self, seed: int) -> Scenario:
        """The same scenario under another seed of the plan, which makes it another plan."""
        return dataclasses.replace(self, plan=self.plan.replace(seed=seed))

    @property
    def declaration(self) -> str | None:
        """What must be said to everybody who reads figures of this scenario: that its data are invented, or nothing."""
        found = datasets.declaration(self.settings.dataset)
        if found is None or datasets.real_data_found(MAIN_DATASET):
            return found
        return f"{found} (No real data in {datasets.data_folder()}; {datasets.VARIABLE} names another.)"

    @property
    def seed(self) -> int:
        """The seed that deals the rows out."""
        return self.plan.seed if self.settings.seed is None else self.settings.seed

    def dataset(self) -> datasets.Dataset:
        """The whole data set, found to agree with the plan; consent columns that it lacks name everybody.

        Of the world, which is no one table, the tables of all parties are checked, and the lenders' rows are given.

        Raises:
            DataError: it is not there, cannot be read, or disagrees with the plan.
        """
        if self.settings.dataset == datasets.WORLD:
            return self._lenders_rows(self._world_tables())
        # Their own tables are checked as well: whoever asks for the data set wants to know whether a run can begin.
        self._own_tables()
        return self._agreed(self._loaded(), self._dealt_groups)

    def world(self, tell: Callable[[str], None] = lambda what: None) -> creators.CreatorWorld:
        """The creator world of these settings, which is built if it is not there yet.

        Raises:
            PlanError: its config cannot be used.
        """
        return creators.CreatorWorld.of(self._world_config(), tell)

    def _world_config(self) -> WorldConfig:
        settings, config = self.settings, self.settings.world or "default"
        named = config if config in PRESETS else str(self.path.parent / config)
        return load_config(named, creators=settings.creators, seed=settings.creators_seed)

    def _world_tables(self, tell: Callable[[str], None] = lambda what: None) -> dict[str, pl.DataFrame]:
        """The table of each party of the world: of features, or under a plan of counts of loans."""
        if self.plan.monitoring is None:
            return self.world(tell).tables(self.plan)
        tell("creator world: loans")
        # With a node's own reading of repayments, which plans and models do without.
        from sealscore.simulations.data.world_loans import world_loans

        return world_loans(self._world_config(), self.plan)

    def _lenders_rows(self, tables: dict[str, pl.DataFrame]) -> datasets.Dataset:
        for party in self.plan.parties:
            group = self.plan.groups[party.group]
            check_table(
                Table.of(tables[party.name], f"the world's table of {party.name}"),
                group.table,
                label_required=group.table.label is not None,
                max_records_per_person=self.plan.privacy.max_records_per_person,
            )
        rows = pl.concat([tables[party.name] for party in self.plan.members(self.plan.lenders)])
        return datasets.Dataset(datasets.WORLD, Table.of(rows, "the world's loans"), Path())

    def _loaded(self, name: str | None = None) -> datasets.Dataset:
        """The data set of the settings, or another of that name, as its rows are before they are checked."""
        settings = self.settings
        found = datasets.load(
            name or settings.dataset,
            base=self.path.parent,
            creators=settings.creators or synthetic.DEFAULT_CREATORS,
            seed=settings.creators_seed or 0,
        )
        if settings.record_numbers is not None:
            found = datasets.with_record_numbers(found, settings.record_numbers)
        label = self.plan.groups[self.plan.lenders].table
        if settings.labelled_only and label.label in found.frame.columns:
            found = datasets.labelled(found, label)
        return found

    def _own_tables(self) -> dict[str, datasets.Dataset]:
        """The tables of their own that groups and parties have, each found to agree with the plan."""
        found = {}
        for name, file in self.settings.tables.items():
            group = name if name in self.plan.groups else self.plan.party(name).group
            found[name] = self._agreed(self._loaded(file), (group,))
        return found

    def _agreed(self, found: datasets.Dataset, groups: Collection[str]) -> datasets.Dataset:
        """The data set, found to agree with the tables of these groups."""
        wanted = {column for name, column in self._consent_columns().items() if name in groups}
        lacking = sorted(wanted - set(found.frame.columns))
        frame = found.frame.with_columns(pl.lit(everybody(self.plan)).alias(name) for name in lacking)
        table = dataclasses.replace(found.table, frame=frame, header=(*found.table.header, *lacking))
        found = dataclasses.replace(found, table=table, lacking=tuple(lacking))
        datasets.check_agreement(found, self.plan, groups)
        return found

    @property
    def _dealt_groups(self) -> tuple[str, ...]:
        """The groups that get rows from the data set: those without tables of their own, wholly or in part."""
        own = self.settings.tables
        return tuple(
            name
            for name in self.plan.groups
            if name not in own and any(party.name not in own for party in self.plan.members(name))
        )

    def _consent_columns(self) -> dict[str, str]:
        """The consent column of each group that has one."""
        tables = {name: group.table for name, group in self.plan.groups.items()}
        return {name: table.consent for name, table in tables.items() if table.consent}

    def materialise(self, folder: Path, tell: Callable[[str], None] = lambda what: None) -> dict[str, Path]:
        """Write for each party the Parquet file that it would hold, and the list of test ids if the plan has one.

        Each group gets the columns of its table, and its parties get persons as the settings say. Without coverage
        platforms share all persons out in equal parts, so every lender has customers on every platform. A world's
        parties get their own tables of features, for which `tell` is told what is being built. Build nodes on the
        files with `load_records(path, plan, party, folder)`.

        Returns:
            The file of each party, by the party's name.

        Raises:
            DataError: the data set disagrees with the plan or cannot be dealt out.
        """
        files = {}
        if self.settings.dataset == datasets.WORLD:
            folder.mkdir(parents=True, exist_ok=True)
            for party, table in self._world_tables(tell).items():
                files[party] = folder / f"{party}.parquet"
                self._written(party, table, False).write_parquet(files[party])
            return files
        shared, own = self._agreed(self._loaded(), self._dealt_groups), self._own_tables()
        folder.mkdir(parents=True, exist_ok=True)
        for name in self.plan.groups:
            consent, shares = self._consent_columns().get(name), self._shares(name, shared, own)
            for party, (source, share) in shares.items():
                drawn = consent in source.lacking
                files[party] = folder / f"{party}.parquet"
                self._written(party, share, drawn).write_parquet(files[party])
        self._copy_ids(shared, folder)
        return files

    def _shares(
        self, name: str, shared: datasets.Dataset, own: Mapping[str, datasets.Dataset]
    ) -> dict[str, tuple[datasets.Dataset, pl.DataFrame]]:
        """The rows of each party of a group, with the table that they are from."""
        table, members = self.plan.groups[name].table, self.plan.members(name)
        dealt = [party for party in members if party.name not in own]
        found = {}
        if dealt:
            source = own.get(name, shared)
            rows = self._dealt(name, split_columns(source.frame, self.plan, (name,))[name], dealt)
            found = {party: (source, share) for party, share in rows.items()}
        for party in members:
            if party.name in own:
                rows_of = split_columns(own[party.name].frame, self.plan, (name,))[name]
                found[party.name] = (own[party.name], datasets.typed(rows_of, table))
        return found

    def _dealt(self, name: str, frame: pl.DataFrame, members: Sequence[Party]) -> dict[str, pl.DataFrame]:
        """The rows of each of these parties of a group."""
        table = self.plan.groups[name].table
        lender, settings = name == self.plan.lenders, self.settings
        frame = datasets.typed(frame, table)
        if name not in settings.coverage:
            method, alpha = (settings.partition, settings.alpha) if lender else ("equal", None)
            return partition(
                frame, members, method, alpha=alpha, seed=self.seed, label=table.label, person=table.person
            )
        most = self.plan.privacy.max_parties_per_person
        if lender and settings.dataset == datasets.SYNTHETIC:
            frame = self._with_further_loans(frame, min(most or len(members), len(members)))
        share = settings.coverage[name]
        return overlapping(frame, members, share, seed=self.seed, person=table.person, most=most)

    def _with_further_loans(self, first: pl.DataFrame, loans: int) -> pl.DataFrame:
        """The synthetic set's lenders' rows with as many loans of each creator as there may be lenders."""
        creators, seed = self.settings.creators or synthetic.DEFAULT_CREATORS, self.settings.creators_seed or 0
        others = [synthetic.further_loans(number, creators, seed) for number in range(2, loans + 1)]
        # A consent column is filled in later, when each lender writes its rows down.
        return pl.concat(
            [first, *(more.select(set(first.columns) & set(more.columns)) for more in others)], how="diagonal"
        )

    def _written(self, party: str, frame: pl.DataFrame, drawn: bool) -> pl.DataFrame:
        """What the party keeps of its rows: with consents if they are drawn, and identifiers in its own writing."""
        table = self.plan.groups[self.plan.party(party).group].table
        if drawn:
            persons = frame[table.person_column].cast(pl.String).to_list()
            given = consents(persons, self.plan, party, self.settings.consent, self.seed)
            frame = frame.with_columns(pl.Series(str(table.consent), given, dtype=pl.String))
        if self.settings.rewrite_ids:
            frame = rewritten(frame, table, [other.name for other in self.plan.parties].index(party))
        return frame

    def _copy_ids(self, found: datasets.Dataset, folder: Path) -> None:
        name = self.plan.evaluation.split.file
        if name is None:
            return
        source = found.folder / Path(name).name
        if not source.is_file():
            fix = f"lay the list of test ids beside the data set, or set {datasets.VARIABLE} to the folder of both"
            raise DataError([Problem(str(source), "the file of evaluation.split.file is not there", fix)])
        (folder / source.name).write_bytes(source.read_bytes())


def _disagreements(plan: Plan, settings: SimulationSettings) -> list[str]:
    """Where settings do not fit the plan."""
    problems = [
        f"simulation.coverage.{name}: the plan has no such group; its groups: {', '.join(plan.groups)}"
        for name in settings.coverage
        if name not in plan.groups
    ]
    parties = [party.name for party in plan.parties]
    problems += [
        f"simulation.tables.{name}: the plan has no such group or party; it has {', '.join([*plan.groups, *parties])}"
        for name in settings.tables
        if name not in (*plan.groups, *parties)
    ]
    if plan.lenders in settings.coverage and settings.partition != "equal":
        problems.append(f"simulation.partition = {settings.partition!r}: deals nothing where lenders have coverage")
    return problems


def read_tables(path: Path, depth: int = 0) -> dict[str, Any]:
    """The tables of a file; with `extends`, those of the file that it names, changed by this one's key by key."""
    data = load_toml(path)
    if (base := data.pop("extends", None)) is None:
        return data
    if not isinstance(base, str) or depth == 8:
        raise PlanError(str(path), [f"extends = {base!r}: must name another plan's file, and lead to an end"])
    return _merged(read_tables(path.parent / base, depth + 1), data)


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    both = {
        key: _merged(base[key], value)
        for key, value in changes.items()
        if isinstance(value, dict) and isinstance(base.get(key), dict)
    }
    return {**base, **changes, **both}


def packaged() -> dict[str, Path]:
    """The scenarios that come with Sealscore, name to file, sorted by name."""
    return {path.stem: path for path in sorted(PLANS.glob("*.toml"))}


def main_job() -> str:
    """The scenario that runs when none is named: on real data, or on invented data where the real ones are absent."""
    return MAIN_JOB if datasets.real_data_found(MAIN_DATASET) else MAIN_JOB_WITHOUT_DATA


def resolve(name_or_path: str) -> Path:
    """The file of a scenario: a path to a TOML file, or the name of a packaged one such as "uci_horizontal_eps1".

    Raises:
        PlanError: there is none; the message lists the packaged ones, close matches first.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    names = packaged()
    if name_or_path in names:
        return names[name_or_path]
    close = difflib.get_close_matches(path.name.removesuffix(".toml"), names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    raise PlanError(name_or_path, [f"there is no such plan; {hint}packaged plans: {', '.join(names)}"])


def _settings(data: Any, source: str) -> SimulationSettings:
    try:
        return _Extra.model_validate({} if data is None else {"simulation": data}).simulation
    except ValidationError as error:
        raise PlanError(source, explain(error, _Extra)) from None
