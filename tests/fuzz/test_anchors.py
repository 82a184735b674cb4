"""Heads, receipts and files of them, spoiled; and heads that their own holders made odd, at node and server."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mutations import ODD, TEXT_ONLY, altered, fuzz, limits, noise

from sealscore.clients.node.sealed import Anchoring, LedgerBehind
from sealscore.server.transport.sealed import Receipts
from sealscore.shared.identity.identity import Identity
from sealscore.shared.ledger.chain import AnchorError, Head, Receipt, read_anchors, to_line
from sealscore.shared.ledger.disclosure_store import DisclosureStore
from sealscore.shared.ledger.entries import Ceilings
from sealscore.shared.ledger.ledger import Ledger

NORTH, SOUTH = (Identity.simulated(7, name, "lender") for name in ("north", "south"))
SERVER = Identity.simulated(7, "server", "server")
CARDS = {one.name: one.card for one in (NORTH, SOUTH, SERVER)}
LEDGER, HASH = b"\1" * 32, b"\2" * 32


def head(seq: int = 5, ledger: bytes = LEDGER, hash: bytes = HASH) -> Head:
    """A head of south's ledger."""
    return Head.sign(SOUTH, ledger, seq, hash)


RECEIPT = Receipt.sign(SERVER, head(), 1_900_000_000)
BYTES = [head().to_bytes(), RECEIPT.to_bytes()]
LINES = [to_line(head()), to_line(RECEIPT)]


@fuzz(400)
@given(noise(BYTES))
def test_bytes(data: bytes):
    for kind in (Head, Receipt):
        with limits():
            try:
                found = kind.from_bytes(data)
            except AnchorError:
                continue
        assert found.to_bytes() == data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


def test_files_of_anchors(folder: Path):
    path = folder / "receipts.jsonl"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        with limits():
            with contextlib.suppress(AnchorError):
                read_anchors(path)
            try:
                Receipts(SERVER, path)
            except AnchorError:
                return

    whole = "\n".join(LINES).encode() + b"\n"
    plain = [json.loads(line) for line in LINES]
    fuzz(200)(given(noise([whole]))(read))()
    odd = st.one_of(altered(plain, [*ODD, *TEXT_ONLY]), st.sampled_from([*ODD, *TEXT_ONLY]))
    fuzz(300)(given(odd.map(lambda data: json.dumps(data).encode() + b"\n"))(read))()


@fuzz(150)
@given(st.integers(0, 2**64 - 1), st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
@example(2**63, LEDGER, HASH)
@example(2**63 - 1, LEDGER, HASH)
@example(2**64 - 1, LEDGER, HASH)
def test_heads_that_their_holder_signed(seq: int, ledger: bytes, hash: bytes):
    given_head = head(seq, ledger, hash).to_bytes()
    own = Ledger.create(None, NORTH, "loans", Ceilings(epsilon=None, delta=1e-5))
    anchoring = Anchoring(own, CARDS, DisclosureStore())
    with limits():
        with contextlib.suppress(AnchorError, LedgerBehind):
            anchoring.take((given_head,), b"")
        try:
            Receipts(SERVER).sign("south", given_head, CARDS)
        except AnchorError:
            return


@fuzz(200)
@given(st.lists(noise(BYTES), max_size=3), noise(BYTES))
def test_heads_and_receipts_at_a_node(heads: list[bytes], receipt: bytes):
    anchoring = Anchoring(
        Ledger.create(None, NORTH, "loans", Ceilings(epsilon=None, delta=1e-5)), CARDS, DisclosureStore()
    )
    for take in (lambda: anchoring.take(tuple(heads), receipt), lambda: anchoring.compare(tuple(heads))):
        with limits():
            try:
                take()
            except (AnchorError, LedgerBehind):
                continue
