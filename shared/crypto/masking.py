"""Sums under pairwise masks: the server reads the sum of a whole cohort and nothing of a single party.

Formal guarantees. Let k = shape.bits and W = 2^k. Party i of a cohort sends, for each entry v_i,

    y_i = v_i + sum over j > i of m_ij - sum over j < i of m_ji   (mod W),

parties ordered by name. m_ij are the words of one ChaCha20 keystream (RFC 8439), keyed by HKDF-SHA256 of the seeds
of both (RFC 5869) over the length-prefixed (plan, run, phase, round, attempt, length, bits, cohort with the digests
of its offers). Each mask is in two answers with opposite signs, so the y_i add up to the sum of the v_i mod W.

The bound: every |v_i| <= shape.bound and at most shape.parties are added, and k is the least multiple of 8 with
2^(k-1) > parties * bound. So the sum lies in (-W/2, W/2), centring it gives exactly the integers of `PlainSum`, and
nothing wraps up to the edge itself.

For whoever lacks the seeds of at least two parties of the cohort with each other, the answers of those that it does
not know are, as far as HKDF and ChaCha20 are pseudorandom, uniform on Z_W^length but for their sum. A pairwise
scheme needs one more thing: no two vectors under one mask. Keys differ in every coordinate of a sum, and a
`MaskedSum` refuses to protect two vectors for one (phase, round, attempt). That the same noised value must not go
out under two masks either (two sums over cohorts that differ by one party would give it away) is for the caller: a
new attempt has a fresh sample and fresh noise.

The scheme is that of Bonawitz et al. 2017 ("Practical Secure Aggregation", section 4) without its recovery of
dropped parties: no mask is ever opened here.
"""

from __future__ import annotations

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from numpy.typing import NDArray

from sealscore.shared.crypto.seeds import Seeds, SeedsMissing
from sealscore.shared.fields import counter, pack_fields, plan_bytes
from sealscore.shared.messages.address import Address
from sealscore.shared.messages.aggregation import AggregationError, PlainSum, SumShape

# ChaCha20 takes a nonce, but no key is ever used twice: what makes it fresh is all in the key.
_NONCE = bytes(16)
_LABEL = b"sealscore mask 1"
_NATIVE = (1, 2, 4, 8)


class MaskReused(AggregationError):
    """A second vector for one (phase, round, attempt): the difference of the two answers would be in clear."""


class MaskedSum(PlainSum):
    """Contributions under masks. `total` is that of `PlainSum`: over a whole cohort the masks cancel.

    `seeds` are one party's own. A cohort of one has no mask, so its vector goes as it is; `lone` says that the plan
    allows that, because the group has one party, which carries the whole noise alone.
    """

    def __init__(self, seeds: Seeds, lone: bool = False) -> None:
        self._seeds, self._lone = seeds, lone
        self._used: set[tuple[str, int, int]] = set()

    def protect(self, address: Address, cohort: tuple[str, ...], shape: SumShape, vector: np.ndarray) -> bytes:
        """int64 [length] -> bits / 8 bytes an entry, under the masks with every other party of the cohort.

        Raises:
            AggregationError: the sum is of another plan or run, the cohort has duplicates, is larger than the shape
                allows, lacks this party or has no other; the vector is outside its shape.
            MaskReused: see the class.
            SeedsMissing: there is no seed with a party of the cohort.
        """
        self._check(address, cohort, shape)
        packed = shape.pack(vector)
        mask = self._mask(address, cohort, shape)
        self._used.add(_attempt(address))
        return _bytes(_words(packed, shape) + mask, shape)

    def replace(self, seeds: Seeds) -> None:
        """Continue with the seeds of a later epoch of the same run; what was answered stays answered.

        Raises:
            ValueError: seeds of another party, plan or run, or of no later epoch.
        """
        old = self._seeds
        if (seeds.name, seeds.plan, seeds.run) != (old.name, old.plan, old.run) or seeds.epoch <= old.epoch:
            raise ValueError("seeds are followed by those of a later epoch of the same run")
        self._seeds = seeds
        old.close()

    def _check(self, address: Address, cohort: tuple[str, ...], shape: SumShape) -> None:
        seeds, party = self._seeds, address.sender
        if (address.plan, address.run, party) != (seeds.plan, seeds.run, seeds.name):
            raise AggregationError("these seeds are of another plan, run or party than the sum")
        if len(set(cohort)) != len(cohort) or party not in cohort or len(cohort) > shape.parties:
            raise AggregationError("a cohort has each party once, this one among them, and no more than the plan says")
        if len(cohort) == 1 and not self._lone:
            raise AggregationError("a cohort of one has no mask, and the plan has more parties in this phase")
        if _attempt(address) in self._used:
            raise MaskReused(f"{address.phase}, round {address.round}, attempt {address.attempt} was answered already")

    def _mask(self, address: Address, cohort: tuple[str, ...], shape: SumShape) -> NDArray[np.unsignedinteger]:
        seeds = self._seeds
        cohort = tuple(sorted(cohort))
        info = _info(address, shape, [(name, seeds.digest(name)) for name in cohort])
        zeros = bytes(shape.length * shape.bits // 8)
        mask = np.zeros(shape.length, dtype=_dtype(shape))
        for peer in cohort:
            if peer == seeds.name:
                continue
            stream = Cipher(algorithms.ChaCha20(seeds.key(peer, info), _NONCE), mode=None).encryptor()
            words = _words(stream.update(zeros), shape)
            mask = mask + words if seeds.name < peer else mask - words
        return mask


def _attempt(address: Address) -> tuple[str, int, int]:
    return address.phase, address.round, address.attempt


def _info(address: Address, shape: SumShape, offers: list[tuple[str, bytes]]) -> bytes:
    """What the mask keys of a sum are bound to; equal at all parties that agree, and different for any other sum."""
    numbers = (address.round, address.attempt, shape.length, shape.bits)
    cohort = pack_fields(*(pack_fields(name.encode(), digest) for name, digest in offers))
    texts = (address.run.encode(), address.phase.encode())
    return pack_fields(_LABEL, plan_bytes(address.plan), *texts, *(counter(number) for number in numbers), cohort)


def _dtype(shape: SumShape) -> np.dtype[np.unsignedinteger]:
    """Little-endian words in which arithmetic is modulo 2^bits, or modulo 2^64 to be cut off where none are so wide."""
    width = shape.bits // 8
    return np.dtype(f"<u{width if width in _NATIVE else 8}")


def _words(data: bytes, shape: SumShape) -> NDArray[np.unsignedinteger]:
    width = shape.bits // 8
    if width in _NATIVE:
        return np.frombuffer(data, dtype=_dtype(shape))
    return shape.unpack(data)


def _bytes(words: NDArray[np.unsignedinteger], shape: SumShape) -> bytes:
    width = shape.bits // 8
    raw = np.ascontiguousarray(words).view(np.uint8).reshape(shape.length, words.dtype.itemsize)
    return raw[:, :width].tobytes()


__all__ = ["MaskReused", "MaskedSum", "SeedsMissing"]
