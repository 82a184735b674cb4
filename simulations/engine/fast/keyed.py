"""The streams of many parties at one place of a run, as each party would open its own: what they share is done once."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence

from sealscore.shared.fields import pack_fields
from sealscore.shared.randomness.streams import SECRET_BYTES, Purpose, StreamSource, stream_info

_States = tuple["hashlib._Hash", "hashlib._Hash"]
_INNER, _OUTER = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))
# No party's name: what stands before and after a name in a stream's coordinates is found by it.
_PLACE = "\0the party\0"


class PartyStreams:
    """Keys of streams by party, from the secret of each: those of `StreamSource.stream` at the same coordinates.

    `source` is where all secrets come from. HKDF of RFC 5869 is taken apart: its first step reads the secret alone and
    is done once a party.
    """

    def __init__(self, secrets: Mapping[str, StreamSource]) -> None:
        self._states = {
            name: _states(hmac.digest(bytes(SECRET_BYTES), source.secret, "sha256")) for name, source in secrets.items()
        }
        (self.source,) = {source.source for source in secrets.values()}
        self._packed = {name: pack_fields(name.encode()) for name in secrets}

    def keys(
        self, parties: Sequence[str], run: str, phase: str, round: int, attempt: int, purpose: Purpose
    ) -> list[bytes]:
        """The key of each party's stream."""
        before, after = stream_info(run, phase, round, attempt, _PLACE, purpose).split(pack_fields(_PLACE.encode()))
        # One block of HKDF's second step is a whole key.
        after += b"\x01"
        return [_digest(self._states[name], before + self._packed[name] + after) for name in parties]


def _states(key: bytes) -> _States:
    """SHA-256 once it has read the inner and the outer pad of HMAC (RFC 2104) under a key of at most a block."""
    block = key.ljust(hashlib.sha256().block_size, b"\0")
    return hashlib.sha256(block.translate(_INNER)), hashlib.sha256(block.translate(_OUTER))


def _digest(states: _States, message: bytes) -> bytes:
    """HMAC of a message: what follows from the key alone is not computed again."""
    inner, outer = states[0].copy(), states[1].copy()
    inner.update(message)
    outer.update(inner.digest())
    return outer.digest()
