"""Keys of a plan: certified by their holder for that plan alone, and gone when it ends."""

import os

import pytest

from sealscore.shared.crypto.sealing import OVERHEAD, CannotOpen, CertificateError, KeysDestroyed, PlanKeys, peer_key
from sealscore.shared.fields import pack_fields, plan_bytes, unpack_fields
from sealscore.shared.identity.identity import Identity

PLAN, OTHER = "ab" * 32, "cd" * 32


@pytest.fixture(scope="module")
def holder():
    identity = Identity.generate("bank-a", "lender")
    return identity, PlanKeys.generate(identity, PLAN)


def certified(identity, public, plan=PLAN):
    fields = plan_bytes(plan), identity.name.encode(), public
    return pack_fields(*fields, identity.sign("plan key", *fields))


def test_what_is_sealed_to_a_key_opens_under_the_same_info_alone(holder):
    identity, keys = holder
    sealed = peer_key(keys.certificate, identity.card, PLAN).seal(b"weights", b"round 1")
    assert len(sealed) == len(b"weights") + OVERHEAD
    assert keys.open(sealed, b"round 1") == b"weights"
    for ciphertext, info in ((sealed, b"round 2"), (sealed, b""), (sealed[:-1], b"round 1"), (b"", b"round 1")):
        with pytest.raises(CannotOpen):
            keys.open(ciphertext, info)
    with pytest.raises(CannotOpen):
        PlanKeys.generate(identity, PLAN).open(sealed, b"round 1")


@pytest.mark.parametrize("at", [0, 600, 1_087, 1_088, 1_119, 1_120, 1_150])
def test_every_part_of_a_ciphertext_counts(holder, at):
    identity, keys = holder
    sealed = bytearray(peer_key(keys.certificate, identity.card, PLAN).seal(bytes(40), b"i"))
    sealed[at] ^= 1
    with pytest.raises(CannotOpen):
        keys.open(bytes(sealed), b"i")


def test_a_certificate_is_of_one_holder_and_one_plan(holder):
    identity, keys = holder
    stranger = Identity.generate("bank-a", "lender")
    other = Identity.generate("bank-b", "lender")
    for certificate, card, plan in (
        (keys.certificate, stranger.card, PLAN),
        (keys.certificate, other.card, PLAN),
        (keys.certificate, identity.card, OTHER),
        (keys.certificate[:-1], identity.card, PLAN),
        (b"", identity.card, PLAN),
    ):
        with pytest.raises(CertificateError):
            peer_key(certificate, card, plan)


def test_a_key_that_was_swapped_is_refused(holder):
    identity, keys = holder
    plan, name, _, signature = unpack_fields(keys.certificate)
    _, _, theirs, _ = unpack_fields(PlanKeys.generate(Identity.generate("server", "server"), PLAN).certificate)
    with pytest.raises(CertificateError, match="not signed"):
        peer_key(pack_fields(plan, name, theirs, signature), identity.card, PLAN)


@pytest.mark.parametrize("public", [b"", bytes(1215), bytes(1217), b"\xff" * 1216])
def test_a_certified_key_that_is_none_is_refused(holder, public):
    with pytest.raises(CertificateError, match="certified"):
        peer_key(certified(holder[0], public), holder[0].card, PLAN)


def test_nothing_is_sealed_to_a_point_of_small_order(holder):
    identity, keys = holder
    _, _, public, _ = unpack_fields(keys.certificate)
    weak = peer_key(certified(identity, public[:1184] + bytes(32)), identity.card, PLAN)
    with pytest.raises(CertificateError, match="bank-a"):
        weak.seal(b"x", b"")


def test_keys_that_are_destroyed_open_nothing(holder):
    identity, _ = holder
    keys = PlanKeys.generate(identity, PLAN)
    sealed = peer_key(keys.certificate, identity.card, PLAN).seal(b"x", b"i")
    keys.destroy()
    with pytest.raises(KeysDestroyed):
        keys.open(sealed, b"i")


def test_no_key_is_shown(holder):
    secret = os.urandom(96)
    keys = PlanKeys(holder[0], PLAN, secret)
    assert secret[:32].hex() not in repr(keys)
    assert repr(keys) == f"PlanKeys(name='bank-a', plan='{PLAN}')"
