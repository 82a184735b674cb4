"""Trust: by a fingerprint that came over another channel, and of nobody else's card."""

import json

import pytest

from sealscore.shared.identity.identity import Identity
from sealscore.shared.identity.trust import EnrolmentError, TrustError, TrustStore, Untrusted, enrolled


@pytest.fixture
def identities():
    return [
        Identity.generate("bank-a", "lender"),
        Identity.generate("bank-b", "lender"),
        Identity.generate("s", "server"),
    ]


@pytest.fixture
def store(tmp_path, identities):
    store = TrustStore(tmp_path / "trusted.json")
    for identity in identities[1:]:
        store.trust(identity.card, identity.card.fingerprint)
    return store


def test_a_plan_of_trusted_cards_can_be_approved(store, identities):
    cards = [identity.card for identity in identities]
    assert store.check(cards, own=identities[0]) == {card.name: card for card in cards}


def test_a_card_that_is_not_trusted_is_named_with_the_fix(store, identities):
    stranger = Identity.generate("bank-c", "lender").card
    with pytest.raises(Untrusted, match=f"'bank-c'.*{stranger.fingerprint}.*and trust the card"):
        store.check([*(identity.card for identity in identities), stranger], own=identities[0])


def test_a_plan_with_a_swapped_card_cannot_be_approved(store, identities):
    swapped = Identity.generate("bank-b", "lender").card
    with pytest.raises(Untrusted, match="bank-b") as caught:
        store.check([identities[0].card, swapped, identities[2].card], own=identities[0])
    assert swapped.fingerprint in str(caught.value)
    assert identities[1].card.fingerprint in str(caught.value)


def test_the_own_card_must_be_the_own(store, identities):
    with pytest.raises(Untrusted, match="bank-a"):
        store.check([Identity.generate("bank-a", "lender").card, identities[1].card], own=identities[0])


def test_a_card_in_another_role_is_another_card(store, identities):
    other = Identity("s", "lender", identities[2]._key).card
    with pytest.raises(Untrusted, match="'s'"):
        store.check([other], own=identities[0])


def test_a_wrong_fingerprint_trusts_nobody(store, identities):
    card = Identity.generate("bank-c", "lender").card
    for wrong in ("", card.fingerprint[:-1], identities[0].card.fingerprint):
        with pytest.raises(TrustError, match=card.fingerprint):
            store.trust(card, wrong)
    assert "bank-c" not in store.cards


def test_trust_outlives_a_restart(store, identities, tmp_path):
    again = TrustStore(tmp_path / "trusted.json")
    assert again.cards == store.cards
    again.forget("bank-b")
    assert "bank-b" not in TrustStore(tmp_path / "trusted.json").cards
    with pytest.raises(TrustError, match="no card of 'bank-b'"):
        again.forget("bank-b")


def test_a_new_card_of_a_trusted_name_is_not_slipped_in(store):
    fresh = Identity.generate("bank-b", "lender").card
    with pytest.raises(TrustError, match="forget the old one first"):
        store.trust(fresh, fresh.fingerprint)
    store.forget("bank-b")
    store.trust(fresh, fresh.fingerprint)
    assert store.cards["bank-b"] == fresh


def test_simulated_and_real_cards_do_not_mix(store, identities):
    simulated = Identity.simulated(1, "bank-c", "lender").card
    with pytest.raises(TrustError, match="simulation"):
        store.trust(simulated, simulated.fingerprint)
    with pytest.raises(TrustError, match="real"):
        TrustStore.simulated([simulated, identities[0].card])
    assert TrustStore.simulated([simulated]).check([simulated]) == {"bank-c": simulated}


def test_a_party_is_enrolled_once(identities):
    first = identities[0]
    with pytest.raises(EnrolmentError, match="two cards"):
        enrolled([first.card, Identity.generate("bank-a", "lender").card])
    with pytest.raises(EnrolmentError, match="same key"):
        enrolled([first.card, Identity("bank-z", "lender", first._key).card])


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"format": "x", "cards": []}', '{"format": "sealscore-trust-1"}'])
def test_a_damaged_file_is_refused(tmp_path, content):
    (tmp_path / "trusted.json").write_text(content)
    with pytest.raises(TrustError, match=r"trusted\.json"):
        TrustStore(tmp_path / "trusted.json")


def test_a_card_that_was_edited_in_the_file_is_refused(store, tmp_path):
    path = tmp_path / "trusted.json"
    content = json.loads(path.read_text())
    content["cards"][0] = content["cards"][0][:-8] + "AAAAAAAA"
    path.write_text(json.dumps(content))
    with pytest.raises(TrustError, match="damaged"):
        TrustStore(path)


class TestAnotherProcess:
    """An operator's command changes the file while the node runs."""

    def test_its_word_is_heard_at_once(self, tmp_path, store, identities):
        running = TrustStore(tmp_path / "trusted.json")
        cards = [identity.card for identity in identities]
        assert running.check(cards, own=identities[0])
        store.forget("bank-b")
        with pytest.raises(Untrusted, match="bank-b"):
            running.check(cards, own=identities[0])
        store.trust(identities[1].card, identities[1].card.fingerprint)
        assert running.check(cards, own=identities[0])

    def test_neither_overwrites_what_the_other_kept(self, tmp_path, store):
        running, card = TrustStore(tmp_path / "trusted.json"), Identity.generate("bank-c", "lender").card
        running.trust(card, card.fingerprint)
        other = Identity.generate("bank-d", "lender").card
        store.trust(other, other.fingerprint)
        assert set(running.cards) == set(store.cards) == {"bank-b", "bank-c", "bank-d", "s"}

    def test_a_file_that_is_taken_away_trusts_nobody(self, tmp_path, store):
        (tmp_path / "trusted.json").unlink()
        assert store.cards == {}

    def test_a_file_that_was_damaged_is_told(self, tmp_path, store):
        (tmp_path / "trusted.json").write_text("{")
        with pytest.raises(TrustError, match="is damaged"):
            store.check([])
