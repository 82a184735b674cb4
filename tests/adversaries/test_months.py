"""A lender that has one person told of run after run, to see in which months something at the platform has changed.

Under one meaning, a tower or bands, a person's value is drawn from the platform's data once and kept for life: so a
value that is told again says nothing of the data as they are now, and costs nothing. Were it read anew, its changes
would be told for nothing; another meaning is charged anew.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from defences import Defences
from vertical_builders import Wire, federation_of, only, vertical_plan

from sealscore.clients.roles.lifetime import Lifetime
from sealscore.shared.crypto.payloads import unpack_numbers
from sealscore.shared.messages.messages import PairAnswer
from sealscore.shared.phases.kind import Kind
from sealscore.shared.randomness.streams import StreamSource

LENDER, PLATFORM = "lender-1", "wallet"
BASE = only(vertical_plan(), LENDER, PLATFORM).replace(alignment__min_overlap=1, privacy__signal_bits=64)
RECORDS = federation_of(BASE)
MONTHS, MOVED = range(8), {3, 5, 6}
_TEST = set(RECORDS[PLATFORM].test_part().person)
TARGET = next(person for person in RECORDS[LENDER].person if person in _TEST)
ALONE = RECORDS[LENDER].take(np.array([person == TARGET for person in RECORDS[LENDER].person]))
ROW = RECORDS[PLATFORM].person.index(TARGET)


def life() -> dict[str, Lifetime]:
    """What both remember, with room for many towers."""
    return {name: Lifetime.fresh(StreamSource.seeded(0, name), signal_bits=64) for name in (LENDER, PLATFORM)}


def told(lives: dict[str, Lifetime], month: int, moved: bool, seed: int = 1) -> tuple[int, int]:
    """The level and the band of the person in a month's run, in which the person's channel has moved or has not."""
    part = RECORDS[PLATFORM]
    columns = dict(part.columns)
    for name, (low, high) in {"inflow": (1.0, 99.0), "refunds": (0.0, 12.0), "region": (0.0, 1.0)}.items():
        columns[name] = columns[name].copy()
        columns[name][ROW] = high if moved else low
    held = {LENDER: ALONE, PLATFORM: dataclasses.replace(part, columns=columns)}
    wire = Wire(BASE.replace(name=f"month-{month}"), held, lives, run=f"run-{month}")
    wire.align(LENDER, PLATFORM)
    levels = wire.signal(PLATFORM, LENDER, seed)
    assert isinstance(levels, PairAnswer)
    bands = wire.give(Kind.GROUPS, PLATFORM, LENDER, 1)
    pair = wire.aligned(PLATFORM, LENDER)
    sizes = (BASE.model.signal_levels, len(BASE.bands("region")))
    level, band = (unpack_numbers(pair, body, size)[0] for body, size in zip((levels.body, bands), sizes, strict=True))
    return int(level), int(band)


def months_that_show(at: int) -> set[int]:
    """Months in which the level (0) or the band (1) is another than in the first one."""
    lives = life()
    seen = [told(lives, month, month in MOVED)[at] for month in MONTHS]
    return {month for month in MONTHS if seen[month] != seen[0]}


@pytest.mark.parametrize("at", [0, 1], ids=["levels", "bands"])
def test_no_month_in_which_a_person_moved_shows_in_what_is_told_again(defences: Defences, at: int):
    assert months_that_show(at) == set()
    with defences.without("kept values"):
        assert months_that_show(at) == MOVED


def test_what_is_told_again_costs_nothing_and_another_tower_costs_its_bits():
    lives = life()
    bits = []
    for month, seed in enumerate((1, 1, 2, 1, 3)):
        told(lives, month, moved=month % 2 == 1, seed=seed)
        bits.append(lives[PLATFORM].disclosure_store.bits("signal", TARGET))
    width = BASE.model.signal_bits
    assert bits == [width, width, 2 * width, 2 * width, 3 * width]
