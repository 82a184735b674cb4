"""What a role hands to its node: work on records that is done once it is charged, and payloads for a peer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from clients.context import PairContext, RoundContext
from shared.privacy.events import Event
from shared.privacy.mechanisms import Mechanism

Sum = tuple[Callable[[RoundContext], np.ndarray], Mechanism]


@dataclass(frozen=True)
class Release:
    """What a payload tells of persons. `keep` notes it in the register, and returns of how many persons it is new.

    `what` names the meaning of the values.
    """

    event: Event
    what: str = ""
    persons: int = 0
    keep: Callable[[], int] = lambda: 0


@dataclass(frozen=True)
class Payload:
    """What is sent to the peer: made only after its `releases` are kept and charged."""

    make: Callable[[], bytes]
    releases: tuple[Release, ...] = ()

    @classmethod
    def of(cls, body: bytes) -> Payload:
        """A payload that costs nothing: it says nothing of records beyond who is aligned."""
        return cls(lambda: body)


Pair = Callable[[PairContext, bytes], Payload]
