"""The parties of a plan as roles alone, and how the coordinator reaches them: by calls, with nothing in between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sealscore.clients.roles.bands import told_bits
from sealscore.clients.roles.errors import LocalFault, Refused
from sealscore.clients.roles.lender import Lender
from sealscore.clients.roles.lifetime import Lifetime
from sealscore.clients.roles.platform import Platform
from sealscore.clients.roles.role import PairContext, PartyRole
from sealscore.server.transport.exchange import Failure, PhaseFailed
from sealscore.shared.crypto.psi import Progress
from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.messages.codec import Address, digest
from sealscore.shared.messages.messages import PairAnswer, PairRequest, Publish, Ready, Refusal, Reply, Request, Stored
from sealscore.shared.persons.records import Records
from sealscore.shared.phases.order import Phase
from sealscore.shared.plan.plan import Plan
from sealscore.shared.randomness.streams import StreamSource


@dataclass(frozen=True)
class RoleParty:
    """A party's role, and the secret of its streams, which follows from the plan's seed and its name."""

    role: PartyRole
    secret: StreamSource = field(repr=False)


class Parties:
    """All parties of a plan, and the parts that were published to them."""

    def __init__(self, plan: Plan, records: Mapping[str, Records], progress: Progress | None = None) -> None:
        self.plan, self.mechanisms = plan, Mechanisms(plan)
        self._bodies: dict[str, bytes] = {}
        self._known: tuple[bytes, str] = (b"", digest(b""))
        self.of: dict[str, RoleParty] = {}
        for party in plan.parties:
            lifetime = Lifetime.fresh(
                StreamSource.seeded(plan.seed, f"{party.name} labels"),
                plan.privacy.signal_bits,
                told_bits(plan, party.group),
            )
            role = Lender if party.group == plan.lenders else Platform
            made = role(plan, party.name, self.mechanisms, records[party.name], lifetime, progress)
            self.of[party.name] = RoleParty(made, StreamSource.seeded(plan.seed, party.name))

    def publish(self, body: bytes) -> str:
        """Keep a part for all parties; gives its key."""
        if body is not self._known[0]:
            self._known = body, digest(body)
            self._bodies[self._known[1]] = body
        return self._known[1]

    def parts(self, keys: Mapping[str, str]) -> dict[str, bytes]:
        """Published parts by name, from their keys by name."""
        return {name: self._bodies[key] for name, key in keys.items()}

    def phase(self, name: str) -> Phase:
        """The phase of that name."""
        return next(phase for phase in self.mechanisms.phases if phase.name == name)


class CallingMessenger:
    """A messenger that calls the roles of paired phases where they stand. Sums do not come this way."""

    def __init__(self, parties: Parties) -> None:
        self._parties = parties

    def online(self) -> frozenset[str]:
        """All parties, always."""
        return frozenset(self._parties.of)

    def ask(self, requests: Mapping[str, Request], timeout: float | None = None) -> dict[str, Reply | Failure]:
        """Each party's reply.

        Raises:
            PhaseFailed: a party's work failed on its records; a node would go on over none, and hide it.
        """
        return {party: self._replied(party, request) for party, request in requests.items()}

    def _replied(self, party: str, request: Request) -> Reply:
        header = request.header.reply()
        if isinstance(request, Publish):
            return Stored(header, self._parties.publish(request.body))
        if isinstance(request, PairRequest):
            try:
                return PairAnswer(header, self._paired(party, request, header))
            except Refused as refusal:
                return Refusal(header, refusal.code)
            except LocalFault as fault:
                raise PhaseFailed(f"{request.header.phase}: {fault}", final=True) from fault
        return Ready(header)

    def _paired(self, party: str, request: PairRequest, header: Address) -> bytes:
        phase, caller = self._parties.phase(request.header.phase), self._parties.of[party]
        own = self._parties.plan.party(party).group == phase.group
        work = caller.role.pair(phase, request.header.round, self._parties.parts(request.parts) if own else {})
        payload = work(PairContext(caller.secret, header, request.peer), request.body)
        for release in payload.releases:
            payload.keep(release)
        return payload.make()
