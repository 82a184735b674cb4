"""The report of a month as one page without scripts, by the project's report engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sealscore.compliance.pages.figures import Line, line_figure
from sealscore.compliance.pages.page import (
    Column,
    Html,
    Page,
    cards,
    figure,
    figures,
    notice,
    paragraph,
    strong,
    table,
)
from sealscore.compliance.pages.svg import STYLES, Axis
from sealscore.shared.text.numbers import fixed, percent, plural, whole

Data = Mapping[str, Any]
_CURVES = 6


def watch_page(data: Data, lender: str) -> str:
    """The page of what `report_of` gives."""
    page = Page(f"Watch of {data['month']}", f"{lender}, release {data['release'][:16]}")
    page.section("In short", _short(data), _alerts(data))
    page.section("Measures and thresholds", _measures(data))
    page.section("Calibration", _calibration(data))
    page.section("Vintages", _vintages(data))
    page.section("Roll rates", _rolls(data))
    page.section("Decisions", _operations(data))
    if data["groups"]:
        page.section("Groups", _groups(data))
    page.section("What was read", _read(data))
    return page.render()


def _short(data: Data) -> Html:
    judged = [one for one in data["measures"] if one["value"] is not None]
    breaches = sum(one["breach"] for one in judged)
    waiting = sum(alert["state"] == "open" for alert in data["alerts"])
    chance = data["chance"]
    return cards(
        [
            ("Open alerts", whole(waiting), "two breaches of a measure in a row make one"),
            ("Breaches this month", whole(breaches), f"of {plural(len(judged), 'measure')} with enough cases"),
            (
                "Chance of an alert for nothing",
                percent(chance["alert"]),
                f"over all measures in {chance['months']} quiet months, if they and months are independent",
            ),
            ("Scores", _count(data["read"]["scores"]), f"applications of {data['month']} under this release"),
        ]
    )


def _alerts(data: Data) -> Html:
    if not data["alerts"]:
        return paragraph("No measure breached twice in a row.")
    columns = ("alert", "measure", "since", "severity", "owner", "state")
    rows = [[one[key] for key in ("id", "measure", "month", "severity", "owner", "state")] for one in data["alerts"]]
    return table(columns, [[strong(row[0]), *row[1:]] for row in rows], "Alerts")


def _measures(data: Data) -> Html:
    said = paragraph(
        f"A measure breaches above its threshold. Each month has one level for all of them "
        f"({fixed(data['chance']['level'], 4)} a measure and month). Measures of fewer than "
        f"{data['least']} cases, or whose reference is not over yet, are not judged.",
        class_="note",
    )
    columns = [
        "measure",
        "compared with",
        Column("cases", number=True),
        Column("value", number=True),
        Column("threshold", number=True),
        "",
    ]
    rows = [
        [
            one["name"],
            one["reference"],
            whole(one["cases"]) if one["cases"] else "",
            "not judged" if one["value"] is None else fixed(one["value"], 4),
            "" if one["threshold"] is None else fixed(one["threshold"], 4),
            strong("BREACH") if one["breach"] else "",
        ]
        for one in data["measures"]
    ]
    names = ", ".join(data["without_reference"])
    lacking = paragraph(f"Never judged, since the first months had too few cases: {names}.") if names else ""
    return Html(said + table(columns, rows) + lacking)


def _calibration(data: Data) -> Html:
    rows = [row for row in data["calibration"] if row["rate"] is not None]
    window = plural(data["window_days"], "day")
    if not rows:
        return paragraph(
            f"No window of {window} is closed yet, or too few loans are in one; the first closes with "
            f"{data['first_window_closes']}. Open windows are not counted."
        )
    most = max(max(row["high"], row["predicted"]) for row in rows) * 1.05
    lines = [
        Line(
            role,
            [row["predicted"] for row in rows if row["role"] == role],
            [row["rate"] for row in rows if row["role"] == role],
            style,
            [row["low"] for row in rows if row["role"] == role],
            [row["high"] for row in rows if row["role"] == role],
            joined=False,
        )
        for role, style in zip(sorted({row["role"] for row in rows}), STYLES, strict=False)
    ]
    ideal = Line("", [0, most], [0, most], STYLES[2])
    axes = (Axis("predicted PD", 0, most, percent), Axis("observed bad rate", 0, most, percent))
    drawn = figure(
        line_figure("Observed against predicted", *axes, [ideal, *lines]),
        "Observed against predicted.",
        f"Loans whose window of {window} is closed, by their PD; bars are 95 % intervals, the line is perfect.",
    )
    signals = table(
        ["token at the decision", Column("loans", True), Column("predicted", True), Column("observed", True)],
        [[_SIGNAL[row["part"]], *_bads(row)] for row in data["signals"]],
        "With and without a platform's signal, closed windows",
    )
    return Html(figures(drawn) + signals)


_SIGNAL = {"true": "used", "false": "none used"}


def _bads(row: Data) -> list[object]:
    return [_cases(row), "" if row["predicted"] is None else percent(row["predicted"], 1), _rate(row)]


def _vintages(data: Data) -> Html:
    if not data["vintages"]:
        return paragraph("There is no loan of an earlier month with a row in the table of repayments.")
    shown = [row for row in data["vintages"] if any(cell["rate"] is not None for cell in row["curve"])][-_CURVES:]
    drawn = Html("")
    if shown:
        curves = [[cell for cell in row["curve"] if cell["rate"] is not None] for row in shown]
        oldest = max(cell["age"] for curve in curves for cell in curve)
        most = max(cell["rate"] for curve in curves for cell in curve) * 1.1 or 0.01
        lines = [
            Line(row["start"], [cell["age"] for cell in curve], [cell["rate"] for cell in curve], style)
            for row, curve, style in zip(shown, curves, STYLES, strict=False)
        ]
        across = Axis("months since the start", 0, max(oldest, 1), values=range(0, oldest + 1, max(1, oldest // 6)))
        up = Axis(f"ever {data['bad_days']} days past due", 0, most, percent)
        chart = line_figure("Vintages", across, up, lines, width=800)
        drawn = figure(chart, "Vintages.", f"The last {plural(len(shown), 'vintage')} with enough loans.", wide=True)
    columns = ["started", "window closes", Column("loans", True), Column("bad rate (95 % interval)", True)]
    rows = [
        [row["start"], row["closes"], *((_cases(row), _rate(row)) if row["closed"] else ("", "open: not counted"))]
        for row in data["vintages"]
    ]
    return Html(drawn + table(columns, rows, "Vintages and their windows"))


def _rolls(data: Data) -> Html:
    columns = ["from", "to a worse bucket, first", Column("loans", True), Column("rolled (95 % interval)", True)]
    rows = [[row["from"], row["to"], _cases(row), _rate(row)] for row in data["rolls"]]
    return table(columns, rows, f"Days past due, from the month before to {data['month']}")


def _operations(data: Data) -> Html:
    found = data["operations"]
    names = {
        "offered": "offered, of decisions",
        "waited": "waited for a person, of decisions",
        "fallback": "scored by the fallback, of decisions",
        "without_signal": "without a platform's signal, of decisions",
        "overrides": "overrides, of declines that a person saw",
        "reversals": "reversals, of disputes that a person decided",
        "late": "decided after their day, of reviews",
    }
    columns = ["", Column("cases", True), Column("share (95 % interval)", True)]
    rows = [[words, _cases(found[name]), _rate(found[name])] for name, words in names.items()]
    days, rules = found["queue_days"], found["overridden_rules"]
    waited = (
        "Too few reviews to say how long they took."
        if days["half"] is None
        else f"Half of the reviews took at most {whole(days['half'])} days, nine in ten {whole(days['nine_in_ten'])}."
    )
    over = ", ".join(f"{rule} ({count})" for rule, count in rules.items())
    return Html(
        table(columns, rows, f"Decisions of {data['month']}")
        + paragraph(waited)
        + paragraph(f"Rules that were overridden: {over}." if over else "No rule was overridden often enough to show.")
    )


def _groups(data: Data) -> Html:
    columns = [
        "group",
        Column("decisions", True),
        Column("offered (95 % interval)", True),
        Column("loans", True),
        Column("predicted", True),
        Column("bad rate (95 % interval)", True),
    ]
    rows = [[row["group"], _cases(row["offers"]), _rate(row["offers"]), *_bads(row["bads"])] for row in data["groups"]]
    return table(columns, rows, "Offers of the month, and bad rates of closed windows")


def _read(data: Data) -> Html:
    read = data["read"]
    rows: Iterable[tuple[str, object]] = (
        ("decisions of the month", _count(read["decisions"])),
        ("loans in the table of repayments", _count(read["loans"]) if read["repayments"] else "no table is named"),
        ("loans of the log without a row", _count(read["loans_without_row"]) if read["repayments"] else ""),
        ("loans whose lines were not read", _count(read["loans_left_out"])),
        ("lines of the log that were erased", _count(read["lines_erased"])),
        ("lines that a withdrawal locked", _count(read["lines_withdrawn"])),
    )
    return Html(
        table(["", Column("", True)], rows)
        + notice(
            "Nothing of this left the node.",
            f" It is computed from records that this lender holds; cells of fewer than {data['floor']} are not shown.",
        )
    )


def _cases(cell: Data) -> str:
    return _count(cell["cases"])


def _count(count: int | None) -> str:
    return "too few" if count is None else whole(count)


def _rate(cell: Data) -> str:
    if cell["rate"] is None:
        return ""
    return f"{percent(cell['rate'], 1)} ({percent(cell['low'], 1)} to {percent(cell['high'], 1)})"
