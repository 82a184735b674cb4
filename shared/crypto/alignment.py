"""Alignment: a lender and a platform find the persons that both know, and name them by random handles.

Three messages, which the server carries: the lender's request, the platform's response, the lender's handles.
All have a size that follows from the plan alone (`padded_size`), whatever the number of persons.

`ExactMatching` compares salted digests of normalised identifiers. It is exact, and it is not private against the
platform: identifiers are few, so a platform can try all that it can think of against the digests of persons whom
it does not know. It protects from the server nothing that a seal around the messages would not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from shared.identifiers import fingerprint
from shared.privacy.streams import Stream

HANDLE_BYTES = 16
_TOKEN_BYTES = 16
_ASK = "ask its operator which version of Sealscore and which plan it runs"


class AlignmentError(ValueError):
    """A message that is none of this pair's: another size, normal form, or handles that nobody gave out."""


def padded_size(nominal_records: int) -> int:
    """Entries of every message of a pair: the power of two at or above the lender's nominal records."""
    return 1 << max(0, nominal_records - 1).bit_length()


@dataclass(frozen=True)
class Aligned:
    """The persons of a pair by their handles, sorted by handle; `size` is what messages are padded to."""

    handles: tuple[bytes, ...] = field(repr=False)
    persons: tuple[str, ...] = field(repr=False)
    size: int

    @classmethod
    def of(cls, named: Mapping[bytes, str], size: int) -> Aligned:
        """From handle to person."""
        order = tuple(sorted(named))
        return cls(order, tuple(named[handle] for handle in order), size)

    @property
    def digest(self) -> bytes:
        """What binds a payload to these very handles in this order: 32 bytes."""
        return hashlib.sha256(b"".join(self.handles)).digest()


class ExactMatching:
    """Alignment of one pair under one plan by salted digests of normalised identifiers.

    `salt` is of the pair and the plan; `size` is `padded_size` of the lender's nominal records.
    """

    def __init__(self, salt: bytes, form: str, size: int) -> None:
        self._salt, self._form, self._size = salt, form, size
        self._head = bytes.fromhex(fingerprint(form))

    def _token(self, person: str) -> bytes:
        return hashlib.sha256(self._salt + person.encode()).digest()[:_TOKEN_BYTES]

    def request(self, persons: Sequence[str], filler: Stream) -> tuple[bytes, dict[bytes, str]]:
        """At the lender: the request for its consented persons, and which person each of its tokens is.

        Tokens are sorted, and filled up with random ones that match nobody.

        Raises:
            AlignmentError: more persons than the padded size.
        """
        tokens = {self._token(person): person for person in persons}
        if len(tokens) > self._size:
            raise AlignmentError(
                f"{len(tokens)} persons do not fit into messages of {self._size} entries; have the plan's "
                "nominal_records of this lender raised"
            )
        random = _pieces(filler, self._size - len(tokens), _TOKEN_BYTES)
        return self._head + b"".join(sorted([*tokens, *random])), tokens

    def respond(self, request: bytes, persons: Sequence[str]) -> tuple[bytes, list[str | None]]:
        """At the platform: which tokens it knows, a bit each, and the person of each token or None.

        Raises:
            AlignmentError: not a request of this pair, or one in another normal form.
        """
        tokens = self._tokens(request)
        known = {self._token(person): person for person in persons}
        found = [known.get(token) for token in tokens]
        return np.packbits([person is not None for person in found]).tobytes(), found

    def handles(
        self, request: bytes, response: bytes, tokens: Mapping[bytes, str], random: Stream
    ) -> tuple[bytes, Aligned]:
        """At the lender: a random handle for each token, of no meaning where the platform knows nobody; and who is who.

        Raises:
            AlignmentError: a response of the wrong size, or one that knows tokens which are mere filling.
        """
        if len(response) != -(-self._size // 8):
            raise AlignmentError(
                f"a response of this pair has {-(-self._size // 8)} bytes, not {len(response)}; {_ASK}"
            )
        known = np.unpackbits(np.frombuffer(response, dtype=np.uint8))[: self._size].astype(bool)
        given = _pieces(random, self._size, HANDLE_BYTES)
        entries = zip(self._tokens(request), given, known, strict=True)
        matched = {handle: token for token, handle, there in entries if there}
        if not set(matched.values()) <= tokens.keys():
            raise AlignmentError(f"the platform claims to know entries that are mere filling; {_ASK}")
        return b"".join(given), Aligned.of({h: tokens[token] for h, token in matched.items()}, self._size)

    def accept(self, message: bytes, found: Sequence[str | None]) -> Aligned:
        """At the platform: the handles of the persons whom it found.

        Raises:
            AlignmentError: a message of the wrong size, or one handle given twice.
        """
        if len(message) != self._size * HANDLE_BYTES:
            raise AlignmentError(f"there must be {self._size} handles, one for each entry of the request; {_ASK}")
        given = [message[i : i + HANDLE_BYTES] for i in range(0, len(message), HANDLE_BYTES)]
        if len(set(given)) != len(given):
            raise AlignmentError(f"a handle was given twice; {_ASK}")
        named = {handle: person for handle, person in zip(given, found, strict=True) if person is not None}
        return Aligned.of(named, self._size)

    def _tokens(self, request: bytes) -> list[bytes]:
        head, body = request[: len(self._head)], request[len(self._head) :]
        if len(request) != len(self._head) + self._size * _TOKEN_BYTES:
            raise AlignmentError(f"a request of this pair has {self._size} entries; {_ASK}")
        if head != self._head:
            raise AlignmentError(
                f"the other side writes identifiers in another normal form than {self._form!r}; run one version of "
                "Sealscore on both sides"
            )
        return [body[i : i + _TOKEN_BYTES] for i in range(0, len(body), _TOKEN_BYTES)]


def _pieces(stream: Stream, count: int, width: int) -> list[bytes]:
    raw = stream.words(count * width // 8).tobytes()
    return [raw[i : i + width] for i in range(0, len(raw), width)]
