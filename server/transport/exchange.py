"""The exchange: how the coordinator reaches the parties, by name and in bytes. It knows no Flower and no protocol."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

UNAVAILABLE, TIMEOUT, UNKNOWN, MALFORMED, TOO_LARGE = (
    "unavailable",  # the party is not there, or its node gave no answer
    "timeout",  # no answer came in time
    "unknown-party",  # no node has ever said that it is this party
    "malformed",  # what came back is no reply of a courier
    "too-large",  # the request or the answer is above the node's limit
)
REASONS = frozenset({UNAVAILABLE, TIMEOUT, UNKNOWN, MALFORMED, TOO_LARGE})


@dataclass(frozen=True)
class Failure:
    """A party that gave no answer. `reason` is one of REASONS: a public code, never a text from a party."""

    party: str
    reason: str

    def __post_init__(self) -> None:
        if self.reason not in REASONS:
            raise ValueError(f"reason {self.reason!r}: must be one of {sorted(REASONS)}")


Reply = bytes | Failure


@dataclass
class Flow:
    """What went between the server and one party: requests, failures, bytes of the bodies each way."""

    requests: int = 0
    failures: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0


@dataclass
class Traffic:
    """Counters of an exchange. `couriers` counts replies by the process id that their courier gave.

    A process id is a party's own word: it shows in simulation that work ran in other processes, and proves nothing.
    """

    flows: dict[str, Flow] = field(default_factory=dict)
    couriers: Counter[int] = field(default_factory=Counter)

    def sent(self, party: str, body: bytes) -> None:
        flow = self.flows.setdefault(party, Flow())
        flow.requests += 1
        flow.bytes_sent += len(body)

    def received(self, party: str, reply: Reply) -> None:
        flow = self.flows.setdefault(party, Flow())
        if isinstance(reply, Failure):
            flow.failures += 1
        else:
            flow.bytes_received += len(reply)

    def carried(self, courier: int) -> None:
        self.couriers[courier] += 1

    def summary(self) -> dict[str, Any]:
        """Plain numbers for a run's record: `parties` by name, `couriers` from process id (as text) to replies."""
        return {
            "parties": {party: vars(flow).copy() for party, flow in sorted(self.flows.items())},
            "couriers": {str(pid): count for pid, count in sorted(self.couriers.items())},
        }


class Reachable(Protocol):
    """What knows which parties are there."""

    def online(self) -> frozenset[str]:
        """The names of the parties that are there now."""
        ...


class Exchange(Reachable, Protocol):
    """Carries requests to parties and their answers back. Bodies are opaque bytes; one send at a time."""

    @property
    def traffic(self) -> Traffic: ...

    def send(self, requests: Mapping[str, bytes], timeout: float | None = None) -> dict[str, Reply]:
        """Send each party its request and wait for the answers, `timeout` seconds at most.

        Returns exactly one entry for each request. Without a timeout it waits as long as the transport lets it.
        """
        ...


class MissingParties(RuntimeError):
    """Parties that did not come in time: `missing` and `present`, sorted names."""

    def __init__(self, missing: Iterable[str], present: Iterable[str], waited: float) -> None:
        self.missing = sorted(missing)
        self.present = sorted(present)
        super().__init__(
            f"not there after {waited:g} s: {', '.join(self.missing)}; "
            f"there: {', '.join(self.present) or 'none'}. Start the missing nodes, or run a plan without them."
        )


def wait_for(exchange: Reachable, names: Iterable[str], timeout: float, poll: float = 1.0) -> None:
    """Wait until every party of `names` is online, looking every `poll` seconds.

    Raises MissingParties after `timeout` seconds.
    """
    wanted = frozenset(names)
    deadline = time.monotonic() + timeout
    while not wanted <= (present := exchange.online()):
        left = deadline - time.monotonic()
        if left <= 0:
            raise MissingParties(wanted - present, present, timeout)
        time.sleep(min(poll, left))
