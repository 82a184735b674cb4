"""Streams are reproducible, separated by every coordinate, and keep their secret."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sealscore.shared.randomness.streams import Purpose, Stream, StreamSource

COORDINATES = st.tuples(
    st.text(max_size=6),
    st.text(max_size=6),
    st.integers(0, 2**63),
    st.integers(0, 2**63),
    st.text(max_size=6),
    st.sampled_from(Purpose),
    st.integers(0, 2**63),
)


def head(source, coordinates):
    return tuple(source.stream(*coordinates).words(4))


def test_the_keystream_is_chacha20():
    # RFC 8439, appendix A.1, test vector 1: zero key, zero nonce, counter 0.
    assert Stream(bytes(32), "seeded").words(2).tobytes().hex() == "76b8e0ada0f13d90405d6ae55386bd28"
    assert Stream(bytes(32), "seeded").words(1)[0] == 0x903DF1A0ADE0B876
    assert Stream(bytes(32), "seeded").words32(1)[0] == 0xADE0B876


@given(COORDINATES, COORDINATES)
def test_any_differing_coordinates_give_another_stream(one, other):
    assume(one != other)
    source = StreamSource.seeded(1, "a")
    assert head(source, one) != head(source, other)


@given(COORDINATES, st.integers(0, 6), st.data())
def test_each_single_coordinate_counts(one, place, data):
    changed = list(one)
    changed[place] = data.draw(COORDINATES)[place]
    assume(changed[place] != one[place])
    source = StreamSource.seeded(1, "a")
    assert head(source, one) != head(source, tuple(changed))


def test_fields_do_not_run_into_each_other():
    source = StreamSource.seeded(1, "a")
    assert head(source, ("a", "bc", 0, 0, "p", Purpose.NOISE)) != head(source, ("ab", "c", 0, 0, "p", Purpose.NOISE))


def test_no_two_parties_draw_the_same_words():
    seen = {}
    for party in (f"lender-{i}" for i in range(40)):
        source = StreamSource.seeded(7, party)
        for attempt in range(5):
            for purpose in Purpose:
                key = head(source, ("run", "train", 3, attempt, party, purpose))
                assert key not in seen
                seen[key] = party
    # Even parties that share a secret by mistake are apart, since the party is a coordinate.
    shared = StreamSource.seeded(7, "same")
    assert head(shared, ("r", "p", 0, 0, "a", Purpose.NOISE)) != head(shared, ("r", "p", 0, 0, "b", Purpose.NOISE))


def test_a_seed_repeats_and_the_system_does_not():
    at = ("run", "train", 0, 0, "a", Purpose.NOISE)
    assert head(StreamSource.seeded(5, "a"), at) == head(StreamSource.seeded(5, "a"), at)
    assert head(StreamSource.seeded(5, "a"), at) != head(StreamSource.seeded(6, "a"), at)
    assert head(StreamSource.seeded(5, "a"), at) != head(StreamSource.seeded(5, "b"), at)
    assert head(StreamSource.seeded(1, "1a"), at) != head(StreamSource.seeded(11, "a"), at)
    assert head(StreamSource.system(), at) != head(StreamSource.system(), at)


def test_the_origin_travels_with_the_stream():
    at = ("run", "train", 0, 0, "a", Purpose.NOISE)
    assert StreamSource.system().stream(*at).source == "system"
    assert StreamSource.seeded(5, "a").stream(*at).source == "seeded"


def test_reading_in_parts_is_reading_at_once():
    at = ("run", "train", 0, 0, "a", Purpose.SAMPLING)
    source = StreamSource.seeded(5, "a")
    whole = source.stream(*at).words(100)
    stream = source.stream(*at)
    parts = np.concatenate([stream.words(1), stream.words(0), stream.words(99)])
    assert np.array_equal(whole, parts)
    assert whole.dtype == np.uint64
    assert source.stream(*at).words32(200).tobytes() == whole.tobytes()


def test_the_secret_is_not_shown():
    source = StreamSource(b"\x41" * 32, "system")
    for text in (repr(source), str(source), repr(source.stream("r", "p", 0, 0, "a", Purpose.NOISE))):
        assert "A" * 4 not in text
        assert "41" not in text
    with pytest.raises(AttributeError):
        source.secret = b""


@pytest.mark.parametrize("place", ["round", "attempt", "step"])
@pytest.mark.parametrize("value", [-1, 2**64])
def test_counters_out_of_range_are_refused(place, value):
    arguments = {"round": 0, "attempt": 0, "step": 0, place: value}
    with pytest.raises(ValueError, match=place):
        StreamSource.seeded(1, "a").stream("r", "p", party="a", purpose=Purpose.NOISE, **arguments)


def test_other_purposes_lengths_and_sources_are_refused():
    with pytest.raises(ValueError, match="masking"):
        StreamSource.seeded(1, "a").stream("r", "p", 0, 0, "a", "masking")
    with pytest.raises(ValueError, match="32 bytes"):
        StreamSource(b"short", "system")
    with pytest.raises(ValueError, match="32 bytes"):
        Stream(b"short", "system")
    with pytest.raises(ValueError, match="source"):
        StreamSource(bytes(32), "plan")
    with pytest.raises(ValueError, match="-8"):
        Stream(bytes(32), "seeded").words(-1)


def test_a_stream_ends_before_it_repeats():
    stream = Stream(bytes(32), "seeded")
    stream._left = 16
    stream.words(2)
    with pytest.raises(ValueError, match="used up"):
        stream.words(1)


def test_importing_the_mechanisms_does_not_load_the_heavy_libraries():
    names = ("randomness.streams", "randomness.noise", "dp.events", "dp.accountant")
    modules = ", ".join(f"sealscore.shared.{name}" for name in (*names, "dp.noise_calibration"))
    code = (
        f"import sys, {modules}\n"
        "print([m for m in ('torch', 'opacus', 'dp_accounting', 'opendp', 'scipy') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
