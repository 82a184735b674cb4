"""What stands in a payload where there is nothing to tell: numbers that say nothing, and stay the same for good.

Formal guarantees. A fill is the first 128 bits of HMAC-SHA256 over (kind, meaning, whose place it is), keyed by the
secret of the data set, modulo the levels: as far as HMAC is pseudorandom it is uniform (to levels / 2^128) and
independent of every record. Drawn again each time, fills would give away by their changing where there is nothing to
tell.
"""

from __future__ import annotations

import hashlib
import hmac

from sealscore.shared.fields import pack_fields
from sealscore.shared.randomness.streams import StreamSource

_PERSON, _PLACE = b"sealscore fill of a person 1", b"sealscore fill of a place 1"


class Fills:
    """The fills of a data set. `secret` must outlive a run: with another secret they would be drawn again."""

    def __init__(self, secret: StreamSource) -> None:
        self._secret = secret

    def of_person(self, kind: str, what: str, person: str, levels: int) -> int:
        """A number below `levels` for a person of whom nothing is told under the meaning `what`."""
        return self._number(levels, _PERSON, kind.encode(), what.encode(), person.encode())

    def of_place(self, kind: str, what: str, handle: bytes, levels: int) -> int:
        """A number below `levels` for the place of a person whose consent is withdrawn.

        It does not follow from the person's own fill. Else a place whose number changes at a withdrawal would tell
        that something was told there before.
        """
        return self._number(levels, _PLACE, kind.encode(), what.encode(), handle)

    def _number(self, levels: int, *message: bytes) -> int:
        keyed = hmac.digest(self._secret.secret, pack_fields(*message), hashlib.sha256)
        return int.from_bytes(keyed[:16], "big") % levels
