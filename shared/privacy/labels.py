"""Release of labels to platforms: randomized response, drawn once for each record and kept.

Formal guarantees. A bit is kept with probability e^epsilon / (1 + e^epsilon), else flipped (Warner 1965): whatever a
platform knew of a label before, the odds move by at most a factor e^epsilon. This holds for all times that a bit is
sent, and for any number of platforms together, because all get the same bit: it is drawn from a coin keyed by
(secret, record, outcome, epsilon), and stored. It assumes that the secret stays with the lender.
`docs/proofs/labels.md` treats several versions of a label and several epsilons.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from shared.crypto.fields import pack_fields
from shared.privacy.streams import Source, StreamSource

_LABEL = b"sealscore label coin 1"


@dataclass(frozen=True)
class Release:
    """Bits of some records, int8 [n], and how many of them were never released before (these are to be charged)."""

    bits: np.ndarray
    fresh: int


@dataclass
class LabelStore:
    """All label bits that a lender has ever released of a data set; one object a data set, whatever the plan.

    `secret` keys the coins and must outlive a run: with another secret a bit could be drawn anew.
    """

    secret: StreamSource = field(repr=False)
    _released: dict[tuple[str, float, str], int] = field(default_factory=dict, repr=False)

    @property
    def source(self) -> Source:
        """Where the coins come from."""
        return self.secret.source

    def peek(self, records: Sequence[str], outcome: str, epsilon: float) -> int:
        """How many of the records have no released bit for this outcome and epsilon."""
        return sum((outcome, epsilon, record) not in self._released for record in records)

    def release(self, records: Sequence[str], labels: np.ndarray, outcome: str, epsilon: float) -> Release:
        """The bits of records with labels [n] (1 is bad): those released before as they were, all others drawn now.

        Raises:
            ValueError: labels and records differ in number, or epsilon is not positive and finite.
        """
        if len(records) != len(labels):
            raise ValueError("there must be one label a record")
        if not (math.isfinite(epsilon) and epsilon > 0):
            raise ValueError(f"label epsilon must be finite and above 0, got {epsilon}")
        keep = _threshold(epsilon)
        fresh, bits = 0, np.empty(len(records), dtype=np.int8)
        for index, (record, label) in enumerate(zip(records, labels.tolist(), strict=True)):
            key = (outcome, epsilon, record)
            if key not in self._released:
                fresh += 1
                self._released[key] = label if self._coin(key) < keep else 1 - label
            bits[index] = self._released[key]
        return Release(bits, fresh)

    def _coin(self, key: tuple[str, float, str]) -> int:
        outcome, epsilon, record = (part.encode() for part in (key[0], key[1].hex(), key[2]))
        message = pack_fields(_LABEL, outcome, epsilon, record)
        return int.from_bytes(hmac.digest(self.secret.secret, message, hashlib.sha256)[:8], "big")


def _threshold(epsilon: float) -> int:
    """Below this, of 2^64, a coin keeps its label: at most e^epsilon / (1 + e^epsilon), and at least one half.

    Float64 errs by less than 2^-50 of the quotient, so taking 2^-40 of it off errs to the private side only.
    """
    return max(2**63, int(2**64 / (1 + math.exp(-epsilon)) * (1 - 2**-40)))
