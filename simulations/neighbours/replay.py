"""Record every request of a plan's whole run, and let the nodes of any world answer them in their order.

What the server sends is played again byte for byte. What it carries between a lender and a platform is the reply of
the peer in the same world, since it cannot open or make it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

from sealscore.clients.node.node import Node
from sealscore.clients.roles.lifetime import Lifetime
from sealscore.clients.roles.role import PartyRole
from sealscore.server.run.coordinator import Coordinator
from sealscore.server.transport.exchange import Failure, Traffic
from sealscore.shared.crypto.aggregation import PlainSum
from sealscore.shared.identity.identity import Identity, Role
from sealscore.shared.ledger.entries import Ceilings
from sealscore.shared.messages.codec import digest, encode
from sealscore.shared.messages.messages import Message, PairAnswer, PairRequest, Refusal, Reply, Request, Stored
from sealscore.shared.persons.records import Records
from sealscore.shared.phases.order import Phase
from sealscore.shared.plan.plan import Plan
from sealscore.shared.randomness.streams import StreamSource
from sealscore.simulations.engine.enrolment import enrolled
from sealscore.simulations.engine.federation import opened
from sealscore.simulations.neighbours.tape import HeardRole, Tape

RUN = "neighbours"
KINDS = ("signal", "label", "groups")


@dataclass(frozen=True)
class RecordedRequest:
    """A request of the server to a party, in clear."""

    party: str
    request: Request


@dataclass
class Heard:
    """What one world answered, by the place of the request.

    `replies` has what the server sees of each: the type, a refusal's code, the length. `values` has what parties
    were told: (party, peer, kind) to the value of each person; kind "aligned" has who is aligned. `entries` counts the
    entries of each party's ledger, `told` what nodes said to their own operators.
    """

    tape: Tape
    replies: list[tuple[str, str, int]] = field(default_factory=list)
    values: dict[tuple[str, str, str], dict[str, int]] = field(default_factory=dict)
    entries: dict[str, int] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)


class _NoProgress:
    """An observer that keeps nothing."""

    def phase(self, phase: Phase) -> None: ...

    def round(self, row: dict[str, Any]) -> None: ...


class _Wire:
    """A messenger to nodes in this process, which keeps all requests."""

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        self._nodes, self.asked = nodes, list[RecordedRequest]()
        self.traffic = Traffic()

    def online(self) -> frozenset[str]:
        return frozenset(self._nodes)

    def ask(self, requests: Mapping[str, Request], timeout: float | None = None) -> dict[str, Reply | Failure]:
        found: dict[str, Reply | Failure] = {}
        for party, request in requests.items():
            self.asked.append(RecordedRequest(party, request))
            found[party] = _respond(self._nodes[party], request)
        return found


def _respond(node: Node, request: Request) -> Reply:
    return node.respond(request, digest(encode(request)))


def nodes_of(plan: Plan, records: Mapping[str, Records], tell: Callable[[str], None]) -> dict[str, Node]:
    """Nodes of an enrolled plan without seals and masks, with the secrets that a simulation gives their parties.

    Their ledgers have no ceiling: whether it holds a release does not depend on records, and finding out takes time.
    """
    free = Ceilings(epsilon=None, delta=plan.privacy.delta)
    return {
        party.name: Node(
            plan,
            party.name,
            records[party.name],
            StreamSource.seeded(plan.seed, party.name),
            PlainSum(),
            Lifetime.fresh(StreamSource.seeded(plan.seed, f"{party.name} labels"), plan.privacy.signal_bits),
            opened(plan, _identity(plan.seed, party.name, plan.groups[party.group].role), ceilings=free),
            tell,
        )
        for party in plan.parties
    }


def record(plan: Plan, records: Mapping[str, Records]) -> list[RecordedRequest]:
    """Run the plan, and give every request of its server in order.

    Raises:
        PhaseFailed, AttemptsSpent: the plan cannot be carried out; what nodes said is in the notes of the error.
    """
    told: list[str] = []
    nodes = nodes_of(plan, records, told.append)
    wire = _Wire(nodes)
    try:
        Coordinator(plan, RUN, wire, PlainSum(), _NoProgress(), patience=1.0).carry_out()
    except RuntimeError as error:
        for what in told:
            error.add_note(what)
        raise
    finally:
        _close(nodes.values())
    return wire.asked


def replay(
    plan: Plan, records: Mapping[str, Records], asked: Sequence[RecordedRequest], follow: Tape | None = None
) -> Heard:
    """Let fresh nodes with these records answer the requests; `follow` is the tape whose history is to be kept."""
    heard = Heard(Tape(follow))
    nodes = nodes_of(plan, records, heard.told.append)
    for node in nodes.values():
        node.role = cast(PartyRole, HeardRole(node, heard.tape))
    carried: dict[tuple[str, int, str, str], bytes] = {}
    try:
        for place, one in enumerate(asked):
            heard.tape.place = place
            reply = _respond(nodes[one.party], _as_here(one, carried))
            heard.replies.append(_seen(reply))
            if isinstance(one.request, PairRequest) and isinstance(reply, PairAnswer):
                header = one.request.header
                carried[header.phase, header.round, one.party, one.request.peer] = reply.body
        for name, node in nodes.items():
            heard.entries[name] = node.plan_ledger.ledger.head.seq
            for peer, (named, _) in node.disclosure_store.pairs(plan.hash).items():
                heard.values[name, peer, "aligned"] = dict.fromkeys(named.values(), 1)
            for kind in KINDS:
                for peer, values in node.disclosure_store.received(plan.hash, kind).items():
                    heard.values[name, peer, kind] = values
    finally:
        _close(nodes.values())
    return heard


def runnable(plan: Plan) -> Plan:
    """The plan as it is watched: enrolled, and with persons matched by `exact`, which finds the same pairs sooner."""
    return enrolled(plan.replace(alignment__method="exact") if plan.platforms else plan)


def _as_here(one: RecordedRequest, carried: Mapping[tuple[str, int, str, str], bytes]) -> Request:
    """The request with what the peer sent in this world."""
    request = one.request
    if not isinstance(request, PairRequest) or not request.body:
        return request
    header = request.header
    body = carried.get((header.phase, header.round - 1, request.peer, one.party), b"")
    return dataclasses.replace(request, body=body)


def _seen(reply: Message) -> tuple[str, str, int]:
    """What the server sees of a reply beside the noisy sum in it."""
    code = reply.code if isinstance(reply, Refusal) else reply.digest if isinstance(reply, Stored) else ""
    return type(reply).__name__, code, len(encode(reply))


def _close(nodes: Iterable[Node]) -> None:
    for node in nodes:
        node.plan_ledger.close()
        node.plan_ledger.ledger.close()


@lru_cache(maxsize=64)
def _identity(seed: int, party: str, role: Role) -> Identity:
    """Made once: each world needs the same."""
    return Identity.simulated(seed, party, role)
