"""Budgets as bars: what was spent, what is set aside, and the limit, a row each, with the figures written beside."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sealscore.compliance.pages.page import Html
from sealscore.compliance.pages.svg import GRID, INK, SMALL, SOFT, STYLES, box, drawing, straight, words, words_width
from sealscore.shared.text.catalogue import tr

_ROW, _THICK, _TOP = 27.0, 16.0, 30.0
_HATCH = 7.0


@dataclass(frozen=True)
class Gauge:
    """A budget: `planned` is what was spent with all that is set aside, `limit` None where there is none.

    A figure may be infinite: nothing bounds it then. `text` is at the right of the bar.
    """

    label: str
    spent: float
    planned: float
    limit: float | None
    text: str


def gauges_figure(title: str, gauges: Sequence[Gauge], width: float = 800) -> Html:
    """Bars over one scale from 0: dark is spent, pale is set aside, white up to the heavy line is left.

    A bar that is hatched has no bound. All of it stays apart in print without colours.
    """
    left = min(280.0, max(words_width(gauge.label, SMALL) for gauge in gauges) + 14)
    right = width - max(words_width(gauge.text, SMALL) for gauge in gauges) - 14
    ends = [end for g in gauges for end in (g.spent, g.planned, g.limit) if end is not None and math.isfinite(end)]
    most = max([*ends, 1e-9]) * 1.02
    height = _TOP + _ROW * len(gauges) + 4
    parts = [*_legend(left), straight(left, _TOP - 4, left, height - 2, SOFT)]

    def x(value: float) -> float:
        return left + (right - left) * min(1.0, value / most)

    for row, gauge in enumerate(gauges):
        top = _TOP + _ROW * row + (_ROW - _THICK) / 2
        middle = top + _THICK / 2 + 4
        parts.append(words(left - 8, middle, _cut(gauge.label, left - 14), "end", SMALL))
        if not math.isfinite(gauge.planned):
            parts += _hatched(left, right, top)
        else:
            if gauge.limit is not None:
                parts.append(box(left, top, x(gauge.limit) - left, _THICK, "#fff", GRID))
            parts.append(box(left, top, x(gauge.planned) - left, _THICK, STYLES[5].colour, STYLES[0].colour, 0.45))
            parts.append(box(left, top, x(gauge.spent) - left, _THICK, STYLES[0].colour))
        if gauge.limit is not None:
            parts.append(straight(x(gauge.limit), top - 4, x(gauge.limit), top + _THICK + 4, INK, 2.5))
        parts.append(words(right + 10, middle, gauge.text, size=SMALL))
    return drawing(width, height, title, parts)


def _legend(left: float) -> list[Html]:
    parts, at = [], left
    for name, fill, edge, opacity in (
        (tr("spent"), STYLES[0].colour, None, 1.0),
        (tr("set aside"), STYLES[5].colour, STYLES[0].colour, 0.45),
        (tr("left"), "#fff", SOFT, 1.0),
    ):
        parts += [box(at, 5, 14, 11, fill, edge, opacity), words(at + 19, 15, name, size=SMALL)]
        at += 19 + words_width(name, SMALL) + 16
    return [*parts, straight(at, 2, at, 19, INK, 2.5), words(at + 8, 15, tr("ceiling"), size=SMALL)]


def _hatched(left: float, right: float, top: float) -> list[Html]:
    """A bar of slanted strokes."""
    strokes = []
    for step in range(int((right - left - _THICK) / _HATCH) + 1):
        start = left + step * _HATCH
        strokes.append(straight(start, top + _THICK, start + _THICK, top, INK, 1.4))
    return [box(left, top, right - left, _THICK, "#fff", INK), *strokes]


def _cut(label: str, room: float) -> str:
    """A label that fits into the room."""
    if words_width(label, SMALL) <= room + 0.5:
        return label
    while label and words_width(label + "…", SMALL) > room:
        label = label[:-1]
    return label + "…"
