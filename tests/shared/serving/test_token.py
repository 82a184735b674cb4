"""Tokens: what goes in comes out, all have one length, and nobody else's opens."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledgers import identity_of
from small_release import TODAY, everybody, serving_keys, small_plan

from sealscore.shared.crypto.sealing import (
    OVERHEAD,
    NotForMe,
    OtherPlan,
    SealError,
    UnknownSender,
    WrongInfo,
    WrongKey,
    seal,
)
from sealscore.shared.messages.codec import Address
from sealscore.shared.serving.manifest import KINDS
from sealscore.shared.serving.serving_keys import ServingPeer
from sealscore.shared.serving.token import (
    HANDLE_BYTES,
    Token,
    TokenError,
    claimed_release,
    open_token,
    person_tag,
    seal_token,
)

RELEASE, MONTH = "ab" * 32, "2030-03"
DAYS = st.dates(date(1000, 1, 1), date(9999, 12, 31))
VALUES = st.dictionaries(st.sampled_from(KINDS), st.integers(0, 254))
NAMES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,39}", fullmatch=True)


def token(**changes: object) -> Token:
    handle = b"h" * HANDLE_BYTES
    made = Token(
        release=RELEASE,
        platform="wallet",
        lender="lender-1",
        group="wallet",
        purpose="credit-decision",
        meaning="cd" * 32,
        handle=handle,
        as_of=TODAY,
        expires=TODAY,
        consent="ef" * 32,
        retraining=False,
        values={"signal": 3},
        tag=person_tag(handle, "p1"),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def keys(lender: str = "lender-1", month: str = MONTH):
    return serving_keys(lender, month)


def peer(lender: str = "lender-1", month: str = MONTH) -> ServingPeer:
    return ServingPeer.read(keys(lender, month).certificate, small_plan().cards[lender])


def sealed(made: Token, **of: str) -> bytes:
    return seal_token(made, identity_of(small_plan(), made.platform), peer(**of))


@given(VALUES, DAYS, DAYS, st.booleans(), NAMES, NAMES, st.binary(min_size=HANDLE_BYTES, max_size=HANDLE_BYTES))
def test_what_is_told_comes_out_again_and_changes_no_length(values, as_of, expires, retraining, group, purpose, handle):
    made = token(
        values=values,
        as_of=as_of,
        expires=expires,
        retraining=retraining,
        group=group,
        purpose=purpose,
        handle=handle,
        tag=person_tag(handle, "p1"),
    )
    assert len(made.encode()) == len(token().encode())
    data = sealed(made)
    assert len(data) == len(sealed(token()))
    assert len(data) > len(made.encode()) + OVERHEAD
    found = open_token(data, keys(), RELEASE, small_plan().cards)
    assert found == made
    assert found.fits("p1")
    assert not found.fits("p2")


@given(st.text(), st.text(), st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16))
def test_a_tag_fits_its_person_and_its_handle_alone(one, other, handle, second):
    made = token(handle=handle, tag=person_tag(handle, one))
    assert made.fits(one)
    assert made.fits(other) == (one == other)
    assert replace(made, handle=second).fits(one) == (handle == second)


@pytest.mark.parametrize("value", [-1, 255, 256])
def test_values_that_no_byte_tells_are_refused(value):
    with pytest.raises(ValueError, match="below 255"):
        token(values={"signal": value}).encode()


def test_a_token_shows_none_of_its_values():
    secret = token(values={"signal": 3, "capacity": 5})
    assert "signal" not in repr(secret)
    assert "p1" not in repr(secret)
    assert secret.handle.hex() not in repr(secret)


@given(st.data())
def test_an_altered_token_opens_nowhere(data):
    whole = sealed(token())
    at, by = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(1, 255))
    altered = whole[:at] + bytes([whole[at] ^ by]) + whole[at + 1 :]
    with pytest.raises(SealError):
        open_token(altered, keys(), RELEASE, small_plan().cards)


@given(st.binary(max_size=3000))
def test_bytes_that_are_no_token_are_refused(data):
    with pytest.raises(SealError):
        claimed_release(data)


def test_only_its_lender_its_month_and_its_release_open_a_token():
    cards = small_plan().cards
    data = sealed(token())
    with pytest.raises(NotForMe):
        open_token(data, keys("lender-2"), RELEASE, cards)
    with pytest.raises((WrongKey, WrongInfo)):
        open_token(data, keys(month="2030-04"), RELEASE, cards)
    with pytest.raises(OtherPlan):
        open_token(data, keys(), "cd" * 32, cards)
    with pytest.raises(UnknownSender):
        open_token(data, keys(), RELEASE, {name: card for name, card in cards.items() if name != "wallet"})
    assert claimed_release(data) == (RELEASE, MONTH)


def test_a_token_in_the_name_of_another_platform_is_none():
    with pytest.raises(ValueError, match="names its sender"):
        seal_token(token(platform="video-1"), identity_of(small_plan(), "wallet"), peer())
    forger = identity_of(small_plan(), "lender-2")
    address = Address(RELEASE, MONTH, "token", 0, 0, "lender-2", "lender-1")
    data = seal(address, "token", token().encode(), forger, peer().key)
    platforms = {name: card for name, card in small_plan().cards.items() if card.role == "platform"}
    with pytest.raises(UnknownSender):
        open_token(data, keys(), RELEASE, platforms)


@pytest.mark.parametrize(
    ("kind", "phase", "run", "attempt"),
    [
        ("batch", "token", MONTH, 0),
        ("token", "batch", MONTH, 0),
        ("token", "token", "2030-04", 0),
        ("token",) * 2 + (MONTH, 1),
    ],
)
def test_what_was_sealed_for_something_else_is_no_token(kind, phase, run, attempt):
    address = Address(RELEASE, run, phase, 0, attempt, "wallet", "lender-1")
    data = seal(address, kind, token().encode(), identity_of(small_plan(), "wallet"), peer().key)
    with pytest.raises(WrongInfo):
        open_token(data, keys(), RELEASE, small_plan().cards)


def spoilt(at: int, by: int) -> bytes:
    """A real token of which one byte is another."""
    whole = bytearray(token().encode())
    whole[at] ^= by
    return bytes(whole)


@given(st.binary(max_size=400) | st.builds(spoilt, st.integers(0, 351), st.integers(1, 255)))
def test_a_platform_that_seals_rubbish_is_found(body):
    address = Address(RELEASE, MONTH, "token", 0, 0, "wallet", "lender-1")
    data = seal(address, "token", body, identity_of(small_plan(), "wallet"), peer().key)
    try:
        found = open_token(data, keys(), RELEASE, small_plan().cards)
    except TokenError:
        return
    # What can be read is read in one way only.
    assert found.encode() == body


def test_two_tokens_of_a_person_have_nothing_in_common():
    person = everybody("wallet").person[0]
    one, other = (token(handle=bytes([at]) * 16, tag=person_tag(bytes([at]) * 16, person)) for at in (1, 2))
    assert one.tag != other.tag
