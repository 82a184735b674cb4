"""Messages: equal messages have equal bytes, and nothing but the canonical encoding of a known type is taken."""

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference_codec import reference, reference_body

from sealscore.shared.messages.codec import (
    Address,
    MessageError,
    decode,
    decode_body,
    digest,
    encode,
    encode_body,
    whole,
)
from sealscore.shared.messages.messages import (
    Answered,
    Asked,
    Finish,
    Hello,
    Introduce,
    Join,
    Joined,
    Propose,
    ProposeRelease,
    Publish,
    Refusal,
    Relay,
    Relayed,
    SumAnswer,
    SumRequest,
)

names = st.text(min_size=0, max_size=20)
counters = st.integers(min_value=0, max_value=2**31)
headers = st.builds(Address, names, names, names, counters, counters, names, names)
floats = st.lists(st.floats(width=64, allow_nan=False), max_size=20).map(lambda v: np.array(v, dtype=np.float64))
sums = st.builds(
    SumRequest,
    headers,
    st.lists(names, max_size=5).map(tuple),
    floats,
    st.dictionaries(names, names, max_size=3),
)

bodies = st.binary(max_size=20)
several = st.lists(bodies, max_size=4).map(tuple)
by_name = st.dictionaries(names, bodies, max_size=3)
WRAPPED = {
    Join: st.builds(Join, headers, bodies, counters, several),
    Joined: st.builds(Joined, headers, bodies, several),
    Introduce: st.builds(Introduce, headers, by_name, several),
    Propose: st.builds(Propose, headers, bodies),
    ProposeRelease: st.builds(ProposeRelease, headers, by_name),
    Relay: st.builds(Relay, headers, by_name),
    Relayed: st.builds(Relayed, headers, by_name),
    Asked: st.builds(Asked, headers, names, bodies, several, bodies, by_name),
    Answered: st.builds(Answered, headers, names, bodies, bodies, by_name),
    Finish: st.builds(Finish, headers),
}


@given(sums)
def test_a_request_comes_back_as_it_was(request):
    back = decode(encode(request), SumRequest)
    assert back.header == request.header
    assert back.cohort == request.cohort
    assert back.parts == request.parts
    np.testing.assert_array_equal(back.parameters, request.parameters)


@given(st.one_of(sums, st.builds(SumAnswer, headers, st.binary(max_size=50)), st.builds(Refusal, headers, names)))
def test_the_bytes_identify_the_message(message):
    assert digest(encode(message)) == digest(encode(decode(encode(message), SumRequest, SumAnswer, Refusal)))


@given(st.one_of(sums, *WRAPPED.values(), st.builds(SumAnswer, headers, st.binary(max_size=300))))
def test_the_bytes_are_those_of_another_library(message):
    assert encode(message) == reference(message)
    assert encode_body(message) == reference_body(message)
    assert whole(type(message).__name__, message.header, encode_body(message)) == encode(message)


def test_big_endian_arrays_travel_as_little_endian():
    header = Address("p", "r", "f", 1, 1, "server", "a")
    native = SumRequest(header, ("a",), np.array([1.5, -2.0]), {})
    swapped = SumRequest(header, ("a",), np.array([1.5, -2.0], dtype=">f8"), {})
    assert encode(native) == encode(swapped)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_by_name(data):
    with pytest.raises(MessageError):
        decode(data, Hello, Publish, SumRequest)


HEADER = {"plan": "p", "run": "r", "phase": "f", "round": 1, "attempt": 1, "sender": "s", "recipient": "a"}


@pytest.mark.parametrize(
    "body",
    [
        ["Hello", {"header": HEADER, "extra": 1}],
        ["Hello", {}],
        ["Nothing", {"header": HEADER}],
        ["Hello", {"header": HEADER | {"round": "1"}}],
        ["Hello", {"header": HEADER | {"round": True}}],
        ["Hello", {"header": {k: HEADER[k] for k in list(HEADER)[:-1]}}],
        ["Publish", {"header": HEADER, "name": "n", "body": "text"}],
        ["SumRequest", {"header": HEADER, "cohort": ["a"], "parameters": [1.0], "parts": {}}],
        [
            "SumRequest",
            {
                "header": HEADER,
                "cohort": ["a"],
                "parameters": {"dtype": "<f8", "shape": [3], "data": b"\0" * 8},
                "parts": {},
            },
        ],
        [
            "SumRequest",
            {
                "header": HEADER,
                "cohort": ["a"],
                "parameters": {"dtype": "<f8", "shape": [0, 2**26, 2**26, 2**26], "data": b""},
                "parts": {},
            },
        ],
        ["SumRequest", {"header": HEADER, "cohort": ["a"] * 10_000, "parameters": {}, "parts": {}}],
        ["Hello", [HEADER]],
        "Hello",
        None,
    ],
)
def test_what_is_off_in_one_place_is_refused(body):
    with pytest.raises(MessageError):
        decode(msgpack.packb(body), Hello, Publish, SumRequest)


def test_another_encoding_of_the_same_message_is_refused():
    header = Address(**HEADER)
    canonical = encode(Hello(header))
    name, fields = msgpack.unpackb(canonical)
    fields["header"] = dict(reversed(fields["header"].items()))
    assert decode(canonical, Hello) == Hello(header)
    with pytest.raises(MessageError, match="canonical"):
        decode(msgpack.packb([name, fields]), Hello)


def test_a_type_that_is_not_expected_is_refused():
    with pytest.raises(MessageError, match="expected Hello"):
        decode(encode(Refusal(Address(**HEADER), "no")), Hello)


@given(st.one_of(*WRAPPED.values()))
def test_what_a_deployment_sends_comes_back_as_it_was(message):
    assert decode(encode(message), *WRAPPED) == message
    name, header = type(message).__name__, message.header
    assert decode_body(name, header, encode_body(message), *WRAPPED) == message


@given(st.one_of(*WRAPPED.values()))
def test_a_message_is_of_its_own_type_only(message):
    others = [kind for kind in WRAPPED if kind is not type(message)]
    with pytest.raises(MessageError, match="expected"):
        decode(encode(message), *others)
    with pytest.raises(MessageError, match="expected"):
        decode_body(type(message).__name__, message.header, encode_body(message), *others)


@given(st.builds(Asked, headers, names, bodies, several, bodies, by_name), st.binary(min_size=1, max_size=5))
def test_a_body_with_something_behind_it_is_refused(message, more):
    with pytest.raises(MessageError):
        decode_body("Asked", message.header, encode_body(message) + more, Asked)


@pytest.mark.parametrize("name", ["Asked", "Nothing", None, 7])
def test_a_body_of_another_message_is_refused(name):
    header = Address(**HEADER)
    with pytest.raises(MessageError):
        decode_body(name, header, encode_body(Propose(header, b"")), Asked, Propose)


def test_a_body_brings_no_header_of_its_own():
    header = Address(**HEADER)
    with pytest.raises(MessageError):
        decode_body("Hello", header, msgpack.packb({"header": HEADER}), Hello)
