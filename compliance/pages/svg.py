"""Drawing in SVG by hand: axes with units, and marks that stay apart in black and white.

Sizes are in CSS pixels of the drawing's own width. Colours are those of Okabe and Ito (2008), which people with any
kind of colour blindness can distinguish; every series has a dash and a marker of its own besides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sealscore.compliance.pages.page import Html, element
from sealscore.shared.text.numbers import short

TEXT, SMALL = 12.5, 11.5
INK, SOFT, GRID = "#1b1f24", "#5a636e", "#e3e7eb"
_FONT = "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"

Point = tuple[float, float]


@dataclass(frozen=True)
class Style:
    """How a series looks."""

    colour: str
    dash: str | None = None
    marker: str = "circle"
    hollow: bool = False


STYLES = (
    Style("#005a9c"),
    Style("#d55e00", "7 4", "square"),
    Style("#000000", "2 3", "triangle"),
    Style("#009e73", "10 3 2 3", "diamond"),
    Style("#cc79a7", "4 2", "circle", hollow=True),
    Style("#56b4e9", "12 4", "square", hollow=True),
    Style("#e69f00", "1 4", "triangle", hollow=True),
)


@dataclass(frozen=True)
class Axis:
    """An axis: what it shows, with its unit, from `low` to `high`; `values` are its ticks, else round numbers are."""

    label: str
    low: float
    high: float
    text: Callable[[float], str] = short
    log: bool = False
    values: Sequence[float] = ()

    def place(self, value: float) -> float:
        """Where a value lies between the ends: 0 to 1, clamped."""
        low, high, at = self.low, self.high, value
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(max(value, low))
        return min(1.0, max(0.0, (at - low) / (high - low)))

    def ticks(self, about: int) -> list[float]:
        """Values to mark."""
        if self.values:
            return [value for value in self.values if self.low <= value <= self.high]
        return log_ticks(self.low, self.high) if self.log else round_ticks(self.low, self.high, about)


def round_ticks(low: float, high: float, about: int) -> list[float]:
    """About so many round numbers from `low` to `high`: multiples of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / max(1, about)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= 0.72 * rough)
    first = math.ceil(low / step - 1e-9)
    return [step * k for k in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten from `low` to `high`, the powers alone where that would be many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if math.log10(high / low) < 2.2 else (1,)
    return [f * 10.0**p for p in powers for f in factors if low * (1 - 1e-9) <= f * 10.0**p <= high * (1 + 1e-9)]


def span(values: Sequence[float], pad: float = 0.05, least: float = 1e-9) -> Point:
    """The range of values, widened a little."""
    low, high = min(values), max(values)
    room = max((high - low) * pad, least)
    return low - room, high + room


def words_width(text: str, size: float = TEXT) -> float:
    """About how wide a text is, on the safe side for a wide font."""
    return sum(1.05 if ord(c) > 0x2E80 else 0.62 for c in text) * size


def num(value: float) -> str:
    """A coordinate."""
    return f"{value:.1f}".rstrip("0").rstrip(".")


def words(
    x: float, y: float, text: str, anchor: str = "start", size: float = TEXT, colour: str = INK, **more: object
) -> Html:
    """A text with a white rim, so that it reads over lines; `anchor` is start, middle or end."""
    return element(
        "text",
        text,
        x=num(x),
        y=num(y),
        text_anchor=None if anchor == "start" else anchor,
        font_size=num(size),
        fill=colour,
        stroke="#fff",
        stroke_width="3.5",
        stroke_linejoin="round",
        paint_order="stroke",
        **more,
    )


def stroke(points: Sequence[Point], style: Style, width: float = 2.0) -> Html:
    """A line through points."""
    return element(
        "polyline",
        points=" ".join(f"{num(x)},{num(y)}" for x, y in points),
        fill="none",
        stroke=style.colour,
        stroke_width=num(width),
        stroke_dasharray=style.dash,
        stroke_linejoin="round",
    )


def straight(x1: float, y1: float, x2: float, y2: float, colour: str = INK, width: float = 1.0, dash: str = "") -> Html:
    """A straight line."""
    return element(
        "line",
        x1=num(x1),
        y1=num(y1),
        x2=num(x2),
        y2=num(y2),
        stroke=colour,
        stroke_width=num(width),
        stroke_dasharray=dash or None,
    )


def area(points: Sequence[Point], colour: str, opacity: float = 0.18) -> Html:
    """A filled area."""
    places = " ".join(f"{num(x)},{num(y)}" for x, y in points)
    return element("polygon", points=places, fill=colour, fill_opacity=num_opacity(opacity))


def num_opacity(value: float) -> str:
    """An opacity."""
    return f"{value:.2f}"


def box(
    x: float, y: float, width: float, height: float, fill: str, edge: str | None = None, opacity: float = 1.0
) -> Html:
    """A rectangle."""
    return element(
        "rect",
        x=num(x),
        y=num(y),
        width=num(max(0.0, width)),
        height=num(max(0.0, height)),
        fill=fill,
        fill_opacity=None if opacity == 1 else num_opacity(opacity),
        stroke=edge,
    )


def marker(x: float, y: float, style: Style, size: float = 4.5) -> Html:
    """The marker of a series."""
    look = {"fill": "#fff" if style.hollow else style.colour, "stroke": style.colour, "stroke_width": "1.6"}
    if style.marker == "circle":
        return element("circle", cx=num(x), cy=num(y), r=num(size), **look)
    corners = {
        "square": [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
        "triangle": [(0, -1.15), (1.05, 0.8), (-1.05, 0.8)],
        "diamond": [(0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)],
    }[style.marker]
    return element("polygon", points=" ".join(f"{num(x + a * size)},{num(y + b * size)}" for a, b in corners), **look)


def drawing(width: float, height: float, title: str, parts: Sequence[Html]) -> Html:
    """The whole drawing; the title is what a screen reader says."""
    return element(
        "svg",
        element("title", title),
        *parts,
        viewBox=f"0 0 {num(width)} {num(height)}",
        role="img",
        aria_label=title,
    )


def alone(drawn: Html) -> str:
    """A drawing as a file of its own: with its name space, a font and a white ground."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" font-family="{_FONT}" style="background:#fff" '
    return str(drawn).replace("<svg ", head, 1)


class Plot:
    """A rectangle with an x and a y axis; `x` and `y` map values to its pixels, `parts` collects what is drawn."""

    def __init__(
        self,
        across: Axis,
        up: Axis,
        width: float = 400,
        height: float = 300,
        right: float = 14,
        top: float = 12,
    ) -> None:
        self._across, self._up = across, up
        ticks = up.ticks(5)
        self.left = 30 + max((words_width(up.text(value), SMALL) for value in ticks), default=0)
        self.width, self.height, self.top = width, height, top
        self.right_edge, self.bottom = width - right, height - 46
        self.parts: list[Html] = []
        self._grid(ticks)

    def x(self, value: float) -> float:
        """Pixels from the left."""
        return self.left + self._across.place(value) * (self.right_edge - self.left)

    def y(self, value: float) -> float:
        """Pixels from the top."""
        return self.bottom - self._up.place(value) * (self.bottom - self.top)

    def x_at(self, part: float) -> float:
        """Pixels from the left of a part of the width of the plot."""
        return self.left + part * (self.right_edge - self.left)

    def points(self, xs: Sequence[float], ys: Sequence[float]) -> list[Point]:
        """Values as pixels."""
        return [(self.x(float(a)), self.y(float(b))) for a, b in zip(xs, ys, strict=True)]

    def draw(self, title: str) -> Html:
        """The drawing."""
        frame = [
            straight(self.left, self.bottom, self.right_edge, self.bottom),
            straight(self.left, self.top, self.left, self.bottom),
        ]
        return drawing(self.width, self.height, title, [*self.parts, *frame])

    def _grid(self, ticks: Sequence[float]) -> None:
        for value in ticks:
            at = self.y(value)
            self.parts.append(straight(self.left, at, self.right_edge, at, GRID))
            self.parts.append(words(self.left - 6, at + 4, self._up.text(value), "end", SMALL))
        room = self.right_edge - self.left
        wanted = self._across.ticks(max(2, int(room / 65)))
        for value in wanted:
            at = self.x(value)
            self.parts.append(straight(at, self.bottom, at, self.bottom + 5))
            self.parts.append(words(at, self.bottom + 18, self._across.text(value), "middle", SMALL))
        middle = (self.left + self.right_edge) / 2
        self.parts.append(words(middle, self.height - 8, self._across.label, "middle"))
        centre = (self.top + self.bottom) / 2
        turn = f"rotate(-90 {num(13)} {num(centre)})"
        self.parts.append(words(13, centre, self._up.label, "middle", transform=turn))


def apart(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places near the wanted ones that are at least `gap` apart and, where there is room, within low and high."""
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    placed = [0.0] * len(wanted)
    last = -math.inf
    for index in order:
        last = placed[index] = max(wanted[index], last + gap, low)
    ceiling = math.inf
    for index in reversed(order):
        ceiling = placed[index] = min(placed[index], high if ceiling == math.inf else ceiling - gap)
    return placed
