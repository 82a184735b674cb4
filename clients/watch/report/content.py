"""The report of a month as plain data: what is printed as JSON, and what the page is made of."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import polars as pl

from sealscore.clients.watch.journal import WatchJournal
from sealscore.clients.watch.judged import JudgedMonth
from sealscore.clients.watch.months import month_text
from sealscore.clients.watch.noise.nulls import LEAST
from sealscore.clients.watch.noise.thresholds import CHANCE, HORIZON
from sealscore.clients.watch.portfolio import ROLLS, outcomes, rolls, vintages
from sealscore.clients.watch.report.cells import count_cell, hidden, rate_cell
from sealscore.clients.watch.run import WatchedLog

_TENTHS = 10


def report_of(of: WatchedLog, judged: JudgedMonth, journal: WatchJournal) -> dict[str, Any]:
    """All that is shown of a month: rates with intervals, closed windows only, no cell of few cases."""
    month, floor = judged.month, of.settings.floor
    closed = outcomes(of.book.loans, of.book.repayments, month, of.release.window, of.settings.bad_days)
    until = month_text(month)
    return {
        "form": 1,
        "release": of.release.release,
        "month": until,
        "first_month": month_text(of.first),
        "bad_days": of.settings.bad_days,
        "window_days": of.release.window,
        "first_window_closes": month_text(of.release.closes(of.first)),
        "reference_months": of.settings.reference_months,
        "floor": floor,
        "least": LEAST,
        "chance": {"alert": CHANCE, "months": HORIZON, "level": judged.level},
        "read": _read(of, month),
        "measures": [
            {
                "name": one.name,
                "family": one.family,
                "reference": one.reference,
                "cases": one.cases if one.cases >= floor else None,
                "value": one.value,
                "threshold": one.threshold,
                "breach": one.breach,
            }
            for one in judged.measures
        ],
        "without_reference": [one.name for one in judged.measures if one.unreferenced],
        "alerts": [
            {
                "id": alert.id,
                "measure": alert.measure,
                "month": alert.month,
                "severity": alert.severity,
                "owner": alert.owner,
                "state": alert.state,
            }
            for alert in journal.alerts.values()
            if alert.release == of.release.release and alert.month <= until
        ],
        "calibration": _calibration(closed, floor),
        "vintages": _vintages(of, closed, month),
        "rolls": _rolls(of, month),
        "operations": _operations(of, month),
        "signals": _split(closed.drop_nulls("signal"), pl.col("signal").cast(pl.String), floor),
        "groups": _groups(of, closed, month),
    }


def _read(of: WatchedLog, month: int) -> dict[str, Any]:
    book, floor = of.book, of.settings.floor
    seen = set(book.repayments["loan"].to_list())
    begun = book.loans.filter(pl.col("start") < month)
    counts = {
        "scores": book.scores.filter(pl.col("month") == month).height,
        "decisions": book.decisions.filter(pl.col("month") == month).height,
        "loans": len(seen),
        "loans_without_row": begun.filter(~pl.col("loan").is_in([*seen])).height if of.repayments else 0,
        "loans_left_out": of.left_out,
        "lines_erased": book.erased,
        "lines_withdrawn": book.withdrawn,
    }
    return {"repayments": of.repayments, **{name: count_cell(count, floor) for name, count in counts.items()}}


def _calibration(closed: pl.DataFrame, floor: int) -> list[dict[str, Any]]:
    """Predicted and observed rates by role, in tenths of the loans by their PD."""
    found = []
    roles = sorted(closed.drop_nulls("role").partition_by("role", as_dict=True).items())
    for ((role,), loans), few in zip(roles, hidden([loans.height for _, loans in roles], floor), strict=True):
        if few:
            continue
        ordered = loans.sort("pd", "loan")
        for place in np.array_split(np.arange(ordered.height), min(_TENTHS, max(1, ordered.height // floor))):
            rows = ordered[place.tolist()]
            cell = rate_cell(int(rows["bad"].sum()), rows.height, floor)
            found.append({"role": role, "predicted": float(rows["pd"].to_numpy().mean()), **cell})
    return found


def _vintages(of: WatchedLog, closed: pl.DataFrame, month: int) -> list[dict[str, Any]]:
    floor, days = of.settings.floor, of.settings.bad_days
    # Loans of other releases are not of this report.
    own, closed = of.book.loans.drop_nulls("role"), closed.drop_nulls("role")
    curves = sorted(vintages(own, of.book.repayments, month, days).partition_by("start", as_dict=True).items())
    # Those that are closed have a whole of their own: calibration shows it.
    few = dict[int, bool]()
    for over in (True, False):
        sizes = {
            int(start): int(rows["loans"][0])
            for (start,), rows in curves
            if (of.release.closes(int(start)) <= month) == over
        }
        few |= zip(sizes, hidden([*sizes.values()], floor), strict=True)
    found = []
    for (start,), rows in curves:
        ended = closed.filter(pl.col("start") == start)
        over = of.release.closes(int(start)) <= month
        cell = (int(ended["bad"].sum()), ended.height) if over and not few[start] else (0, 0)
        found.append(
            {
                "start": month_text(int(start)),
                "closes": month_text(of.release.closes(int(start))),
                "closed": over,
                # Of an open window nothing is counted.
                **rate_cell(*cell, floor),
                "curve": [
                    {"age": age, **rate_cell(*((0, 0) if few[start] else (int(late), int(loans))), floor)}
                    for _, age, loans, late in rows.iter_rows()
                ],
            }
        )
    return found


def _rolls(of: WatchedLog, month: int) -> list[dict[str, Any]]:
    rows = {
        before: (int(worse), int(loans))
        for at, before, loans, worse in rolls(of.book.repayments).iter_rows()
        if at == month
    }
    floor, cells = of.settings.floor, [rows.get(place, (0, 0)) for place in range(len(ROLLS))]
    few = hidden([loans for _, loans in cells], floor)
    return [
        {"from": before, "to": after, **(rate_cell(0, 0, floor) if few[place] else rate_cell(*cells[place], floor))}
        for place, (before, after) in enumerate(ROLLS)
    ]


def _operations(of: WatchedLog, month: int) -> dict[str, Any]:
    floor = of.settings.floor
    decisions = of.book.decisions.filter(pl.col("month") == month)
    reviews = of.book.reviews.filter(pl.col("month") == month)
    declined, disputed = reviews.filter(pl.col("proposal") == "decline-proposed"), reviews.filter(pl.col("disputed"))
    timed = reviews.drop_nulls("late")

    def cell(rows: pl.DataFrame, of: pl.Expr) -> dict[str, Any]:
        return rate_cell(int(rows.select(of.sum()).item() or 0), rows.height, floor)

    rules = Counter(rule for row in declined.filter(pl.col("override"))["rules"].to_list() for rule in row)
    enough = reviews.height >= floor
    return {
        "fallback": cell(decisions, pl.col("role") == "fallback"),
        "without_signal": cell(decisions, ~pl.col("signal")),
        "offered": cell(of.book.decisions.filter(pl.col("settled") == month), pl.col("offered")),
        "waited": cell(decisions, pl.col("waited")),
        "overrides": cell(declined, pl.col("override")),
        "overridden_rules": {rule: count for rule, count in sorted(rules.items()) if count >= floor},
        "reversals": cell(disputed, pl.col("reversal")),
        "late": cell(timed, pl.col("late")),
        "queue_days": {
            "half": float(reviews["days"].quantile(0.5, "nearest") or 0) if enough else None,
            "nine_in_ten": float(reviews["days"].quantile(0.9, "nearest") or 0) if enough else None,
        },
    }


def _parts(rows: pl.DataFrame, by: pl.Expr, floor: int) -> list[tuple[str, pl.DataFrame, bool]]:
    """Parts of rows, and whether each is hidden; those of no part are one of the whole as well."""
    named = rows.with_columns(part=by)
    parts = sorted(named.drop_nulls("part").partition_by("part", as_dict=True).items())
    sizes = [part.height for _, part in parts]
    few = hidden([*sizes, rows.height - sum(sizes)], floor)
    return [(str(name), part, few[place]) for place, ((name,), part) in enumerate(parts)]


def _split(loans: pl.DataFrame, by: pl.Expr, floor: int) -> list[dict[str, Any]]:
    """Predicted and observed rates of parts of the loans whose window closed."""
    found = []
    for part, rows, few in _parts(loans, by, floor):
        cell = rate_cell(0, 0, floor) if few else rate_cell(int(rows["bad"].sum()), rows.height, floor)
        predicted = None if few else float(rows["pd"].to_numpy().mean())
        found.append({"part": part, "predicted": predicted, **cell})
    return found


def _groups(of: WatchedLog, closed: pl.DataFrame, month: int) -> list[dict[str, Any]]:
    """Offers of the month and bad rates of closed windows, by group."""
    floor = of.settings.floor
    decisions = of.book.decisions.filter(pl.col("settled") == month)
    loans = {row["part"]: row for row in _split(closed.drop_nulls("pd"), pl.col("group"), floor)}
    found = []
    for group, rows, few in _parts(decisions, pl.col("group"), floor):
        offers = rate_cell(0, 0, floor) if few else rate_cell(int(rows["offered"].sum()), rows.height, floor)
        bads = loans.get(group, {"predicted": None, **rate_cell(0, 0, floor)})
        found.append({"group": group, "offers": offers, "bads": {k: v for k, v in bads.items() if k != "part"}})
    return found
