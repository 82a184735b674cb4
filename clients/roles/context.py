"""What a phase may use of the request that it answers: its secret streams and its mechanism."""

from __future__ import annotations

from dataclasses import dataclass, field

from sealscore.shared.dp.mechanisms import Mechanism
from sealscore.shared.messages.address import Address
from sealscore.shared.randomness.streams import Purpose, Stream, StreamSource


@dataclass(frozen=True)
class RoundContext:
    """One attempt of one round at the sender of `address`; `cohort` is the cohort's size."""

    secret: StreamSource = field(repr=False)
    address: Address
    mechanism: Mechanism
    cohort: int

    def stream(self, purpose: Purpose, step: int = 0) -> Stream:
        """The secret stream of this attempt for a purpose, from its start."""
        at = self.address
        return self.secret.stream(at.run, at.phase, at.round, at.attempt, at.sender, purpose, step)


@dataclass(frozen=True)
class PairContext:
    """One step of a paired phase at the sender of `address`. Its streams are the same in every attempt."""

    secret: StreamSource = field(repr=False)
    address: Address
    peer: str

    def stream(self, purpose: Purpose) -> Stream:
        """The secret stream of this step for a purpose, from its start."""
        at = self.address
        return self.secret.stream(at.run, f"{at.phase}/{self.peer}", at.round, 0, at.sender, purpose)
