"""Single points: named beside themselves, apart where they meet, and no name over a bar or another name."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from sealscore.compliance.pages.points import Named, _apart, point_figure
from sealscore.compliance.pages.svg import SMALL, STYLES, Axis, words_width

ACROSS, UP = Axis("across, in metres", 1, 10, log=True), Axis("up, in grams", 0, 1)
MET = [
    Named("a first name", 2.0, 0.5, 0.3, 0.8, STYLES[0]),
    Named("a second name", 2.01, 0.4, 0.1, 0.6, STYLES[1]),
    Named("a third name", 9.0, 0.45, 0.2, 0.7, STYLES[2]),
    Named("a fourth name", 9.02, 0.55, 0.5, 0.65, STYLES[3]),
]


def boxes(root: ET.Element) -> dict[str, tuple[float, float, float, float]]:
    """Left, top, right and bottom of each name."""
    found = {}
    for text in root.iter("text"):
        x, y, size = float(text.attrib["x"]), float(text.attrib["y"]), 0.85 * words_width(text.text or "", SMALL)
        left = {"start": x, "middle": x - size / 2, "end": x - size}[text.attrib.get("text-anchor", "start")]
        found[text.text or ""] = (left, y - 9, left + size, y + 2)
    return {point.label: found[point.label] for point in MET}


def meet(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def test_names_cover_no_bar_and_no_name():
    root = ET.fromstring(point_figure("t", ACROSS, UP, MET, width=700))
    names = boxes(root)
    assert not any(meet(one, other) for one, other in combinations(names.values(), 2))
    bars = [
        (
            float(a["x1"]) - 2,
            min(float(a["y1"]), float(a["y2"])),
            float(a["x1"]) + 2,
            max(float(a["y1"]), float(a["y2"])),
        )
        for line in root.iter("line")
        if (a := line.attrib)["x1"] == a["x2"] and a["stroke"] in {style.colour for style in STYLES}
    ]
    assert len(bars) == len(MET)
    assert not any(meet(name, bar) for name in names.values() for bar in bars)
    assert all(left >= 0 and right <= 700 for left, _, right, _ in names.values())


def test_error_bars_at_one_place_are_drawn_side_by_side():
    root = ET.fromstring(point_figure("t", ACROSS, UP, MET, width=700))
    places = sorted(
        float(a["x1"])
        for line in root.iter("line")
        if (a := line.attrib)["x1"] == a["x2"] and a["stroke"] in {style.colour for style in STYLES}
    )
    assert places[1] - places[0] > 10
    assert places[3] - places[2] > 10


@given(st.lists(st.floats(0, 400), min_size=1, max_size=7))
def test_places_keep_their_order_and_a_distance(wanted: list[float]):
    placed = _apart(wanted)
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    assert all(placed[after] - placed[before] > 13.9 for before, after in pairwise(order))
    if all(wanted[after] - wanted[before] >= 14 for before, after in pairwise(order)):
        assert placed == wanted
