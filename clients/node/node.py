"""The node: what a partner runs. It checks every request against the approved plan before it touches data.

The server and everything that it sends is untrusted here. A request is answered only if the plan allows it, at most
as often as the plan says, and it is charged before anything leaves, a sum even before a record is read. What is refused
follows from plan, request and ledger alone. Whatever the work on the records meets after that, an answer of the length
that the plan fixes leaves: as if the party had no records, where it fails.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime

import numpy as np

from sealscore.clients.node.consents import Consents
from sealscore.clients.node.plan_ledger import PlanLedger
from sealscore.clients.roles.errors import LocalFault, Refused
from sealscore.clients.roles.lender import Lender
from sealscore.clients.roles.lifetime import Lifetime
from sealscore.clients.roles.platform import Platform
from sealscore.clients.roles.role import PairContext, PartyRole, RoundContext, Sum, attempted, bounded
from sealscore.shared.crypto.aggregation import Aggregation, SeedsMissing
from sealscore.shared.crypto.psi import Progress
from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.ledger.disclosure_store import DisclosureStore, DisclosureStoreError
from sealscore.shared.ledger.ledger import Ledger, LedgerError
from sealscore.shared.messages.codec import Address, MessageError, decode, digest, encode
from sealscore.shared.messages.messages import (
    Finish,
    Hello,
    PairAnswer,
    PairRequest,
    Publish,
    Ready,
    Refusal,
    Reply,
    Request,
    Stored,
    SumAnswer,
    SumRequest,
)
from sealscore.shared.persons.records import Records
from sealscore.shared.phases.kind import Kind
from sealscore.shared.phases.order import KINDS, Phase
from sealscore.shared.plan.plan import SERVER, Plan
from sealscore.shared.randomness.streams import Purpose, Source, StreamSource

log = logging.getLogger("sealscore.node")

# Far above any useful weight, and small enough that no product of weights and codes overflows float64.
MAX_WEIGHT = 1e6
MAX_ATTEMPT = 2**31
# Each attempt of a paired step costs work and a stored answer; an honest server needs one.
PAIR_ATTEMPTS = 16
PAIR_STEPS = max(len(kind.gives) for kind in KINDS.values())
# A public part is bins or weights of one tower; nothing that a plan can describe is larger.
MAX_PARTS = 64
MAX_PART = 8 * 1024 * 1024


class Node:
    """One party under one approved plan.

    Every release is in the `ledger` before it happens, and what was disclosed of whom in the `lifetime`'s store.
    `tell` gets in words, for the party's own operator, what the server learns as "unavailable" only; `progress` gets
    (done, total) of an alignment, which takes seconds.

    Raises:
        Refused: the plan is not approved in the ledger, or has ended.
    """

    def __init__(
        self,
        plan: Plan,
        party: str,
        records: Records,
        secret: StreamSource,
        aggregation: Aggregation,
        lifetime: Lifetime,
        ledger: Ledger,
        tell: Callable[[str], None] = log.warning,
        progress: Progress | None = None,
    ) -> None:
        self.plan = plan
        self.name = party
        self._group = plan.party(party).group
        self._members = {other.name for other in plan.members(self._group)}
        self._peers = _peers(plan, party)
        self._mechanisms = Mechanisms(plan)
        self._phases = {phase.name: (index, phase) for index, phase in enumerate(self._mechanisms.phases)}
        # What is deleted from here on is heard of: the role begins with what the disclosure store has.
        self._forgotten: deque[tuple[str, tuple[str, ...]]] = deque()
        lifetime.disclosure_store.subscribe(self)
        role = Lender if self._group == plan.lenders else Platform
        self.role: PartyRole = role(plan, party, self._mechanisms, records, lifetime, progress, tell)
        self._secret = secret
        self._lifetime = lifetime
        self._aggregation = aggregation
        self.plan_ledger = PlanLedger(ledger, plan, self.random_source)
        self.tell = tell
        self._parts: dict[str, bytes] = {}
        self._today: date | None = None
        self._answers: dict[str, Reply] = {}
        self._lock = threading.Lock()
        lifetime.disclosure_store.reconcile(_told(ledger))
        self._consents = Consents(plan, self._peers, self.plan_ledger, lifetime.disclosure_store)
        self._consents.note(records)
        self._drop_forgotten()

    @property
    def random_source(self) -> Source:
        """Where this node's randomness comes from: "system", or "seeded" where any secret follows from a seed."""
        return "system" if {self._secret.source, self._lifetime.labels.source} == {"system"} else "seeded"

    @property
    def disclosure_store(self) -> DisclosureStore:
        """What was disclosed of whom, over the life of the data set."""
        return self._lifetime.disclosure_store

    @property
    def aggregation(self) -> Aggregation:
        """How this node's sums are protected."""
        return self._aggregation

    def answer(self, request: bytes) -> bytes:
        """`respond` to a request that comes as bytes, in clear, as within one process; the answer as bytes."""
        with self._turn():
            try:
                message: Request = decode(request, Hello, Publish, SumRequest, PairRequest, Finish)
            except MessageError:
                return encode(Refusal(self._reply(Address("", "", "", 0, 0, "", "")), "malformed"))
            return encode(self._respond(message, digest(request)))

    def respond(self, request: Request, key: str) -> Reply:
        """Answer one request, whose bytes have the digest `key`; the same request again gets the same answer.

        Never raises, and says nothing about the data but by the contribution itself.
        """
        with self._turn():
            return self._respond(request, key)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One request at a time; what came of a person while that person was being forgotten is deleted, too."""
        with self._lock:
            self._drop_forgotten()
            try:
                yield
            finally:
                self._drop_forgotten()

    def reload(self, records: Records, given: Records | None = None) -> None:
        """Use the party's records as they are now; who has no live consent any more is no longer used.

        Peers that have something of such a person get a notice (see `Withdrawals`). Where not all that is in the data
        can be used, `given` are who is in them and the consents, as records without columns.
        """
        with self._lock:
            self._drop_forgotten()
            self.role.replace(records)
            self._consents.note(records if given is None else given)
            self._drop_forgotten()

    def forget(self, peer: str, plan: str, handles: Iterable[bytes]) -> int:
        """Delete what a peer disclosed of persons under a plan whose consent was withdrawn; returns how many.

        Every open node of this data set hears of it, and uses them no more from its next turn on.
        """
        with self._lock:
            persons = self._lifetime.disclosure_store.forget(plan, peer, handles)
            self._drop_forgotten()
            if persons:
                self.plan_ledger.withdrawn(peer, "received", len(persons), None)
            return len(persons)

    def forgotten(self, plan: str, peer: str, persons: tuple[str, ...]) -> None:
        """Hear that what a peer disclosed of these persons is deleted; waits for nobody."""
        source = self.plan.signals_from
        if plan in (self.plan.hash, source.plan if source else ""):
            self._forgotten.append((peer, persons))

    def _drop_forgotten(self) -> None:
        while self._forgotten:
            peer, persons = self._forgotten.popleft()
            self.role.forget(peer, persons)
            try:
                self._lifetime.disclosure_store.erase(self.plan.hash, peer, persons)
            except DisclosureStoreError as error:
                self.tell(f"{self.name} cannot delete what {peer} disclosed of persons who withdrew: {error}")

    def _respond(self, message: Request, key: str) -> Reply:
        header = message.header
        try:
            if key in self._answers:
                return self._answers[key]
            self._check_header(header)
            self._begin(datetime.now(UTC).date())
            reply = self._dispatch(message, key)
            if isinstance(message, SumRequest | PairRequest):
                self._answers[key] = reply
            return reply
        except Refused as refusal:
            if refusal.code != "budget":
                self.plan_ledger.refused(header, refusal.code)
            return Refusal(self._reply(header), refusal.code)
        except (LocalFault, LedgerError, DisclosureStoreError) as fault:
            self.tell(f"{self.name} does not answer: {fault}" if isinstance(fault, RuntimeError) else str(fault))
            self.plan_ledger.refused(header, "unavailable")
            refused = Refusal(self._reply(header), "unavailable")
            if header.phase in self._phases and self._phases[header.phase][1].paired:
                # What it needed once may be used up by now, and asked again the reason must stay the same.
                self._answers[key] = refused
            return refused
        except Exception as error:
            # The text of an exception can contain data, so neither the server nor a log gets it.
            self.tell(f"{self.name} failed in {header.phase or 'a request'}: {type(error).__name__}")
            return Refusal(self._reply(header), "unavailable")

    def _begin(self, today: date) -> None:
        """Continue on that day: on another one than before consents may have begun or ended."""
        if today == self._today:
            return
        self._consents.end()
        self._drop_forgotten()
        self.role.changed()
        self._today = today

    def _reply(self, header: Address) -> Address:
        return header.between(self.name, SERVER)

    def _check_header(self, header: Address) -> None:
        if header.plan != self.plan.hash:
            raise Refused("other-plan")
        if header.recipient != self.name or header.sender != SERVER:
            raise Refused("misaddressed")
        if not self.plan_ledger.bind(header.run):
            raise Refused("plan-has-run")

    def _dispatch(self, message: Request, key: str) -> Reply:
        reply = self._reply(message.header)
        if isinstance(message, Hello):
            return Ready(reply)
        if isinstance(message, Finish):
            self.plan_ledger.settle("finished")
            return Ready(reply)
        if isinstance(message, Publish):
            if len(message.body) > MAX_PART:
                raise Refused("part-too-large")
            part = digest(message.body)
            if part not in self._parts and len(self._parts) >= MAX_PARTS:
                raise Refused("too-many-parts")
            self._parts[part] = message.body
            return Stored(reply, part)
        if isinstance(message, PairRequest):
            return PairAnswer(reply, self._pair(message, key))
        return SumAnswer(reply, self._contribute(message, key))

    def _contribute(self, request: SumRequest, key: str) -> bytes:
        header = request.header
        phase = self._phase(header.phase)
        if phase.paired or phase.group != self._group:
            raise Refused("other-group")
        self._check_order(header, phase, "")
        if self.plan_ledger.answers(phase) >= phase.attempts:
            raise Refused("attempts-spent")
        self._check_cohort(request.cohort)
        if not self._aggregation.ready(request.cohort):
            raise Refused("no-seeds")
        if not np.all(np.abs(request.parameters) <= MAX_WEIGHT):
            raise Refused("bad-parameters")
        parts = self._resolve(phase, request.parts)
        work = self.role.sum(phase, request.parameters, parts)
        self.plan_ledger.reserve(header, phase, work[1], len(request.cohort), key)
        contribution = self._release(request, phase, work)
        self.plan_ledger.answered()
        return contribution

    def _pair(self, request: PairRequest, key: str) -> bytes:
        header = request.header
        phase = self._phase(header.phase)
        if not phase.paired or request.peer not in self._peers:
            raise Refused("no-such-pair")
        if phase.group not in (self._group, self.plan.party(request.peer).group):
            raise Refused("other-group")
        self._check_order(header, phase, request.peer)
        # One response a lender in a run: with more, a lender and a server could go through all that they can think of.
        if (phase.kind, header.round) == (Kind.ALIGN, 2):
            if self.plan_ledger.last(request.peer)[:2] == self._place(header)[:2]:
                raise Refused("attempts-spent")
            self.plan_ledger.aligning(request.peer)
        # A platform may put whatever it likes into its set, and learns who of it applied and consented to it.
        if (phase.kind, header.round) == (Kind.ALIGN, 3):
            self.plan_ledger.aligning(request.peer)
        parts = self._resolve(phase, request.parts if self._group == phase.group else None)
        return self._step(request, key, phase, parts)

    def _step(self, request: PairRequest, key: str, phase: Phase, parts: dict[str, bytes]) -> bytes:
        """The answer of a paired step; where the work fails on this party's records, as if it shared nobody.

        What fails without records too follows from the request, and is refused.
        """
        noted = False

        def answer() -> bytes:
            nonlocal noted
            work = self.role.pair(phase, request.header.round, parts)
            payload = work(PairContext(self._secret, self._reply(request.header), request.peer), request.body)
            if noted:
                for release in payload.releases:
                    payload.keep(release)
            else:
                store = self._lifetime.disclosure_store
                self.plan_ledger.note(request.header, request.peer, key, payload, store)
                noted = True
            return payload.make()

        where, passed = f"{phase.name} with {request.peer}", (Refused, LedgerError, DisclosureStoreError)
        return attempted(self.role, answer, lambda error: self._failed(where, error), passed)

    def _failed(self, where: str, error: Exception) -> None:
        """Report to the operator an answer over no records; the text of an exception can contain data."""
        why = str(error) if isinstance(error, LocalFault) else type(error).__name__
        self.tell(f"{self.name} failed in {where}, and answered as if it had no records: {why}")

    def _phase(self, name: str) -> Phase:
        if name not in self._phases:
            raise Refused("unknown-phase")
        return self._phases[name][1]

    def _check_order(self, header: Address, phase: Phase, peer: str) -> None:
        """Phases in their order; within one, (round, attempt) strictly above the last one answered (to that peer)."""
        rounds = PAIR_STEPS if phase.paired else phase.rounds
        attempts = PAIR_ATTEMPTS if phase.paired else MAX_ATTEMPT
        if not (1 <= header.round <= rounds and 1 <= header.attempt <= attempts):
            raise Refused("no-such-round")
        if not self.plan_ledger.allows(peer, self._place(header)):
            raise Refused("out-of-order")

    def _place(self, header: Address) -> tuple[int, int, int]:
        return self._phases[header.phase][0], header.round, header.attempt

    def _check_cohort(self, cohort: tuple[str, ...]) -> None:
        if len(set(cohort)) != len(cohort) or not set(cohort) <= self._members or self.name not in cohort:
            raise Refused("bad-cohort")
        if len(cohort) < self.plan.groups[self._group].min_parties:
            raise Refused("cohort-too-small")

    def _resolve(self, phase: Phase, parts: dict[str, str] | None) -> dict[str, bytes]:
        """The published parts that a phase of this party's group builds on."""
        if parts is None:
            return {}
        if set(parts) != phase.parts:
            raise Refused("wrong-parts")
        try:
            return {name: self._parts[key] for name, key in parts.items()}
        except KeyError:
            raise Refused("part-missing") from None

    def _release(self, request: SumRequest, phase: Phase, work: Sum) -> bytes:
        """What is answered of a sum that is charged: whatever the work meets in the records, a vector leaves."""
        compute, mechanism = work
        address, cohort = self._reply(request.header), tuple(sorted(request.cohort))
        context = RoundContext(self._secret, address, mechanism, len(cohort))
        vector, noised = np.zeros(mechanism.length, dtype=np.int64), False
        try:
            vector = attempted(
                self.role, lambda: bounded(compute(context), mechanism), lambda error: self._failed(phase.name, error)
            )
            noised = mechanism.own_noise_only
        except Exception as error:
            self._failed(phase.name, error)
        if not noised:
            vector = mechanism.noised(vector, context.stream(Purpose.NOISE), len(cohort))
        try:
            return self._aggregation.protect(address, cohort, mechanism.shape, vector)
        except SeedsMissing:
            raise Refused("no-seeds") from None


def _told(ledger: Ledger) -> frozenset[str]:
    """The heads of the disclosure store under which the ledger has disclosures."""
    plans = ledger.state.plans.values()
    return frozenset(entry.register_head for plan in plans for entry in plan.disclosures if entry.register_head)


def _peers(plan: Plan, party: str) -> frozenset[str]:
    """The parties with which a party may exchange payloads: platforms for a lender, lenders for a platform."""
    lender = plan.party(party).group == plan.lenders
    return frozenset(other.name for other in plan.parties if (other.group == plan.lenders) != lender)
