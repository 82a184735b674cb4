"""Figures: well-formed, with names on their axes, everything inside the drawing and nothing over anything."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from itertools import combinations, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealscore.compliance.pages.figures import (
    Dot,
    Label,
    Line,
    Panel,
    Rule,
    dot_figure,
    gauge_figure,
    line_figure,
    meter_figure,
    strip_figure,
)
from sealscore.compliance.pages.svg import STYLES, Axis, Plot, apart, log_ticks, round_ticks, span, words_width

UNIT = Axis("across, in metres", 0, 10)
UP = Axis("up, in grams", 0, 1)


def parse(drawing: str) -> ET.Element:
    return ET.fromstring(drawing)


def texts(drawing: str) -> list[str]:
    return [element.text or "" for element in parse(drawing).iter("text")]


def marks(drawing: str, tag: str) -> list[dict[str, str]]:
    return [element.attrib for element in parse(drawing).iter(tag)]


def inside(drawing: str) -> bool:
    """Whether all text lies within the drawing (turned text by its anchor point)."""
    root = parse(drawing)
    width, height = (float(number) for number in root.attrib["viewBox"].split()[2:])
    for text in root.iter("text"):
        x, y = float(text.attrib["x"]), float(text.attrib["y"])
        size = words_width(text.text or "", float(text.attrib["font-size"])) * 0.8
        if "transform" in text.attrib:
            size = 0
        left = {"start": x, "middle": x - size / 2, "end": x - size}[text.attrib.get("text-anchor", "start")]
        if not (left >= -1 and left + size <= width + 1 and 0 < y < height):
            return False
    return True


def test_a_line_is_named_where_it_ends():
    """As those of vintages whose windows are over: a name at the edge would be of no line."""

    def named_at(last: float) -> float:
        drawing = str(line_figure("t", UNIT, UP, [Line("short", [0.0, last], [0.2, 0.4])]))
        assert inside(drawing)
        (found,) = (float(text.attrib["x"]) for text in parse(drawing).iter("text") if text.text == "short")
        return found

    assert named_at(4.0) < named_at(7.0) < named_at(10.0)


class TestTicks:
    @given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(2, 10))
    def test_round_ticks_lie_within_and_are_few(self, low: float, size: float, about: int):
        found = round_ticks(low, low + size, about)
        assert all(low - 1e-6 * size <= value <= low + size * (1 + 1e-6) for value in found)
        assert 1 <= len(found) <= 2 * about + 1

    def test_round_ticks(self):
        assert round_ticks(0, 1, 5) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
        assert round_ticks(463, 641, 4) == [500, 550, 600]

    def test_log_ticks(self):
        assert log_ticks(0.02, 0.9) == pytest.approx([0.02, 0.05, 0.1, 0.2, 0.5])
        assert log_ticks(1e-3, 1e3) == pytest.approx([1e-3, 1e-2, 0.1, 1, 10, 100, 1000])

    def test_span_leaves_room(self):
        low, high = span([1.0, 3.0], 0.1)
        assert (low, high) == pytest.approx((0.8, 3.2))
        assert span([2.0, 2.0])[0] < 2 < span([2.0, 2.0])[1]


@given(st.lists(st.floats(0, 100), min_size=1, max_size=6), st.floats(1, 15))
def test_names_are_kept_apart(wanted: list[float], gap: float):
    placed = apart(wanted, gap, 0, 100)
    ordered = sorted(placed)
    assert all(b - a >= gap - 1e-9 for a, b in pairwise(ordered))
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    assert [placed[i] for i in order] == ordered
    assert max(placed) <= 100


def test_axes_map_values_to_places():
    plot = Plot(UNIT, UP)
    assert (plot.x(0), plot.x(10)) == (plot.left, plot.right_edge)
    assert (plot.y(0), plot.y(1)) == (plot.bottom, plot.top)
    assert plot.x(5) == pytest.approx((plot.left + plot.right_edge) / 2)
    assert plot.x(99) == plot.right_edge
    log = Plot(UNIT, Axis("up", 0.01, 1, log=True))
    assert log.y(0.1) == pytest.approx((log.top + log.bottom) / 2)


def test_series_stay_apart_without_colour():
    looks = [(style.dash, style.marker, style.hollow) for style in STYLES]
    assert len(set(looks)) == len(looks)
    assert len({style.dash for style in STYLES}) == len(STYLES)


class TestLines:
    def drawn(self, **more: Any) -> str:
        lines = [
            Line("first", [0, 5, 10], [0, 0.5, 1], STYLES[0], [0, 0.4, 0.9], [0.1, 0.6, 1]),
            Line("second", [0, 5, 10], [0, 0.5, 1], STYLES[1]),
        ]
        return line_figure("title & more", UNIT, UP, lines, **more)

    def test_it_is_whole(self):
        drawing = self.drawn(rules=[Rule("limit", y=0.8), Rule("start", x=9.9)], labels=[Label("here", 2, 0.2)])
        assert parse(drawing).find("title").text == "title & more"
        assert {"across, in metres", "up, in grams", "first", "second", "limit", "start", "here"} <= set(texts(drawing))
        assert inside(drawing)

    @pytest.mark.parametrize("anchor", ["start", "middle", "end"])
    @pytest.mark.parametrize(("x", "y"), [(0, 0), (10, 0), (0, 1), (10, 1)])
    def test_names_at_the_edge_are_moved_inside(self, anchor: str, x: float, y: float):
        label = Label("a name of some length", x, y, anchor=anchor, right=-9, up=9)
        assert inside(self.drawn(labels=[label]))

    def test_ends_that_meet_have_names_apart(self):
        places = {
            element.text: float(element.attrib["y"])
            for element in parse(self.drawn()).iter("text")
            if element.text in ("first", "second")
        }
        assert abs(places["first"] - places["second"]) >= 14

    def test_names_of_rules_that_would_meet_lie_below_each_other(self):
        names = ["a platform away", "a wave", "the shock", "far"]
        drawing = self.drawn(rules=[Rule(name, x=x) for name, x in zip(names, (3, 4, 4.2, 9), strict=True)])
        at = {one.text: one.attrib for one in parse(drawing).iter("text") if one.text in names}
        heights = [float(at[name]["y"]) for name in names]
        assert len(set(heights[:3])) == 3
        assert min(abs(one - other) for one, other in combinations(heights[:3], 2)) >= 14
        assert heights[3] == heights[0]
        assert inside(drawing)

    def test_points_lie_where_their_values_say(self):
        plot = Plot(UNIT, UP, right=words_width("second", 11.5) + 12)
        wanted = " ".join(f"{x:.1f}".rstrip("0").rstrip(".") for x in (plot.x(5), plot.y(0.5))).replace(" ", ",")
        assert wanted in marks(self.drawn(), "polyline")[0]["points"]

    def test_a_band_is_an_area_and_dashes_tell_series_apart(self):
        drawing = self.drawn()
        assert len(marks(drawing, "polygon")) == 1
        assert [line.get("stroke-dasharray") for line in marks(drawing, "polyline")] == [None, STYLES[1].dash]

    def test_stairs_hold_their_value(self):
        drawing = line_figure("t", UNIT, UP, [Line("", [0, 5, 10], [0.2, 0.8, 0.8], step=True)])
        assert len(marks(drawing, "polyline")[0]["points"].split()) == 5

    def test_markers_alone_have_error_bars(self):
        with_bars = line_figure("t", UNIT, UP, [Line("", [5], [0.5], STYLES[0], [0.4], [0.6], joined=False)])
        without = line_figure("t", UNIT, UP, [Line("", [5], [0.5], STYLES[0], joined=False)])
        assert marks(with_bars, "polyline") == []
        assert len(marks(with_bars, "circle")) == 1
        assert len(marks(with_bars, "line")) == len(marks(without, "line")) + 3

    def test_hostile_names_are_text(self):
        drawing = line_figure("<b>", Axis("<script>", 0, 1), UP, [Line("<i>", [0, 1], [0, 1])])
        assert parse(drawing).find("script") is None
        assert "<script>" in texts(drawing)


class TestDots:
    def test_rows_and_panels(self):
        dots = [
            Dot("a", 0.5, "0.50", STYLES[0], 0.4, 0.6),
            Dot("a much longer name: 50-60", None, "too few"),
            Dot("c", 1.0, "1.00", STYLES[1], strong=True),
        ]
        drawing = dot_figure("t", [Panel(UP, dots, (0.8, "line")), Panel(UP, dots)])
        found = texts(drawing)
        assert found.count("0.50") == found.count("too few") == 2
        assert found.count("a much longer name: 50-60") == found.count("line") == 1
        assert len(marks(drawing, "circle")) == 2
        assert inside(drawing)

    def test_texts_stand_at_their_own_panel(self):
        """A row without a value says so in its own panel, and takes no room from the others."""
        panels = [
            Panel(UP, [Dot("a", 0.5, "one 0.50"), Dot("b", None, "lost in a very long sentence")]),
            Panel(UP, [Dot("a", 0.5, "two 0.50"), Dot("b", 0.6, "two 0.60")]),
        ]
        root = parse(dot_figure("t", panels))
        axes = [line.attrib for line in root.iter("line") if line.attrib["y1"] == line.attrib["y2"]]
        bottom = max(float(axis["y1"]) for axis in axes)
        (first, second) = [(float(a["x1"]), float(a["x2"])) for a in axes if float(a["y1"]) == bottom]
        told = {text.text: (float(text.attrib["x"]), text.attrib.get("text-anchor")) for text in root.iter("text")}
        end, anchor = told["one 0.50"]
        assert anchor == "end"
        assert end - words_width("one 0.50", 11.5) - first[1] < second[0] - end
        assert second[0] - end > 20
        middle, anchor = told["lost in a very long sentence"]
        assert (anchor, middle) == ("middle", pytest.approx(sum(first) / 2, abs=0.2))


def test_strips_stand_on_their_line():
    drawing = strip_figure("t", [10.0, -5.0, 0.0], height=30)
    bars = marks(drawing, "rect")
    line = float(marks(drawing, "line")[0]["y1"])
    assert line == pytest.approx(20)
    assert [float(bar["height"]) for bar in bars] == pytest.approx([20, 10, 0])
    assert float(bars[0]["y"]) == pytest.approx(0)
    assert float(bars[1]["y"]) == pytest.approx(line)


def test_strips_of_nothing_are_flat():
    assert all(float(bar["height"]) == 0 for bar in marks(strip_figure("t", [0.0, 0.0]), "rect"))


def test_meters_and_gauges_have_lengths_in_proportion():
    half, full = (float(marks(meter_figure("t", v, 8, "8.0"), "rect")[0]["width"]) for v in (4, 8))
    assert half == pytest.approx(full / 2, abs=0.1)
    drawing = gauge_figure("t", 1.0, 1.5, 2.0, ("spent", "set aside", "limit"))
    limit, reserved, spent = (float(bar["width"]) for bar in marks(drawing, "rect"))
    assert spent == pytest.approx(limit / 2, abs=0.1)
    assert reserved == pytest.approx(limit * 0.75, abs=0.1)
    assert texts(drawing) == ["limit 2.000", "spent 1.000", "set aside 1.500"]
    assert inside(drawing)


@given(
    st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=20),
    st.floats(-1e9, 1e9),
    st.floats(1e-6, 1e9),
)
def test_no_coordinate_is_lost(values: list[float], low: float, size: float):
    drawing = line_figure(
        "t", Axis("x", 0, len(values)), Axis("y", low, low + size), [Line("", range(len(values)), values)]
    )
    numbers = re.findall(r' (?:x|y|x1|x2|y1|y2)="([^"]+)"', drawing)
    assert all(math.isfinite(float(number)) for number in numbers)
