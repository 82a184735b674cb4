"""Seals stay closed to whoever has one half of a hybrid key, by a quantum computer or by a break of the other KEM."""

import os

import pytest

from sealscore.shared.crypto.sealing import CannotOpen, PlanKeys, peer_key
from sealscore.shared.identity.identity import Identity

PLAN, INFO = "ab" * 32, b"round 1"
MLKEM = 64  # bytes of a key's seed; those of X25519 come after them
IDENTITY = Identity.simulated(1, "bank-a", "lender")


@pytest.fixture(scope="module")
def secret() -> bytes:
    """The private half of the recipient's keys: the seed of ML-KEM, then the key of X25519."""
    return os.urandom(MLKEM + 32)


@pytest.fixture(scope="module")
def sealed(secret: bytes) -> bytes:
    keys = PlanKeys(IDENTITY, PLAN, secret)
    return peer_key(keys.certificate, IDENTITY.card, PLAN).seal(b"a seed of masks", INFO)


def opened(secret: bytes, sealed: bytes) -> bool:
    try:
        return PlanKeys(IDENTITY, PLAN, secret).open(sealed, INFO) == b"a seed of masks"
    except CannotOpen:
        return False


def test_with_both_halves_it_opens(secret: bytes, sealed: bytes):
    assert opened(secret, sealed)


def test_with_the_half_that_a_quantum_computer_finds_it_does_not(secret: bytes, sealed: bytes):
    assert not opened(os.urandom(MLKEM) + secret[MLKEM:], sealed)


def test_nor_with_the_other(secret: bytes, sealed: bytes):
    assert not opened(secret[:MLKEM] + os.urandom(32), sealed)
