"""Everything signed, sealed or certified, spoiled: taken as it was made, or refused with the parser's own error."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mutations import ODD, TEXT_ONLY, altered, fuzz, limits, noise

from sealscore.shared.crypto.sealing import (
    CertificateError,
    Malformed,
    PlanKeys,
    SealError,
    SignedMessageError,
    claimed_address,
    is_signed,
    open_signed,
    peer_key,
    seal,
    seal_message,
    sign_message,
    unseal,
    unseal_message,
)
from sealscore.shared.crypto.seeds import OfferError, Seeds, split_offer
from sealscore.shared.fields import FieldsError, pack_fields, unpack_fields
from sealscore.shared.identity.enrolment import Enrolment, card_in
from sealscore.shared.identity.identity import Card, CardError, Identity
from sealscore.shared.identity.keyfile import KeyFileError, _check, read_key, write_key
from sealscore.shared.identity.trust import TrustError, TrustStore
from sealscore.shared.messages.codec import Address, MessageError
from sealscore.shared.messages.messages import Hello, Join, Propose, ProposeRelease, Refusal, Relay

PLAN = "ab" * 32
NORTH, SOUTH, WEST = (Identity.simulated(7, name, "lender") for name in ("north", "south", "west"))
SERVER = Identity.simulated(7, "server", "server")
CARDS = {one.name: one.card for one in (NORTH, SOUTH, WEST, SERVER)}
HEADER = Address(PLAN, "run-1", "bin:lender", 1, 1, "south", "north")
PUBLIC_KEY = "ecdsa-sha2-nistp384 AAAAE2VjZHNhLXNoYTItbmlzdHAzODQ"


@lru_cache(maxsize=4)
def keys(name: str) -> PlanKeys:
    """A party's keys under the plan; random, so what is sealed differs from run to run, and its form does not."""
    return PlanKeys.generate({"north": NORTH, "south": SOUTH, "west": WEST}[name], PLAN)


def _sealed() -> bytes:
    return seal_message(Hello(HEADER), SOUTH, peer_key(keys("north").certificate, NORTH.card, PLAN))


def _offers() -> dict[str, Seeds]:
    certified = {one.name: peer_key(keys(one.name).certificate, one.card, PLAN) for one in (NORTH, SOUTH, WEST)}
    return {one.name: Seeds(one, keys(one.name), "run-1", 1, CARDS, certified) for one in (NORTH, SOUTH, WEST)}


OFFERS = _offers()
DELIVERY = split_offer(OFFERS["south"].offer)[2]["north"]
SIGNED = [
    sign_message(Refusal(HEADER, "seal"), SOUTH),
    sign_message(Join(HEADER, keys("south").certificate, 1_900_000_000, (b"head",)), SOUTH),
    sign_message(Propose(HEADER, b"{}"), SOUTH),
    sign_message(ProposeRelease(HEADER, {"release.toml": b"name"}), SOUTH),
    sign_message(Relay(HEADER, {"north": b"line"}), SOUTH),
]


@fuzz(300)
@given(noise([pack_fields(b"a", b"", b"bc" * 20), pack_fields(), _sealed()]), st.sampled_from([None, 0, 1, 3, 5]))
@example(b"\xff\xff\xff\xff" * 25, None)
def test_fields(data: bytes, count: int | None):
    with limits():
        try:
            found = unpack_fields(data, count)
        except FieldsError:
            return
    assert pack_fields(*found) == data


@fuzz(300)
@given(noise([_sealed()], 2_000))
@example(pack_fields(pack_fields(*[b"\0" * 32] * 8), b"", b"\0" * 64))
def test_sealed_messages(data: bytes):
    with limits():
        try:
            address, kind = Address.decode(unpack_fields(data)[0])
            assert claimed_address(data) == address
            assert address.encode(kind) in data
        except (Malformed, FieldsError, ValueError, IndexError):
            with pytest.raises(Malformed):
                claimed_address(data)
        with pytest.raises((SealError, MessageError)):
            unseal_message(data + b"\0", keys("north"), CARDS, Hello)
        try:
            message = unseal_message(data, keys("north"), CARDS, Hello)
        except (SealError, MessageError):
            return
    assert message == Hello(HEADER)


@fuzz(150)
@given(
    st.sampled_from(["Hello", "Refusal", "Join", "", "x" * 300, "\0", "é"]),
    noise([b"\x80", b"\x81\xa4code\xa4seal"]),
    st.text(max_size=20),
    st.integers(0, 2**64 - 1),
)
def test_what_a_peer_seals_itself(kind: str, body: bytes, run: str, round: int):
    address = Address(PLAN, run, "bin:lender", round, 1, "south", "north")
    sealed = seal(address, kind, body, SOUTH, peer_key(keys("north").certificate, NORTH.card, PLAN))
    with limits():
        try:
            unseal_message(sealed, keys("north"), CARDS, Hello, Refusal)
        except MessageError:
            return


@fuzz(300)
@given(noise(SIGNED, 2_000))
def test_signed_messages(data: bytes):
    with limits():
        is_signed(data)
        try:
            open_signed(data, CARDS, Refusal, Join, Propose, ProposeRelease, Relay)
        except SignedMessageError:
            return
    assert data in SIGNED


@fuzz(200)
@given(noise([b"", b"\x92", b"\x92\xa7Refusal\x82"]))
def test_what_a_sender_signs_itself(body: bytes):
    data = pack_fields(b"sealscore signed message 1", body, SOUTH.sign("signed message", body))
    with limits(), pytest.raises(SignedMessageError):
        open_signed(data, CARDS, Refusal)


@fuzz(200)
@given(noise([DELIVERY], 1_000), st.booleans())
def test_offers_of_seeds(data: bytes, signed_anew: bool):
    if signed_anew:
        data = pack_fields(data, SOUTH.sign("seed offer", data), DELIVERY[-1_200:])
    with limits():
        try:
            OFFERS["north"].accept(data)
        except OfferError:
            return
    assert data == DELIVERY


@fuzz(200)
@given(noise([OFFERS["south"].offer], 1_000))
def test_offers_at_the_server(data: bytes):
    with limits():
        try:
            split_offer(data)
        except OfferError:
            return


@fuzz(200)
@given(noise([keys("south").certificate], 1_500), st.booleans())
def test_certificates(data: bytes, signed_anew: bool):
    if signed_anew:
        fields = (bytes.fromhex(PLAN), b"south", data)
        data = pack_fields(*fields, SOUTH.sign("plan key", *fields))
    with limits():
        try:
            peer_key(data, SOUTH.card, PLAN).seal(b"text", b"info")
        except CertificateError:
            return


@fuzz(300)
@given(noise([SOUTH.card.canonical(), SERVER.card.canonical()]))
def test_cards(data: bytes):
    with limits():
        with suppress(CardError):
            assert Card.from_canonical(data) in CARDS.values()
        text = "sealscore-card-1." + base64.urlsafe_b64encode(data).decode()
        try:
            assert Card.from_text(text) in CARDS.values()
        except CardError:
            return


ENROLMENT = Enrolment.of(SOUTH, PUBLIC_KEY).text


@fuzz(300)
@given(noise([ENROLMENT.encode(), SOUTH.card.text.encode()], 400), st.sampled_from(["ascii", "utf-8", "latin-1"]))
@example(ENROLMENT.replace("A", "\uff21").encode(), "utf-8")
@example(ENROLMENT.replace("\n", "\x1c").encode(), "ascii")
def test_enrolments(data: bytes, coding: str):
    text = data.decode(coding, "replace")
    for parse in (Enrolment.from_text, card_in, Card.from_text):
        read: Callable[[str], object] = parse
        with limits():
            try:
                read(text)
            except CardError:
                continue


def _trusted(tmp_path: Path) -> Path:
    store = TrustStore(tmp_path / "trust.json")
    for name in ("one", "two"):
        card = Identity.generate(name, "lender").card
        store.trust(card, card.fingerprint)
    return tmp_path / "trust.json"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


def test_files_of_trusted_cards(folder: Path):
    path = _trusted(folder)
    whole = path.read_bytes()
    plain = json.loads(whole)

    def read(data: bytes) -> None:
        path.write_bytes(data)
        with limits():
            try:
                TrustStore(path)
            except TrustError:
                return

    fuzz(200)(given(noise([whole]))(read))()
    as_text = altered([plain], [*ODD, *TEXT_ONLY]).map(lambda data: json.dumps(data).encode())
    fuzz(200)(given(as_text)(read))()


def test_key_files(folder: Path):
    path = folder / "key"
    write_key(path, "identity", {"name": "north", "role": "lender"}, bytes(32), None)
    whole = json.loads(path.read_text())
    sealed = copy.deepcopy(whole) | {"salt": "00" * 16, "data": "00" * 60}

    def read(data: bytes) -> None:
        path.write_bytes(data)
        for passphrase in (None, "a passphrase"):
            with limits(memory=64 * 2**20):
                try:
                    read_key(path, "identity", passphrase)
                    Identity.load(path, passphrase)
                except KeyFileError:
                    continue

    def checked(content: Any) -> bytes:
        """As its own writer could have left it: the digest over the whole is right."""
        if isinstance(content, dict):
            content["check"] = _check(content)
        return json.dumps(content).encode()

    fuzz(60)(given(noise([path.read_bytes()]))(read))()
    fuzz(150)(given(altered([whole, sealed], [*ODD, *TEXT_ONLY]).map(checked))(read))()


def test_unsealing_with_another_info_and_no_card():
    with pytest.raises(SealError):
        unseal(_sealed(), keys("north"), {})
