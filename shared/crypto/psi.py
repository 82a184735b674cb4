"""Private alignment: neither side learns a person whom only the other knows.

Private set intersection by commutative encryption on the curve P-256 (Meadows 1986; Huberman, Franklin, Hogg 1999),
with openmined-psi hashing identifiers to the curve and encrypting them, under keys that are fresh each time:

    lender    -> platform   H(x)^c for each of its persons x
    platform  -> lender     H(x)^cs in the same order, and H(y)^s for each of its persons y, sorted
    lender    -> platform   for each H(x)^s among the H(y)^s: its place there, and a random handle

Both sides fill up with random identifiers to a size that follows from the plan, so no message shows how many persons
are in it. The lender names the match by its place in the platform's own list, and no identifier ever crosses:
a platform whose answer is not the one above can spoil the alignment, but it cannot make the lender name a person.

Formal guarantees, under the decisional Diffie-Hellman assumption on P-256 and with H as a random oracle, against a
party that follows the protocol: the lender learns which of its persons the platform knows; the platform learns which
of its own the lender knows. The encrypted sets are compared one by one (no filter), so there are no false matches
beyond a collision of 256-bit hashes. A lender that asks for persons who are not its applicants learns whether the
platform knows them, up to `size` in one alignment: how often it may ask is for the platform's node to limit.
Diffie-Hellman on a curve is open to a quantum computer; who wants to use one must first open the seals around these
messages, which are closed against it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import private_set_intersection.python as psi

from sealscore.shared.crypto.alignment import (
    ASK,
    CLAIMS_FILLING,
    HANDLE_BYTES,
    Aligned,
    AlignmentError,
    other_form,
    pieces,
    too_many,
)
from sealscore.shared.persons.identifiers import fingerprint
from sealscore.shared.randomness.streams import Stream

Progress = Callable[[int, int], None]
T = TypeVar("T")

POINT_BYTES = 33
_PLACE_BYTES = 4
_NOWHERE = 2 ** (8 * _PLACE_BYTES) - 1
_ENTRY_BYTES = _PLACE_BYTES + HANDLE_BYTES
_FILLER_BYTES = 16
# What is encrypted between two looks at the progress, some 0.1 s.
_CHUNK = 1_024
_MOST_CORES = 8
_KEY_BYTES = 32
# The order of P-256 (NIST SP 800-186, section 3.2.1.3).
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def measured_seconds(items: int = 512) -> float:
    """Seconds that a curve operation takes on this machine now, all cores at work."""
    key = bytes(psi.client.CreateWithNewKey(True).GetPrivateKeyBytes())
    each = max(1, items // _cores())
    chunks = [[f"{core} {number}" for number in range(each)] for core in range(_cores())]
    with ThreadPoolExecutor(len(chunks)) as pool:
        started = time.perf_counter()
        list(pool.map(lambda chunk: psi.client.CreateFromKey(key, True).CreateRequest(chunk), chunks))
        return (time.perf_counter() - started) / (each * len(chunks))


class PrivateMatching:
    """Alignment of one pair by private set intersection: a `Matching`.

    `size` and `others` are the `padded_size` of the lender's and the platform's nominal records, `form` the normal
    form of identifiers. `progress` gets (done, total) in curve operations while a message is made.
    """

    def __init__(self, form: str, size: int, others: int, progress: Progress | None = None) -> None:
        self.size, self.others = size, others
        self._form = form
        self._head = bytes.fromhex(fingerprint(form))
        self._progress = progress or (lambda done, total: None)

    @property
    def request_bytes(self) -> int:
        """Length of the lender's request."""
        return len(self._head) + self.size * POINT_BYTES

    @property
    def response_bytes(self) -> int:
        """Length of the platform's response."""
        return (self.size + self.others) * POINT_BYTES

    @property
    def handles_bytes(self) -> int:
        """Length of the lender's message of handles."""
        return self.size * _ENTRY_BYTES

    def ask(self, persons: Sequence[str], filler: Stream) -> PrivateAsking:
        """Encrypt the lender's persons under a fresh key, in random order among filling; see `Matching`."""
        items = _filled(persons, self.size, filler)
        key = bytes(psi.client.CreateWithNewKey(True).GetPrivateKeyBytes())
        points = _encrypted(key, [item for item, _ in items], _Count(self._progress, self.size))
        inverse = pow(int.from_bytes(key, "big"), -1, _ORDER)
        request = self._head + b"".join(points)
        return PrivateAsking(self, request, [person for _, person in items], inverse, self._progress)

    def answer(self, request: bytes, persons: Sequence[str], filler: Stream) -> PrivateAnswering:
        """Encrypt the platform's persons under a fresh key, and the request once more; see `Matching`."""
        if len(request) != self.request_bytes:
            raise AlignmentError(f"a request of this pair has {self.size} entries; {ASK}")
        if request[: len(self._head)] != self._head:
            raise other_form(self._form)
        asked = _cut(request[len(self._head) :], POINT_BYTES)
        if len(set(asked)) != len(asked):
            raise AlignmentError(f"a request has an entry twice; {ASK}")
        items = _filled(persons, self.others, filler)
        count = _Count(self._progress, self.size + self.others)
        key = bytes(psi.server.CreateWithNewKey(True).GetPrivateKeyBytes())
        # A server of the library sorts what it encrypts and forgets whose is which; a client keeps the order.
        own = _encrypted(key, [item for item, _ in items], count)
        try:
            again = _encrypted_again(key, asked, count)
        except RuntimeError:
            raise AlignmentError(f"a request has entries that are no points of the curve; {ASK}") from None
        order = sorted(range(len(own)), key=lambda index: own[index])
        response = b"".join([*again, *(own[index] for index in order)])
        return PrivateAnswering(self, response, [items[index][1] for index in order])


class PrivateAsking:
    """The lender's side: whose each entry of the request is (None for filling), and the key to take off again."""

    def __init__(
        self, matching: PrivateMatching, request: bytes, persons: list[str | None], inverse: int, progress: Progress
    ) -> None:
        self.request = request
        self._matching, self._persons, self._progress = matching, persons, progress
        self._key = inverse.to_bytes(_KEY_BYTES, "big")

    def handles(self, response: bytes, random: Stream) -> tuple[bytes, Aligned]:
        """The places of the persons whom both know, with random handles, filled up; see `Asking`."""
        size = self._matching.size
        if len(response) != self._matching.response_bytes:
            raise AlignmentError(f"a response of this pair has {size} and {self._matching.others} entries; {ASK}")
        again, theirs = _cut(response[: size * POINT_BYTES], POINT_BYTES), response[size * POINT_BYTES :]
        places: dict[bytes, int] = {point[1:]: place for place, point in enumerate(_cut(theirs, POINT_BYTES))}
        if len(places) != self._matching.others:
            raise AlignmentError(f"the platform's response has a person twice; {ASK}")
        found: dict[int, str] = {}
        fault = ""
        count = _Count(self._progress, size)
        for entry, person in zip(self._bared(again, count), self._persons, strict=True):
            place = places.get(entry[1:])
            if place is None:
                continue
            if person is None:
                fault = fault or CLAIMS_FILLING
            elif place in found:
                fault = fault or f"the platform's response uses one of its persons for two of the lender's; {ASK}"
            else:
                found[place] = person
        if fault:
            found = {}
        given = pieces(random, size, HANDLE_BYTES)
        named = dict(zip(given, sorted(found.values()), strict=False))
        place_of = {person: place for place, person in found.items()}
        message = [
            _place(place_of[named[handle]] if handle in named else _NOWHERE) + handle for handle in sorted(given)
        ]
        aligned = Aligned.nobody((), size, fault) if fault else Aligned.of(named, size)
        return b"".join(message), aligned

    def _bared(self, points: list[bytes], count: _Count) -> list[bytes]:
        """Points after the own key was taken off them."""
        try:
            return _encrypted_again(self._key, points, count)
        except RuntimeError:
            raise AlignmentError(
                f"the platform's response has entries that are no points of the curve; {ASK}"
            ) from None


class PrivateAnswering:
    """The platform's side: whose each place of its list is, None for filling."""

    def __init__(self, matching: PrivateMatching, response: bytes, persons: list[str | None]) -> None:
        self.response = response
        self._matching, self._persons = matching, persons

    def accept(self, message: bytes) -> Aligned:
        """The handles of the own persons whose places the lender named; see `Answering`."""
        if len(message) != self._matching.handles_bytes:
            raise AlignmentError(f"there must be {self._matching.size} handles with their places; {ASK}")
        entries = [(entry[_PLACE_BYTES:], entry[:_PLACE_BYTES]) for entry in _cut(message, _ENTRY_BYTES)]
        if len({handle for handle, _ in entries}) != len(entries):
            raise AlignmentError(f"a handle was given twice; {ASK}")
        placed = {handle: int.from_bytes(place, "big") for handle, place in entries}
        placed = {handle: place for handle, place in placed.items() if place != _NOWHERE}
        if len(set(placed.values())) != len(placed) or not all(place < len(self._persons) for place in placed.values()):
            raise AlignmentError(f"a handle was given to no place, or a place two of them; {ASK}")
        named = {handle: self._persons[place] or "" for handle, place in placed.items()}
        if not all(named.values()):
            fault = f"the lender gives handles to entries that are mere filling; {ASK}"
            return Aligned.nobody(named, self._matching.size, fault)
        return Aligned.of(named, self._matching.size)


class _Count:
    """Counts curve operations and reports them now and then."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total, self._done, self._told = progress, total, 0, 0

    def add(self, operations: int) -> None:
        self._done += operations
        if self._done - self._told >= _CHUNK or self._done == self._total:
            self._told = self._done
            self._progress(self._done, self._total)


def _filled(persons: Sequence[str], size: int, filler: Stream) -> list[tuple[str, str | None]]:
    """(what is encrypted, whose it is) for each person, and random ones up to `size`, in random order."""
    distinct = list(dict.fromkeys(persons))
    if len(distinct) > size:
        raise too_many(len(distinct), size)
    filling = pieces(filler, size - len(distinct), _FILLER_BYTES)
    items: list[tuple[str, str | None]] = [(f"person {person}", person) for person in distinct]
    items += [(f"filling {piece.hex()}", None) for piece in filling]
    return [items[index] for index in np.argsort(filler.words(size))]


def _encrypted(key: bytes, items: list[str], count: _Count) -> list[bytes]:
    """Each item hashed to the curve and encrypted under the key, in the same order."""

    def encrypt(chunk: list[str]) -> list[bytes]:
        return list(psi.client.CreateFromKey(key, True).CreateRequest(chunk).encrypted_elements)

    return _on_all_cores(encrypt, items, count)


def _encrypted_again(key: bytes, points: list[bytes], count: _Count) -> list[bytes]:
    """Each point encrypted once more under the key, in the same order; RuntimeError where one is none of the curve."""

    def encrypt(chunk: list[bytes]) -> list[bytes]:
        request = psi.Request(reveal_intersection=True, encrypted_elements=chunk)
        return list(psi.server.CreateFromKey(key, True).ProcessRequest(request).encrypted_elements)

    return _on_all_cores(encrypt, points, count)


def _on_all_cores(work: Callable[[list[T]], list[bytes]], items: list[T], count: _Count) -> list[bytes]:
    """What `work` gives of each chunk, in the order of the items, the chunks side by side on all cores.

    The library works without Python's lock. One object of it bears one thread, so `work` makes its own.
    """
    chunks = [items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK)]
    found: list[bytes] = []
    with ThreadPoolExecutor(min(_cores(), max(1, len(chunks)))) as pool:
        for done in pool.map(work, chunks):
            found += done
            count.add(len(done))
    return found


def _cores() -> int:
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(there, _MOST_CORES)


def _place(place: int) -> bytes:
    return place.to_bytes(_PLACE_BYTES, "big")


def _cut(data: bytes, width: int) -> list[bytes]:
    return [data[at : at + width] for at in range(0, len(data), width)]
