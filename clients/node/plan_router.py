"""The node as a long-lived process: it answers under every plan that its operator approved, and under no other.

A request names its plan, and is handed to the door of that plan. Doors are opened when they are first asked for: then
the data are read and checked once, and kept as tensors for the rounds to come. Data at fault are no reason to refuse,
which the server would see: such a plan is answered without records, and the operator informed.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial

from sealscore.clients.data import DataError, Given, in_words
from sealscore.clients.node.admission import NotApproved
from sealscore.clients.node.alignment_progress import AlignmentProgress
from sealscore.clients.node.node import Node
from sealscore.clients.node.sealed import SealedNode, answering, is_over, masks_of
from sealscore.clients.roles.bands import MayTell
from sealscore.clients.roles.errors import Refused
from sealscore.clients.roles.lifetime import Lifetime, TokenLevels
from sealscore.clients.scoring.daily import reason_of
from sealscore.shared.crypto.sealing import (
    SealError,
    SignedMessageError,
    claimed_address,
    is_signed,
    open_signed,
    sign_message,
)
from sealscore.shared.identity.identity import Card, Identity
from sealscore.shared.identity.trust import EnrolmentError, TrustError, TrustStore, Untrusted
from sealscore.shared.ledger.disclosure_store import DisclosureStore, DisclosureStoreError
from sealscore.shared.ledger.entries import Settle
from sealscore.shared.ledger.ledger import Ledger, LedgerError
from sealscore.shared.ledger.state import LedgerFault, LedgerState, PlanState
from sealscore.shared.messages.codec import Address, MessageError
from sealscore.shared.messages.messages import Join, Propose, ProposeRelease, Ready, Refusal, Relay, Relayed
from sealscore.shared.persons.consent import FEDERATION
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import SERVER, Plan
from sealscore.shared.randomness.streams import StreamSource
from sealscore.shared.text.foreign import grouped

log = logging.getLogger("sealscore.node")

# Plans that the server proposes wait for the operator; more than these at a time are nobody's plans.
MAX_PROPOSED = 100


class PlanRouter:
    """Answers for one party under all its approved plans: a Responder.

    `load` reads the party's records under a plan, and `given` by themselves who is in the data and the consents;
    `may_tell` is what its operator allows to be disclosed of protected attributes. `secret` gives the secret of a run
    under a plan, and `propose` keeps one for the operator, or returns False where too many wait already;
    `propose_release` keeps a release, or raises Refused; without it none is taken. `relay` takes what partners sent for
    scoring, and gives what this party sends; without it there is nothing of that. `token_levels` are levels that a
    lender keeps of tokens for retraining. `tell` gets in words, for the operator, what the server learns by a code.
    """

    def __init__(
        self,
        identity: Identity,
        trust: TrustStore,
        ledger: Ledger,
        disclosure_store: DisclosureStore,
        labels: StreamSource,
        load: Callable[[Plan], Records],
        secret: Callable[[Plan], StreamSource] = lambda plan: StreamSource.system(),
        propose: Callable[[Plan], bool] = lambda plan: False,
        propose_release: Callable[[ProposeRelease], None] | None = None,
        relay: Callable[[Mapping[str, bytes]], Mapping[str, bytes]] | None = None,
        tell: Callable[[str], None] = log.warning,
        clock: Callable[[], float] = time.time,
        may_tell: MayTell = MayTell(),  # noqa: B008 - frozen
        given: Callable[[Plan], Given] | None = None,
        token_levels: TokenLevels | None = None,
    ) -> None:
        self._given, self._token_levels = given, token_levels
        self.name = identity.name
        self._may_tell = may_tell
        self._identity, self._trust, self._ledger = identity, trust, ledger
        self._labels, self._disclosure_store = labels, disclosure_store
        self._load, self._secret, self._tell, self._clock = load, secret, tell, clock
        self._propose, self._propose_release, self._relay = propose, propose_release, relay
        self._doors: dict[str, SealedNode] = {}
        self._nodes: dict[str, Node] = {}
        self._faulty: set[str] = set()
        self._lock = threading.RLock()

    def answer(self, request: bytes) -> bytes:
        """Answer one request; a refusal is signed and contains a code.

        Only what the trusted server signed for this party, to join a run, opens a door: nothing is read for others.
        """
        signed = is_signed(request)
        try:
            plan = self._asked(request, signed)
            if not isinstance(plan, str):
                return self._relayed(plan) if isinstance(plan, Relay) else self._proposal(plan)
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
                return self._refuse(request, plan, "expired" if self._is_over(plan) else "not-approved")
            except (LedgerError, DisclosureStoreError, TrustError) as error:
                self._tell(f"{self.name} cannot answer under plan {grouped(plan)}: {error}")
                return self._refuse(request, plan, "unavailable")
        return self._refuse(request, plan, "not-joined") if door is None else door.answer(request)

    def reload(self) -> Mapping[str, int]:
        """Reload the data for every open plan; returns the number of records by plan.

        A plan under which they are at fault keeps the records that it had, less those whose persons are no longer in
        the data or no longer consent. The operator learns what happened under which plan.

        Raises:
            DataError: under some plans the data are at fault; under all others they were reloaded.
            LedgerError: the ledger cannot be written; records were reloaded all the same.
            DisclosureStoreError: the same of the disclosure store.
        """
        with self._lock:
            fresh: dict[str, Records] = {}
            faulty: dict[str, DataError] = {}
            for plan, node in self._nodes.items():
                try:
                    fresh[plan] = in_words(self._load, node.plan)
                except DataError as error:
                    faulty[plan] = error
            # Those first: in the end the disclosure store has the consents of a whole table, if there is one.
            work = [partial(self._heed, self._nodes[plan], error) for plan, error in faulty.items()]
            work += [partial(self._nodes[plan].reload, records) for plan, records in fresh.items()]
            failed = [fault for one in work if (fault := _failure(one))]
            self._faulty -= fresh.keys()
            if failed:
                raise failed[0]
            if faulty:
                for plan, records in fresh.items():
                    self._tell(f"{self.name} has reloaded {len(records)} records under plan {grouped(plan)}")
                raise DataError([problem for error in faulty.values() for problem in error.problems])
            return {plan: len(records) for plan, records in fresh.items()}

    def _heed(self, node: Node, fault: DataError) -> None:
        """Use of a plan's records no more than persons and consents allow that are read by themselves."""
        had, where = node.role.records, f"under plan {node.plan.name}, {grouped(node.plan.hash)}"
        try:
            if self._given is None:
                raise fault
            given = in_words(self._given, node.plan)
        except DataError as error:
            self._tell(
                f"{self.name} DOES NOT SEE WITHDRAWALS {where}: the data cannot be read, not even who is in them, so "
                f"it keeps using all the records that it had. Fix the data and reload them (sealscore-node reload), "
                f"or revoke the plan: {error}"
            )
            return
        left = given.left_of(had)
        node.reload(left, given.records if given.fault is None else left)
        before, after = (int(part.live(FEDERATION, node.plan.purpose_code).sum()) for part in (had, left))
        unseen = (
            "" if given.fault is None else f" WITHDRAWALS ARE NOT SEEN, since consents cannot be read: {given.fault}."
        )
        self._tell(
            f"{self.name} continues {where} with {after} of the {before} records that were in sums, those that are "
            f"still in the data and consented to; new ones wait until the data are fixed.{unseen} Fault: {fault}"
        )

    def look(self) -> None:
        """End what is over though nobody asks: plans after their last day, and the doors of those that were revoked.

        Their keys are destroyed and their records let go.

        Raises:
            LedgerError: the ledger cannot be read or written; what is over is ended by a later look.
        """
        with self._lock:
            state, now = self._ledger.state, self._clock()
            for plan in [one.plan for one in state.live if is_over(one.plan, now)]:
                if door := self._let_go(plan.hash):
                    door.lapse()
                else:
                    # Revoked by another process in between, it has ended as well.
                    with contextlib.suppress(LedgerFault):
                        self._ledger.append(partial(_expired, plan.hash))
            for hash in [hash for hash in self._doors if state.plans[hash].state == "revoked"]:
                if door := self._let_go(hash):
                    door.close()

    def close(self) -> None:
        """Close every door: keys are destroyed, and open blocks noted; one that cannot be counts as given whole."""
        with self._lock:
            for plan, door in self._doors.items():
                try:
                    door.close()
                except LedgerError as error:
                    self._tell(f"{self.name} cannot note what is left of a block of plan {grouped(plan)}: {error}")
            self._doors, self._nodes = {}, {}

    def _asked(self, request: bytes, signed: bool) -> str | Propose | ProposeRelease | Relay:
        """The hash of the plan that a request names, unchecked unless it is signed; or what is proposed or relayed."""
        if not signed:
            return claimed_address(request).plan
        kinds = (Join, Propose, ProposeRelease, Relay)
        message: Join | Propose | ProposeRelease | Relay = open_signed(request, self._servers(), *kinds)
        if message.header.recipient != self.name:
            raise Refused("other-plan")
        return message.header.plan if isinstance(message, Join) else message

    def _servers(self) -> dict[str, Card]:
        server = self._trust.cards.get(SERVER)
        return {} if server is None else {SERVER: server}

    def _door(self, hash: str, may_open: bool) -> SealedNode | None:
        """The open door of a plan, as long as the operator neither revokes it nor forgets a card of it.

        One that is closed is opened if it may be; else there is none.
        """
        state = self._ledger.state.plans.get(hash)
        door = self._doors.get(hash)
        try:
            if state is None or state.state == "revoked":
                raise Refused("not-approved")
            if door is None:
                return self._open(state) if may_open else None
            self._trust.check(state.plan.cards.values(), self._identity)
            return door
        except (Refused, Untrusted):
            if door := self._let_go(hash):
                door.close()
            raise

    def _let_go(self, hash: str) -> SealedNode | None:
        """Forget the node of a plan with its records; its door, where there is one."""
        self._nodes.pop(hash, None)
        return self._doors.pop(hash, None)

    def _is_over(self, hash: str) -> bool:
        state = self._ledger.state.plans.get(hash)
        return state is not None and is_over(state.plan, self._clock())

    def _open(self, state: PlanState) -> SealedNode:
        if state.state != "live":
            raise Refused("not-approved")
        plan = state.plan
        if found := self._may_tell.obstacles(plan, self.name):
            raise NotApproved("; ".join(found))
        masks = masks_of(plan, self.name)
        bits, levels = self._may_tell.bits, self._token_levels
        lifetime = Lifetime.of(self._labels, self._disclosure_store, self._signal_bits, bits, levels)
        records = self._records(plan)
        progress = AlignmentProgress(log.info)
        node = Node(plan, self.name, records, self._secret(plan), masks, lifetime, self._ledger, self._tell, progress)
        if plan.hash in self._faulty and self._given is not None:
            # Peers keep what they received: they hear of withdrawals all the same, if these can be read.
            with contextlib.suppress(DataError):
                given = in_words(self._given, plan)
                node.reload(records, given.records if given.fault is None else None)
        door = SealedNode(node, masks, self._identity, self._trust, self._clock)
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
                f"used. Fix them and reload them (sealscore-node reload), or revoke the plan: {error}"
            )
            return Records.none(plan.groups[plan.party(self.name).group].table)
        self._faulty.discard(plan.hash)
        return records

    @property
    def without_data(self) -> tuple[str, ...]:
        """The names of open plans that are answered as if there were no records, since the data are at fault."""
        return tuple(sorted(node.plan.name for plan, node in list(self._nodes.items()) if plan in self._faulty))

    def _signal_bits(self) -> int:
        ceilings = self._ledger.state.ceilings
        return ceilings.signal_bits if ceilings is not None else 0

    def _proposal(self, message: Propose | ProposeRelease) -> bytes:
        header = Address(message.header.plan, "", "", 0, 0, self.name, SERVER)
        try:
            self._keep(message)
        except Refused as refusal:
            return sign_message(Refusal(header, refusal.code), self._identity)
        except (LedgerError, OSError) as error:
            self._tell(f"{self.name} cannot keep what the server proposes: {error}")
            return sign_message(Refusal(header, "unavailable"), self._identity)
        return sign_message(Ready(header), self._identity)

    def _relayed(self, message: Relay) -> bytes:
        header = message.header.reply()
        try:
            parcels = self._relay(message.parcels) if self._relay is not None else {}
        except Exception as error:
            # Nothing that fails here may end the node, or reach the server in words.
            self._tell(f"{self.name} cannot take or give the day's batches: {reason_of(error)}")
            return sign_message(Refusal(header, "unavailable"), self._identity)
        return sign_message(Relayed(header, dict(parcels)), self._identity)

    def _keep(self, message: Propose | ProposeRelease) -> None:
        """Keep for the operator what is proposed; Refused where it is not."""
        if isinstance(message, ProposeRelease):
            if self._propose_release is None:
                raise Refused("too-many-releases")
            self._propose_release(message)
            return
        try:
            plan = Plan.from_canonical(message.text)
            plan.party(self.name)
        except (PlanError, KeyError):
            raise Refused("other-plan") from None
        if not self._propose(plan):
            raise Refused("too-many-plans")

    def _refuse(self, request: bytes, plan: str, code: str) -> bytes:
        return sign_message(Refusal(answering(request, plan, self.name), code), self._identity)


def _expired(plan: str, state: LedgerState) -> Settle:
    return Settle(plan=plan, why="expired")


def _failure(work: Callable[[], None]) -> LedgerError | DisclosureStoreError | None:
    """Do it; what cannot be written is given, so that the rest is done first."""
    try:
        work()
    except (LedgerError, DisclosureStoreError) as error:
        return error
    return None
