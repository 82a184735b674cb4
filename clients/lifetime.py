"""What a party must remember of its data set for good, whatever plans come and go."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from clients.memory import MemoryDamaged, write_durably
from clients.refused import LocalFault
from shared.privacy.disclosures import Disclosed
from shared.privacy.labels import LabelStore
from shared.privacy.streams import StreamSource

# A lender learns by each alignment which of the ids that it tries a platform knows; so it gets so many, not more.
ALIGNMENTS, ALIGNMENT_DAYS = 20, 30
SIGNAL_BITS = 4


@dataclass
class AlignmentLog:
    """When a platform aligned with each lender, kept in a file where a path is given."""

    clock: Callable[[], float] = time.time
    path: Path | None = None
    _times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def load(cls, path: Path, clock: Callable[[], float] = time.time) -> AlignmentLog:
        """Read the file, or begin it where there is none; MemoryDamaged where it cannot be read."""
        log = cls(clock, path)
        if path.exists():
            try:
                for peer, times in json.loads(path.read_text(encoding="ascii")).items():
                    log._times[str(peer)] = [float(at) for at in times]
            except (OSError, ValueError, TypeError, AttributeError) as error:
                raise MemoryDamaged(f"{path}: cannot be used ({error}); restore it from a copy") from None
        return log

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
        if self.path is not None:
            write_durably(self.path, json.dumps(self._times))


@dataclass(frozen=True)
class Lifetime:
    """The label bits that were released of a data set, the bits disclosed of its persons, and its alignments.

    `signal_bits` is what the operator lets be told of one person's channel, whatever a plan says.
    """

    labels: LabelStore
    disclosed: Disclosed
    signal_bits: int = SIGNAL_BITS
    alignments: AlignmentLog = field(default_factory=AlignmentLog)

    @classmethod
    def fresh(cls, secret: StreamSource, signal_bits: int = SIGNAL_BITS) -> Lifetime:
        """Of a data set of which nothing was released yet; `secret` keys its label coins from now on."""
        return cls(LabelStore(secret), Disclosed(), signal_bits)
