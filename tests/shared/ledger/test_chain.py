"""A head is its party's signed word, a receipt the server's on it; nothing else is taken for one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealscore.shared.identity.identity import Identity
from sealscore.shared.ledger.chain import AnchorError, Head, Receipt, read_anchors, to_line

OWN, OTHER = Identity.generate("lender-1", "lender"), Identity.generate("lender-2", "lender")
SERVER = Identity.generate("server", "server")
LEDGER, HASH = bytes(range(32)), bytes(range(32, 64))
HEAD = Head.sign(OWN, LEDGER, 7, HASH)
RECEIPT = Receipt.sign(SERVER, HEAD, 1_925_460_000)


def test_signed_anchors_hold():
    HEAD.check(OWN.card)
    RECEIPT.check(SERVER.card, OWN.card)
    assert Head.from_bytes(HEAD.to_bytes()) == HEAD
    assert Receipt.from_bytes(RECEIPT.to_bytes()) == RECEIPT


@pytest.mark.parametrize(
    "head",
    [
        Head("lender-1", HASH, 7, HASH, HEAD.signature),
        Head("lender-1", LEDGER, 8, HASH, HEAD.signature),
        Head("lender-1", LEDGER, 7, LEDGER, HEAD.signature),
        Head("lender-1", LEDGER, 7, HASH, OTHER.sign("ledger head", LEDGER, (7).to_bytes(8, "big"), HASH)),
        Head("lender-1", LEDGER, 7, HASH, OWN.sign("ledger receipt", LEDGER, (7).to_bytes(8, "big"), HASH)),
        Head("lender-2", LEDGER, 7, HASH, HEAD.signature),
    ],
    ids=["ledger", "number", "hash", "signer", "purpose", "name"],
)
def test_a_head_with_anything_changed_does_not(head):
    with pytest.raises(AnchorError, match="a head of"):
        head.check(OWN.card)
    with pytest.raises(AnchorError):
        Receipt.sign(SERVER, head, 1).check(SERVER.card, OWN.card)


@pytest.mark.parametrize(
    "receipt",
    [
        Receipt(HEAD, RECEIPT.at + 1, RECEIPT.signature),
        Receipt(Head.sign(OWN, LEDGER, 8, HASH), RECEIPT.at, RECEIPT.signature),
        Receipt.sign(OTHER, HEAD, RECEIPT.at),
    ],
    ids=["time", "head", "signer"],
)
def test_a_receipt_with_anything_changed_does_not(receipt):
    with pytest.raises(AnchorError, match="a receipt for"):
        receipt.check(SERVER.card, OWN.card)


def test_another_party_s_head_is_not_one_s_own():
    with pytest.raises(AnchorError):
        HEAD.check(OTHER.card)


@given(st.data())
def test_bytes_that_are_no_anchor(data):
    kind, good = data.draw(st.sampled_from([(Head, HEAD.to_bytes()), (Receipt, RECEIPT.to_bytes())]))
    bad = data.draw(st.one_of(st.binary(max_size=300), st.integers(0, len(good) - 1).map(lambda cut: good[:cut])))
    with pytest.raises(AnchorError):
        kind.from_bytes(bad)


@given(st.integers(0, 10**4), st.integers(1, 255))
def test_a_flipped_byte_never_passes(place, change):
    data = bytearray(RECEIPT.to_bytes())
    data[place % len(data)] ^= change
    with pytest.raises(AnchorError):
        Receipt.from_bytes(bytes(data)).check(SERVER.card, OWN.card)


def test_a_file_of_anchors_is_read_back(tmp_path):
    path = tmp_path / "anchors.jsonl"
    lines = [to_line(HEAD), "", to_line(RECEIPT)]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    assert read_anchors(path) == [HEAD, RECEIPT]
    shown = json.loads(lines[0])
    assert (shown["party"], shown["seq"], shown["hash"]) == ("lender-1", 7, HASH.hex())


@pytest.mark.parametrize(
    "line",
    ["nonsense", "7", "[]", "{}", '{"head": null}', '{"head": "AA=="}', '{"receipt": "!"}', '"receipt"', "[" * 10**5],
)
def test_a_line_that_is_no_anchor_is_named(tmp_path, line):
    path = tmp_path / "anchors.jsonl"
    path.write_text(f"{to_line(HEAD)}\n{line}\n", encoding="ascii")
    with pytest.raises(AnchorError, match="line 2 is no head or receipt"):
        read_anchors(path)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(AnchorError, match="cannot be read"):
        read_anchors(tmp_path / "none.jsonl")
    path = tmp_path / "binary"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(AnchorError, match="cannot be read"):
        read_anchors(path)


@pytest.mark.parametrize("seq", [0, 2**63, 2**64 - 1])
def test_a_head_with_a_number_that_no_ledger_can_have_is_none(seq):
    """SQLite numbers rows up to 2^63 - 1: what is above could not be kept, and would stop who was sent it."""
    with pytest.raises(AnchorError, match="no head of a ledger"):
        Head.from_bytes(Head.sign(OWN, LEDGER, seq, HASH).to_bytes())
