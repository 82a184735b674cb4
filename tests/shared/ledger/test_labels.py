"""Randomized response with memory: one coin for a label, whoever asks and however often, within its epsilon."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealscore.shared.ledger.disclosure_store import DisclosureStore
from sealscore.shared.ledger.labels import LabelStore, _threshold
from sealscore.shared.randomness.streams import StreamSource

PEOPLE = [f"p{n}" for n in range(200)]
TRUTH = np.arange(200) % 3 == 0


def store(seed: int = 1, disclosure_store: DisclosureStore | None = None) -> LabelStore:
    return LabelStore(StreamSource.seeded(seed, "lender labels"), disclosure_store)


def bits(seed: int = 1, labels: np.ndarray = TRUTH, outcome: str = "late", epsilon: float = 1.0) -> np.ndarray:
    return store(seed).release(PEOPLE, labels.astype(np.int8), outcome, epsilon).bits


class TestOnce:
    def test_asking_again_gives_the_same_bits_and_nothing_fresh(self):
        disclosure_store = DisclosureStore()
        kept = store(disclosure_store=disclosure_store)
        first = kept.release(PEOPLE, TRUTH.astype(np.int8), "late", 1.0)
        assert first.fresh == 200
        disclosure_store.confirm()
        again = kept.release(PEOPLE, TRUTH.astype(np.int8), "late", 1.0)
        assert again.fresh == 0
        assert np.array_equal(again.bits, first.bits)

    def test_until_a_ledger_has_it_it_is_fresh_again_and_the_same(self):
        kept = store()
        first, again = (kept.release(PEOPLE, TRUTH.astype(np.int8), "late", 1.0) for _ in range(2))
        assert first.fresh == again.fresh == 200
        assert np.array_equal(again.bits, first.bits)

    def test_in_another_order_and_among_others_each_record_keeps_its_bit(self):
        disclosure_store = DisclosureStore()
        kept = store(disclosure_store=disclosure_store)
        first = dict(zip(PEOPLE, kept.release(PEOPLE, TRUTH.astype(np.int8), "late", 1.0).bits.tolist(), strict=True))
        disclosure_store.confirm()
        mixed = [*PEOPLE[::-1], "new"]
        release = kept.release(mixed, np.zeros(201, dtype=np.int8), "late", 1.0)
        assert release.fresh == 1
        assert all(bit == first[person] for person, bit in zip(mixed[:-1], release.bits.tolist(), strict=False))

    def test_a_later_correction_is_not_sent(self):
        disclosure_store = DisclosureStore()
        kept = store(disclosure_store=disclosure_store)
        first = kept.release(PEOPLE, TRUTH.astype(np.int8), "late", 1.0)
        disclosure_store.confirm()
        corrected = kept.release(PEOPLE, (~TRUTH).astype(np.int8), "late", 1.0)
        assert corrected.fresh == 0
        assert np.array_equal(corrected.bits, first.bits)

    @pytest.mark.parametrize(("outcome", "epsilon"), [("late", 1.5), ("later", 1.0)])
    def test_another_outcome_or_epsilon_is_a_fresh_release_with_coins_of_its_own(self, outcome: str, epsilon: float):
        kept = store()
        first = kept.release(PEOPLE, np.zeros(200, dtype=np.int8), "late", 1.0).bits
        other = kept.release(PEOPLE, np.zeros(200, dtype=np.int8), outcome, epsilon)
        assert other.fresh == 200
        # Independent coins: flips of one say nothing of flips of the other.
        assert abs(np.corrcoef(first, other.bits)[0, 1]) < 0.25
        assert not np.array_equal(first, other.bits)

    def test_a_coin_follows_from_secret_and_key_and_a_lost_store_draws_no_other(self):
        """If the store is lost with its backup, the same labels get the same bits: nothing is averaged away."""
        assert np.array_equal(bits(seed=1), bits(seed=1))
        assert not np.array_equal(bits(seed=1), bits(seed=2))

    def test_of_two_versions_of_a_label_both_are_never_out(self):
        """Were a version's bit drawn by its own coin, two would tell more than epsilon; there is only ever one."""
        kept = store()
        outs = [kept.release(["ann"], np.array([label], dtype=np.int8), "late", 1.0).bits[0] for label in (0, 1, 0, 1)]
        assert len(set(outs)) == 1


class TestNoLabel:
    """Of whom there is no label to tell a fair coin is told, and kept as if it were one."""

    NONE = np.where(np.arange(200) % 2 == 0, -1, TRUTH.astype(np.int8)).astype(np.int8)

    def test_it_is_fair_and_says_nothing_of_the_label_coin(self):
        none = np.full(200, -1, dtype=np.int8)
        shown = np.array([store(seed).release(PEOPLE, none, "late", 8.0).bits for seed in range(100)])
        coins = np.array([bits(seed, labels=np.zeros(200, dtype=bool), epsilon=8.0) for seed in range(100)])
        assert abs(shown.mean() - 0.5) < 5 * 0.5 / math.sqrt(shown.size)
        assert abs(np.corrcoef(shown.ravel(), coins.ravel())[0, 1]) < 5 / math.sqrt(shown.size)

    def test_who_gets_a_label_later_keeps_it_and_so_does_who_has_none_any_more(self):
        disclosure_store = DisclosureStore()
        kept = store(disclosure_store=disclosure_store)
        first = kept.release(PEOPLE, self.NONE, "late", 1.0)
        assert first.fresh == 200
        disclosure_store.confirm()
        turned = np.where(self.NONE < 0, TRUTH.astype(np.int8), -1).astype(np.int8)
        for labels in (turned, TRUTH.astype(np.int8), np.full(200, -1, dtype=np.int8)):
            again = kept.release(PEOPLE, labels, "late", 1.0)
            assert again.fresh == 0
            assert np.array_equal(again.bits, first.bits)

    def test_labels_keep_the_bits_that_they_have_without_it(self):
        there = self.NONE >= 0
        found = store().release(PEOPLE, self.NONE, "late", 1.0).bits
        assert np.array_equal(found[there], bits()[there])

    @pytest.mark.parametrize("epsilon", [0.5, 1.0, 2.0])
    def test_a_bit_moves_the_odds_of_there_being_a_label_by_no_more_than_epsilon(self, epsilon: float):
        keep = Fraction(_threshold(epsilon), 2**64)
        for chance in (keep, 1 - keep):
            ratio = float(chance / Fraction(1, 2))
            assert math.exp(-epsilon) <= ratio <= math.exp(epsilon)


class TestBound:
    @given(st.floats(1e-6, 20))
    def test_the_chance_to_keep_is_at_most_what_epsilon_says_and_hardly_less(self, epsilon: float):
        keep = Fraction(_threshold(epsilon), 2**64)
        assert Fraction(1, 2) <= keep
        # e^epsilon in rational numbers from below: a sum of 80 terms of its series.
        below = sum(Fraction(epsilon) ** k / math.factorial(k) for k in range(80))
        assert keep / (1 - keep) <= below
        assert float(keep) > 1 / (1 + math.exp(-epsilon)) - 1e-11

    @pytest.mark.parametrize("epsilon", [1e-300, 1e-15, 1e-9])
    def test_a_tiny_epsilon_flips_no_more_than_half(self, epsilon: float):
        assert _threshold(epsilon) >= 2**63

    @pytest.mark.parametrize("epsilon", [0.5, 1.0, 2.0])
    def test_over_many_secrets_each_bit_says_what_epsilon_allows(self, epsilon: float):
        """P(bit | bad) / P(bit | good) over 200 secrets of 200 records is e^epsilon, and no more within the error."""
        shown = np.array([bits(seed, epsilon=epsilon) for seed in range(200)])
        bad, good = shown[:, TRUTH].mean(), shown[:, ~TRUTH].mean()
        keep = 1 / (1 + math.exp(-epsilon))
        error = math.sqrt(keep * (1 - keep) / shown[:, TRUTH].size)
        assert abs(bad - keep) < 5 * error
        assert abs(good - (1 - keep)) < 5 * error
        for one, other in ((bad, good), (1 - good, 1 - bad)):
            assert math.log(one / other) < epsilon + 5 * error * (1 / one + 1 / other)

    def test_each_record_has_a_coin_of_its_own(self):
        shown = np.array([bits(seed, labels=np.zeros(200, dtype=bool)) for seed in range(400)])
        by_record = shown.mean(axis=0)
        flip = 1 / (1 + math.e)
        assert np.abs(by_record - flip).max() < 5 * math.sqrt(flip * (1 - flip) / 400)
        # Flips of two records are independent: no pair of 200 stands out.
        together = np.corrcoef(shown.T)
        assert np.abs(together - np.eye(200)).max() < 6 / math.sqrt(400)

    def test_bits_of_a_record_at_two_epsilons_compose_and_do_not_share_a_coin(self):
        one = np.array([bits(seed, labels=np.zeros(200, dtype=bool), epsilon=1.0) for seed in range(100)])
        two = np.array([bits(seed, labels=np.zeros(200, dtype=bool), epsilon=1.000001) for seed in range(100)])
        assert abs(np.corrcoef(one.ravel(), two.ravel())[0, 1]) < 5 / math.sqrt(one.size)


class TestBadInput:
    def test_labels_and_records_that_differ_in_number(self):
        with pytest.raises(ValueError, match="one label a record"):
            store().release(PEOPLE, np.zeros(199), "late", 1.0)

    @pytest.mark.parametrize("epsilon", [0.0, -1.0, math.inf, math.nan])
    def test_an_epsilon_that_is_none(self, epsilon: float):
        with pytest.raises(ValueError, match="label epsilon must be finite and above 0"):
            store().release(["ann"], np.zeros(1), "late", epsilon)

    def test_nothing_of_records_or_secrets_shows_in_a_text(self):
        kept = store()
        kept.release(["secret-person"], np.ones(1, dtype=np.int8), "late", 1.0)
        assert "secret-person" not in repr(kept)
        assert kept._secret.secret.hex() not in repr(kept)
        assert kept.source == "seeded"
