"""A report of first-passage tables as plain text, from its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sealscore.shared.text.numbers import LOST, between, fixed, short, whole

_NAMES = {"opened": "opened", "days_30": "30 days", "days_60": "60 days", "days_90": "90 days"}


def watch_text(record: Mapping[str, Any]) -> list[str]:
    """Lines of a report, from `monitoring` and `privacy` of a run's record."""
    watched, privacy = record["monitoring"], record["privacy"]
    spent = "no noise" if privacy["epsilon"] is None else f"epsilon {privacy['epsilon']:.3f} of a person"
    by = "the month in which loans were opened" if watched["rows"] == "vintage" else "the month in which it happened"
    lines = [
        f"{record['plan']['name']}: first passages by {by}; {spent} at delta {privacy['delta']:g}",
        f"noise of standard deviation {short(watched['noise_std'])} in a cell; each figure with its 95 % interval",
        "",
        *_table("loans", watched["months"], watched["events"], watched["counts"], _count),
    ]
    if watched["rates"]:
        of = "opened in the month" if watched["rows"] == "vintage" else "opened in these months until then"
        events = [event for event in watched["events"] if event != "opened"]
        lines += ["", *_table(f"share of the loans {of}", watched["months"], events, watched["rates"], _rate)]
    columns = list(watched["tables"])
    first = watched["reference_months"]
    title = f"shift of bands against the first {first} months (PSI; * above its threshold)"
    lines += ["", *_table(title, watched["months"][first:], columns, watched["shifts"], _index)]
    lines += [
        "",
        f"by nominal counts a shift of PSI 0.1 is found with the chance {watched['power_by_nominal_counts']:.3f}",
    ]
    return lines


def _table(
    title: str, rows: Sequence[str], columns: Sequence[str], figures: Sequence[Mapping[str, Any]], cell: Any
) -> list[str]:
    """A title, a head and a line a row, in columns of one width."""
    of = {(one["row"], one["what"]): cell(one) for one in figures}
    head = [_NAMES.get(name, name) for name in columns]
    body = [[of[row, name] for name in columns] for row in rows]
    widths = [max(len(line[at]) for line in (head, *body)) for at in range(len(columns))]
    lines = [("       ", head), *zip(rows, body, strict=True)]
    return [title, *("  ".join([start, *map(str.ljust, line, widths)]).rstrip() for start, line in lines)]


def _count(one: Mapping[str, Any]) -> str:
    return LOST if one["value"] is None else f"{whole(one['value'])} ({whole(one['low'])} to {whole(one['high'])})"


def _rate(one: Mapping[str, Any]) -> str:
    return LOST if one["value"] is None else between(one["value"], one["low"], one["high"])


def _index(one: Mapping[str, Any]) -> str:
    if one["value"] is None:
        return LOST
    words = f"{between(one['value'], one['low'], one['high'])}, threshold {fixed(one['threshold'])}"
    return f"{words} *" if one["moved"] else words
