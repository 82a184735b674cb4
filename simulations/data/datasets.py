"""The data sets that simulations run on: real ones by name, any other table by its path, and the invented one.

The real sets lie in the folder that the environment variable SEALSCORE_DATA names (by default ../shared/data, seen
from the current folder or from the project's). Their schemas live in the plans: a schema is part of the contract.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from sealscore.clients.data import DataError, Problem, Table, check_table, read_table
from sealscore.clients.data.cells import levels, numbers
from sealscore.shared.plan.plan import Plan
from sealscore.shared.plan.schema import NumericFeature, TableSchema
from sealscore.shared.processes import IMPORT_ROOT
from sealscore.simulations.data.any_table import read_any
from sealscore.simulations.world import synthetic

VARIABLE = "SEALSCORE_DATA"
DEFAULT_FOLDER = Path("..") / "shared" / "data"
REAL = {"uci": "uci_credit_default.csv", "belanche": "belanche_credit.csv"}
SYNTHETIC = "synthetic"
WORLD = "world"
"""The creator world (`sealscore.simulations.data.creators`), which deals itself out: it is no one table."""
INVENTED = {SYNTHETIC: f"The data set {SYNTHETIC!r}", WORLD: "The creator world"}


@dataclass(frozen=True)
class Dataset:
    """A table with all its columns, and the folder in which its list of test ids lies if it has one.

    `lacking` are the columns that it has not, and that were filled in.
    """

    name: str
    table: Table
    folder: Path
    lacking: tuple[str, ...] = ()

    @property
    def frame(self) -> pl.DataFrame:
        """The rows; cells of CSV files are text."""
        return self.table.frame


def data_folder() -> Path:
    """Where the real data sets are looked for; the folder need not exist."""
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser()
    candidates = [Path.cwd() / DEFAULT_FOLDER, IMPORT_ROOT / DEFAULT_FOLDER]
    return next((folder for folder in candidates if folder.is_dir()), candidates[0]).resolve()


def real_data_found(name: str) -> bool:
    """Whether a data set can be loaded on this machine: the invented one always, a real one where its file is."""
    return name == SYNTHETIC or (name in REAL and (data_folder() / REAL[name]).is_file())


def declaration(name: str) -> str | None:
    """What everybody who reads figures of an invented set must be told; None for any other set."""
    if name not in INVENTED:
        return None
    return f"{INVENTED[name]} is invented: no creator, loan or account in it exists, and no figure on it is a result."


def load(name: str, *, base: Path = Path(), creators: int = synthetic.DEFAULT_CREATORS, seed: int = 0) -> Dataset:
    """A data set by name ("uci", "belanche", "synthetic"), or by the path of a CSV or Parquet file, seen from `base`.

    `creators` and `seed` are for the invented set: how many, and which ones.

    Raises:
        DataError: the file is absent (the message names SEALSCORE_DATA for the real sets) or cannot be read.
    """
    if name == SYNTHETIC:
        frame = synthetic.generate(creators, seed)
        return Dataset(name, Table.of(frame, "synthetic data"), Path())
    if name in REAL:
        path = data_folder() / REAL[name]
        if not path.is_file():
            fix = f"set {VARIABLE} to the folder that holds it, or run a plan on the data set {SYNTHETIC!r}"
            raise DataError([Problem(str(path), f"the file of data set {name!r} is not there", fix)])
        return Dataset(name, read_table(path), path.parent)
    path = base / name
    if path.suffix == "" and not path.exists():
        fix = f"name one of {', '.join([*REAL, SYNTHETIC, WORLD])}, or the path of a .csv or .parquet file"
        raise DataError([Problem("simulation.dataset", f"there is no data set {name!r}", fix)])
    return Dataset(path.stem, read_any(path)[0], path.parent)


def with_record_numbers(dataset: Dataset, column: str) -> Dataset:
    """The set with a column that numbers its rows; the set's name is before the number, since parties may have others.

    Raises:
        DataError: it has a column of that name.
    """
    if column in dataset.frame.columns:
        fix = "take another name for simulation.record_numbers, or name the column as the id"
        raise DataError([Problem(dataset.table.source, "the table has this column already", fix, column=column)])
    numbered = pl.format(f"{dataset.name}-{{}}", pl.int_range(1, pl.len() + 1)).alias(column)
    table = dataset.table
    table = dataclasses.replace(table, frame=table.frame.with_columns(numbered), header=(*table.header, column))
    return dataclasses.replace(dataset, table=table)


def labelled(dataset: Dataset, schema: TableSchema) -> Dataset:
    """The set without the rows whose label is neither good nor bad."""
    label, unseen = levels(dataset.frame[str(schema.label)], (schema.label_good, schema.label_bad))
    known = ~np.isnan(label) & ~unseen
    if known.all():
        return dataset
    # Rows are no lines of the file any more.
    table = Table.of(dataset.frame.filter(pl.Series(known)), f"{dataset.table.source}, labelled rows")
    return dataclasses.replace(dataset, table=table)


def check_agreement(dataset: Dataset, plan: Plan, groups: Collection[str]) -> None:
    """Check the whole set against the tables of these groups of a plan, before it is dealt out.

    After this a fault is a fault of the set itself, named by its own file and lines.

    Raises:
        DataError: everything in which set and plan disagree.
    """
    problems: dict[str, Problem] = {}
    for group in (plan.groups[name] for name in groups):
        try:
            check_table(
                dataset.table,
                group.table,
                label_required=group.role == "lender",
                max_records_per_person=plan.privacy.max_records_per_person,
            )
        except DataError as error:
            problems.update({str(problem): problem for problem in error.problems})
    if problems:
        raise DataError(list(problems.values()))


def typed(frame: pl.DataFrame, schema: TableSchema) -> pl.DataFrame:
    """The frame as a party would keep it: numeric features of the schema as numbers, the rest as it is.

    A column with text that is no number is left as it is, for the party's own check to find.
    """
    columns = []
    for feature in schema.features:
        if isinstance(feature, NumericFeature) and frame[feature.name].dtype == pl.String:
            values, text = numbers(frame[feature.name])
            if not text.any():
                columns.append(pl.Series(feature.name, values).fill_nan(None))
    return frame.with_columns(columns)
