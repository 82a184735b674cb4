"""What a phase may use of the request that it answers: its secret streams and its mechanism."""

from __future__ import annotations

from dataclasses import dataclass, field

from shared.messages import Header
from shared.privacy.mechanisms import Mechanism
from shared.privacy.streams import Purpose, Stream, StreamSource


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
        return self.secret.stream(
            header.run, header.phase, header.round, header.attempt, self.party, purpose, step=step
        )
