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
class Payload:
    """What is sent to the peer: made only after `events` are charged."""

    make: Callable[[], bytes]
    events: tuple[Event, ...] = ()

    @classmethod
    def of(cls, body: bytes) -> Payload:
        """A payload that costs nothing: it says nothing of records beyond who is aligned."""
        return cls(lambda: body)


Pair = Callable[[PairContext, bytes], Payload]
