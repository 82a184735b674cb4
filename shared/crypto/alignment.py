"""Alignment: a lender and a platform find the persons that both know, and name them by random handles.

Three messages, which the server carries: the lender's request, the platform's response, the lender's handles.
All have a size that follows from the plan alone (`padded_size`), whatever the number of persons. `Matching` is what
every way of doing it offers; `sealscore.shared.crypto.psi` has the private one.

`ExactMatching` compares salted digests of normalised identifiers. It is exact, and it is not private against the
platform: identifiers are few, so a platform can try all that it can think of against the digests of persons whom
it does not know. It protects from the server nothing that a seal around the messages would not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from sealscore.shared.persons.identifiers import fingerprint
from sealscore.shared.randomness.streams import Stream

HANDLE_BYTES = 16
_TOKEN_BYTES = 16
ASK = "ask its operator which version of Sealscore and which plan it runs"
CLAIMS_FILLING = f"the platform claims to know entries that are mere filling; {ASK}"


class AlignmentError(ValueError):
    """A message that is none of this pair's: another size, normal form, or handles that nobody gave out."""


def padded_size(nominal_records: int) -> int:
    """Entries of every message of a pair: the power of two at or above the lender's nominal records."""
    return 1 << max(0, nominal_records - 1).bit_length()


@dataclass(frozen=True)
class Aligned:
    """The persons of a pair by their handles, sorted by handle; `size` is what messages are padded to.

    A handle of "" names nobody. `fault` says, for the own operator, why there is nobody where the other side's message
    fits this side's persons in no way: to refuse it would show whoever made it whom, or how many, this side knows.
    """

    handles: tuple[bytes, ...] = field(repr=False)
    persons: tuple[str, ...] = field(repr=False)
    size: int
    fault: str = ""

    @classmethod
    def of(cls, named: Mapping[bytes, str], size: int) -> Aligned:
        """From handle to person."""
        order = tuple(sorted(named))
        return cls(order, tuple(named[handle] for handle in order), size)

    @classmethod
    def nobody(cls, handles: Iterable[bytes], size: int, fault: str) -> Aligned:
        """Handles that name nobody, because of a fault."""
        order = tuple(sorted(handles))
        return cls(order, ("",) * len(order), size, fault)

    @property
    def digest(self) -> bytes:
        """What binds a payload to these very handles in this order: 32 bytes."""
        return hashlib.sha256(b"".join(self.handles)).digest()


def too_many(persons: int, size: int) -> AlignmentError:
    """The error of a party that knows more persons than its messages have entries."""
    return AlignmentError(
        f"{persons} persons do not fit into messages of {size} entries; have the plan's nominal_records of this party "
        "raised"
    )


def other_form(form: str) -> AlignmentError:
    """The error of two sides that would not write one person alike."""
    return AlignmentError(
        f"the other side writes identifiers in another normal form than {form!r}; run one version of Sealscore on both "
        "sides"
    )


class Asking(Protocol):
    """The lender's side of one alignment: `request` is its first message."""

    request: bytes

    def handles(self, response: bytes, random: Stream) -> tuple[bytes, Aligned]:
        """The second message, a random handle for each person whom the platform knows; and who is who.

        Raises:
            AlignmentError: a response that is none, whoever this side knows.
        """
        ...


class Answering(Protocol):
    """The platform's side of one alignment: `response` is its message."""

    response: bytes

    def accept(self, message: bytes) -> Aligned:
        """The handles of the persons whom it shares with the lender.

        Raises:
            AlignmentError: a message that is no answer to this response, whoever this side knows.
        """
        ...


class Matching(Protocol):
    """A way of aligning the two parties of a pair. Both sides build it from the plan alone."""

    def ask(self, persons: Sequence[str], filler: Stream) -> Asking:
        """At the lender: ask for its consented persons.

        Raises:
            AlignmentError: more persons than the padded size.
        """
        ...

    def answer(self, request: bytes, persons: Sequence[str], filler: Stream) -> Answering:
        """At the platform: answer with its persons who consented to the lender.

        Raises:
            AlignmentError: not a request of this pair, one in another normal form, or more persons than the padding.
        """
        ...


class ExactMatching:
    """Alignment of one pair under one plan by salted digests of normalised identifiers.

    `salt` is of the pair and the plan; `size` is `padded_size` of the lender's nominal records.
    """

    def __init__(self, salt: bytes, form: str, size: int) -> None:
        self.size = size
        self._salt, self._form = salt, form
        self._head = bytes.fromhex(fingerprint(form))

    def ask(self, persons: Sequence[str], filler: Stream) -> ExactAsking:
        """A request of tokens, sorted, and filled up with random ones that match nobody; see `Matching`."""
        tokens = {self.token(person): person for person in persons}
        if len(tokens) > self.size:
            raise too_many(len(tokens), self.size)
        random = pieces(filler, self.size - len(tokens), _TOKEN_BYTES)
        return ExactAsking(self, self._head + b"".join(sorted([*tokens, *random])), tokens)

    def answer(self, request: bytes, persons: Sequence[str], filler: Stream) -> ExactAnswering:
        """A bit for each token, whether it is known; see `Matching`."""
        tokens = self.tokens(request)
        known = {self.token(person): person for person in persons}
        return ExactAnswering(self, [known.get(token) for token in tokens])

    def token(self, person: str) -> bytes:
        """The token of a person in a request."""
        return hashlib.sha256(self._salt + person.encode()).digest()[:_TOKEN_BYTES]

    def tokens(self, request: bytes) -> list[bytes]:
        """The tokens of a request, in its order; AlignmentError where it is none of this pair."""
        head, body = request[: len(self._head)], request[len(self._head) :]
        if len(request) != len(self._head) + self.size * _TOKEN_BYTES:
            raise AlignmentError(f"a request of this pair has {self.size} entries; {ASK}")
        if head != self._head:
            raise other_form(self._form)
        return [body[i : i + _TOKEN_BYTES] for i in range(0, len(body), _TOKEN_BYTES)]


class ExactAsking:
    """The lender's side; `tokens` gives the person of each of its tokens."""

    def __init__(self, matching: ExactMatching, request: bytes, tokens: Mapping[bytes, str]) -> None:
        self.request = request
        self._matching, self._tokens = matching, tokens

    def handles(self, response: bytes, random: Stream) -> tuple[bytes, Aligned]:
        """A random handle for each token, of no meaning where the platform knows nobody; see `Asking`."""
        size = self._matching.size
        if len(response) != -(-size // 8):
            raise AlignmentError(f"a response of this pair has {-(-size // 8)} bytes, not {len(response)}; {ASK}")
        known = np.unpackbits(np.frombuffer(response, dtype=np.uint8))[:size].astype(bool)
        given = pieces(random, size, HANDLE_BYTES)
        entries = zip(self._matching.tokens(self.request), given, known, strict=True)
        matched = {handle: token for token, handle, there in entries if there}
        if not set(matched.values()) <= self._tokens.keys():
            return b"".join(given), Aligned.nobody(matched, size, CLAIMS_FILLING)
        return b"".join(given), Aligned.of({h: self._tokens[token] for h, token in matched.items()}, size)


class ExactAnswering:
    """The platform's side; `found` has the person of each token, or None."""

    def __init__(self, matching: ExactMatching, found: Sequence[str | None]) -> None:
        self.response = np.packbits([person is not None for person in found]).tobytes()
        self._size, self._found = matching.size, found

    def accept(self, message: bytes) -> Aligned:
        """The handles of the persons whom it found; see `Answering`."""
        if len(message) != self._size * HANDLE_BYTES:
            raise AlignmentError(f"there must be {self._size} handles, one for each entry of the request; {ASK}")
        given = [message[i : i + HANDLE_BYTES] for i in range(0, len(message), HANDLE_BYTES)]
        if len(set(given)) != len(given):
            raise AlignmentError(f"a handle was given twice; {ASK}")
        named = {handle: person for handle, person in zip(given, self._found, strict=True) if person is not None}
        return Aligned.of(named, self._size)


def pieces(stream: Stream, count: int, width: int) -> list[bytes]:
    """`count` random byte strings of `width` bytes, a multiple of 8."""
    raw = stream.words(count * width // 8).tobytes()
    return [raw[i : i + width] for i in range(0, len(raw), width)]
