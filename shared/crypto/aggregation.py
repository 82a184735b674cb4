"""A sum over parties: what a party sends for its vector, and what the server can read of all of them together.

Everything that is summed is a vector of integers of plan-fixed length whose entries stay within a public bound.
A party hands its vector to `protect` and sends the bytes; the server hands the bytes of a whole cohort to `total`.
The arithmetic is modulo 2^bits, bits a multiple of 8 and large enough that a sum of a whole cohort never wraps, so
any way of hiding single vectors that cancels modulo 2^bits gives bit for bit the sum that `PlainSum` gives.

Masks. Sums under pairwise masks: the server reads the sum of a whole cohort and nothing of a single party.

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

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from sealscore.shared.fields import counter, pack_fields, plan_bytes
from sealscore.shared.messages.codec import Address

# ChaCha20 takes a nonce, but no key is ever used twice: what makes it fresh is all in the key.
_NONCE = bytes(16)
_MASK = b"sealscore mask 1"
_NATIVE = (1, 2, 4, 8)
SEED_LABEL = b"sealscore seed 1"


class AggregationError(ValueError):
    """A contribution that cannot be part of a sum: wrong length, or from outside the cohort."""


@dataclass(frozen=True)
class SumShape:
    """`length` entries; each party's entry is at most `bound` in absolute value; at most `parties` are added."""

    length: int
    bound: int
    parties: int

    @cached_property
    def bits(self) -> int:
        """Bits of an entry: 2^(bits-1) exceeds parties * bound, so the centred sum modulo 2^bits is the sum."""
        needed = (self.parties * self.bound).bit_length() + 1
        if needed > 64:
            raise ValueError(f"a sum of {self.parties} entries up to {self.bound} needs {needed} bits; at most 64")
        return -(-needed // 8) * 8

    def pack(self, vector: np.ndarray) -> bytes:
        """int64 [length] -> little-endian bytes, bits / 8 an entry, modulo 2^bits."""
        if vector.shape != (self.length,) or vector.dtype != np.int64:
            raise AggregationError(
                f"a vector of int64 [{self.length}] is summed here, not {vector.dtype} {vector.shape}"
            )
        if self.length and not -self.bound <= int(vector.min()) <= int(vector.max()) <= self.bound:
            raise AggregationError(f"an entry exceeds the public bound {self.bound}")
        raw = vector.astype("<i8").view(np.uint8).reshape(self.length, 8)
        return raw[:, : self.bits // 8].tobytes()

    def unpack(self, data: bytes) -> np.ndarray:
        """Bytes -> uint64 [length], each entry modulo 2^bits."""
        width = self.bits // 8
        if len(data) != self.length * width:
            raise AggregationError(f"a contribution has {self.length * width} bytes, not {len(data)}")
        raw = np.zeros((self.length, 8), dtype=np.uint8)
        raw[:, :width] = np.frombuffer(data, dtype=np.uint8).reshape(self.length, width)
        return raw.view("<u8").reshape(self.length).astype(np.uint64)

    def centre(self, total: np.ndarray) -> np.ndarray:
        """uint64 [length] modulo 2^64 -> int64 [length] in [-2^(bits-1), 2^(bits-1))."""
        shift = np.uint64(64 - self.bits)
        return (total << shift).view(np.int64) >> np.int64(64 - self.bits)


class SeedsMissing(ValueError):
    """There is no seed yet with a party of the cohort, or the seeds are erased."""


class Aggregation(Protocol):
    """The two sides of a sum. An implementation may hide single vectors; the total is the same integers."""

    def ready(self, cohort: tuple[str, ...]) -> bool:
        """At a party: whether `protect` can be asked for a sum over this cohort."""
        ...

    def protect(self, address: Address, cohort: tuple[str, ...], shape: SumShape, vector: np.ndarray) -> bytes:
        """At the party that is the address's sender: int64 [length] -> the bytes that it sends."""
        ...

    def total(self, cohort: tuple[str, ...], shape: SumShape, contributions: Mapping[str, bytes]) -> np.ndarray:
        """At the server: the bytes of every party of the cohort -> their sum, int64 [length]."""
        ...


class PlainSum:
    """Contributions in clear: the server can read every one of them. Only the noise protects a party here."""

    def ready(self, cohort: tuple[str, ...]) -> bool:
        """Always: nothing is needed to send a vector in clear."""
        return True

    def protect(self, address: Address, cohort: tuple[str, ...], shape: SumShape, vector: np.ndarray) -> bytes:
        """Pack the vector as it is."""
        return shape.pack(vector)

    def total(self, cohort: tuple[str, ...], shape: SumShape, contributions: Mapping[str, bytes]) -> np.ndarray:
        """Add modulo 2^64 and centre; AggregationError unless exactly the cohort contributed."""
        if set(contributions) != set(cohort):
            raise AggregationError("a sum needs the contribution of every party of its cohort, and of no other")
        total = np.zeros(shape.length, dtype=np.uint64)
        for party in cohort:
            total += shape.unpack(contributions[party])
        return shape.centre(total)


class MaskReused(AggregationError):
    """A second vector for one (phase, round, attempt): the difference of the two answers would be in clear."""


class SharedSeeds:
    """What one party shares with each peer of its group, for one epoch of one run: the seeds of both, and the digests
    of the offers in which they came (`shared.crypto.seeds` has the set-up). Its `repr` shows no seed.
    """

    def __init__(self, name: str, plan: str, run: str, epoch: int, own: dict[str, bytearray]) -> None:
        self.name, self.plan, self.run, self.epoch = name, plan, run, epoch
        self._own, self._theirs = own, dict[str, bytearray]()
        self._digests: dict[str, bytes] = {}
        self._open = True

    @property
    def digests(self) -> dict[str, str]:
        """Digest of the offer of every party whose seed is here, and of the own one: 64 hexadecimal digits each."""
        return {name: digest.hex() for name, digest in self._digests.items()}

    def key(self, peer: str, info: bytes) -> bytes:
        """32 bytes that this party and the peer share, and nobody else: HKDF-SHA256 of both seeds over `info`.

        Raises:
            SeedsMissing: see the class.
        """
        self._check_open()
        if peer not in self._theirs:
            raise SeedsMissing(f"{self.name!r} has no seed of {peer!r} in this run")
        seeds = {self.name: self._own[peer], peer: self._theirs[peer]}
        low, high = sorted(seeds)
        full = pack_fields(SEED_LABEL, low.encode(), high.encode(), info)
        derive = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=full)
        return derive.derive(bytes(seeds[low] + seeds[high]))

    def digest(self, party: str) -> bytes:
        """Digest of a party's offer, 32 bytes; SeedsMissing where it has not come."""
        self._check_open()
        if party not in self._digests:
            raise SeedsMissing(f"{self.name!r} has no offer of {party!r} in this run")
        return self._digests[party]

    def close(self) -> None:
        """Overwrite all seeds with zeros, at the end of a run. Copies that Python made on the way are not reached."""
        for seed in [*self._own.values(), *self._theirs.values()]:
            seed[:] = bytes(len(seed))
        self._own, self._theirs = {}, {}
        self._open = False

    def _check_open(self) -> None:
        if not self._open:
            raise SeedsMissing(f"the seeds of {self.name!r} in this run are erased")

    def __repr__(self) -> str:
        parties = sorted(self._digests)
        return f"{type(self).__name__}(name={self.name!r}, run={self.run!r}, epoch={self.epoch}, parties={parties})"


class MaskedSum(PlainSum):
    """Contributions under masks. `total` is that of `PlainSum`: over a whole cohort the masks cancel.

    `seeds` are one party's own; there are none until it has joined a run. A cohort of one has no mask, so its vector
    goes as it is; `lone` says that the plan allows that, because the group has one party, which carries the whole noise
    alone.
    """

    def __init__(self, seeds: SharedSeeds | None = None, lone: bool = False) -> None:
        self._seeds, self.lone = seeds, lone
        self._used: set[tuple[str, int, int]] = set()

    def use(self, seeds: SharedSeeds) -> None:
        """Mask with these seeds from now on; what was answered stays answered, and the seeds before are erased.

        Raises:
            ValueError: seeds of another party, plan or run than before, or of no later epoch.
        """
        old = self._seeds
        if old is not None:
            if (seeds.name, seeds.plan, seeds.run) != (old.name, old.plan, old.run) or seeds.epoch <= old.epoch:
                raise ValueError("seeds are followed by those of a later epoch of the same run")
            old.close()
        self._seeds = seeds

    def ready(self, cohort: tuple[str, ...]) -> bool:
        """Whether there are seeds with every other party of the cohort."""
        return self._seeds is not None and set(cohort) <= self._seeds.digests.keys()

    def close(self) -> None:
        """Erase the seeds: nothing can be masked any more, and no mask be made again."""
        if self._seeds is not None:
            self._seeds.close()
        self._seeds = None

    def protect(self, address: Address, cohort: tuple[str, ...], shape: SumShape, vector: np.ndarray) -> bytes:
        """int64 [length] -> bits / 8 bytes an entry, under the masks with every other party of the cohort.

        Raises:
            AggregationError: the sum is of another plan or run, the cohort has duplicates, is larger than the shape
                allows, lacks this party or has no other; the vector is outside its shape.
            MaskReused: see the class.
            SeedsMissing: there is no seed with a party of the cohort, or the party has not joined the run.
        """
        if (seeds := self._seeds) is None:
            raise SeedsMissing(f"{address.sender!r} has no seeds: it has not joined the run, or has left it")
        self._check(seeds, address, cohort, shape)
        packed = shape.pack(vector)
        mask = _mask(seeds, address, cohort, shape)
        self._used.add(_attempt(address))
        return _bytes(_words(packed, shape) + mask, shape)

    def _check(self, seeds: SharedSeeds, address: Address, cohort: tuple[str, ...], shape: SumShape) -> None:
        party = address.sender
        if (address.plan, address.run, party) != (seeds.plan, seeds.run, seeds.name):
            raise AggregationError("these seeds are of another plan, run or party than the sum")
        if len(set(cohort)) != len(cohort) or party not in cohort or len(cohort) > shape.parties:
            raise AggregationError("a cohort has each party once, this one among them, and no more than the plan says")
        if len(cohort) == 1 and not self.lone:
            raise AggregationError("a cohort of one has no mask, and the plan has more parties in this phase")
        if _attempt(address) in self._used:
            raise MaskReused(f"{address.phase}, round {address.round}, attempt {address.attempt} was answered already")


def _mask(
    seeds: SharedSeeds, address: Address, cohort: tuple[str, ...], shape: SumShape
) -> NDArray[np.unsignedinteger]:
    cohort = tuple(sorted(cohort))
    info = _info(address, shape, [(name, seeds.digest(name)) for name in cohort])
    zeros, own = bytes(shape.length * shape.bits // 8), cohort.index(seeds.name)
    keys = [seeds.key(peer, info) for peer in cohort if peer != seeds.name]
    streams = [Cipher(algorithms.ChaCha20(key, _NONCE), mode=None).encryptor().update(zeros) for key in keys]
    words = _words(b"".join(streams), replace(shape, length=shape.length * len(keys)))
    by_peer = words.reshape(len(keys), shape.length)
    # Peers stand in the order of their names: masks with those before this party are taken off, the others added.
    return np.asarray(by_peer[own:].sum(axis=0, dtype=words.dtype) - by_peer[:own].sum(axis=0, dtype=words.dtype))


def _attempt(address: Address) -> tuple[str, int, int]:
    return address.phase, address.round, address.attempt


def _info(address: Address, shape: SumShape, offers: list[tuple[str, bytes]]) -> bytes:
    """What the mask keys of a sum are bound to; equal at all parties that agree, and different for any other sum."""
    numbers = (address.round, address.attempt, shape.length, shape.bits)
    cohort = pack_fields(*(pack_fields(name.encode(), digest) for name, digest in offers))
    texts = (address.run.encode(), address.phase.encode())
    return pack_fields(_MASK, plan_bytes(address.plan), *texts, *(counter(number) for number in numbers), cohort)


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
