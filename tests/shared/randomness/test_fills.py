"""Fills: uniform, the same for good, and of no relation to each other."""

from __future__ import annotations

import numpy as np
import pytest

from sealscore.shared.randomness.fills import Fills
from sealscore.shared.randomness.streams import StreamSource

PEOPLE = [f"p{n}" for n in range(3000)]


def fills(seed: int = 1) -> Fills:
    return Fills(StreamSource.seeded(seed, "labels"))


def of(one: Fills, levels: int = 2, kind: str = "label", what: str = "late") -> np.ndarray:
    return np.array([one.of_person(kind, what, person, levels) for person in PEOPLE])


@pytest.mark.parametrize("levels", [2, 3, 5, 16])
def test_they_are_uniform(levels: int):
    counts = np.bincount(of(fills(), levels), minlength=levels)
    assert len(counts) == levels
    assert (np.abs(counts - 3000 / levels) < 5 * np.sqrt(3000 / levels)).all()


def test_they_follow_from_secret_kind_meaning_and_person_and_from_nothing_else():
    assert np.array_equal(of(fills()), of(fills()))
    places = np.array([fills().of_place("label", "late", person.encode(), 2) for person in PEOPLE])
    for other in (of(fills(2)), of(fills(), kind="signal"), of(fills(), what="later"), places):
        assert abs(np.corrcoef(of(fills()), other)[0, 1]) < 5 / np.sqrt(3000)


def test_the_secret_shows_in_no_text():
    one = fills()
    assert one._secret.secret.hex() not in repr(one)
