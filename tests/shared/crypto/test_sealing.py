"""Seals: everything that was changed, replayed as something else, or sent by or to another fails closed, by name."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealscore.shared.crypto import sealing
from sealscore.shared.crypto.sealing import (
    OVERHEAD,
    KeysDestroyed,
    PlanKeys,
    claimed_address,
    seal,
    seal_message,
    unseal,
    unseal_message,
)
from sealscore.shared.fields import pack_fields, unpack_fields
from sealscore.shared.messages.codec import Address, MessageError, encode
from sealscore.shared.messages.messages import Hello, PairAnswer, Ready, SumAnswer, SumRequest

PLAN = "ab" * 32
ADDRESS, KIND = Address(PLAN, "run", "train_tower:lender", 3, 1, "p0", "server"), "SumAnswer"
INFO = ADDRESS.encode(KIND)

words = st.text(max_size=12)
numbers = st.integers(0, 2**64 - 1)
addresses = st.builds(Address, st.just(PLAN), words, words, numbers, numbers, words, words)


def changed(kind=KIND, **fields):
    return dataclasses.replace(ADDRESS, **fields), kind


@pytest.fixture(scope="module")
def sealed(members):
    return seal(ADDRESS, KIND, b"contribution", members.identities["p0"], members.peers["server"])


@given(addresses, words, addresses, words)
def test_addresses_encode_injectively_and_come_back(one, kind, other, another):
    assert Address.decode(one.encode(kind)) == (one, kind)
    assert (one.encode(kind) == other.encode(another)) == ((one, kind) == (other, another))


@pytest.mark.parametrize("data", [b"", b"\0\0\0\1a", INFO[:-1], INFO + b"\0\0\0\0", INFO.replace(b"run", b"r\xffn")])
def test_other_bytes_are_no_address(data):
    with pytest.raises(ValueError, match=r"address|utf-8"):
        Address.decode(data)


@pytest.mark.parametrize("change", [{"plan": "x"}, {"round": -1}, {"attempt": 2**64}])
def test_an_address_that_cannot_be_is_not_encoded(change):
    with pytest.raises(ValueError, match=r"hexadecimal|counter"):
        dataclasses.replace(ADDRESS, **change).encode(KIND)


def test_the_recipient_opens_it(members, sealed):
    assert unseal(sealed, members.keys["server"], members.cards) == (ADDRESS, KIND, b"contribution")
    assert unseal(sealed, members.keys["server"], members.cards, (ADDRESS, KIND)) == (ADDRESS, KIND, b"contribution")
    assert claimed_address(sealed) == ADDRESS
    assert b"contribution" not in sealed


def test_the_length_tells_the_length_and_nothing_else(members):
    for size in (0, 1, 5_000):
        data = seal(ADDRESS, KIND, bytes(size), members.identities["p0"], members.peers["server"])
        assert len(data) == size + OVERHEAD + 64 + len(INFO) + 12


def test_equal_plaintexts_have_different_ciphertexts(members, sealed):
    again = seal(ADDRESS, KIND, b"contribution", members.identities["p0"], members.peers["server"])
    assert unpack_fields(again)[1] != unpack_fields(sealed)[1]


def test_no_byte_can_be_changed(members, sealed):
    for at in range(0, len(sealed), 11):
        changed = bytearray(sealed)
        changed[at] ^= 0x10
        with pytest.raises(sealing.SealError):
            unseal(bytes(changed), members.keys["server"], members.cards)


def test_nothing_can_be_cut_or_added(members, sealed):
    for data in (b"", sealed[:100], sealed[:-1], sealed + b"\0", sealed + sealed, sealed[4:]):
        with pytest.raises(sealing.Malformed):
            unseal(data, members.keys["server"], members.cards)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"plan": "cd" * 32}, sealing.OtherPlan),
        ({"recipient": "p1"}, sealing.NotForMe),
        ({"sender": "stranger"}, sealing.UnknownSender),
        ({"sender": "p1"}, sealing.WrongSignature),
        ({"round": 4}, sealing.WrongSignature),
        ({"attempt": 2}, sealing.WrongSignature),
        ({"phase": "evaluate:lender"}, sealing.WrongSignature),
        ({"kind": "PairAnswer"}, sealing.WrongSignature),
        ({"run": "other"}, sealing.WrongSignature),
    ],
)
def test_an_info_that_a_courier_rewrote_is_refused(members, sealed, change, error):
    _, ciphertext, signature = unpack_fields(sealed)
    address, kind = changed(**change)
    rewritten = pack_fields(address.encode(kind), ciphertext, signature)
    with pytest.raises(error):
        unseal(rewritten, members.keys["server"], members.cards)


def test_a_message_for_something_else_than_expected_is_refused(members, sealed):
    for change in ({"round": 4}, {"attempt": 2}, {"run": "later"}, {"phase": "x"}, {"kind": "Ready"}, {"sender": "p1"}):
        with pytest.raises(sealing.WrongInfo, match="expected"):
            unseal(sealed, members.keys["server"], members.cards, changed(**change))


def test_a_message_does_not_open_elsewhere(members, sealed):
    with pytest.raises(sealing.NotForMe):
        unseal(sealed, members.keys["p1"], members.cards)
    renewed = PlanKeys.generate(members.identities["server"], PLAN)
    with pytest.raises(sealing.WrongKey):
        unseal(sealed, renewed, members.cards)


def test_a_party_cannot_pass_anothers_ciphertext_off_as_its_own(members, sealed):
    _, ciphertext, _ = unpack_fields(sealed)
    mine = dataclasses.replace(ADDRESS, sender="p1").encode(KIND)
    stolen = pack_fields(mine, ciphertext, members.identities["p1"].sign("sealed message", mine, ciphertext))
    with pytest.raises(sealing.WrongKey):
        unseal(stolen, members.keys["server"], members.cards)


def test_two_messages_cannot_swap_their_ciphertexts(members, sealed):
    other = seal(
        dataclasses.replace(ADDRESS, round=4), KIND, b"next", members.identities["p0"], members.peers["server"]
    )
    parts = [unpack_fields(data) for data in (sealed, other)]
    for info, ciphertext, signature in itertools.product(*zip(*parts, strict=True)):
        swapped = pack_fields(info, ciphertext, signature)
        if swapped not in (sealed, other):
            with pytest.raises(sealing.WrongSignature):
                unseal(swapped, members.keys["server"], members.cards)


def test_nothing_is_opened_before_its_signature_is_checked(members, sealed, monkeypatch):
    def never(*_):
        raise AssertionError("opened")

    keys = PlanKeys.generate(members.identities["server"], PLAN)
    monkeypatch.setattr(keys, "open", never)
    info, ciphertext, _ = unpack_fields(sealed)
    with pytest.raises(sealing.WrongSignature):
        unseal(pack_fields(info, ciphertext, bytes(64)), keys, members.cards)


def test_after_the_plan_nothing_opens(members):
    keys = PlanKeys.generate(members.identities["server"], PLAN)
    from sealscore.shared.crypto.sealing import peer_key

    peer = peer_key(keys.certificate, members.cards["server"], PLAN)
    data = seal(ADDRESS, KIND, b"x", members.identities["p0"], peer)
    keys.destroy()
    with pytest.raises(KeysDestroyed):
        unseal(data, keys, members.cards)


def test_only_the_named_seal_to_the_named(members):
    for identity, recipient in (("p1", "server"), ("p0", "p1")):
        with pytest.raises(ValueError, match="sender"):
            seal(ADDRESS, KIND, b"x", members.identities[identity], members.peers[recipient])


HEADER = Address(PLAN, "run", "train_tower:lender", 3, 1, "p0", "server")
REQUEST = Address(PLAN, "run", "train_tower:lender", 3, 1, "server", "p0")


@pytest.mark.parametrize(
    "message",
    [
        SumAnswer(HEADER, b"\1\2"),
        Ready(HEADER),
        PairAnswer(HEADER, b""),
        SumRequest(REQUEST, ("p0", "p1"), np.array([0.5, -0.0]), {"bins": "ab"}),
    ],
)
def test_messages_travel_sealed_and_their_header_once(members, message):
    header = message.header
    data = seal_message(message, members.identities[header.sender], members.peers[header.recipient])
    assert data.count(header.phase.encode()) == 1
    back = unseal_message(data, members.keys[header.recipient], members.cards, type(message))
    assert encode(back) == encode(message)
    assert claimed_address(data) == header


def test_a_message_of_another_type_is_refused(members):
    data = seal_message(Ready(HEADER), members.identities["p0"], members.peers["server"])
    for expected in ((), (Hello,), (SumAnswer, PairAnswer)):
        with pytest.raises(MessageError):
            unseal_message(data, members.keys["server"], members.cards, *expected)


@pytest.mark.parametrize("body", [b"", b"\xc0", b"\x80\x80", b"\x81\xa6header\xc0", b"\x90"])
def test_a_sealed_body_that_is_none_is_refused(members, body):
    data = seal(HEADER, "SumAnswer", body, members.identities["p0"], members.peers["server"])
    with pytest.raises(MessageError):
        unseal_message(data, members.keys["server"], members.cards, SumAnswer)
