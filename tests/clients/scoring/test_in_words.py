"""What a token tells beside the level, and the letter of points."""

from __future__ import annotations

import pytest

from sealscore.clients.scoring.service import band_of, in_words
from sealscore.shared.serving.manifest import Capacity, Flag, Told

TOLD = Told(
    meaning="5e" * 32,
    signal_bits=4,
    capacity=Capacity(column="inflow", edges=(10.0, 20.0)),
    flag=Flag(column="odd", above=0.5),
    reasons=("views", "shop", "likes"),
)


@pytest.mark.parametrize(
    ("band", "expected"),
    [
        (0, {"above": None, "up_to": 10.0}),
        (1, {"above": 10.0, "up_to": 20.0}),
        (2, {"above": 20.0, "up_to": None}),
        (3, None),
    ],
)
def test_a_band_is_told_by_its_edges(band: int, expected: dict[str, float | None] | None):
    assert in_words(TOLD, {"signal": 3, "capacity": band}) == {"capacity": expected}


@pytest.mark.parametrize(
    ("value", "expected"), [(0, []), (16, ["views"]), (16 * 3 + 1, ["likes", "views"]), (16 * 2, ["shop"])]
)
def test_reasons_are_told_by_name(value: int, expected: list[str]):
    assert in_words(TOLD, {"signal": 3, "reasons": value}) == {"reasons": expected}


def test_a_flag_is_one_and_a_level_is_not_shown():
    assert in_words(TOLD, {"signal": 3, "flag": 1}) == {"flag": True}
    assert in_words(TOLD, {"signal": 3}) == {}


def test_letters_go_by_twenty_points():
    assert [band_of(points) for points in (300, 559, 560, 579, 580, 600, 619, 620, 900)] == list("EEDDCBBAA")
