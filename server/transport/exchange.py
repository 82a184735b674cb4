"""How the coordinator reaches the parties, by name: an exchange carries bytes, a messenger messages, a client requests.

An exchange knows no protocol, and nothing here knows Flower. Whatever is no good reply becomes a short code.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from sealscore.shared.messages.codec import Address, MessageError, decode, digest, encode
from sealscore.shared.messages.messages import (
    Finish,
    PairAnswer,
    Publish,
    Ready,
    Refusal,
    Reply,
    Request,
    Stored,
    SumAnswer,
)
from sealscore.shared.phases.order import Phase
from sealscore.shared.plan.plan import SERVER, Plan

UNAVAILABLE, TIMEOUT, UNKNOWN, MALFORMED, TOO_LARGE = (
    "unavailable",  # the party is not there, or its node gave no answer
    "timeout",  # no answer came in time
    "unknown-party",  # no node has ever said that it is this party
    "malformed",  # what came back is no reply of a courier
    "too-large",  # the request or the answer is above the node's limit
)
REASONS = frozenset({UNAVAILABLE, TIMEOUT, UNKNOWN, MALFORMED, TOO_LARGE})
INVALID = "invalid reply"
# Codes come from parties, so only this much of one is kept.
_CODE = 40
# Seconds between two looks for a party that is needed and away.
_LOOK = 1.0

R = TypeVar("R", Ready, Stored, SumAnswer, PairAnswer)

# What a party says whose answers will never come: its plan is over there, or the budget has no more of what is asked.
_OVER = frozenset(f"refused: {code}" for code in ("expired", "plan-has-run", "attempts-spent"))
_NOT_APPROVED = "refused: not-approved"


@dataclass(frozen=True)
class Failure:
    """A party that gave no answer. `reason` is one of REASONS: a public code, never a text from a party."""

    party: str
    reason: str

    def __post_init__(self) -> None:
        if self.reason not in REASONS:
            raise ValueError(f"reason {self.reason!r}: must be one of {sorted(REASONS)}")


Delivered = bytes | Failure


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

    def received(self, party: str, reply: Delivered) -> None:
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

    def send(self, requests: Mapping[str, bytes], timeout: float | None = None) -> dict[str, Delivered]:
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


class Messenger(Reachable, Protocol):
    """Carries requests to parties and their replies back."""

    def ask(self, requests: Mapping[str, Request], timeout: float | None = None) -> dict[str, Reply | Failure]:
        """Each party's reply to its request, or that it gave none; waits `timeout` seconds at most."""
        ...


class ClearMessenger:
    """Messages in clear over an exchange, as between parts of one process."""

    def __init__(self, inner: Exchange) -> None:
        self._inner = inner

    def online(self) -> frozenset[str]:
        """As below."""
        return self._inner.online()

    def ask(self, requests: Mapping[str, Request], timeout: float | None = None) -> dict[str, Reply | Failure]:
        """Encode, send, decode; what is no reply is a Failure."""
        raw = self._inner.send({party: encode(request) for party, request in requests.items()}, timeout)
        return {party: self._read(party, found) for party, found in raw.items()}

    def _read(self, party: str, raw: bytes | Failure) -> Reply | Failure:
        if isinstance(raw, Failure):
            return raw
        try:
            reply: Reply = decode(raw, Ready, Stored, SumAnswer, PairAnswer, Refusal)
        except MessageError:
            return Failure(party, MALFORMED)
        return reply


class PhaseFailed(RuntimeError):
    """A phase cannot continue: too few parties are left. The message names them and how they failed.

    Where that is so for good, whoever comes back, it is `final`, and the run cannot be continued: `settled` are then
    the parties that have heard it and have ended the plan, `untold` those that have not.
    """

    def __init__(self, what: str, final: bool = False) -> None:
        super().__init__(what)
        self.final = final
        self.settled: tuple[str, ...] = ()
        self.untold: tuple[str, ...] = ()


def lost_for_good(reason: str, answered: bool) -> bool:
    """Whether a party that failed with this reason will not answer again, `answered` if it has in this run before.

    Who has not may have to approve the plan yet; who has, has revoked it, and a plan is approved once.
    """
    return reason in _OVER or (answered and reason == _NOT_APPROVED)


class PartyClient:
    """Sends the requests of one run of a plan and reads the replies; a reply must repeat the request's header.

    A party without which the plan cannot continue may be away for `absence` seconds, while its node is started again.
    """

    def __init__(self, plan: Plan, run: str, messenger: Messenger, timeout: float | None, absence: float = 0.0) -> None:
        self._plan, self.run, self._messenger, self._timeout = plan, run, messenger, timeout
        self._absence = absence
        self._published: dict[str, dict[str, bytes]] = {}

    def header(self, phase: Phase, round: int, attempt: int, party: str) -> Address:
        """The header of a request to a party."""
        return Address(self._plan.hash, self.run, phase.name, round, attempt, SERVER, party)

    def ask(self, requests: Mapping[str, Request], expected: type[R]) -> dict[str, R | str]:
        """Each party's reply of the expected type, or a short code of what came in its place."""
        if not requests:
            return {}
        replies = self._messenger.ask(requests, self._timeout)
        return {party: _read(reply, requests[party].header, expected) for party, reply in replies.items()}

    def bear(self, since: float) -> bool:
        """Wait a moment for a party that is needed; False where it has been away too long `since` (monotonic time)."""
        left = since + self._absence - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(left, _LOOK))
        return True

    def publish(self, phase: Phase, name: str, body: bytes, needed: bool = True) -> str:
        """Send a public part of the model to every party of the phase's group; returns its digest.

        One that is not `needed` is sent to nobody, since no party will be asked for anything that builds on it.

        Raises:
            PhaseFailed: nobody keeps it.
        """
        self._published.setdefault(phase.tower, {})[name] = body
        if not needed:
            return digest(body)
        key, began = digest(body), time.monotonic()
        while True:
            replies = self._send_part(phase, name, [party.name for party in self._plan.members(phase.group)])
            if any(isinstance(reply, Stored) and reply.digest == key for reply in replies.values()):
                return key
            away = any(reply in (UNAVAILABLE, TIMEOUT) for reply in replies.values())
            if not (away and self.bear(began)):
                break
        codes = [f"{p} ({reply if isinstance(reply, str) else 'other bytes'})" for p, reply in sorted(replies.items())]
        raise PhaseFailed(f"{phase.name}: no party kept the part {name!r}: {', '.join(codes)}")

    def finish(self, phase: Phase) -> list[str]:
        """Inform all parties that the run has ended; gives who heard it. Who does not waits until the plan expires."""
        names = [party.name for party in self._plan.parties]
        replies = self.ask({name: Finish(self.header(phase, 0, 0, name)) for name in names}, Ready)
        return [name for name, reply in replies.items() if isinstance(reply, Ready)]

    def publish_again(self, phase: Phase, parties: Sequence[str]) -> None:
        """Send all parts of the phase's tower that were sent so far to parties that may have missed some."""
        for name in self._published.get(phase.tower, {}):
            self._send_part(phase, name, parties)

    def _send_part(self, phase: Phase, name: str, parties: Sequence[str]) -> dict[str, Stored | str]:
        body = self._published[phase.tower][name]
        return self.ask({party: Publish(self.header(phase, 0, 0, party), name, body) for party in parties}, Stored)


def _read(reply: Reply | Failure, asked: Address, expected: type[R]) -> R | str:
    if isinstance(reply, Failure):
        return reply.reason
    if reply.header != asked.reply():
        return INVALID
    if isinstance(reply, Refusal):
        return f"refused: {reply.code[:_CODE]}"
    return reply if isinstance(reply, expected) else INVALID
