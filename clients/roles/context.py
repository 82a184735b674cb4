"""What a phase may use of the request that it answers: its secret streams and its mechanism."""

from __future__ import annotations

from dataclasses import dataclass, field

from sealscore.shared.dp.mechanisms import Mechanism
from sealscore.shared.messages.messages import Header
from sealscore.shared.randomness.streams import Purpose, Stream, StreamSource


@dataclass(frozen=True)
class RoundContext:
    """One attempt of one round at one party; `cohort` is the size of the cohort that the request names."""

    secret: StreamSource = field(repr=False)
    header: Header
    party: str
    mechanism: Mechanism
    cohort: int

    def stream(self, purpose: Purpose, step: int = 0) -> Stream:
        """The secret stream of this attempt for a purpose, from its start."""
        header = self.header
        return self.secret.stream(header.run, header.phase, header.round, header.attempt, self.party, purpose, step)


@dataclass(frozen=True)
class PairContext:
    """One step of a paired phase at one party. Its streams are those of the pair, whichever attempt it is."""

    secret: StreamSource = field(repr=False)
    header: Header
    party: str
    peer: str

    def stream(self, purpose: Purpose) -> Stream:
        """The secret stream of this step for a purpose, from its start."""
        phase = f"{self.header.phase}/{self.peer}"
        return self.secret.stream(self.header.run, phase, self.header.round, 0, self.party, purpose)
