"""Every kind of message, spoiled in its bytes and in its fields: it is read whole, or refused as no message."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mutations import MEBIBYTE, altered, fuzz, limits, noise

from sealscore.shared.messages.codec import Address, MessageError, decode, decode_body, encode, encode_body
from sealscore.shared.messages.messages import (
    Answered,
    Asked,
    Deliver,
    Finish,
    Hello,
    Introduce,
    Join,
    Joined,
    Message,
    Offered,
    PairAnswer,
    PairRequest,
    Propose,
    ProposeRelease,
    Publish,
    Ready,
    Refusal,
    Relay,
    Relayed,
    Stored,
    SumAnswer,
    SumRequest,
)

HEADER = Address("ab" * 32, "run-1", "train_tower:lender", 3, 1, "server", "lender-1")
DIGEST = "cd" * 32
KNOWN: list[Any] = [
    Hello(HEADER),
    Ready(HEADER),
    Join(HEADER, b"certificate", 1_900_000_000, (b"head", b"other")),
    Joined(HEADER, b"certificate", (b"head",)),
    Introduce(HEADER, {"lender-1": b"one", "lender-2": b"two"}, (b"head",)),
    Offered(HEADER, b"offer"),
    Deliver(HEADER, (b"offer", b"other")),
    Publish(HEADER, "bins", b"body"),
    Stored(HEADER, DIGEST),
    SumRequest(HEADER, ("lender-1", "lender-2"), np.linspace(-1, 1, 7), {"bins": DIGEST}),
    SumAnswer(HEADER, b"\0" * 64),
    PairRequest(HEADER, "video-1", b"body", {"bins": DIGEST}),
    PairAnswer(HEADER, b"body"),
    Finish(HEADER),
    Propose(HEADER, b"{}"),
    ProposeRelease(HEADER, {"release.toml": b"name", "model/card.json": b"{}"}),
    Relay(HEADER, {"video-1": b"sealscore-batch-1.AAAA"}),
    Relayed(HEADER, {"video-1": b"sealscore-receipt-1.AAAA"}),
    Asked(HEADER, "Hello", b"body", (b"head",), b"receipt", {"video-1": b"notice"}),
    Answered(HEADER, "Ready", b"body", b"head", {"video-1": b"notice"}),
    Refusal(HEADER, "seal"),
]
KINDS = tuple(type(message) for message in KNOWN)
WHOLE = [encode(message) for message in KNOWN]
PLAIN = [msgpack.unpackb(data) for data in WHOLE]
BODIES = [(type(message).__name__, encode_body(message)) for message in KNOWN]


def _huge(shape: list[int]) -> bytes:
    body = {"cohort": [], "parameters": {"data": b"", "dtype": "<f8", "shape": shape}, "parts": {}}
    fields = dataclasses.asdict(HEADER)
    return bytes(msgpack.packb(["SumRequest", {"header": dict(sorted(fields.items())), **body}]))


def test_every_kind_of_message_is_among_the_seeds():
    assert set(KINDS) == set(typing.get_args(Message))


def read(data: bytes) -> Any:
    """The message in `data`, None where there is none; anything else that is raised is a fault."""
    with limits(memory=MEBIBYTE + 100 * len(data)):
        try:
            return decode(data, *KINDS)
        except MessageError:
            return None


@fuzz(500)
@given(noise(WHOLE))
@example(_huge([0, 2**26, 2**26, 2**26]))
@example(b"\xdd\x00\x0f\xff\xff" * 400)
@example(b"\xdf\xff\xff\xff\xff")
@example(b"\x92\xa5Hello\xd6\xff\x00\x00\x00\x00")
def test_bytes(data: bytes):
    found = read(data)
    assert found is None or encode(found) == data


@fuzz(800)
@given(altered(PLAIN))
def test_fields(plain: Any):
    try:
        data = bytes(msgpack.packb(plain))
    except (ValueError, OverflowError):  # deeper or larger than msgpack writes
        return
    found = read(data)
    assert found is None or encode(found) == data


@fuzz(300)
@given(st.sampled_from(BODIES).flatmap(lambda known: st.tuples(st.just(known[0]), noise([known[1]]))))
def test_bodies(known: tuple[str, bytes]):
    name, data = known
    with limits(memory=MEBIBYTE + 100 * len(data)):
        try:
            found: Any = decode_body(name, HEADER, data, *KINDS)
        except MessageError:
            return
    assert encode_body(found) == data


@pytest.mark.parametrize("piece", [b"\x90", b"\x80", b"\xa2ab", b"\xc4\x02ab", b"\xcd\x01\x00", b"\xd4\x05a"])
def test_a_large_message_of_many_small_things_costs_no_more_than_a_limit(piece: bytes):
    count = 2 * MEBIBYTE // len(piece)
    data = b"\x92\xa5Hello\xdd" + count.to_bytes(4, "big") + piece * count
    with limits(memory=len(data) + 24 * MEBIBYTE), pytest.raises(MessageError):
        decode(data, *KINDS)
