"""Identities and cards: what is signed holds for nothing else, and a card that was touched is none."""

import dataclasses

import pytest

from sealscore.shared.fields import pack_fields
from sealscore.shared.identity.identity import BadSignature, Card, CardError, Identity, same_fingerprint
from sealscore.shared.identity.keyfile import KeyFileError


def test_a_card_travels_as_bytes_and_as_text():
    card = Identity.generate("bank-a", "lender").card
    assert Card.from_canonical(card.canonical()) == card
    assert Card.from_text(f"  {card.text}\n") == card
    assert (card.name, card.role, card.simulation) == ("bank-a", "lender", False)


@pytest.mark.parametrize("at", range(0, 150, 7))
def test_a_card_with_any_byte_changed_is_refused(at):
    raw = bytearray(Identity.simulated(3, "bank-a", "lender").card.canonical())
    raw[at % len(raw)] ^= 1
    with pytest.raises(CardError):
        Card.from_canonical(bytes(raw))


@pytest.mark.parametrize(
    "change", [{"name": "bank-b"}, {"role": "platform"}, {"simulation": False}, {"role": "bank"}, {"name": "A b"}]
)
def test_nobody_changes_a_card_but_its_holder(change):
    with pytest.raises(CardError):
        dataclasses.replace(Identity.simulated(3, "bank-a", "lender").card, **change)


@pytest.mark.parametrize("spoil", [lambda t: t[:-3], lambda t: t[1:], lambda t: t + "=", lambda t: "", lambda t: "é"])
def test_text_that_is_no_card_is_refused(spoil):
    with pytest.raises(CardError):
        Card.from_text(spoil(Identity.simulated(3, "bank-a", "lender").card.text))


def test_a_card_has_one_encoding():
    name, role, key, _, signature = dataclasses.astuple(Identity.generate("bank-a", "lender").card)
    with pytest.raises(CardError, match="canonical"):
        Card.from_canonical(pack_fields(name.encode(), role.encode(), key, b"\2", signature))


def test_fingerprints_are_read_out_and_compared_by_people():
    one, other = (Identity.generate("bank-a", "lender").card.fingerprint for _ in range(2))
    assert one != other
    assert len(one.split("-")) == 8
    assert same_fingerprint(one, one.lower().replace("-", " "))
    assert not same_fingerprint(one, other)
    assert not same_fingerprint("", "")
    assert not same_fingerprint(one[:9], one[:9])


def test_a_fingerprint_covers_name_role_and_kind():
    identity = Identity.simulated(3, "bank-a", "lender")
    others = [("bank-b", "lender", True), ("bank-a", "platform", True), ("bank-a", "lender", False)]
    prints = {identity.card.fingerprint}
    for name, role, simulation in others:
        prints.add(Identity(name, role, identity._key, simulation).card.fingerprint)
    assert len(prints) == 4


def test_a_signature_holds_for_its_purpose_and_fields_alone():
    identity = Identity.generate("bank-a", "lender")
    signature = identity.sign("ledger", b"a", b"bc")
    identity.card.check(signature, "ledger", b"a", b"bc")
    for purpose, fields in (("card", (b"a", b"bc")), ("ledger", (b"ab", b"c")), ("ledger", (b"a",)), ("ledger", ())):
        with pytest.raises(BadSignature):
            identity.card.check(signature, purpose, *fields)
    with pytest.raises(BadSignature):
        Identity.generate("bank-a", "lender").card.check(signature, "ledger", b"a", b"bc")
    for spoiled in (b"", signature[:-1], signature + b"\0", bytes(64)):
        with pytest.raises(BadSignature):
            identity.card.check(spoiled, "ledger", b"a", b"bc")


def test_simulated_identities_follow_from_the_seed():
    one, again = (Identity.simulated(7, "bank-a", "lender") for _ in range(2))
    assert one.card == again.card
    assert one.sign("x", b"1") == again.sign("x", b"1")
    others = [
        Identity.simulated(*a) for a in ((8, "bank-a", "lender"), (7, "bank-b", "lender"), (7, "bank-a", "server"))
    ]
    assert len({one.card.key, *(other.card.key for other in others)}) == 4
    assert one.simulation
    assert not Identity.generate("bank-a", "lender").simulation


@pytest.mark.parametrize("passphrase", [None, "correct horse, 电池"])
def test_an_identity_is_kept_in_a_file(tmp_path, passphrase):
    path, identity = tmp_path / "identity.key", Identity.generate("bank-a", "lender")
    identity.save(path, passphrase)
    assert Identity.load(path, passphrase).card == identity.card
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_simulated_identity_is_not_kept(tmp_path):
    with pytest.raises(ValueError, match="simulated"):
        Identity.simulated(1, "bank-a", "lender").save(tmp_path / "identity.key")
    assert not list(tmp_path.iterdir())


def test_a_file_of_another_kind_is_no_identity(tmp_path):
    from sealscore.shared.identity.keyfile import write_key

    write_key(tmp_path / "a", "identity", {"name": "bank-a"}, bytes(32), None)
    write_key(tmp_path / "b", "identity", {"name": "bank-a", "role": "lender"}, bytes(31), None)
    write_key(tmp_path / "c", "plan-keys", {"name": "bank-a", "role": "lender"}, bytes(32), None)
    for name in "abc":
        with pytest.raises(KeyFileError, match=f"{tmp_path / name}"):
            Identity.load(tmp_path / name)


def test_no_key_is_shown():
    identity = Identity.generate("bank-a", "lender")
    raw = identity._key.private_bytes_raw()
    for shown in (repr(identity), repr(identity.card), str(vars(identity.card))):
        assert raw.hex() not in shown
        assert repr(raw)[2:-1] not in shown
