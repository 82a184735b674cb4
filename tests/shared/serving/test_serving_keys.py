"""Serving keys: of one lender and one month."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledgers import identity_of
from small_release import serving_keys, small_plan

from sealscore.shared.crypto.sealing import CertificateError, PlanKeys
from sealscore.shared.serving.serving_keys import ServingKeys, ServingPeer, month_of, scope_of


def test_a_certificate_is_read_by_the_card_of_its_lender_alone():
    keys, cards = serving_keys("lender-1", "2030-03"), small_plan().cards
    assert ServingPeer.read(keys.certificate + "\n", cards["lender-1"]).month == "2030-03"
    for other in ("lender-2", "wallet", "server"):
        with pytest.raises(CertificateError):
            ServingPeer.read(keys.certificate, cards[other])


def test_a_key_is_of_the_month_that_was_signed():
    import base64

    from sealscore.shared.fields import pack_fields, unpack_fields

    head, body = serving_keys("lender-1", "2030-03").certificate.rsplit(".", 1)
    _, certificate = unpack_fields(base64.urlsafe_b64decode(body), 2)
    forged = head + "." + base64.urlsafe_b64encode(pack_fields(b"2030-04", certificate)).decode()
    with pytest.raises(CertificateError):
        ServingPeer.read(forged, small_plan().cards["lender-1"])


def test_a_plan_key_is_no_serving_key():
    import base64

    from sealscore.shared.fields import pack_fields

    who = identity_of(small_plan(), "lender-1")
    certificate = PlanKeys.generate(who, small_plan().hash).certificate
    text = "sealscore-serving-key-1." + base64.urlsafe_b64encode(pack_fields(b"2030-03", certificate)).decode()
    with pytest.raises(CertificateError):
        ServingPeer.read(text, who.card)


@given(st.text())
def test_any_other_line_is_none(text: str):
    for given_text in (text, f"sealscore-serving-key-1.{text}"):
        with pytest.raises(CertificateError):
            ServingPeer.read(given_text, small_plan().cards["lender-1"])


@given(st.text(max_size=10))
def test_only_months_have_keys(text: str):
    try:
        scope = scope_of(text)
    except ValueError:
        return
    assert month_of(date(int(text[:4]) or 1, int(text[5:]), 1))[4:] == text[4:]
    assert len(scope) == 64


def test_months_of_a_lender_have_nothing_in_common():
    assert scope_of("2030-03") != scope_of("2030-04")
    who = identity_of(small_plan(), "lender-1")
    secret = PlanKeys.secret()
    one, other = (ServingKeys.of(who, month, secret) for month in ("2030-03", "2030-04"))
    assert one.certificate != other.certificate
