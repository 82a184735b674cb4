"""Bars of budgets: true to scale, whole where nothing bounds a figure, and named without running over."""

from __future__ import annotations

import math
import re

import pytest
from pages import Reader

from sealscore.compliance.pages.gauges import Gauge, gauges_figure
from sealscore.compliance.pages.svg import STYLES


def bars(drawn: str, colour: str) -> list[float]:
    """Widths of the bars in a colour, without the sign in the legend."""
    found = re.findall(rf'<rect [^>]*width="([\d.]+)" height="16" fill="{colour}"', drawn)
    return [float(width) for width in found]


def test_bars_are_as_long_as_their_figures():
    drawn = gauges_figure("b", [Gauge("one", 1.0, 1.5, 2.0, "x"), Gauge("two", 0.5, 0.5, None, "y")])
    spent, planned = bars(drawn, STYLES[0].colour), bars(drawn, STYLES[5].colour)
    assert spent[0] == pytest.approx(2 * spent[1], rel=0.01)
    assert planned[0] == pytest.approx(1.5 * spent[0], rel=0.01)
    # Only the first has a ceiling: its bar in white, and its heavy line beside that of the legend.
    assert bars(drawn, "#fff") == [pytest.approx(2 * spent[0], rel=0.01)]
    assert drawn.count('stroke-width="2.5"') == 2


@pytest.mark.parametrize("limit", [None, 1.0])
def test_what_nothing_bounds_is_hatched(limit: float | None):
    drawn = gauges_figure("b", [Gauge("one", math.inf, math.inf, limit, "no bound")])
    assert not bars(drawn, STYLES[0].colour)
    assert drawn.count('stroke-width="1.4"') > 20
    assert "inf" not in drawn
    assert "no bound" in Reader(drawn).text


def test_nothing_spent_draws_no_bar():
    drawn = gauges_figure("b", [Gauge("one", 0.0, 0.0, None, "0")])
    assert bars(drawn, STYLES[0].colour) == [0.0]


def test_long_names_are_cut_and_short_ones_are_not():
    drawn = Reader(gauges_figure("b", [Gauge("w" * 200, 1, 1, 2, "x"), Gauge("short", 1, 1, 2, "x")])).text
    assert "short" in drawn
    assert "w…" in drawn
    assert "w" * 60 not in drawn
