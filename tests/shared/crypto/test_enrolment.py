"""An enrolment: the key of a node's connection is signed by the holder of the card."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealscore.shared.identity.enrolment import Enrolment, card_in
from sealscore.shared.identity.identity import CardError, Identity

KEY = "ecdsa-sha2-nistp384 AAAAE2VjZHNhLXNoYTI="
IDENTITY = Identity.generate("lender-1", "lender")
ENROLMENT = Enrolment.of(IDENTITY, f"{KEY} somebody@somewhere\n")


def test_comes_back_as_it_was_and_without_the_keys_comment():
    assert ENROLMENT.key == KEY
    assert Enrolment.from_text(ENROLMENT.text) == ENROLMENT
    assert Enrolment.from_text(ENROLMENT.text.replace("\n", "\r\n\r\n")) == ENROLMENT
    assert card_in(ENROLMENT.text) == card_in(IDENTITY.card.text) == IDENTITY.card


def test_another_key_under_the_card_is_refused():
    """Who could put a key of one's own under a partner's card would connect in its name."""
    with pytest.raises(CardError, match="'lender-1' is not signed by the card's holder"):
        Enrolment.from_text(ENROLMENT.text.replace("AAAAE2", "AAAAE3"))


def test_another_card_over_the_key_is_refused():
    other = Identity.generate("lender-1", "lender")
    with pytest.raises(CardError, match="is not signed by the card's holder"):
        Enrolment.from_text(ENROLMENT.text.replace(IDENTITY.card.text, other.card.text))


def test_a_signature_for_something_else_is_refused():
    other = Enrolment(IDENTITY.card, KEY, IDENTITY.sign("signed message", KEY.encode()))
    with pytest.raises(CardError, match="is not signed"):
        Enrolment.from_text(other.text)


@pytest.mark.parametrize("text", ["", "\n", IDENTITY.card.text, f"{IDENTITY.card.text}\n{KEY}\n", ENROLMENT.text * 2])
def test_what_lacks_a_part_is_no_enrolment(text: str):
    with pytest.raises(CardError, match="a card, a key and a signature"):
        Enrolment.from_text(text)


@pytest.mark.parametrize(
    "old", [IDENTITY.card.text[-20:-10], "sealscore-enrolment-1.", ENROLMENT.text[-12:-4]], ids=["card", "kind", "end"]
)
def test_what_is_mistyped_is_refused(old: str):
    with pytest.raises(CardError):
        Enrolment.from_text(ENROLMENT.text.replace(old, "!" * len(old)))


@given(st.text(max_size=80))
def test_any_text_is_refused_by_name(text: str):
    with pytest.raises(CardError):
        Enrolment.from_text(f"{text}\n{text}\nsealscore-enrolment-1.{text}")
    with pytest.raises(CardError):
        card_in(text)
