"""The report of a run of counts: shifts of bands with their interval and threshold, rates, and loans, one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sealscore.compliance.pages.figures import Line, line_figure
from sealscore.compliance.pages.page import Column, Html, Page, figure, figures, join, paragraph, table
from sealscore.compliance.pages.svg import STYLES, Axis
from sealscore.shared.text.foreign import grouped
from sealscore.shared.text.numbers import fixed, percent, plural, whole

_EVENTS = {"opened": "opened", "days_30": "30 days past due", "days_60": "60 days", "days_90": "90 days"}
LOST = "lost in noise"


def counts_report(record: Mapping[str, Any]) -> str:
    """The page of a run's record (`run.json`) whose plan has `[monitoring]`, as a whole document.

    Everything in it is post-processing of the noisy tables; what the noise hides is said to be lost in it.
    """
    found, plan = record["monitoring"], record["plan"]
    rows = "the month in which loans were opened" if found["rows"] == "vintage" else "the month of the passage"
    page = Page(f"Counts: {plan['name']}", f"run {record['run']}, plan {grouped(plan['hash'])}")
    privacy = record["privacy"]
    page.section(
        "In short",
        paragraph(
            f"First passages of the lenders' loans by {rows}. They cost epsilon "
            f"{fixed(privacy['epsilon'], 3)} of a person at delta {privacy['delta']:g}. The noise of a cell has the "
            f"standard deviation {fixed(found['noise_std'], 1)}; each figure has its 95 % interval with the noise in "
            f"it, and what the noise would give of no loan at all is {LOST}. By the plan's nominal counts a shift of "
            f"PSI 0.1 in a month is found with the chance {fixed(found['power_by_nominal_counts'], 3)}."
        ),
        paragraph(_said(found["shifts"])),
    )
    page.section("Shift of bands", _shifts(found))
    if found["rates"]:
        page.section("Rates", _cells(found["rates"], lambda value: percent(value, 1)))
    page.section("Loans", _cells(found["counts"], whole))
    return page.render()


def _said(shifts: Sequence[Mapping[str, Any]]) -> str:
    moved = [one for one in shifts if one["moved"]]
    lost = sum(one["value"] is None for one in shifts)
    if lost == len(shifts):
        return f"All {lost} comparisons are {LOST}: they say neither that bands moved nor that they did not."
    hidden = f" {lost} of {len(shifts)} comparisons are {LOST}." if lost else ""
    if not moved:
        return f"No shift is above its threshold.{hidden}"
    return "Above their thresholds: " + "; ".join(f"{one['what']} in {one['row']}" for one in moved) + f".{hidden}"


def _shifts(found: Mapping[str, Any]) -> Html:
    """A figure a column: the index by row, its interval, and the threshold of its own noise."""
    months, drawn = list(found["months"]), []
    for name in dict.fromkeys(one["what"] for one in found["shifts"]):
        known = [one for one in found["shifts"] if one["what"] == name and one["value"] is not None]
        lost = [one["row"] for one in found["shifts"] if one["what"] == name and one["value"] is None]
        words = f"{LOST.capitalize()}: {', '.join(lost)}." if lost else ""
        if known:
            at = [float(months.index(one["row"]) + 1) for one in known]
            value, low, high, limit = (
                [float(one[key]) for one in known] for key in ("value", "low", "high", "threshold")
            )
            across = Axis("month", 1, len(months), text=lambda at: months[round(at) - 1])
            up = Axis("PSI", 0, 1.1 * max(*high, *limit, 0.1))
            index = Line("PSI", at, value, STYLES[0], low, high, joined=False)
            threshold = Line("threshold", at, limit, STYLES[1])
            drawing = line_figure(f"PSI of {name} with its threshold", across, up, [index, threshold])
            drawn.append(figure(drawing, name, f"95 % intervals, and the threshold of each. {words}"))
        else:
            drawn.append(paragraph(f"{name}: all {LOST}."))
    what = f"The first {plural(found['reference_months'], 'month')} of the table are the reference."
    return join([paragraph(what), figures(*drawn)])


def _cells(found: Sequence[Mapping[str, Any]], text: Any) -> Html:
    events = list(dict.fromkeys(one["what"] for one in found))
    cells = {(one["row"], one["what"]): one for one in found}

    def said(one: Mapping[str, Any]) -> str:
        if one["value"] is None:
            return LOST
        return f"{text(one['value'])} ({text(one['low'])} to {text(one['high'])})"

    rows = [
        (row, *(said(cells[row, event]) if (row, event) in cells else "" for event in events))
        for row in dict.fromkeys(one["row"] for one in found)
    ]
    return table(["", *(Column(_EVENTS.get(event, event), number=True) for event in events)], rows)
