"""What a server publishes and a peer seals: bins, weights, edges, payloads, alignments, notices."""

from __future__ import annotations

from typing import Any

import msgpack
import numpy as np
from builders import binning_of, small_plan, small_records
from hypothesis import example, given
from hypothesis import strategies as st
from mutations import MEBIBYTE, ODD, altered, fuzz, limits, noise

from sealscore.clients.node.withdrawals import _pack, _unpack
from sealscore.shared.crypto.alignment import Aligned, AlignmentError, ExactMatching
from sealscore.shared.crypto.payloads import PayloadError, pack_numbers, unpack_numbers
from sealscore.shared.crypto.psi import PrivateMatching
from sealscore.shared.messages.parts import edges_from_bytes, edges_to_bytes, weights_from_bytes, weights_to_bytes
from sealscore.shared.model.bins import Binning
from sealscore.shared.randomness.streams import Purpose, Stream, StreamSource

PLAN = small_plan()
FEATURES = PLAN.groups["lender"].table.scored
BINS = binning_of(PLAN, small_records(seed=1)).to_bytes()


def stream(what: str) -> Stream:
    """Random bytes of a seed."""
    return StreamSource.seeded(7, what).stream("run-1", "align:video", 1, 1, "lender-1", Purpose.FILLER)


def read_bins(data: bytes) -> None:
    """Read bins, which are canonical or refused."""
    with limits(memory=4 * MEBIBYTE + 20 * len(data)):
        try:
            found = Binning.from_bytes(data, FEATURES, PLAN.model.bins)
        except ValueError:
            return
    assert found.to_bytes() == data


@fuzz(300)
@given(noise([BINS]))
@example(b"\xdd\x00\x0f\xff\xff" * 400)
@example(b"\x92\xaf" + b"sealscore bins " + b"\xdd\x00\x20\x00\x00" + b"\x90" * 2**21)
def test_bins(data: bytes):
    read_bins(data)


@fuzz(300)
@given(altered([msgpack.unpackb(BINS)], [one for one in ODD if not isinstance(one, int) or one < 2**64]))
def test_fields_of_bins(plain: Any):
    read_bins(msgpack.packb(plain))


@fuzz(200)
@given(noise([weights_to_bytes(np.linspace(-1, 1, 9)), edges_to_bytes(np.array([-1.0, 0.0, 2.0]))]))
@example(np.array([np.nan] * 9).tobytes())
@example(np.array([1e308, -1e308, np.inf]).tobytes())
@example(np.array([1e308, -1e308, 1e308]).tobytes())
def test_weights_and_edges(data: bytes):
    for read in (lambda: weights_from_bytes(data, 9), lambda: edges_from_bytes(data, 4)):
        with limits():
            try:
                assert np.isfinite(read()).all()
            except ValueError:
                continue


SIZE = 16
ALIGNED = Aligned.of({bytes([n]) * 16: f"person {n}" for n in range(9)}, SIZE)
PAYLOAD = pack_numbers(ALIGNED, np.arange(9), 11, stream("payload"))


@fuzz(300)
@given(noise([PAYLOAD]), st.sampled_from([2, 11, 16, 256, 2**16]))
def test_payloads(data: bytes, levels: int):
    with limits():
        try:
            found = unpack_numbers(ALIGNED, data, levels)
        except PayloadError:
            return
    assert found.shape == (9,)
    assert 0 <= found.min() <= found.max() < levels


PERSONS = [f"person {n}" for n in range(12)]
MATCHINGS = {"exact": ExactMatching(b"salt", "exact", SIZE), "private": PrivateMatching("exact", SIZE, SIZE)}


@fuzz(200)
@given(st.sampled_from(sorted(MATCHINGS)), st.data())
def test_alignments(name: str, data: st.DataObject):
    matching: Any = MATCHINGS[name]
    asking = matching.ask(PERSONS[:8], stream("ask"))
    answering = matching.answer(asking.request, PERSONS[4:], stream("answer"))
    message, _ = asking.handles(answering.response, stream("handles"))
    steps: list[tuple[bytes, Any]] = [
        (asking.request, lambda got: matching.answer(got, PERSONS[4:], stream("answer"))),
        (answering.response, lambda got: asking.handles(got, stream("handles"))),
        (message, answering.accept),
    ]
    for whole, step in steps:
        # the length is fixed, so most changes must keep it
        got = data.draw(noise([whole]))
        if data.draw(st.booleans()):
            got = (got + whole[len(got) :])[: len(whole)]
        with limits():
            try:
                step(got)
            except AlignmentError:
                continue


@fuzz(300)
@given(noise([_pack([("ab" * 32, b"h" * 16)] * 3), b""]))
@example(b"\xff" * 8 + bytes(64 * 48))
def test_notices(data: bytes):
    with limits():
        try:
            found = _unpack(data)
        except ValueError:
            return
    assert all(len(handle) == 16 and len(plan) == 64 for plan, handle in found)
