"""Deal one table out to the parties of a simulation, by rows and by columns, with or without overlap."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

import numpy as np
import polars as pl

from sealscore.clients.data import DataError, Problem, columns_of
from sealscore.shared.plan.plan import Party, Plan
from sealscore.simulations.world.seeding import generator

Method = Literal["equal", "quantity", "label-skew"]

DRAWS = 1000


def partition(
    frame: pl.DataFrame,
    parties: Sequence[Party],
    method: Method,
    *,
    alpha: float | None,
    seed: int,
    label: str | None,
    person: str | None = None,
    least: int = 10,
) -> dict[str, pl.DataFrame]:
    """Give each row to exactly one party; rows keep their order within a party.

    equal: at random, sizes differ by at most one person. quantity: sizes are drawn from Dirichlet(alpha, ...,
    alpha), rows at random. label-skew: for each value of the label the shares of the parties are drawn from
    Dirichlet(alpha, ..., alpha), so a small alpha gives one party most of the bad loans (Hsu, Qi and Brown 2019,
    section 3). The rows of one `person` stay together. Draws that leave a party fewer than `least` rows, or fewer
    than `least` of a label, are drawn again.

    Args:
        frame: the table, n rows.
        parties: who gets a share; their names are the keys of the answer.
        alpha: concentration of the Dirichlet draws; has no meaning for equal.
        seed: the same seed, method and group deal the same rows.
        label: the column of the outcome, None where the parties hold none (no label-skew then).
        person: the column that names the person; None where each row is a person.
        least: rows, and rows of each label, that each party must have.

    Raises:
        DataError: no draw gives every party its least number of rows.
        ValueError: an unknown method, an alpha not above 0, or label-skew without a label.
    """
    if method not in ("equal", "quantity", "label-skew"):
        raise ValueError(f"method {method!r}: must be 'equal', 'quantity' or 'label-skew'")
    if method != "equal" and (alpha is None or not alpha > 0):
        raise ValueError(f"alpha = {alpha}: {method} needs one above 0")
    if method == "label-skew" and label is None:
        raise ValueError("label-skew needs a label column")
    unit = _units(frame, person)
    outcome = _codes(frame[label]) if label is not None else np.zeros(frame.height, dtype=np.int64)
    units = int(unit.max()) + 1 if frame.height else 0
    kind = np.zeros(units, dtype=np.int64)
    if method == "label-skew":
        np.maximum.at(kind, unit, outcome)
    random = generator(seed, f"partition {method} {parties[0].group}")
    for _ in range(1 if method == "equal" else DRAWS):
        owner = _deal(random, units, kind, len(parties), alpha if method != "equal" else None, method)[unit]
        if _least_found(owner, outcome, len(parties)) >= least:
            return {party.name: frame.filter(pl.Series(owner == at)) for at, party in enumerate(parties)}
    asked = f"{least} rows" + (f" of each value of {label!r}" if label is not None else "")
    where = f"partition {method!r} of {frame.height} rows over {len(parties)} parties"
    fix = "take fewer parties or more rows" + ("" if method == "equal" else f", or an alpha above {alpha}")
    raise DataError([Problem(where, f"some party gets fewer than {asked}", fix, column=label)])


def overlapping(
    frame: pl.DataFrame,
    parties: Sequence[Party],
    share: float,
    *,
    seed: int,
    person: str | None = None,
    most: int | None = None,
) -> dict[str, pl.DataFrame]:
    """Let each party know each person with probability `share`, whoever else does: some know several, some none.

    A person with several rows brings each of its parties another of them, in turn, and the first ones again where
    there are more parties than rows. Rows keep their order within a party.

    Args:
        frame: the table, n rows.
        parties: who draws; their names are the keys of the answer, and each draws for itself.
        share: in (0, 1].
        seed: the same seed and party draw the same persons.
        person: the column that names the person; None where each row is a person.
        most: how many parties a person may be at; of those that drew more, chance decides which keep the person.

    Raises:
        DataError: a party draws nobody.
    """
    unit = _units(frame, person)
    persons = int(unit.max()) + 1 if frame.height else 0
    draws = np.column_stack([generator(seed, f"overlap {party.name}").random(persons) for party in parties])
    # The smaller a draw below the share, the sooner the person is kept: no party has precedence.
    place = np.argsort(np.argsort(draws, axis=1), axis=1)
    known = (draws < share) & (place < (most or len(parties)))
    rank = np.cumsum(known, axis=1) - 1
    order = np.argsort(unit, kind="stable")
    rows = np.bincount(unit, minlength=persons)
    first = np.cumsum(rows) - rows
    shares = {}
    for at, party in enumerate(parties):
        members = np.flatnonzero(known[:, at])
        if not len(members):
            where = f"simulation.coverage of {party.group} = {share:g} over {persons} persons"
            raise DataError([Problem(where, f"{party.name} knows nobody", "take a larger share or more persons")])
        chosen = order[first[members] + rank[members, at] % rows[members]]
        shares[party.name] = frame[np.sort(chosen)]
    return shares


def split_columns(frame: pl.DataFrame, plan: Plan, groups: Collection[str]) -> dict[str, pl.DataFrame]:
    """For each of these groups of the plan the columns of its table: id, person, label, date and features.

    All groups get all rows, hence the same persons.

    Raises:
        DataError: the frame lacks a column of a group; the message names all that are absent.
    """
    absent = [
        Problem("data set", f"the column is missing; groups.{name}.table of the plan has it", "add it", column=column)
        for name in groups
        for column in columns_of(plan.groups[name].table)
        if column not in frame.columns
    ]
    if absent:
        raise DataError(absent)
    return {name: frame.select(columns_of(plan.groups[name].table)) for name in groups}


def _units(frame: pl.DataFrame, person: str | None) -> np.ndarray:
    return np.arange(frame.height) if person is None else _codes(frame[person])


def _codes(column: pl.Series) -> np.ndarray:
    """A number from 0 for each distinct value, int64 [n], in the order of first appearance."""
    distinct = column.unique(maintain_order=True)
    return column.replace_strict(distinct, pl.Series(np.arange(len(distinct))), return_dtype=pl.Int64).to_numpy()


def _deal(
    random: np.random.Generator, units: int, kind: np.ndarray, parties: int, alpha: float | None, method: Method
) -> np.ndarray:
    """The owner of each unit, int64 [units]."""
    owner = np.empty(units, dtype=np.int64)
    groups = [np.flatnonzero(kind == value) for value in np.unique(kind)] if method == "label-skew" else [None]
    for members in groups:
        shuffled = random.permutation(units if members is None else members)
        shares = np.full(parties, 1 / parties) if alpha is None else random.dirichlet(np.full(parties, alpha))
        ends = np.round(np.cumsum(shares)[:-1] * len(shuffled)).astype(np.int64)
        for at, chunk in enumerate(np.split(shuffled, ends)):
            owner[chunk] = at
    return owner


def _least_found(owner: np.ndarray, outcome: np.ndarray, parties: int) -> int:
    """The smallest number of rows that a party has of any label."""
    labels = int(outcome.max()) + 1 if len(outcome) else 1
    return int(np.bincount(owner * labels + outcome, minlength=parties * labels).min())
