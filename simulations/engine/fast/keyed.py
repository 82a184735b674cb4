"""The streams of many parties at one place of a run, as each party would open its own: what they share is done once."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence

from sealscore.shared.fields import pack_fields
from sealscore.shared.randomness.streams import SECRET_BYTES, Purpose, StreamSource, stream_info

# No party's name: what stands before and after a name in a stream's coordinates is found by it.
_PLACE = "\0the party\0"


class PartyStreams:
    """Keys of streams by party, from the secret of each: those of `StreamSource.stream` at the same coordinates.

    `source` is where all secrets come from. HKDF of RFC 5869 is taken apart: its first step reads the secret alone and
    is done once a party.
    """

    def __init__(self, secrets: Mapping[str, StreamSource]) -> None:
        self._extracted = {
            name: hmac.digest(bytes(SECRET_BYTES), source.secret, "sha256") for name, source in secrets.items()
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
        return [hmac.digest(self._extracted[name], before + self._packed[name] + after, "sha256") for name in parties]
