"""How the entries of a ledger are chained, and how others can prove what it was.

An entry's hash is SHA-256 over the length-prefixed (label, sequence, previous hash, time, nonce, body). The nonce makes
the hash hide what the entry says, since hashes leave the party and bodies do not.

A head is the party's own signed statement that its ledger has this entry at this place. Whoever keeps one can show
later that the ledger was cut, edited or replaced. A receipt is a head with the server's signature: the party's proof
that the server received it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from sealscore.shared.fields import FieldsError, counter, pack_fields, unpack_fields
from sealscore.shared.identity.identity import BadSignature, Card, Identity
from sealscore.shared.ledger.entries import Entry

HASH_BYTES = NONCE_BYTES = 32
GENESIS = bytes(HASH_BYTES)
MAX_SEQ = 2**63 - 1
"""The largest number that an entry can have: what SQLite numbers rows with."""

_ENTRY = b"sealscore ledger entry 1"
_HEAD, _RECEIPT = "ledger head", "ledger receipt"
_ADAPTER: TypeAdapter[Entry] = TypeAdapter(Entry)
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


class UnknownEntry(ValueError):
    """A record that is no entry known here: what it released is not known, so it is not skipped."""


class AnchorError(ValueError):
    """Bytes that are no head or receipt, or one that is not signed by the party that it names."""


def body_of(entry: Entry) -> str:
    """The canonical text of an entry: sorted-key JSON without white space, ASCII, every default written out."""
    return _CANONICAL.encode(entry.model_dump(mode="json"))


def entry_of(body: str) -> Entry:
    """The entry whose canonical text this is.

    Raises:
        UnknownEntry: any other text.
    """
    try:
        entry = _ADAPTER.validate_python(json.loads(body))
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"]) or "kind"
        raise UnknownEntry(f"not an entry: {place}: {problem['msg']}") from None
    except (ValueError, RecursionError):
        raise UnknownEntry("not an entry: no JSON") from None
    if body_of(entry) != body:
        raise UnknownEntry("not an entry in canonical form")
    return entry


@dataclass(frozen=True)
class StoredEntry:
    """An entry as it is in a ledger. `at` is the time in UTC by the party's clock, `signature` over the hash."""

    seq: int
    at: str
    body: str
    nonce: bytes = field(repr=False)
    previous: bytes = field(repr=False)
    hash: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    @property
    def entry(self) -> Entry:
        """What the entry says; UnknownEntry where it says nothing that is known here."""
        return entry_of(self.body)

    @property
    def kind(self) -> str:
        """The kind that the body names, unchecked."""
        found: Any = json.loads(self.body)
        return cast(str, found.get("kind", "")) if isinstance(found, dict) else ""


def entry_hash(seq: int, previous: bytes, at: str, nonce: bytes, body: str) -> bytes:
    """The hash by which the next entry, heads and signatures name an entry."""
    packed = pack_fields(_ENTRY, counter(seq), previous, at.encode("ascii"), nonce, body.encode("ascii"))
    return hashlib.sha256(packed).digest()


@dataclass(frozen=True)
class Head:
    """A party's word on its ledger: entry `seq` has `hash`. `ledger` is the hash of its first entry."""

    party: str
    ledger: bytes = field(repr=False)
    seq: int
    hash: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    @classmethod
    def sign(cls, identity: Identity, ledger: bytes, seq: int, hash: bytes) -> Head:
        """A head in the name of that identity."""
        return cls(identity.name, ledger, seq, hash, identity.sign(_HEAD, ledger, counter(seq), hash))

    def check(self, card: Card) -> None:
        """AnchorError unless the card's holder signed this head in its own name."""
        try:
            card.check(self.signature, _HEAD, self.ledger, counter(self.seq), self.hash)
        except BadSignature as error:
            raise AnchorError(f"a head of {self.party!r}: {error}") from None
        if card.name != self.party:
            raise AnchorError(f"a head of {self.party!r} under the card of {card.name!r}")

    def to_bytes(self) -> bytes:
        """The head as bytes."""
        return self._encoded

    @cached_property
    def _encoded(self) -> bytes:
        return pack_fields(self.party.encode(), self.ledger, counter(self.seq), self.hash, self.signature)

    @classmethod
    def from_bytes(cls, data: bytes) -> Head:
        """The head in `data`, its signature not yet checked; AnchorError where there is none."""
        try:
            party, ledger, seq, hash, signature = unpack_fields(data, 5)
            head = cls(party.decode("ascii"), ledger, int.from_bytes(seq, "big"), hash, signature)
        except (FieldsError, UnicodeDecodeError):
            raise AnchorError("these bytes are no head of a ledger") from None
        if len(ledger) != 32 or len(seq) != 8 or len(hash) != 32 or not 1 <= head.seq <= MAX_SEQ:
            raise AnchorError("these bytes are no head of a ledger")
        return head


@dataclass(frozen=True)
class Receipt:
    """The server's statement that it received a head, at `at` seconds since 1970 by its clock."""

    head: Head
    at: int
    signature: bytes = field(repr=False)

    @classmethod
    def sign(cls, server: Identity, head: Head, at: int) -> Receipt:
        """A receipt in the server's name."""
        return cls(head, at, server.sign(_RECEIPT, head.to_bytes(), counter(at)))

    def check(self, server: Card, party: Card) -> None:
        """AnchorError unless the server signed this receipt and the party its head."""
        self.head.check(party)
        try:
            server.check(self.signature, _RECEIPT, self.head.to_bytes(), counter(self.at))
        except BadSignature as error:
            raise AnchorError(f"a receipt for {self.head.party!r}: {error}") from None

    def to_bytes(self) -> bytes:
        """The receipt as bytes."""
        return self._encoded

    @cached_property
    def _encoded(self) -> bytes:
        return pack_fields(self.head.to_bytes(), counter(self.at), self.signature)

    @classmethod
    def from_bytes(cls, data: bytes) -> Receipt:
        """The receipt in `data`, its signatures not yet checked; AnchorError where there is none."""
        try:
            head, at, signature = unpack_fields(data, 3)
        except FieldsError:
            raise AnchorError("these bytes are no receipt") from None
        if len(at) != 8:
            raise AnchorError("these bytes are no receipt")
        return cls(Head.from_bytes(head), int.from_bytes(at, "big"), signature)


def to_line(anchor: Head | Receipt) -> str:
    """A head or receipt as one line of a file of anchors."""
    head = anchor.head if isinstance(anchor, Receipt) else anchor
    shown = {"party": head.party, "seq": head.seq, "hash": head.hash.hex()}
    kind = "receipt" if isinstance(anchor, Receipt) else "head"
    return json.dumps(shown | {kind: base64.b64encode(anchor.to_bytes()).decode("ascii")})


def read_anchors(path: Path) -> list[Head | Receipt]:
    """All heads and receipts in a file of anchors, one a line.

    Raises:
        AnchorError: the file cannot be read, or a line is none; names the line.
    """
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise AnchorError(f"{path}: cannot be read ({error})") from None
    return list(_parsed(path, lines))


def _parsed(path: Path, lines: Iterable[str]) -> Iterator[Head | Receipt]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
            if "receipt" in found:
                yield Receipt.from_bytes(base64.b64decode(found["receipt"], validate=True))
            else:
                yield Head.from_bytes(base64.b64decode(found["head"], validate=True))
        except (ValueError, KeyError, TypeError, RecursionError, binascii.Error) as error:
            raise AnchorError(f"{path}: line {number} is no head or receipt ({error})") from None
