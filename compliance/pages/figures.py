"""The kinds of figures that reports are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from sealscore.compliance.pages.page import Html, join
from sealscore.compliance.pages.svg import (
    GRID,
    INK,
    SMALL,
    SOFT,
    STYLES,
    Axis,
    Plot,
    Style,
    apart,
    area,
    box,
    drawing,
    marker,
    straight,
    stroke,
    words,
    words_width,
)
from sealscore.shared.text.numbers import fixed

_ROW = 25.0
# From one row of rules' names to the next.
_NAME_ROW = 15.0
# Room for a marker before a name.
_KEY = 14.0
# Between the texts of one panel and the axis of the next.
_GAP = 26.0


@dataclass(frozen=True)
class Line:
    """A series: points, an uncertainty band and error bars where there are any, and its name at its right end.

    `step` draws stairs whose value lasts up to the next x. `joined` is False for markers alone; their intervals are
    error bars, and their marker is before the name.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    style: Style = STYLES[0]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    step: bool = False
    joined: bool = True


@dataclass(frozen=True)
class Label:
    """A name in a plot: at values, moved by pixels; `anchor` is start, middle or end."""

    text: str
    x: float
    y: float
    colour: str = INK
    anchor: str = "start"
    right: float = 0.0
    up: float = 0.0


@dataclass(frozen=True)
class Rule:
    """A dashed line at an x or a y across the plot, with a name."""

    label: str
    x: float | None = None
    y: float | None = None


def line_figure(
    title: str,
    across: Axis,
    up: Axis,
    lines: Sequence[Line],
    rules: Sequence[Rule] = (),
    labels: Sequence[Label] = (),
    width: float = 400,
    height: float = 300,
) -> Html:
    """Lines, stairs or markers over one pair of axes."""
    named = [line for line in lines if line.label]
    keys = {line.label: 0 if line.joined else _KEY for line in named}
    right = max((words_width(label, SMALL) + key for label, key in keys.items()), default=8.0) + 12
    plot = Plot(across, up, width, height, right=right)
    _rules(plot, rules)
    for line in lines:
        _line(plot, line)
    # Beside the last point of all, which may be far from the edge: names at the edge would be of no line.
    edge = min(plot.right_edge, max((plot.x(float(line.x[-1])) for line in named), default=plot.right_edge))
    ends_at = [plot.y(float(line.y[-1])) + 4 for line in named]
    for line, at in zip(named, apart(ends_at, 15, plot.top + 8, plot.bottom - 2), strict=True):
        if not line.joined:
            plot.parts.append(marker(edge + 11, at - 4, line.style))
        start = edge + 5 + keys[line.label]
        plot.parts.append(words(start, at, line.label, size=SMALL, colour=line.style.colour))
    for label in labels:
        plot.parts.append(_name(plot, label))
    return plot.draw(title)


def _name(plot: Plot, label: Label) -> Html:
    """A label, moved to lie within the plot."""
    size = words_width(label.text)
    start = plot.x(label.x) + label.right - size * {"start": 0.0, "middle": 0.5, "end": 1.0}[label.anchor]
    start = max(plot.left + 3, min(start, plot.width - 3 - size))
    height = max(plot.top + 10, min(plot.y(label.y) - label.up, plot.bottom - 4))
    return words(start + size / 2, height, label.text, "middle", colour=label.colour)


def _rules(plot: Plot, rules: Sequence[Rule]) -> None:
    """All rules; names of upright ones that would meet lie below each other."""
    taken: list[tuple[float, float, float]] = []
    # A name has a rim over the lines of all rules, so they come first.
    for rule in rules:
        if rule.x is not None:
            at = plot.x(rule.x)
            plot.parts.append(straight(at, plot.top, at, plot.bottom, SOFT, 1.2, "5 4"))
    for rule in rules:
        _named_rule(plot, rule, taken)


def _named_rule(plot: Plot, rule: Rule, taken: list[tuple[float, float, float]]) -> None:
    """A level rule with its name, or the name of an upright one; `taken` are the start, end and height of names."""
    if rule.x is not None:
        at, size = plot.x(rule.x), words_width(rule.label, SMALL)
        anchor = "end" if at + 8 + size > plot.right_edge else "start"
        start = at - 5 - size if anchor == "end" else at + 5
        height = plot.top + 11
        while any(start < end and first < start + size and height == level for first, end, level in taken):
            height += _NAME_ROW
        taken.append((start, start + size, height))
        plot.parts.append(words(at - 5 if anchor == "end" else at + 5, height, rule.label, anchor, SMALL))
    if rule.y is not None:
        at = plot.y(rule.y)
        plot.parts.append(straight(plot.left, at, plot.right_edge, at, SOFT, 1.2, "5 4"))
        # Lines often start or end together at the sides.
        plot.parts.append(words(plot.x_at(0.3), at - 5, rule.label, "middle", SMALL))


def _line(plot: Plot, line: Line) -> None:
    points = plot.points(line.x, line.y)
    if line.low is not None and line.high is not None:
        lows, highs = plot.points(line.x, line.low), plot.points(line.x, line.high)
        if line.joined:
            upper, lower = (_stairs(highs), _stairs(lows)) if line.step else (highs, lows)
            plot.parts.append(area([*upper, *reversed(lower)], line.style.colour))
        else:
            for (x, low), (_, high) in zip(lows, highs, strict=True):
                plot.parts.append(whisker(x, low, x, high, line.style.colour))
    if line.joined:
        plot.parts.append(stroke(_stairs(points) if line.step else points, line.style))
    else:
        plot.parts.extend(marker(x, y, line.style) for x, y in points)


def _stairs(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Each value lasts up to the next x."""
    found = [points[0]]
    for (_, before), (x, y) in pairwise(points):
        found += [(x, before), (x, y)]
    return found


def whisker(x1: float, y1: float, x2: float, y2: float, colour: str) -> Html:
    """An error bar; its ends show where it is read."""
    cap = 3.5
    bar = straight(x1, y1, x2, y2, colour, 1.6)
    if x1 == x2:
        caps = [straight(x1 - cap, y, x1 + cap, y, colour, 1.6) for y in (y1, y2)]
    else:
        caps = [straight(x, y1 - cap, x, y1 + cap, colour, 1.6) for x in (x1, x2)]
    return join([bar, *caps])


@dataclass(frozen=True)
class Dot:
    """A row of a dot plot: a value with its 95 % interval, and the text in its place, alone if there is none."""

    label: str
    value: float | None
    text: str
    style: Style = STYLES[0]
    low: float | None = None
    high: float | None = None
    strong: bool = False


@dataclass(frozen=True)
class Panel:
    """A column of a dot plot. `rule` is a value to compare dots with, with its name."""

    axis: Axis
    dots: Sequence[Dot]
    rule: tuple[float, str] | None = None


def dot_figure(title: str, panels: Sequence[Panel], width: float = 800) -> Html:
    """Rows of dots in one panel or in several side by side, whose rows are the same and are named at the left.

    Each panel writes its rows' texts at its right, and in the row itself where there is no value.
    """
    labels = [dot.label for dot in panels[0].dots]
    left = max(words_width(label) for label in labels) + 14
    tops, bottom = 22.0, 22.0 + _ROW * len(labels)
    height = bottom + 48
    each = (width - left) / len(panels)
    parts: list[Html] = []
    for dot, middle in zip(panels[0].dots, _middles(panels[0].dots, tops), strict=True):
        parts.append(words(left - 8, middle + 4.5, dot.label, "end", font_weight="bold" if dot.strong else None))
    for index, panel in enumerate(panels):
        start = left + each * index
        end = start + each - (6 if index == len(panels) - 1 else _GAP)
        texts = max((words_width(dot.text, SMALL) for dot in panel.dots if dot.value is not None), default=0)
        _panel(parts, panel, start + 10, end - texts - 8, tops, bottom, end)
    return drawing(width, height, title, parts)


def _away(panel: Panel, left: float, right: float) -> tuple[float, str]:
    """Where words in a panel are, and by which anchor: in the middle, or at the end that is away from the rule."""
    if panel.rule is None:
        return (left + right) / 2, "middle"
    return (right, "end") if panel.axis.place(panel.rule[0]) < 0.5 else (left, "start")


def _middles(dots: Sequence[Dot], top: float) -> list[float]:
    """The heights of rows."""
    return [top + _ROW * (row + 0.5) for row in range(len(dots))]


def _panel(
    parts: list[Html], panel: Panel, left: float, right: float, top: float, bottom: float, texts_at: float
) -> None:
    def x(value: float) -> float:
        return left + panel.axis.place(value) * (right - left)

    parts.extend(straight(left, at, right, at, GRID) for at in _middles(panel.dots, top))
    parts.append(straight(left, bottom, right, bottom))
    for value in panel.axis.ticks(max(3, int((right - left) / 40))):
        parts.append(straight(x(value), bottom, x(value), bottom + 5))
        parts.append(words(x(value), bottom + 17, panel.axis.text(value), "middle", SMALL))
    parts.append(words((left + right) / 2, bottom + 37, panel.axis.label, "middle"))
    if panel.rule is not None:
        value, name = panel.rule
        parts.append(straight(x(value), top - 4, x(value), bottom, SOFT, 1.2, "5 4"))
        parts.append(words(x(value), top - 8, name, "middle", SMALL))
    for dot, middle in zip(panel.dots, _middles(panel.dots, top), strict=True):
        if dot.value is None:
            at, anchor = _away(panel, left, right)
            parts.append(words(at, middle + 4, dot.text, anchor, SMALL, SOFT))
            continue
        parts.append(words(texts_at, middle + 4, dot.text, "end", SMALL))
        if dot.low is not None and dot.high is not None:
            parts.append(whisker(x(dot.low), middle, x(dot.high), middle, dot.style.colour))
        parts.append(marker(x(dot.value), middle, dot.style, 5.5 if dot.strong else 4.5))


def meter_figure(title: str, value: float, most: float, text: str, width: float = 150, height: float = 18) -> Html:
    """A small bar from 0 with its text, for a cell of a table; `most` is the largest value of all cells."""
    room = width - words_width(text) - 8
    size = room * value / most if most > 0 else 0.0
    parts = [
        box(0, 4, size, height - 7, STYLES[0].colour),
        straight(0.5, 1, 0.5, height),
        words(size + 6, height - 4, text),
    ]
    return drawing(width, height, title, parts)


def strip_figure(title: str, values: Sequence[float], width: float = 200, height: float = 34) -> Html:
    """Small bars up and down from a line at 0, for a cell of a table, as large as the largest allows."""
    step, most = width / len(values), max(abs(value) for value in values)
    up, down = max(0.0, *values), max(0.0, *(-value for value in values))
    middle = height * up / (up + down) if up + down > 0 else height / 2
    parts = []
    for place, value in enumerate(values):
        size = height * abs(value) / (up + down) if most > 0 else 0.0
        colour = STYLES[0].colour if value >= 0 else STYLES[1].colour
        parts.append(box(place * step + 0.6, middle - size if value >= 0 else middle, step - 1.2, size, colour))
    parts.append(straight(0, middle, width, middle, INK, 1))
    return drawing(width, height, title, parts)


def gauge_figure(
    title: str, spent: float, reserved: float, limit: float, names: tuple[str, str, str], width: float = 800
) -> Html:
    """A budget: what was spent (solid), what was set aside and not used (outlined), and the limit."""
    left, right = 8.0, width - 8.0
    top, thick = 26.0, 24.0
    most = max(limit, reserved, spent) * 1.04

    def x(value: float) -> float:
        return left + (right - left) * value / most

    said = [f"{name} {fixed(value)}" for name, value in zip(names, (spent, reserved, limit), strict=True)]
    parts = [
        box(left, top, x(limit) - left, thick, "#fff", INK),
        box(left, top, x(reserved) - left, thick, STYLES[0].colour, None, 0.25),
        box(left, top, x(spent) - left, thick, STYLES[0].colour),
        straight(x(limit), top - 8, x(limit), top + thick + 8, INK, 2.5),
        words(x(limit), top - 12, said[2], "end"),
        words(left, top + thick + 18, said[0], colour=STYLES[0].colour, font_weight="bold"),
        words(x(reserved), top + thick + 18, said[1], "end"),
    ]
    return drawing(width, top + thick + 26, title, parts)
