"""Check a table against its schema, find all that is wrong with it at once, and turn it into records.

This runs at the partner before a plan is approved: what it finds is shown on the partner's own console, and no fault
of the data can show in a run, where the server would see it.
"""

from __future__ import annotations

import difflib
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

import numpy as np
import polars as pl

from sealscore.clients.data import cells
from sealscore.clients.data.derive import derived_columns
from sealscore.clients.data.errors import DataError, Problem
from sealscore.clients.data.table import SEPARATORS, Table, columns_of
from sealscore.shared.persons.consent import Consent, ConsentError, parse_consents, with_withdrawals
from sealscore.shared.persons.identifiers import NORMAL_FORMS
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.schema import CategoricalFeature, NumericFeature, TableSchema

_Cells = TypeVar("_Cells")

VALUES_SHOWN = 3
OTHERS = "add it, name your own column of it under [data.columns], or use a plan whose schema fits the table"
CONSENTS = (
    "name your column of consents as consent_column, or their table under [data.consents]; where nobody's consent is "
    'to be read, write consent = "none"'
)


@dataclass(frozen=True)
class Nominal:
    """The public count of a party's records, and the plan's key for it; twice as many are too many."""

    records: int
    key: str


@dataclass(frozen=True)
class Checked:
    """Records that are good but not split yet (`records.test` is all False), and the days where the schema has some.

    `dates` is datetime64[D] [n] or None. Of `rows` of the table `together` are of persons who have several.
    """

    records: Records
    dates: np.ndarray | None
    rows: int
    together: int


def check_table(
    table: Table,
    schema: TableSchema,
    *,
    label_required: bool,
    max_records_per_person: int,
    nominal: Nominal | None = None,
    identifier: str = "exact",
    zone: str | None = None,
    missing_values: Mapping[str, Sequence[float]] = MappingProxyType({}),
) -> Checked:
    """The table's records, at most `max_records_per_person` of each person; the label is read where it is required.

    Their columns are the features of the schema and the ones derived from them; persons are in the normal form that
    `identifier` names, and days of moments those of the party's `zone` (see `cells.days`). `missing_values` are numbers
    that stand for no value in a column.

    Raises:
        DataError: with everything that is wrong: columns that are missing or of the wrong type, values outside
            their bounds, unseen levels, missing values where none are allowed, ids that are blank or repeated,
            labels that are neither good nor bad, no row at all, no bad or no good loan, more records than twice
            the nominal ones.
    """
    check = _Check(table, schema, zone, missing_values)
    check.header(columns_of(schema, label=label_required))
    if table.frame.height == 0 and table.frame.width > 0:
        check.add("the table has no rows", "export the table again, with its rows")
        raise DataError(check.problems)
    ids = check.ids()
    person = check.persons(ids, identifier)
    label = check.label() if label_required and schema.label else None
    dates = check.dates() if schema.date else None
    columns = derived_columns(schema, {feature.name: check.feature(feature) for feature in schema.features})
    consents = check.consents()
    if check.problems:
        raise DataError(check.problems)
    everyone = np.zeros(len(ids), dtype=bool)
    # Before records are chosen: who withdrew in a record that is left out has withdrawn.
    given = None if consents is None else with_withdrawals(person, consents)
    records = Records(schema, tuple(ids), tuple(person), columns, label, everyone, given)
    kept = keep(ids, person, max_records_per_person)
    records = records.take(kept)
    check.size(records, nominal)
    if records.label is not None and schema.label:
        check.outcomes(records.label, "the table")
    if check.problems:
        raise DataError(check.problems)
    together = sum(count for count in Counter(person).values() if count > 1)
    return Checked(records, None if dates is None else dates[kept], len(ids), together)


def keep(ids: Sequence[str], persons: Sequence[str], most: int) -> np.ndarray:
    """The rows to keep, ascending, int64 [k]: of each person the `most` whose ids have the smallest SHA-256.

    The choice looks at that person's own records only, so adding or removing another person changes nothing for
    anyone else, which the person-level claim rests on. It looks at no label and no feature, so it biases nothing.
    """
    crowded = {person for person, count in Counter(persons).items() if count > most}
    order = sorted(
        (row for row, person in enumerate(persons) if person in crowded),
        key=lambda row: hashlib.sha256(ids[row].encode()).digest(),
    )
    seen: Counter[str] = Counter()
    dropped = set()
    for row in order:
        seen[persons[row]] += 1
        if seen[persons[row]] > most:
            dropped.add(row)
    return np.array([row for row in range(len(persons)) if row not in dropped], dtype=np.int64)


def outcome_problems(label: np.ndarray, schema: TableSchema, file: str, where: str) -> list[Problem]:
    """A problem where no loan of `label` (int8 [n], 1 is bad) is bad, and one where none is good."""
    words = {1: ("bad", "label_bad", schema.label_bad), 0: ("good", "label_good", schema.label_good)}
    return [
        Problem(
            file,
            f"{where} has no {word} loan (none of {len(label)} rows is {written!r})",
            f"give loans of both outcomes, or fix {key} in the plan's schema",
            column=schema.label,
        )
        for outcome, (word, key, written) in words.items()
        if not np.any(label == outcome)
    ]


class _Check:
    """Collects problems while it turns columns into arrays; a column with a problem yields an array all the same."""

    def __init__(
        self, table: Table, schema: TableSchema, zone: str | None, missing_values: Mapping[str, Sequence[float]]
    ) -> None:
        self.table = table
        self.schema = schema
        self.zone = zone
        self.missing_values = missing_values
        self.problems: list[Problem] = []

    def add(
        self,
        value: str,
        fix: str,
        column: str | None = None,
        bad: np.ndarray | None = None,
        found: str = "",
        code: str = "",
    ) -> None:
        rows = () if bad is None else self.table.rows(np.flatnonzero(bad).tolist())
        self.problems.append(Problem(self.table.source, value, fix, column, rows, self.table.unit, found, code))

    def add_if(self, bad: np.ndarray, value: str, fix: str, column: str, show: bool = False, code: str = "") -> None:
        """A problem of the rows at `bad`, if there are any; with `show`, their cells are for the operator to see."""
        if bad.any():
            self.add(value, fix, column, bad, self._found(column, bad) if show else "", code)

    def header(self, wanted: Sequence[str]) -> None:
        absent = [name for name in wanted if name not in self.table.frame.columns]
        header = self.table.header
        if len(absent) == len(wanted) and len(header) == 1 and any(mark in header[0] for mark in SEPARATORS):
            value = "all columns but one are missing from the header"
            self.add(value, "separate cells by commas", absent[0], code="header")
            return
        for name in absent:
            spare = [other for other in header if other not in wanted]
            folded = {other.strip().lower(): other for other in reversed(spare)}
            close = difflib.get_close_matches(name.lower(), folded, n=1)
            # Where a file has no header, its first record is taken for one: what stands there is a cell.
            found = f"there is {folded[close[0]]!r}, which could be renamed" if close else ""
            fix = CONSENTS if name == self.schema.consent else OTHERS
            self.add("the column is missing", fix, name, found=found, code="header")

    def ids(self) -> list[str]:
        ids = self._text(self.schema.id, "the id")
        repeats = ids.is_duplicated() & ids.is_not_null()
        extra = int(repeats.sum()) - ids.filter(repeats).n_unique() if repeats.any() else 0
        self.add_if(
            repeats.to_numpy(),
            f"the same id more than once ({extra} too many)",
            "give each record an id of its own; a person with several records belongs in a column of its own",
            self.schema.id,
        )
        return ids.fill_null("").to_list()

    def persons(self, ids: list[str], identifier: str) -> list[str]:
        name = self.schema.person_column
        raw = self._text(name, "the person", True).fill_null("").to_list() if self.schema.person else ids
        forms = [NORMAL_FORMS[identifier](person) for person in raw]
        empty = np.array([bool(person) and not form for person, form in zip(raw, forms, strict=True)], dtype=bool)
        self.add_if(empty, f"it has no normal form as {identifier!r}", "fix it, or leave the record out", name)
        return forms

    def consents(self) -> tuple[tuple[Consent, ...], ...] | None:
        """The consents of each record, where there is a column of them."""
        name = self.schema.consent
        if name is None or (raw := self._column(name)) is None:
            return None
        try:
            found = [consents_of(cell) for cell in cells.texts(raw).fill_null("").to_list()]
        except cells.WrongTypeError as error:
            self.add(str(error), "write it as text", name, code="type")
            return None
        wrong = np.array([given is None for given in found], dtype=bool)
        fix = "write PARTY or federation, then for PURPOSE, from, until or withdrawn YYYY-MM-DD; ; between several"
        self.add_if(wrong, "it is no list of consents", fix, name)
        return tuple(given or () for given in found)

    def _text(self, name: str, what: str, of_persons: bool = False) -> pl.Series:
        raw = self._column(name)
        if raw is None:
            return pl.Series([str(row) for row in range(self.table.frame.height)], dtype=pl.String)
        try:
            text, doubted = cells.identifiers(raw, of_persons)
        except cells.WrongTypeError as error:
            self.add(str(error), "write it as text or as a whole number", name, code="type")
            return pl.Series([str(row) for row in range(len(raw))], dtype=pl.String)
        blank, fix = text.is_null().to_numpy(), "fill it in, or leave the record out"
        self.add_if(blank, f"{what} is blank", fix, name, code="blank")
        self.add_if(doubted, f"{what} is {cells.NO_IDENTIFIER}", cells.IDENTIFIER_MEND, name, code="inexact")
        return text

    def label(self) -> np.ndarray:
        name, written = str(self.schema.label), (self.schema.label_good, self.schema.label_bad)
        found = self._read(name, lambda raw: cells.levels(raw, written))
        if found is None:
            return np.zeros(self.table.frame.height, dtype=np.int8)
        values, unseen = found
        allowed = f"neither {written[0]!r} (good) nor {written[1]!r} (bad)"
        self.add_if(
            unseen,
            f"the label is {allowed}",
            "write the outcome so, or set label_good and label_bad in the plan's schema",
            name,
            show=True,
        )
        missing = np.isnan(values) & ~unseen
        self.add_if(missing, "the label is missing", "leave out loans whose outcome is not known yet", name)
        return np.array(np.nan_to_num(values), dtype=np.int8)

    def dates(self) -> np.ndarray:
        name = str(self.schema.date)
        found = self._read(name, lambda raw: cells.days(raw, self.zone))
        if found is None:
            return np.full(self.table.frame.height, np.datetime64("NaT"), dtype="datetime64[D]")
        values, unread, torn = found
        self.add_if(unread, "no day of the calendar", "write days as 2024-05-31", name, code="day")
        self.add_if(torn, cells.TORN, cells.TORN_FIX, name, code="zone")
        self.add_if(np.isnat(values) & ~unread, "the day is missing", "fill it in, or leave the record out", name)
        return values

    def feature(self, feature: NumericFeature | CategoricalFeature) -> np.ndarray:
        if isinstance(feature, CategoricalFeature):
            values, faulty = self._categorical(feature)
        else:
            values, faulty = self._numeric(feature)
        if not feature.missing:
            absent = np.isnan(values) & ~faulty
            fix = "fill it in, leave the record out, or use a plan that allows missing = true for it"
            self.add_if(absent, "a value is missing", fix, feature.name)
        return values

    def _numeric(self, feature: NumericFeature) -> tuple[np.ndarray, np.ndarray]:
        found = self._read(feature.name, cells.numbers)
        if found is None:
            return self._placeholder()
        values, text = found
        if words := self.missing_values.get(feature.name):
            values = np.where(np.isin(values, words), np.nan, values)
        if text.any():
            fix = cells.how_written(self.table.frame[feature.name].filter(pl.Series(text)))
            self.add_if(text, "text where a number is needed", fix, feature.name, code="number")
        if feature.clip:
            values = np.clip(values, feature.lower, feature.upper)
        outside = (values < feature.lower) | (values > feature.upper)
        bounds = f"{cells.decimal(feature.lower)} to {cells.decimal(feature.upper)}"
        self.add_if(
            outside,
            f"a value is outside its bounds, {bounds}",
            "correct the value or its unit, or use a plan with wider bounds",
            feature.name,
            show=True,
        )
        if feature.integer:
            broken = ~outside & ~np.isnan(values) & (values != np.round(values))
            fix = "write a whole number, or use a plan with integer = false for it"
            self.add_if(broken, "a value is no whole number", fix, feature.name, show=True)
        return values, text

    def _categorical(self, feature: CategoricalFeature) -> tuple[np.ndarray, np.ndarray]:
        found = self._read(feature.name, lambda raw: cells.levels(raw, feature.levels))
        if found is None:
            return self._placeholder()
        values, unseen = found
        if feature.other is not None:
            values, unseen = np.where(unseen, feature.levels.index(feature.other), values), np.zeros_like(unseen)
        allowed = ", ".join(repr(level) for level in feature.levels[:12])
        allowed += f" and {len(feature.levels) - 12} more" if len(feature.levels) > 12 else ""
        self.add_if(
            unseen,
            f"a value is none of its levels, {allowed}",
            "correct the value, or use a plan that lists it as a level",
            feature.name,
            show=True,
        )
        return values, unseen

    def size(self, records: Records, nominal: Nominal | None) -> None:
        if nominal is not None and len(records) > 2 * nominal.records:
            self.add(
                f"{len(records)} records are more than twice the plan's {nominal.key} = {nominal.records}",
                f"have {nominal.key} of the plan raised to about {len(records)}, or give fewer records",
            )

    def outcomes(self, label: np.ndarray, where: str) -> None:
        self.problems.extend(outcome_problems(label, self.schema, self.table.source, where))

    def _read(self, name: str, reader: Callable[[pl.Series], _Cells]) -> _Cells | None:
        raw = self._column(name)
        if raw is None:
            return None
        try:
            return reader(raw)
        except cells.WrongTypeError as error:
            self.add(str(error), "export the column with the type that the plan's schema names", name, code="type")
            return None

    def _column(self, name: str) -> pl.Series | None:
        return self.table.frame[name] if name in self.table.frame.columns else None

    def _placeholder(self) -> tuple[np.ndarray, np.ndarray]:
        rows = self.table.frame.height
        return np.full(rows, np.nan), np.ones(rows, dtype=bool)

    def _found(self, name: str, bad: np.ndarray) -> str:
        """The first distinct values at `bad`, as they stand in the column."""
        distinct = self.table.frame[name].filter(pl.Series(bad)).cast(pl.String).unique(maintain_order=True).to_list()
        shown = " or ".join(
            repr(value if len(value) <= 40 else value[:37] + "...") for value in distinct[:VALUES_SHOWN]
        )
        more = len(distinct) - VALUES_SHOWN
        return shown + (f" ({more} further values)" if more > 0 else "")


def consents_of(cell: str) -> tuple[Consent, ...] | None:
    """The consents that a cell lists; None where it is no such list."""
    try:
        return parse_consents(cell)
    except ConsentError:
        return None
