"""What a log of scores is kept under."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealscore.clients.scoring.storage.kept_levels import pseudonym

KEY_BYTES = 32


@dataclass(frozen=True)
class LogKeys:
    """What the log is kept under: the key that signs it, the secret that names persons, and the retention key. Its
    `repr` shows none.
    """

    signing: Ed25519PrivateKey = field(repr=False)
    naming: bytes = field(repr=False)
    retention: bytes = field(repr=False)

    @classmethod
    def of(cls, secret: bytes) -> LogKeys:
        """All of them from one secret of 96 bytes."""
        if len(secret) != 3 * KEY_BYTES:
            raise ValueError(f"the keys of a log follow from {3 * KEY_BYTES} bytes")
        return cls(Ed25519PrivateKey.from_private_bytes(secret[:32]), secret[32:64], secret[64:])

    @classmethod
    def fresh(cls) -> LogKeys:
        """New keys."""
        return cls.of(os.urandom(3 * KEY_BYTES))

    def person(self, person: str) -> bytes:
        """What stands for a person in the file, 32 bytes."""
        return pseudonym(self.naming, person)
