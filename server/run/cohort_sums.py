"""One attempt at one sum: how the integers of a cohort come together."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from sealscore.server.transport.exchange import INVALID, PartyClient
from sealscore.shared.crypto.aggregation import Aggregation, AggregationError
from sealscore.shared.dp.mechanisms import Mechanism
from sealscore.shared.messages.messages import SumAnswer, SumRequest
from sealscore.shared.phases.order import Phase


class CohortSums(Protocol):
    """Makes the sum of one attempt over a cohort."""

    def attempt(
        self,
        phase: Phase,
        round: int,
        attempt: int,
        cohort: tuple[str, ...],
        mechanism: Mechanism,
        parameters: np.ndarray,
        parts: dict[str, str],
    ) -> tuple[np.ndarray | None, dict[str, str]]:
        """The sum int64 [length] in grid units; or None, and by party the public code of why it gave nothing."""
        ...


class AskedSums:
    """Asks the parties by messages, and adds what they send."""

    def __init__(self, asker: PartyClient, aggregation: Aggregation) -> None:
        self._asker, self._aggregation = asker, aggregation

    def attempt(
        self,
        phase: Phase,
        round: int,
        attempt: int,
        cohort: tuple[str, ...],
        mechanism: Mechanism,
        parameters: np.ndarray,
        parts: dict[str, str],
    ) -> tuple[np.ndarray | None, dict[str, str]]:
        """As `CohortSums`."""
        requests = {
            party: SumRequest(self._asker.header(phase, round, attempt, party), cohort, parameters, parts)
            for party in cohort
        }
        contributions: dict[str, bytes] = {}
        failed: dict[str, str] = {}
        for party, reply in self._asker.ask(requests, SumAnswer).items():
            if isinstance(reply, str):
                failed[party] = reply
                continue
            try:
                mechanism.shape.unpack(reply.contribution)
                contributions[party] = reply.contribution
            except AggregationError:
                failed[party] = INVALID
        if failed:
            return None, failed
        return self._aggregation.total(cohort, mechanism.shape, contributions), {}
