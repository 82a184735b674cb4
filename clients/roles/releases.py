"""What a role hands to its node for a peer: payloads, and what each tells of persons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from sealscore.shared.dp.events import Event


class Kept(NamedTuple):
    """Of how many persons a release tells something, and of how many of them for the first time."""

    persons: int = 0
    fresh: int = 0


@dataclass(frozen=True, eq=False)
class PayloadRelease:
    """What a payload tells of persons, by the event that is charged for it. `keep` notes it in the disclosure store.

    `what` names the meaning of the values.
    """

    event: Event
    what: str = ""
    keep: Callable[[], Kept] = Kept


class Payload:
    """What is sent to the peer. It cannot be made before each of its `releases` was kept, whatever order calls come in.

    What is kept is what may be told: noise is drawn and limits are looked at there, and `make` knows nothing else.
    """

    def __init__(self, make: Callable[[], bytes], releases: tuple[PayloadRelease, ...] = ()) -> None:
        self.releases = releases
        self._make, self._unkept = make, list(releases)

    @classmethod
    def of(cls, body: bytes) -> Payload:
        """A payload that costs nothing: it says nothing of records beyond who is aligned."""
        return cls(lambda: body)

    def keep(self, release: PayloadRelease) -> Kept:
        """Note one of the releases in the disclosure store.

        Raises:
            DisclosureStoreError: it cannot be noted, so nothing may be sent.
        """
        kept = release.keep()
        self._unkept = [one for one in self._unkept if one is not release]
        return kept

    def make(self) -> bytes:
        """The bytes; RuntimeError where a release was not kept."""
        if self._unkept:
            raise RuntimeError("a payload is made only once all that it tells was kept")
        return self._make()
