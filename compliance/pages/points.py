"""A figure of single points: each is named beside itself, and those at one x are drawn a little apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sealscore.compliance.pages.figures import whisker
from sealscore.compliance.pages.page import Html
from sealscore.compliance.pages.svg import SMALL, Axis, Plot, Style, marker, words, words_width

_ASIDE = 14.0
"""Pixels from the middle of one point to that of another at its x."""
_MARK, _LETTERS = 7.0, 11.0

Area = tuple[float, float, float, float]


@dataclass(frozen=True)
class Named:
    """A point with its name and, from `low` to `high`, how far its y may be off."""

    label: str
    x: float
    y: float
    low: float
    high: float
    style: Style


def point_figure(
    title: str, across: Axis, up: Axis, points: Sequence[Named], width: float = 400, height: float = 300
) -> Html:
    """Points with error bars over one pair of axes, and their names where they cover nothing."""
    plot = Plot(across, up, width, height)
    places = _apart([plot.x(point.x) for point in points])
    taken = [
        area
        for point, at in zip(points, places, strict=True)
        for area in (
            (at - 4, plot.y(point.high), at + 4, plot.y(point.low)),
            (at - _MARK, plot.y(point.y) - _MARK, at + _MARK, plot.y(point.y) + _MARK),
        )
    ]
    for point, at in zip(points, places, strict=True):
        plot.parts.append(whisker(at, plot.y(point.low), at, plot.y(point.high), point.style.colour))
        plot.parts.append(marker(at, plot.y(point.y), point.style))
    for point, at in zip(points, places, strict=True):
        anchor, area = _free(plot, point, at, taken)
        taken.append(area)
        x = {"start": area[0], "middle": (area[0] + area[2]) / 2, "end": area[2]}[anchor]
        plot.parts.append(words(x, area[3] - 3, point.label, anchor, SMALL, point.style.colour))
    return plot.draw(title)


def _apart(wanted: Sequence[float]) -> list[float]:
    """Places in the order of those wanted, side by side about the mean of those that would be nearer to each other."""
    groups: list[list[float]] = []
    for at in sorted(wanted):
        groups.append([at])
        while len(groups) > 1 and _side_by_side(groups[-1])[0] - _side_by_side(groups[-2])[-1] < _ASIDE:
            last = groups.pop()
            groups[-1] += last
    placed = [at for group in groups for at in _side_by_side(group)]
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    return [placed[order.index(index)] for index in range(len(wanted))]


def _side_by_side(group: Sequence[float]) -> list[float]:
    if len(group) == 1:
        return [group[0]]
    middle = sum(group) / len(group)
    return [middle + (rank - (len(group) - 1) / 2) * _ASIDE for rank in range(len(group))]


def _free(plot: Plot, point: Named, at: float, taken: Sequence[Area]) -> tuple[str, Area]:
    """The anchor and place of a name where it covers least: beside its marker, above all bars there or below them."""
    size, y = words_width(point.label, SMALL), plot.y(point.y)
    centred = max(plot.left + 3, min(at - size / 2, plot.width - 3 - size))
    column = [area for area in taken if area[0] < centred + size and centred < area[2]]
    top, bottom = min(area[1] for area in column), max(area[3] for area in column)
    corners = (
        ("start", at + 11, y - _LETTERS / 2),
        ("end", at - 11 - size, y - _LETTERS / 2),
        ("middle", centred, top - 7 - _LETTERS),
        ("middle", centred, bottom + 5),
    )
    found = [(anchor, (left, high, left + size, high + _LETTERS + 2)) for anchor, left, high in corners]
    within = [
        (anchor, area)
        for anchor, area in found
        if area[0] > plot.left and area[2] < plot.width and area[1] > plot.top - 10 and area[3] < plot.bottom
    ]
    return min(within or found, key=lambda placed: sum(_shared(placed[1], other) for other in taken))


def _shared(one: Area, other: Area) -> float:
    """The area that two rectangles (left, top, right, bottom) have in common."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return wide * high if wide > 0 and high > 0 else 0.0
