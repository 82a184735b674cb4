"""The node as a long-lived process: it answers under every plan that its operator approved, and under no other.

A request names its plan, and is handed to the door of that plan. Doors are opened when they are first asked for: then
the data are read and checked once, and kept as tensors for the rounds to come. Data at fault are no reason to refuse,
which the server would see: such a plan is answered without records, and the operator told.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

from clients.bands import MayTell
from clients.data import DataError, in_words
from clients.lifetime import Lifetime
from clients.masks import Masks
from clients.node import Node
from clients.refused import Refused
from clients.sealed import NotApproved, SealedNode, claimed_header
from shared.crypto.identity import Card, Identity
from shared.crypto.sealing import SealError, read_info
from shared.crypto.signed_messages import SignedMessageError, is_signed, open_signed, sign_message
from shared.crypto.trust import EnrolmentError, TrustError, TrustStore, Untrusted
from shared.foreign import grouped
from shared.messages import Header, Join, MessageError, Propose, Ready, Refusal
from shared.plan import SERVER, Plan
from shared.plan_errors import PlanError
from shared.privacy.ledger import Ledger, LedgerError
from shared.privacy.register import Register, RegisterError
from shared.privacy.standing import PlanStanding
from shared.privacy.streams import StreamSource
from shared.records import Records

log = logging.getLogger("sealscore.node")

# Plans that the server proposes wait for the operator; more than these at a time are nobody's plans.
MAX_PROPOSED = 100


class Host:
    """Answers for one party under all its approved plans: a Responder.

    `load` reads the party's records under a plan, `may_tell` is what its operator lets be told of protected attributes,
    `secret` gives the secret of a run under it, and `propose` keeps a
    plan for the operator, or says False where too many wait already. `tell` is told in words, for the operator, what
    the server learns by a code only.
    """

    def __init__(
        self,
        identity: Identity,
        trust: TrustStore,
        ledger: Ledger,
        register: Register,
        labels: StreamSource,
        load: Callable[[Plan], Records],
        secret: Callable[[Plan], StreamSource] = lambda plan: StreamSource.system(),
        propose: Callable[[Plan], bool] = lambda plan: False,
        tell: Callable[[str], None] = log.warning,
        may_tell: MayTell = MayTell(),  # noqa: B008 - frozen
    ) -> None:
        self.name = identity.name
        self._may_tell = may_tell
        self._identity, self._trust, self._ledger = identity, trust, ledger
        self._labels, self._register = labels, register
        self._load, self._secret, self._propose, self._tell = load, secret, propose, tell
        self._doors: dict[str, SealedNode] = {}
        self._nodes: dict[str, Node] = {}
        self._faulty: set[str] = set()
        self._lock = threading.RLock()

    def answer(self, request: bytes) -> bytes:
        """Answer one request; a refusal is signed and holds a code.

        Only what the trusted server signed for this party, to join a run, opens a door: nothing is read for others.
        """
        signed = is_signed(request)
        try:
            plan = self._plan_of(request, signed)
            if plan is None:
                return self._proposal(request)
        except (SealError, SignedMessageError, MessageError):
            return self._refuse(request, "", "seal")
        except Refused as refusal:
            return self._refuse(request, "", refusal.code)
        except TrustError as error:
            self._tell(f"{self.name} answers nothing: {error}")
            return self._refuse(request, "", "unavailable")
        with self._lock:
            try:
                door = self._door(plan, signed)
            except (NotApproved, Refused, Untrusted, EnrolmentError) as error:
                self._tell(f"{self.name} answers nothing under plan {grouped(plan)}: {error}")
                return self._refuse(request, plan, "not-approved")
            except (LedgerError, RegisterError, TrustError) as error:
                self._tell(f"{self.name} cannot answer under plan {grouped(plan)}: {error}")
                return self._refuse(request, plan, "unavailable")
        return self._refuse(request, plan, "not-joined") if door is None else door.answer(request)

    def reload(self) -> Mapping[str, int]:
        """Read the data anew for every open plan; returns the number of records by plan.

        Raises:
            DataError: they cannot be used; every plan goes on with those that it had.
        """
        with self._lock:
            fresh = {plan: in_words(self._load, node.plan) for plan, node in self._nodes.items()}
            for plan, records in fresh.items():
                self._nodes[plan].reload(records)
                self._faulty.discard(plan)
            return {plan: len(records) for plan, records in fresh.items()}

    def close(self) -> None:
        """Close every door: keys are destroyed, and open blocks noted; one that cannot be counts as given whole."""
        with self._lock:
            for plan, door in self._doors.items():
                try:
                    door.close()
                except LedgerError as error:
                    self._tell(f"{self.name} cannot note what is left of a block of plan {grouped(plan)}: {error}")
            self._doors, self._nodes = {}, {}

    def _plan_of(self, request: bytes, signed: bool) -> str | None:
        """The hash of the plan that a request names, unchecked unless it is signed; None where a plan is proposed."""
        if not signed:
            return read_info(request).plan
        message = open_signed(request, self._servers(), Join, Propose)
        if message.header.recipient != self.name:
            raise Refused("other-plan")
        return message.header.plan if isinstance(message, Join) else None

    def _servers(self) -> dict[str, Card]:
        server = self._trust.cards.get(SERVER)
        return {} if server is None else {SERVER: server}

    def _door(self, hash: str, may_open: bool) -> SealedNode | None:
        """The open door of a plan, as long as the operator neither revokes it nor forgets a card of it.

        One that is closed is opened if it may be; else there is none.
        """
        standing = self._ledger.standing.plans.get(hash)
        door = self._doors.get(hash)
        try:
            if standing is None or standing.state == "revoked":
                raise Refused("not-approved")
            if door is None:
                return self._open(standing) if may_open else None
            self._trust.check(standing.plan.cards.values(), self._identity)
            return door
        except (Refused, Untrusted):
            if door is not None:
                del self._doors[hash], self._nodes[hash]
                door.close()
            raise

    def _open(self, standing: PlanStanding) -> SealedNode:
        if standing.state != "live":
            raise Refused("not-approved")
        plan = standing.plan
        if found := self._may_tell.obstacles(plan, self.name):
            raise NotApproved("; ".join(found))
        masks = Masks(len(plan.members(plan.party(self.name).group)) == 1)
        lifetime = Lifetime.of(self._labels, self._register, self._signal_bits(), self._may_tell.bits)
        records = self._records(plan)
        node = Node(plan, self.name, records, self._secret(plan), masks, lifetime, self._ledger, self._tell)
        door = SealedNode(node, masks, self._identity, self._trust)
        self._nodes[plan.hash], self._doors[plan.hash] = node, door
        return door

    def _records(self, plan: Plan) -> Records:
        """The records under a plan, none where they are at fault: no code of this node depends on its data.

        The server chooses the bounds and levels of a plan, and when it is opened; that the data do not pass must be no
        answer to it. Data are checked before a plan is approved, and when the node starts.
        """
        try:
            records = in_words(self._load, plan)
        except DataError as error:
            self._faulty.add(plan.hash)
            self._tell(
                f"{self.name} ANSWERS WITHOUT RECORDS under plan {plan.name}, {grouped(plan.hash)}: its data cannot be "
                f"used. Mend them and have them read anew (sealscore-node reload), or revoke the plan: {error}"
            )
            return Records.none(plan.groups[plan.party(self.name).group].table)
        self._faulty.discard(plan.hash)
        return records

    @property
    def without_data(self) -> tuple[str, ...]:
        """The names of open plans that are answered as if there were no records, since the data are at fault."""
        return tuple(sorted(node.plan.name for plan, node in list(self._nodes.items()) if plan in self._faulty))

    def _signal_bits(self) -> int:
        ceilings = self._ledger.standing.ceilings
        return ceilings.signal_bits if ceilings is not None else 0

    def _proposal(self, request: bytes) -> bytes:
        message = open_signed(request, self._servers(), Propose)
        header = Header(message.header.plan, "", "", 0, 0, self.name, SERVER)
        try:
            plan = Plan.from_canonical(message.text)
            plan.party(self.name)
        except (PlanError, KeyError):
            return sign_message(Refusal(header, "other-plan"), self._identity)
        if not self._propose(plan):
            return sign_message(Refusal(header, "too-many-plans"), self._identity)
        return sign_message(Ready(header), self._identity)

    def _refuse(self, request: bytes, plan: str, code: str) -> bytes:
        return sign_message(Refusal(claimed_header(request, plan, self.name), code), self._identity)
