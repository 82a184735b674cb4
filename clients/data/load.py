"""From a source to records under a plan: the one way that a node's table takes, in training and later in scoring."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from sealscore.clients.data.checks import Nominal, check_table
from sealscore.clients.data.column_mapping import ColumnMapping
from sealscore.clients.data.errors import DataError, Problem
from sealscore.clients.data.sources.sources import Source
from sealscore.clients.data.split import test_mask
from sealscore.clients.data.table import Table
from sealscore.shared.crypto.alignment import padded_size
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.plan import Party, Plan

_Read = TypeVar("_Read")


@dataclass(frozen=True)
class Loaded:
    """Records under a plan, and of the `rows` of their table how many are `together`, their person's not alone."""

    records: Records
    rows: int
    together: int

    @property
    def left_out(self) -> int:
        """Rows beyond the most records of a person."""
        return self.rows - len(self.records)


def load_records(
    source: Source | ColumnMapping, plan: Plan, party_name: str, split_folder: Path | None = None
) -> Records:
    """The records of a party under a plan; see `load`."""
    return load(source, plan, party_name, split_folder).records


def load(source: Source | ColumnMapping, plan: Plan, party_name: str, split_folder: Path | None = None) -> Loaded:
    """Read, check and split the table of a party; the list of test ids is sought in `split_folder`, or beside a file.

    Raises:
        DataError: everything that is wrong with the table (see `read_source`, `check_table`), a list of ids that
            is not the plan's or has no folder to be in, a party that the plan does not know, one with more persons
            than its messages to the other side can hold, or features of another dictionary than the plan names.
    """
    names = [party.name for party in plan.parties]
    if party_name not in names:
        close = difflib.get_close_matches(party_name, names, n=1)
        fix = f"use {close[0]!r}" if close else f"use one of {', '.join(names)}"
        raise DataError([Problem(f"plan {plan.name}", f"it has no party named {party_name!r}", fix)])
    party = plan.party(party_name)
    group = plan.groups[party.group]
    labelled = group.table.label is not None
    own = source if isinstance(source, ColumnMapping) else ColumnMapping(source)
    if group.table.dictionary is not None:
        # Only where it is named: a table of own columns needs nothing of the features' code.
        from sealscore.clients.features.dictionary.row_local import check_dictionary

        check_dictionary(plan, party_name, own.source)
    table = own.read(group.table, labelled, plan.alignment.identifier)
    checked = check_table(
        table,
        own.schema(group.table),
        label_required=labelled,
        max_records_per_person=plan.privacy.max_records_per_person,
        nominal=Nominal(party.nominal_records, f"parties.{names.index(party_name)}.nominal_records"),
        identifier=plan.alignment.identifier,
        zone=own.zone,
        missing_values=own.missing_in(own.schema(group.table)),
    )
    if labelled and checked.dates is not None:
        check_windows(table, checked.dates, plan)
    if plan.platforms:
        _check_messages(table, checked.records, party, f"parties.{names.index(party_name)}.nominal_records")
    if plan.monitoring is not None:  # nobody is set apart
        return Loaded(checked.records, checked.rows, checked.together)
    split = plan.evaluation.split
    folder = split_folder or own.folder
    if folder is None:
        if split.kind == "ids":
            fix = "name the folder in which the plan's list of test ids lies"
            raise DataError([Problem(table.source, "a database has no folder to seek the list of test ids in", fix)])
        folder = Path()
    mask = test_mask(split, checked.records.person, checked.dates, folder, plan.alignment.identifier)
    return Loaded(dataclasses.replace(checked.records, test=mask), checked.rows, checked.together)


def in_words(read: Callable[[Plan], _Read], plan: Plan) -> _Read:
    """What is read under a plan.

    Raises:
        DataError: whatever goes wrong. The text of another exception could hold cells, and may end in a log.
    """
    try:
        return read(plan)
    except DataError:
        raise
    except Exception as error:
        value, fix = f"reading them failed ({type(error).__name__})", "see what sealscore-node check says"
        raise DataError([Problem("the data", value, fix)]) from None


def one_sided_parts(records: Records) -> list[str]:
    """What a lender's operator may want to know before a plan is approved: parts without good or without bad loans.

    A warning and no fault: the server chooses the split, and a refusal would tell it a label.
    """
    if records.label is None:
        return []
    parts = (("training", records.label[~records.test]), ("test", records.label[records.test]))
    return [
        f"the {part} part has no {word} loan"
        for part, labels in parts
        for word, outcome in (("good", 0), ("bad", 1))
        if not np.any(labels == outcome)
    ]


def _check_messages(table: Table, records: Records, party: Party, key: str) -> None:
    """Find a party whose persons do not fit into the padded messages of an alignment.

    All of them must, consented or not: consents come and go with the day, and in a run nothing may depend on how many
    there are.
    """
    persons, entries = len(set(records.person)), padded_size(party.nominal_records)
    if persons > entries:
        value = f"{persons} persons do not fit into messages of {entries} entries, as {key} is {party.nominal_records}"
        raise DataError([Problem(table.source, value, f"have {key} of the plan raised to about {persons}")])


def check_windows(table: Table, dates: np.ndarray, plan: Plan) -> None:
    """Find loans whose performance window had not closed by the plan's cut-off: dates datetime64[D] [n].

    A default shows early and a good loan only late, so a label before its time would tell which it will be.

    Raises:
        DataError: there are some; it says how many.
    """
    outcome = plan.outcome
    last = np.datetime64(outcome.cutoff, "D") - np.timedelta64(outcome.window_days, "D")
    if late := int((dates > last).sum()):
        raise DataError(
            [
                Problem(
                    table.source,
                    f"{late} of {len(dates)} records are dated after {last}, so their performance window of "
                    f"{outcome.window_days} days had not closed by {outcome.cutoff} (outcome.cutoff)",
                    "leave them out, or move outcome.cutoff in the plan",
                    column=plan.groups[plan.lenders].table.date,
                )
            ]
        )
