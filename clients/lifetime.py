"""What a party must remember of its data set for good, whatever plans come and go."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from clients.refused import LocalFault
from shared.privacy.disclosures import Disclosed
from shared.privacy.labels import LabelStore
from shared.privacy.streams import StreamSource

# A lender learns by each alignment which of the ids that it tries a platform knows; so it gets so many, not more.
ALIGNMENTS, ALIGNMENT_DAYS = 20, 30


@dataclass
class AlignmentLog:
    """When a platform aligned with each lender."""

    clock: Callable[[], float] = time.time
    _times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def note(self, peer: str) -> None:
        """Note an alignment that is about to be answered.

        Raises:
            LocalFault: there were as many with this peer already as a month allows.
        """
        now = self.clock()
        recent = [at for at in self._times[peer] if at > now - ALIGNMENT_DAYS * 86_400]
        if len(recent) >= ALIGNMENTS:
            raise LocalFault(
                f"{peer} has aligned {ALIGNMENTS} times within {ALIGNMENT_DAYS} days; no more are answered before "
                f"{time.strftime('%Y-%m-%d', time.gmtime(recent[0] + ALIGNMENT_DAYS * 86_400))}"
            )
        self._times[peer] = [*recent, now]


@dataclass(frozen=True)
class Lifetime:
    """The label bits that were released of a data set, the bits disclosed of its persons, and its alignments."""

    labels: LabelStore
    disclosed: Disclosed
    alignments: AlignmentLog = field(default_factory=AlignmentLog)

    @classmethod
    def fresh(cls, secret: StreamSource) -> Lifetime:
        """Of a data set of which nothing was released yet; `secret` keys its label coins from now on."""
        return cls(LabelStore(secret), Disclosed())
