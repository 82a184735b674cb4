"""From loans to first-passage tables: one cell for each event of each table, by the loan's own row alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import numpy as np

from sealscore.shared.plan.monitoring import OPENED
from sealscore.shared.plan.plan import Plan


def first_passages(plan: Plan, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Counts of loans, int64 [cells]: of each column of `monitoring.by` in turn, by month, event and band.

    `columns` are float64 [n] as in Records. What lies outside of the plan's months is in no cell; by vintage a passage
    counts until the last month that is over on the plan's cut-off day.

    Formal guarantees: adding or removing a loan changes at most one cell for each event of each table by one, so m
    loans of a person move the counts by at most m sqrt(events tables) in L2 norm, whatever cells they fall into.
    """
    asked, table = plan.counted, plan.groups[plan.lenders].table
    months = {month.replace("-", ""): place for place, month in enumerate(asked.months)}
    rows = {event: _places(columns[event], months) for event in asked.events} | {
        OPENED: _places(columns[OPENED], months)
    }
    # The last day of a month belongs to a month that is over.
    ended = (plan.outcome.cutoff + timedelta(days=1)).replace(day=1) - timedelta(days=1)
    until = 100 * ended.year + ended.month
    parts = []
    for name, edges in asked.by.items():
        keys = asked.band_keys(table, name)
        band = _bands(columns[name], np.array(edges), len(keys), keys[-1] == "missing")
        counts = np.zeros((len(months), len(asked.events), len(keys)), dtype=np.int64)
        for place, event in enumerate(asked.events):
            row = np.where(columns[event] <= until, rows[OPENED], -1) if asked.rows == "vintage" else rows[event]
            there = row >= 0
            np.add.at(counts[:, place, :], (row[there], band[there]), 1)
        parts.append(counts.ravel())
    return np.concatenate(parts)


def tables_of(plan: Plan, values: np.ndarray) -> dict[str, np.ndarray]:
    """The tables of a sum over `first_passages`, [months, events, bands] each, by the column of their bands.

    Raises:
        ValueError: the sum has another length.
    """
    asked, table, found, start = plan.counted, plan.groups[plan.lenders].table, {}, 0
    if values.shape != (asked.cells(table),):
        raise ValueError(f"expected {asked.cells(table)} cells, got {values.shape}")
    for name in asked.by:
        shape = (len(asked.months), len(asked.events), len(asked.band_keys(table, name)))
        found[name] = values[start : start + int(np.prod(shape))].reshape(shape)
        start += int(np.prod(shape))
    return found


def _places(values: np.ndarray, months: Mapping[str, int]) -> np.ndarray:
    """The row of each month such as 202703, -1 where it is none of the plan's or missing: int64 [n]."""
    known = np.array([float(month) for month in months])
    at = np.searchsorted(known, np.nan_to_num(values, nan=-1.0))
    found = np.clip(at, 0, len(known) - 1)
    return np.where(known[found] == values, found, -1).astype(np.int64)


def _bands(values: np.ndarray, edges: np.ndarray, size: int, missing: bool) -> np.ndarray:
    """The band of each value, int64 [n]; never raises for a value, what has no band counts in the nearest one."""
    last = size - 1 - missing
    found = np.searchsorted(edges, values, side="left") if len(edges) else np.floor(np.nan_to_num(values))
    return np.where(np.isnan(values), size - 1, np.clip(found, 0, last)).astype(np.int64)
