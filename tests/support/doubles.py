"""Nodes of the small plan, a server that talks to one of them, and an exchange and an observer for tests."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from builders import (
    BIN,
    LENDERS,
    RUN,
    binning_of,
    length_of,
    mechanisms,
    no_weights,
    phase_of,
    small_records,
    weights_of,
)
from ledgers import ledger_of

from sealscore.clients.node.node import Node
from sealscore.clients.roles.lifetime import Lifetime
from sealscore.server.transport.exchange import Delivered, Failure, Traffic
from sealscore.shared.crypto.aggregation import PlainSum
from sealscore.shared.dp.events import Event
from sealscore.shared.dp.mechanisms import Mechanism
from sealscore.shared.messages.codec import Address, decode, digest, encode
from sealscore.shared.messages.messages import Hello, Publish, Ready, Refusal, Stored, SumAnswer, SumRequest
from sealscore.shared.persons.records import Records
from sealscore.shared.phases.order import Phase
from sealscore.shared.plan.plan import Plan
from sealscore.shared.randomness.streams import StreamSource


def node_of(
    plan: Plan,
    party: str,
    records: Records,
    charge: Callable[[Address, Event], None],
    secret: StreamSource | None = None,
    tell: Callable[[str], None] = lambda what: None,
) -> Node:
    """A node with a simulation identity, unless a secret is given, that has released nothing yet."""
    lifetime = Lifetime.fresh(StreamSource.seeded(plan.seed, f"{party} labels"))
    source, ledger = secret or StreamSource.seeded(plan.seed, party), ledger_of(plan, party, charge)
    return Node(plan, party, records, source, PlainSum(), lifetime, ledger, tell)


class Guarded(Mapping[str, np.ndarray]):
    """Columns of records that note every look at them."""

    def __init__(self, columns: Mapping[str, np.ndarray], looks: list[str]) -> None:
        self._columns, self._looks = columns, looks

    def __getitem__(self, name: str) -> np.ndarray:
        self._looks.append(name)
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


@dataclass
class Talk:
    """A server that talks to one node; keeps what the node charged, which columns it read and what it told its own."""

    plan: Plan
    party: str = "lender-1"
    records: Records | None = None
    secret: StreamSource | None = None
    charge: Callable[[Address, Event], None] | None = None
    charged: list[tuple[Address, Event]] = field(default_factory=list)
    looks: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.records = small_records(seed=1) if self.records is None else self.records
        self.node = node_of(self.plan, self.party, self.records, self._charge, self.secret, self.told.append)
        self.binning = binning_of(self.plan, small_records(seed=1))
        self.bins = self.binning.to_bytes()

    def watch(self) -> None:
        """From now on, keep in `looks` which columns of its records the node reads."""
        for part in _parts_of(self.node):
            object.__setattr__(part, "columns", Guarded(part.columns, self.looks))

    def _charge(self, header: Address, event: Event) -> None:
        if self.charge is not None:
            self.charge(header, event)
        self.charged.append((header, event))

    def header(self, phase: str, round: int = 1, attempt: int = 1, **changes: Any) -> Address:
        """A header as the server writes it, with fields replaced."""
        plain = Address(self.plan.hash, RUN, phase, round, attempt, "server", self.party)
        return dataclasses.replace(plain, **changes)

    def hello(self, **changes: Any) -> Any:
        """Greet the node: Ready or Refusal."""
        return self.send(encode(Hello(self.header(BIN, 0, 0, **changes))))

    def publish(self, body: bytes | None = None, name: str = "bins") -> Any:
        """Publish a part, by default the bins: Stored or Refusal."""
        return self.send(encode(Publish(self.header(BIN, 0, 0), name, self.bins if body is None else body)))

    def request(
        self,
        phase: str,
        round: int = 1,
        attempt: int = 1,
        *,
        cohort: tuple[str, ...] = LENDERS,
        parameters: np.ndarray | None = None,
        parts: dict[str, str] | None = None,
        **changes: Any,
    ) -> bytes:
        """The bytes of a request that the node should answer, but for what is given otherwise."""
        if parameters is None:
            parameters = no_weights() if phase == BIN else weights_of(self.plan, self.binning)
        if parts is None:
            parts = {} if phase == BIN else {"bins": digest(self.bins)}
        return encode(SumRequest(self.header(phase, round, attempt, **changes), cohort, parameters, parts))

    def send(self, request: bytes) -> Any:
        """The node's answer, as a message."""
        return decode(self.node.answer(request), Ready, Stored, SumAnswer, Refusal)

    def ask(self, phase: str, round: int = 1, attempt: int = 1, **changes: Any) -> Any:
        """Send a request and read the answer."""
        return self.send(self.request(phase, round, attempt, **changes))

    def code(self, phase: str, round: int = 1, attempt: int = 1, **changes: Any) -> str:
        """The code with which a request is refused; fails where it is answered."""
        reply = self.ask(phase, round, attempt, **changes)
        assert isinstance(reply, Refusal), f"answered by {type(reply).__name__}"
        return reply.code

    def vector(self, phase: str, round: int = 1, attempt: int = 1, **changes: Any) -> np.ndarray:
        """The contribution of an answer in grid units, int64 [length]."""
        reply = self.ask(phase, round, attempt, **changes)
        assert isinstance(reply, SumAnswer), reply
        mechanism = self.mechanism(phase)
        return mechanism.shape.centre(mechanism.shape.unpack(reply.contribution))

    def mechanism(self, phase: str) -> Mechanism:
        """The mechanism of a phase under the bins of this conversation."""
        made, found = mechanisms(self.plan), phase_of(self.plan, phase)
        return made.mechanism(found, length_of(self.plan, found, self.binning))


def _parts_of(root: object) -> list[Records]:
    """Every Records that an object holds, found through its attributes."""
    found: list[Records] = []
    seen: set[int] = set()
    pending = [root]
    while pending:
        thing = pending.pop()
        if id(thing) in seen or isinstance(thing, str | bytes | int | float | np.ndarray | type):
            continue
        seen.add(id(thing))
        if isinstance(thing, Records):
            found.append(thing)
            continue
        if isinstance(thing, dict):
            pending += thing.values()
        elif isinstance(thing, list | tuple):
            pending += thing
        pending += getattr(thing, "__dict__", {}).values()
    return found


class DirectExchange:
    """An exchange that calls responders in this process; `spoil` may replace what a party answers.

    `spoil(party, request, answer)` returns the reply, bytes or Failure. `away` are parties that are not there.
    `log` holds, by send, the requests of each party.
    """

    def __init__(
        self,
        responders: Mapping[str, Any],
        spoil: Callable[[str, bytes, bytes], Delivered] | None = None,
        away: set[str] | None = None,
        order: Callable[[Iterable[str]], Iterable[str]] = sorted,
    ) -> None:
        self.traffic = Traffic()
        self.away = away if away is not None else set()
        self.log: list[dict[str, bytes]] = []
        self._responders = responders
        self._spoil = spoil or (lambda party, request, answer: answer)
        self._order = order

    def online(self) -> frozenset[str]:
        """Parties that are not away."""
        return frozenset(self._responders) - self.away

    def send(self, requests: Mapping[str, bytes], timeout: float | None = None) -> dict[str, Delivered]:
        """Every party's reply, in the order of `order`."""
        self.log.append(dict(requests))
        replies: dict[str, Delivered] = {}
        for party in self._order(requests):
            self.traffic.sent(party, requests[party])
            if party in self.away:
                replies[party] = Failure(party, "unavailable")
            else:
                replies[party] = self._spoil(party, requests[party], self._responders[party].answer(requests[party]))
            self.traffic.received(party, replies[party])
        return replies


class Quiet:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.phases: list[str] = []
        self.rows: list[dict[str, Any]] = []

    def phase(self, phase: Phase) -> None:
        """A phase begins."""
        self.phases.append(phase.name)

    def round(self, row: dict[str, Any]) -> None:
        """A round is done."""
        self.rows.append(row)


def nodes_of(
    plan: Plan, records: Mapping[str, Records], charge: Mapping[str, Callable[[Address, Event], None]] | None = None
) -> tuple[dict[str, Node], dict[str, list[Event]]]:
    """A node with simulation identity for each party, and the events that each has charged.

    `charge` is told of every charge too, by party.
    """
    charged: dict[str, list[Event]] = {name: [] for name in records}

    def keeper(name: str) -> Callable[[Address, Event], None]:
        def keep(header: Address, event: Event) -> None:
            if charge is not None:
                charge[name](header, event)
            charged[name].append(event)

        return keep

    return {name: node_of(plan, name, part, keeper(name)) for name, part in records.items()}, charged
