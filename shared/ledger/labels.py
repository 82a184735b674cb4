"""Release of labels to platforms: randomized response, drawn once for each record and kept.

Formal guarantees. A bit is kept with probability e^epsilon / (1 + e^epsilon), else flipped (Warner 1965): whatever a
platform knew of a label before, the odds move by at most a factor e^epsilon. This holds for all times that a bit is
sent, and for any number of platforms together, because all get the same bit: it is drawn from a coin keyed by
(secret, record, outcome, epsilon), and stored. It assumes that the secret stays with the lender. Of a record without a
label a fair coin is sent and stored in the same way, so who has a label is within epsilon, too.
`docs/proofs/labels.md` treats several versions of a label and several epsilons.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sealscore.shared.fields import pack_fields
from sealscore.shared.ledger.disclosure_store import DisclosureStore
from sealscore.shared.randomness.fills import Fills
from sealscore.shared.randomness.streams import Source, StreamSource

_LABEL = b"sealscore label coin 1"


@dataclass(frozen=True)
class LabelRelease:
    """Bits of some records, int8 [n], and how many of them were never released before (these are to be charged)."""

    bits: np.ndarray
    fresh: int


class LabelStore:
    """All label bits that a lender has ever released of a data set, as its disclosure store has them.

    `secret` keys the coins and must outlive a run: with another secret a bit could be drawn again.
    """

    def __init__(self, secret: StreamSource, disclosure_store: DisclosureStore | None = None) -> None:
        self._secret, self._disclosure_store, self._fills = secret, disclosure_store or DisclosureStore(), Fills(secret)

    @property
    def source(self) -> Source:
        """Where the coins come from."""
        return self._secret.source

    def release(
        self,
        records: Sequence[str],
        labels: np.ndarray,
        outcome: str,
        epsilon: float,
        recipient: str = "",
        plan: str = "",
    ) -> LabelRelease:
        """The bits of records with labels [n]: those released before as they were, all others drawn now.

        1 is bad, 0 is good, and -1 is no label to send: a fair coin, kept like the others, whatever comes later.

        Raises:
            ValueError: labels and records differ in number, or epsilon is not positive and finite.
            DisclosureStoreError: the release cannot be noted, so nothing may be sent.
        """
        if len(records) != len(labels):
            raise ValueError("there must be one label a record")
        if not (math.isfinite(epsilon) and epsilon > 0):
            raise ValueError(f"label epsilon must be finite and above 0, got {epsilon}")
        keep, what = _threshold(epsilon), f"{outcome}|{epsilon.hex()}"
        known, bits = self._disclosure_store.values("label", what), {}
        for record, label in zip(records, labels.tolist(), strict=True):
            if label < 0:
                drawn = self._fills.of_person("label", what, record, 2)
            else:
                drawn = label if self._coin(outcome, epsilon, record) < keep else 1 - label
            bits[record] = known.get(record, drawn)
        fresh = self._disclosure_store.tell("label", what, 1, recipient, plan, bits)
        return LabelRelease(np.array([bits[record] for record in records], dtype=np.int8), fresh)

    def _coin(self, outcome: str, epsilon: float, record: str) -> int:
        message = pack_fields(_LABEL, outcome.encode(), epsilon.hex().encode(), record.encode())
        return int.from_bytes(hmac.digest(self._secret.secret, message, hashlib.sha256)[:8], "big")


def _threshold(epsilon: float) -> int:
    """Below this, of 2^64, a coin keeps its label: at most e^epsilon / (1 + e^epsilon), and at least one half.

    Float64 errs by less than 2^-50 of the quotient, so taking 2^-40 of it off errs to the private side only.
    """
    return max(2**63, int(2**64 / (1 + math.exp(-epsilon)) * (1 - 2**-40)))
