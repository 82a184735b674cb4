"""Read and check a party's raw tables row by row: bad rows are counted, written to a file and left out.

Under a threshold of bad rows a build goes on without them; above it the table itself is doubted and the build stops.
Everything stays lazy: a table is read in streams, and only rows with faults are held in memory.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from sealscore.clients.data.cells import IDENTIFIER_MEND, NO_IDENTIFIER, TORN, TORN_FIX, half_width, moments, zoned
from sealscore.clients.data.errors import DataError, Problem, why
from sealscore.clients.data.sources.file_kinds import refuse_other_kinds
from sealscore.clients.data.sources.keys import KEYS_FIX, strangers
from sealscore.clients.features.dictionary.dictionary import PERSON, Kind
from sealscore.clients.features.raw.mapping import PartyMapping, TableMap
from sealscore.clients.features.raw.private import private_folder
from sealscore.clients.features.raw.raw import DAY, FLAG, PARENTS, TABLES, TEXT, TIME, RawTable, TableRule, rules
from sealscore.shared.files import OWNER_ONLY, replacing

MOST_REJECTED = 0.01
ROW = "_row"


@dataclass(frozen=True)
class Sound:
    """A table without its bad rows.

    `frame` has the canonical columns. `rejected` has `row` (from 1), `column`, `fault` and `fix` of each fault, and
    `problems` the same by kind of fault. `bad` counts rows with faults, of `rows` in all.
    """

    frame: pl.LazyFrame
    rejected: pl.DataFrame
    problems: list[Problem]
    rows: int
    bad: int


def read_tables(
    folder: Path,
    kind: Kind,
    today: date,
    *,
    mapping: PartyMapping | None = None,
    currencies: Collection[str] = ("CNY",),
    rejected_to: Path | None = None,
    most_rejected: float = MOST_REJECTED,
    zone: str | None = None,
) -> dict[str, Sound]:
    """All tables of a party, checked. Rows with faults go to `rejected_to`: faults.csv, and TABLE.parquet as they were.

    Moments are what a clock of `zone` showed, in UTC where none is given (see `cells.days`).

    Raises:
        DataError: a table or column is missing, or more than `most_rejected` of a table's rows are bad; all faults
            are named.
    """
    mapping = mapping or PartyMapping()
    found, absent = {}, []
    for name, table in TABLES[kind].items():
        try:
            found[name] = read_table(folder, name, table, mapping.table(name), today, currencies, zone)
        except DataError as error:
            absent += error.problems
    if rejected_to is not None:
        _write_rejected(folder, found, mapping, rejected_to)
    if absent:
        raise DataError([*absent, *(problem for sound in found.values() for problem in sound.problems)])
    counts = {_file(name, mapping.table(name)): (sound.bad, sound.rows) for name, sound in found.items()}
    if over := too_many(counts, most_rejected):
        raise DataError([*over, *(problem for sound in found.values() for problem in sound.problems)])
    return found


def match(sound: Mapping[str, Sound], kind: Kind, folder: Path) -> dict[str, tuple[int, int]]:
    """Of each table that names rows of another how many of its keys are there, as (found, keys) by "table.column".

    Raises:
        DataError: next to none of a table's keys are: the two do not write them alike.
    """
    counted, problems = {}, []
    for name, column, parent in PARENTS[kind]:
        keys, others = (sound[table].frame.select(column).drop_nulls().unique() for table in (name, parent))
        sizes = [frame.select(pl.len()) for frame in (keys.join(others, on=column, how="semi"), keys, others)]
        found, own, theirs = (frame.item() for frame in pl.collect_all(sizes, engine="streaming"))
        counted[f"{name}.{column}"] = (found, own)
        if strangers(found, own, theirs):
            value = f"of {own:,} keys {found:,} are among the {theirs:,} of {parent}"
            problems.append(Problem(f"{folder.name}: {name}", value, KEYS_FIX, column, code="no-match"))
    if problems:
        raise DataError(problems)
    return counted


def too_many(rejected: Mapping[str, tuple[int, int]], most_rejected: float) -> list[Problem]:
    """A problem for each source of which more than that share of the rows is bad; counts are (bad, rows)."""
    return [
        Problem(
            source,
            f"{bad:,} of {rows:,} rows are bad, more than {most_rejected:.2%}",
            "fix the export, or agree on another most_rejected in the plan's table",
        )
        for source, (bad, rows) in rejected.items()
        if bad > most_rejected * rows
    ]


def read_table(
    folder: Path,
    name: str,
    table: RawTable,
    mapping: TableMap,
    today: date,
    currencies: Collection[str],
    zone: str | None = None,
) -> Sound:
    """One table, checked.

    Raises:
        DataError: the file or a column is missing, it is no Parquet, a column is of a type that holds no such values,
            or persons share a key by which other tables name their rows.
    """
    source = _file(name, mapping)
    raw = _scan(folder / source, table, mapping)
    needed = {column: mapping.column(column).expression().alias(column) for column in table.columns}
    have = raw.select(needed.values()).collect_schema()
    _refuse_types(source, table, have)
    cast = {
        column: _typed(needed[column], have[column], dtype, zone).alias(column)
        for column, dtype in table.columns.items()
    }
    typed = raw.select(ROW, *cast.values())
    blank = {column: _blank(needed[column], have[column]) for column in table.columns}
    unread = [
        TableRule(column, ~blank[column] & cast[column].is_null(), *_unread(dtype, have[column]))
        for column, dtype in table.columns.items()
    ]
    torn = [
        TableRule(column, written.dt.date() != cast[column], TORN, TORN_FIX)
        for column, dtype in table.columns.items()
        if zone is None and dtype == DAY and (written := _written(needed[column], have[column])) is not None
    ]
    missing = [
        TableRule(column, blank[column], "a value is missing", "fill it in, or leave the row out")
        for column in table.columns
        if column not in table.blank
    ]
    faults = [
        *_faults(raw, [*unread, *torn, *missing], source),
        *_faults(typed, rules(name, table, today, currencies), source),
        *_repeats(typed, table, source),
    ]
    if table.owner and (shared := _shared(typed, table, source)):
        raise DataError([*shared, *faults])
    rows = raw.select(pl.len()).collect(engine="streaming").item()
    return _sound(typed, faults, rows, table.together)


def _sound(typed: pl.LazyFrame, faults: list[Problem], rows: int, together: bool) -> Sound:
    schema = {"row": pl.UInt32, "column": pl.String, "fault": pl.String, "fix": pl.String}
    rejected = pl.concat(
        [
            pl.DataFrame(schema=schema),
            *(
                pl.DataFrame({"row": pl.Series(problem.rows, dtype=pl.UInt32)}).with_columns(
                    column=pl.lit(problem.column), fault=pl.lit(problem.value), fix=pl.lit(problem.fix)
                )
                for problem in faults
            ),
        ]
    ).sort("row", maintain_order=True)
    bad = rejected.select((pl.col("row") - 1).alias(ROW)).unique()
    frame = typed if bad.is_empty() else typed.join(bad.lazy(), on=ROW, how="anti")
    if together and not bad.is_empty():
        frame = frame.join(typed.join(bad.lazy(), on=ROW, how="semi").select(PERSON), on=PERSON, how="anti")
    return Sound(frame.drop(ROW), rejected, faults, rows, bad.height)


def _scan(path: Path, table: RawTable, mapping: TableMap) -> pl.LazyFrame:
    if not path.exists():
        fix = "lay the table there, or name its file in the mapping"
        raise DataError([Problem(path.name, "there is no such file", fix, code="absent")])
    refuse_other_kinds(path)
    try:
        raw = pl.scan_parquet(path, row_index_name=ROW, glob=False)
        header = raw.collect_schema().names()
    except (OSError, pl.exceptions.PolarsError) as error:
        value = f"is no Parquet file: {why(error)}"
        raise DataError([Problem(path.name, value, "export the table again as Parquet", code="other-kind")]) from None
    absent = []
    for name in table.columns:
        own = mapping.column(name).source
        if own is not None and own not in header:
            close = difflib.get_close_matches(own, header, n=1)
            hint = f"name {close[0]!r} as {name} in the mapping" if close else "add it, or name it in the mapping"
            absent.append(Problem(path.name, "the column is missing", hint, column=own))
    if absent:
        raise DataError(absent)
    return raw


def _refuse_types(source: str, table: RawTable, have: Mapping[str, pl.DataType]) -> None:
    """Refuse columns of types that hold no such values at all."""
    problems = [
        Problem(
            source,
            f"a column of type {have[column].base_type().__name__}, where {word} are needed",
            "export the column as text, or with the type that docs/features.md names",
            column=column,
            code="type",
        )
        for column, want in table.columns.items()
        for types, word in [_READ_FROM[want.base_type()]]
        if have[column].base_type() not in types
    ]
    if problems:
        raise DataError(problems)


_Types = frozenset[Any]
_WORDS: _Types = frozenset({pl.String, pl.Categorical, pl.Enum, pl.Null, pl.Binary})
_WHOLE: _Types = frozenset(
    {pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.Int128, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64}
)
_NUMBERS: _Types = _WHOLE | {pl.Float32, pl.Float64, pl.Decimal}
_COUNTS = (_WORDS | _NUMBERS | {pl.Boolean}, "numbers")
_MOMENTS = (_WORDS | {pl.Date, pl.Datetime}, "days or moments")
_READ_FROM: dict[type[pl.DataType], tuple[_Types, str]] = {
    pl.String: (_WORDS | _NUMBERS, "words or identifiers"),
    pl.Boolean: (_WORDS | _WHOLE | {pl.Boolean}, "truths"),
    pl.Date: _MOMENTS,
    pl.Datetime: _MOMENTS,
    pl.Int64: _COUNTS,
    pl.Float32: _COUNTS,
    pl.Float64: _COUNTS,
}
"""Of each type of a raw table the types that its values are read from, and what they are in words."""


def _typed(value: pl.Expr, have: pl.DataType, want: pl.DataType, zone: str | None) -> pl.Expr:
    """The values in the type that is wanted, null where they cannot be read; moments as a clock of `zone` has them."""
    if want == have and want != TIME:
        return value.fill_nan(None) if want.is_float() else value
    if have == pl.Null:
        return value.cast(want)
    if have in (pl.Categorical, pl.Enum):
        return _typed(value.cast(pl.String), pl.String(), want, zone)
    if want in (TIME, DAY):
        moment = _moment(value, have, zone)
        return moment.dt.replace_time_zone("UTC") if want == TIME else moment.dt.date()
    if have == pl.Binary:
        text = value.map_batches(_decoded, return_dtype=pl.String, is_elementwise=True)
        return _typed(text, pl.String(), want, zone) if want != TEXT else text
    if want == FLAG and have == pl.String:
        lower = value.str.strip_chars().str.to_lowercase()
        return pl.when(lower.is_in(["true", "1"])).then(True).when(lower.is_in(["false", "0"])).then(False)
    if want == TEXT and have.is_float():
        # As text a float of a long identifier would be that of another one, too.
        whole = (value == value.round()) & (value.abs() < (2**24 if have == pl.Float32 else 2**53))
        return pl.when(whole).then(value.cast(pl.Int64, strict=False)).cast(pl.String)
    if have == pl.String and want != TEXT:
        value = half_width(value)
    cast = value.cast(want, strict=False)
    return cast.fill_nan(None) if want.is_float() else cast


def _moment(value: pl.Expr, have: pl.DataType, zone: str | None) -> pl.Expr:
    if isinstance(have, pl.Datetime):
        return zoned(value, have, zone)
    if have == pl.Date:
        return value.cast(pl.Datetime("us"))
    return moments(half_width(value), zone)[0]


def _written(value: pl.Expr, have: pl.DataType) -> pl.Expr | None:
    """What a clock showed where a moment was written; None where the values say nothing of that."""
    if isinstance(have, pl.Datetime):
        return value.dt.replace_time_zone(None) if have.time_zone else None
    if have in (pl.String, pl.Categorical, pl.Enum):
        return moments(half_width(value.cast(pl.String)), None)[1]
    return None


def _decoded(values: pl.Series) -> pl.Series:
    """Bytes as text; null where they are no UTF-8."""

    def text(value: bytes | None) -> str | None:
        try:
            return None if value is None else value.decode()
        except UnicodeDecodeError:
            return None

    return pl.Series(values.name, [text(value) for value in values.to_list()], dtype=pl.String)


def _blank(value: pl.Expr, have: pl.DataType) -> pl.Expr:
    """Whether there is no value at all, which NaN is too."""
    return value.is_null() | value.is_nan().fill_null(False) if have.is_float() else value.is_null()


def _unread(dtype: pl.DataType, have: pl.DataType) -> tuple[str, str]:
    if dtype == TEXT and have.is_float():
        return NO_IDENTIFIER, IDENTIFIER_MEND
    if dtype in (DAY, TIME):
        return "no day or moment of the calendar", "write it as a date or timestamp, or map it with epoch"
    if dtype.is_numeric():
        return "text where a number is needed, or a number beyond its type", "write a plain number"
    if dtype == pl.Boolean:
        return "neither true nor false", "write it as a boolean, or map the platform's own words"
    return "the text's encoding is broken", "export the table again as UTF-8"


def _faults(frame: pl.LazyFrame, found: list[TableRule], source: str) -> list[Problem]:
    """A problem for each rule that some row breaks: all are counted in one pass, the rows sought for those alone."""
    if not found:
        return []
    sums = [rule.bad.fill_null(False).sum().alias(str(at)) for at, rule in enumerate(found)]
    (counts,) = frame.select(sums).collect(engine="streaming").rows()
    problems = []
    for rule, count in zip(found, counts, strict=True):
        if count:
            bad = frame.filter(rule.bad.fill_null(False)).select(ROW).collect(engine="streaming")[ROW].sort()
            problems.append(Problem(source, rule.value, rule.fix, rule.column, tuple((bad + 1).to_list())))
    return problems


def _repeats(frame: pl.LazyFrame, table: RawTable, source: str) -> list[Problem]:
    """Rows whose key an earlier row of the same person has already: nobody loses a row to what another's say."""
    if not table.key:
        return []
    key = tuple(dict.fromkeys((*((PERSON,) if PERSON in table.columns else ()), *table.key)))
    # Hashes find out whether there is anything to seek at all; the seeking compares the keys themselves.
    hashed = pl.col(key[0]).hash() if len(key) == 1 else pl.struct(key).hash()
    count, distinct = frame.select(pl.len(), hashed.n_unique().alias("distinct")).collect().row(0)
    if count == distinct:
        return []
    keys = frame.drop_nulls(list(key)).select(ROW, *key).collect(engine="streaming").sort(ROW)
    later = keys.filter(~pl.struct(key).is_first_distinct())[ROW]
    if later.is_empty():
        return []
    value = "the row repeats an earlier one's " + " and ".join(table.key)
    return [Problem(source, value, "give each row once", table.key[0], tuple((later + 1).to_list()))]


def _shared(frame: pl.LazyFrame, table: RawTable, source: str) -> list[Problem]:
    """Rows of a table that other tables join by its key, where that key stands under several persons."""
    (key,) = table.key
    pairs = frame.select(ROW, PERSON, key).drop_nulls().collect(engine="streaming")
    shared = pairs.filter(pl.col(PERSON).n_unique().over(key) > 1)[ROW].sort()
    if shared.is_empty():
        return []
    value = f"one {key} under several persons: whose the rows of other tables are that name it cannot be known"
    fix = f"give each {key} to the one person that holds it"
    return [Problem(source, value, fix, key, tuple((shared + 1).to_list()))]


def table_file(name: str, mapping: PartyMapping | None) -> str:
    """The file of a table in its folder."""
    return _file(name, (mapping or PartyMapping()).table(name))


def _file(name: str, mapping: TableMap) -> str:
    return mapping.file or f"{name}.parquet"


def _write_rejected(folder: Path, found: dict[str, Sound], mapping: PartyMapping, to: Path) -> None:
    faulty = {name: sound for name, sound in found.items() if sound.bad}
    if not faulty:
        return
    private_folder(to)
    parts = [
        sound.rejected.select(pl.lit(_file(name, mapping.table(name))).alias("file"), pl.all())
        for name, sound in faulty.items()
    ]
    with replacing(to / "faults.csv", OWNER_ONLY) as file:
        pl.concat(parts).write_csv(file)
    for name, sound in faulty.items():
        rows = sound.rejected.select("row").unique().lazy()
        path = folder / _file(name, mapping.table(name))
        raw = pl.scan_parquet(path, row_index_name="row", row_index_offset=1, glob=False)
        with replacing(to / f"{name}.parquet", OWNER_ONLY) as file:
            raw.join(rows, on="row", how="semi").collect(engine="streaming").sort("row").write_parquet(file)
