"""Payloads of aligned persons: a number each, of a length and an order that follow from the plan and the handles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealscore.shared.crypto.alignment import Aligned
from sealscore.shared.crypto.payloads import PayloadError, bits_for, pack_numbers, unpack_numbers
from sealscore.shared.randomness.streams import Purpose, StreamSource


def filler(seed: int = 1):
    return StreamSource.seeded(seed, "x").stream("run", "phase", 1, 0, "x", Purpose.FILLER)


def aligned(persons: int, size: int, salt: int = 0) -> Aligned:
    random = np.random.default_rng(salt)
    return Aligned.of({random.bytes(16): f"p{n}" for n in range(persons)}, size)


CASES = st.tuples(st.integers(0, 40), st.integers(0, 24), st.integers(2, 300), st.integers(0, 2**32))


@given(CASES)
def test_numbers_come_back_and_the_length_is_the_plans(case: tuple[int, int, int, int]):
    persons, spare, levels, seed = case
    pair = aligned(persons, persons + spare)
    numbers = np.random.default_rng(seed).integers(0, levels, persons)
    payload = pack_numbers(pair, numbers, levels, filler())
    assert len(payload) == 32 + -(-(persons + spare) * bits_for(levels) // 8)
    assert np.array_equal(unpack_numbers(pair, payload, levels), numbers)


@pytest.mark.parametrize(("levels", "bits"), [(2, 1), (3, 2), (4, 2), (5, 3), (16, 4), (17, 5), (256, 8)])
def test_bits_of_a_level(levels: int, bits: int):
    assert bits_for(levels) == bits


def test_levels_and_never_floats():
    """The whole of what is told of 64 persons at 16 levels is 32 bytes behind the digest of their handles."""
    payload = pack_numbers(aligned(64, 64), np.arange(64) % 16, 16, filler())
    assert len(payload) == 32 + 64 * 4 // 8


def test_the_length_tells_nothing_of_how_many_there_are_or_are_told():
    some = np.where(np.arange(30) % 2, 1, -1)
    sizes = {
        len(pack_numbers(aligned(persons, 100), numbers, 2, filler()))
        for persons, numbers in ((0, np.zeros(0, int)), (30, some), (30, some * 0), (100, np.ones(100, int)))
    }
    assert len(sizes) == 1


def test_where_there_is_nothing_to_tell_stands_uniform_filling():
    pair = aligned(3000, 4096)
    for levels in (2, 5, 16):
        told = unpack_numbers(pair, pack_numbers(pair, np.full(3000, -1), levels, filler()), levels)
        counts = np.bincount(told, minlength=levels)
        assert len(counts) == levels
        assert (np.abs(counts - 3000 / levels) < 5 * np.sqrt(3000 / levels)).all()


def test_filling_does_not_depend_on_the_numbers_that_are_told():
    pair = aligned(100, 128)
    told = np.arange(100) % 2 == 0
    low, high = (unpack_numbers(pair, pack_numbers(pair, np.where(told, n, -1), 2, filler()), 2) for n in (0, 1))
    assert np.array_equal(low[~told], high[~told])


def spoilt(payload: bytes, place: int) -> bytes:
    return payload[:place] + bytes([payload[place] ^ 1]) + payload[place + 1 :]


def test_payloads_that_are_not_of_this_pair():
    pair = aligned(10, 16)
    payload = pack_numbers(pair, np.arange(10) % 5, 5, filler())
    with pytest.raises(PayloadError, match="has 38 bytes, this one has 37"):
        unpack_numbers(pair, payload[:-1], 5)
    with pytest.raises(PayloadError, match="has 38 bytes, this one has 40"):
        unpack_numbers(pair, payload + b"\0\0", 5)
    with pytest.raises(PayloadError, match="handles that this pair does not have"):
        unpack_numbers(aligned(10, 16, salt=1), payload, 5)
    with pytest.raises(PayloadError, match="handles that this pair does not have"):
        unpack_numbers(pair, spoilt(payload, 3), 5)


def test_a_number_out_of_range():
    pair = aligned(10, 16)
    payload = pack_numbers(pair, np.arange(10) % 8, 8, filler())
    with pytest.raises(PayloadError, match="a number that is not below 5"):
        unpack_numbers(pair, payload, 5)


def test_a_number_out_of_range_in_the_padding_too():
    pair = aligned(1, 2)
    payload = pack_numbers(pair, np.array([0]), 5, filler())
    with pytest.raises(PayloadError, match="not below 5"):
        unpack_numbers(pair, payload[:-1] + b"\xff", 5)
