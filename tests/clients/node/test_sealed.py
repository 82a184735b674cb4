"""The door of a node: under which plans it opens, and what it refuses before anything is charged."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import BIN, LENDERS, RUN, small_federation, small_plan, small_records
from doubles import DirectExchange
from ledgers import ledger_of

from sealscore.clients.node.admission import NotApproved
from sealscore.clients.node.node import Node
from sealscore.clients.node.plan_ledger import approve
from sealscore.clients.node.sealed import CLOCK_SECONDS, SealedNode
from sealscore.clients.roles.lifetime import Lifetime
from sealscore.server.transport.sealed import SealedExchange
from sealscore.shared.crypto.aggregation import MaskedSum
from sealscore.shared.crypto.sealing import (
    PlanKeys,
    is_signed,
    open_signed,
    peer_key,
    seal_message,
    sign_message,
    unseal_message,
)
from sealscore.shared.identity.identity import Identity
from sealscore.shared.identity.trust import TrustStore, Untrusted
from sealscore.shared.ledger.entries import Ceilings, Identify
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.messages.codec import Address, decode_body, encode_body
from sealscore.shared.messages.messages import (
    Answered,
    Asked,
    Deliver,
    Hello,
    Introduce,
    Join,
    Joined,
    Offered,
    Ready,
    Refusal,
    SumAnswer,
    SumRequest,
)
from sealscore.shared.plan.plan import SERVER, Plan
from sealscore.shared.randomness.streams import StreamSource
from sealscore.simulations.engine.enrolment import enrolled, identities
from sealscore.simulations.engine.federation import Federation

PLAN = enrolled(small_plan())
NOW = 1_700_000_000.0


class Clock:
    """A clock that a test sets."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Visit:
    """A server before one door; keeps what the node behind it charged."""

    def __init__(self, plan: Plan = PLAN, clock: Clock | None = None) -> None:
        self.plan, self.clock = plan, clock or Clock()
        self.members = identities(plan)
        self.charged: list[Any] = []
        self.masks = MaskedSum(lone=False)
        secrets = StreamSource.seeded(plan.seed, "lender-1")
        self.node = Node(
            plan,
            "lender-1",
            small_records(seed=1),
            secrets,
            self.masks,
            Lifetime.fresh(secrets),
            ledger_of(plan, "lender-1", lambda header, event: self.charged.append(event)),
        )
        self.keys = PlanKeys.generate(self.members[SERVER], plan.hash)
        self.reopen()

    def reopen(self) -> None:
        trust = TrustStore.simulated(self.plan.cards.values())
        self.door = SealedNode(self.node, self.masks, self.members["lender-1"], trust, self.clock)

    def header(self, phase: str = "join", round: int = 0, attempt: int = 1, **changes: Any) -> Address:
        plain = Address(self.plan.hash, RUN, phase, round, attempt, SERVER, "lender-1")
        return dataclasses.replace(plain, **changes)

    def signed(self, message: Any) -> Any:
        raw = self.door.answer(sign_message(message, self.members[SERVER]))
        return open_signed(raw, {"lender-1": self.plan.cards["lender-1"]}, Joined, Refusal)

    def join(self, epoch: int = 1, time: float = NOW, **changes: Any) -> Any:
        reply = self.signed(Join(self.header(attempt=epoch, **changes), self.keys.certificate, int(time), ()))
        if isinstance(reply, Joined):
            self.key = peer_key(reply.certificate, self.plan.cards["lender-1"], self.plan.hash)
        return reply

    def seal(self, message: Any) -> bytes:
        return seal_message(message, self.members[SERVER], self.key)

    def send(self, message: Any) -> Any:
        set_up = isinstance(message, Introduce | Deliver)
        whole = message if set_up else Asked(message.header, type(message).__name__, encode_body(message), (), b"", {})
        raw, cards = self.door.answer(self.seal(whole)), {"lender-1": self.plan.cards["lender-1"]}
        if is_signed(raw):
            return open_signed(raw, cards, Refusal)
        reply = unseal_message(raw, self.keys, cards, Ready, Offered, Refusal, Answered)
        if not isinstance(reply, Answered):
            return reply
        return decode_body(reply.kind, reply.header, reply.body, Ready, SumAnswer, Refusal)

    def hello(self) -> Any:
        return self.send(Hello(self.header(BIN)))

    def ask(self) -> Any:
        return self.send(SumRequest(self.header(BIN, 1), LENDERS, np.zeros(0), {}))


def node_under(
    plan: Plan,
    secret: StreamSource | None = None,
    labels: StreamSource | None = None,
    ledger: Ledger | None = None,
) -> tuple[Node, MaskedSum]:
    masks = MaskedSum(lone=False)
    secret, labels = secret or StreamSource.system(), labels or StreamSource.system()
    life = Lifetime.fresh(labels)
    ledger = ledger or ledger_of(plan, "lender-1")
    return Node(plan, "lender-1", small_records(seed=1), secret, masks, life, ledger), masks


def real_ledger(folder: Path, plan: Plan, identity: Identity) -> Ledger:
    """A ledger in a file, as a real identity needs one, in which the plan is approved."""
    named = Identify(column="id", form="exact")
    ledger = Ledger.create(
        folder / "ledger.db", identity, "records", Ceilings(epsilon=8.0, delta=1e-5), identified=named
    )
    approve(ledger, plan)
    return ledger


def real_members(plan: Plan) -> tuple[Plan, dict[str, Identity], TrustStore]:
    """The plan with cards of real identities, and the trust of lender-1 in the others'."""
    made = {SERVER: Identity.generate(SERVER, "server")}
    made |= {party.name: Identity.generate(party.name, "lender") for party in plan.parties}
    data = plan.model_dump(mode="json")
    data["server_card"] = made[SERVER].card.text
    data["parties"] = [party | {"card": made[party["name"]].card.text} for party in data["parties"]]
    store = TrustStore()
    for name, identity in made.items():
        if name != "lender-1":
            store.trust(identity.card, identity.card.fingerprint)
    return Plan.parse(data), made, store


class TestApproval:
    def test_a_plan_without_cards(self):
        node, masks = node_under(small_plan())
        with pytest.raises(NotApproved, match="names no cards: enrol the server and every party"):
            SealedNode(node, masks, Identity.simulated(7, "lender-1", "lender"), TrustStore())

    def test_the_card_of_another(self):
        node, masks = node_under(PLAN)
        trust = TrustStore.simulated(PLAN.cards.values())
        for other in (Identity.simulated(8, "lender-1", "lender"), identities(PLAN)["lender-2"]):
            with pytest.raises(NotApproved, match="not this node's") as caught:
                SealedNode(node, masks, other, trust)
            assert PLAN.cards["lender-1"].fingerprint in str(caught.value)

    @pytest.mark.parametrize("missing", ["lender-2", SERVER])
    def test_a_card_that_is_not_trusted(self, missing: str):
        node, masks = node_under(PLAN)
        trust = TrustStore.simulated(card for name, card in PLAN.cards.items() if name != missing)
        with pytest.raises(Untrusted, match=missing) as caught:
            SealedNode(node, masks, identities(PLAN)["lender-1"], trust)
        assert PLAN.cards[missing].fingerprint in str(caught.value)

    def test_another_card_than_the_trusted_one(self):
        cards = PLAN.cards | {"lender-2": Identity.simulated(99, "lender-2", "lender").card}
        node, masks = node_under(PLAN)
        with pytest.raises(Untrusted, match="lender-2"):
            SealedNode(node, masks, identities(PLAN)["lender-1"], TrustStore.simulated(cards.values()))

    def test_a_plan_that_has_expired(self):
        today = datetime.fromtimestamp(NOW, UTC).date()
        plan = enrolled(small_plan(expires=str(today - timedelta(days=1))))
        with pytest.raises(NotApproved, match="expired on"):
            Visit(plan)
        assert isinstance(Visit(enrolled(small_plan(expires=str(today)))).join(), Joined)


class TestRealIdentity:
    """A node with real keys takes no part in what is for simulations."""

    def test_with_all_that_is_real(self, tmp_path: Path):
        plan, made, trust = real_members(small_plan())
        node, masks = node_under(plan, ledger=real_ledger(tmp_path, plan, made["lender-1"]))
        assert SealedNode(node, masks, made["lender-1"], trust).name == "lender-1"

    def test_without_a_ledger_that_outlives_it(self):
        with pytest.raises(ValueError, match="in memory is for simulations"):
            Ledger.create(None, Identity.generate("lender-1", "lender"), "records", Ceilings(epsilon=1.0, delta=1e-5))

    def test_with_the_ledger_of_another(self):
        ledger = ledger_of(PLAN, "lender-2")
        node, masks = node_under(PLAN, ledger=ledger)
        with pytest.raises(ValueError, match="the ledger of 'lender-2' is not that of 'lender-1'"):
            SealedNode(node, masks, identities(PLAN)["lender-1"], TrustStore.simulated(PLAN.cards.values()))

    @pytest.mark.parametrize(
        ("changes", "word"),
        [({"privacy__noise": "none"}, "privacy.noise"), ({"alignment": {"method": "exact"}}, "alignment.method")],
    )
    def test_plans_for_simulations(self, changes: dict[str, Any], word: str):
        plan, made, trust = real_members(small_plan(**changes))
        node, masks = node_under(plan)
        with pytest.raises(NotApproved, match=word):
            SealedNode(node, masks, made["lender-1"], trust)

    @pytest.mark.parametrize("which", ["secret", "labels"])
    def test_seeded_secrets(self, which: str):
        plan, made, trust = real_members(small_plan())
        node, masks = node_under(plan, **{which: StreamSource.seeded(1, "lender-1")})
        with pytest.raises(NotApproved, match="never from a seed"):
            SealedNode(node, masks, made["lender-1"], trust)

    @pytest.mark.parametrize("name", ["lender-2", SERVER])
    def test_a_peer_of_a_simulation(self, name: str):
        plan, made, _ = real_members(small_plan())
        fake = Identity.simulated(1, name, "server" if name == SERVER else "lender")
        data = plan.model_dump(mode="json")
        if name == SERVER:
            data["server_card"] = fake.card.text
        else:
            data["parties"][1]["card"] = fake.card.text
        plan = Plan.parse(data)
        node, masks = node_under(plan)
        with pytest.raises(NotApproved, match=f"cards of {name} are of a simulation"):
            SealedNode(node, masks, made["lender-1"], TrustStore())


class TestMasks:
    """A door and its node must mean the same masks, or sums would go out in clear."""

    def test_other_masks_than_the_nodes(self):
        trust = TrustStore.simulated(PLAN.cards.values())
        node, _ = node_under(PLAN)
        with pytest.raises(ValueError, match="not under the masks of this door"):
            SealedNode(node, MaskedSum(lone=False), identities(PLAN)["lender-1"], trust)

    def test_a_lone_party_that_is_not_alone(self):
        trust, masks = TrustStore.simulated(PLAN.cards.values()), MaskedSum(lone=True)
        secret = StreamSource.seeded(1, "lender-1")
        node = Node(
            PLAN, "lender-1", small_records(), secret, masks, Lifetime.fresh(secret), ledger_of(PLAN, "lender-1")
        )
        with pytest.raises(ValueError, match="not under the masks of this door"):
            SealedNode(node, masks, identities(PLAN)["lender-1"], trust)


class TestJoining:
    def test_in_order(self):
        visit = Visit()
        assert visit.signed(Join(visit.header(), visit.keys.certificate, int(NOW), ())).header == dataclasses.replace(
            visit.header(), sender="lender-1", recipient=SERVER
        )
        assert isinstance(visit.join(2), Joined)
        assert isinstance(visit.hello(), Ready)
        assert visit.ask().code == "no-seeds"
        assert visit.charged == []

    @pytest.mark.parametrize("hours", [-24, -1.1, 1.1, 24])
    def test_a_clock_that_is_off(self, hours: float):
        visit = Visit()
        assert visit.join(time=NOW + hours * 3600).code == "clock"
        visit.key = peer_key(visit.door._keys.certificate, visit.plan.cards["lender-1"], visit.plan.hash)
        raw = visit.door.answer(visit.seal(Hello(visit.header(BIN))))
        assert open_signed(raw, visit.plan.cards, Refusal).code == "not-joined"
        assert visit.charged == []
        assert isinstance(visit.join(time=NOW + np.sign(hours) * (CLOCK_SECONDS - 1)), Joined)

    def test_a_plan_that_expires_on_the_way(self):
        clock = Clock()
        expires = datetime.fromtimestamp(NOW, UTC).date()
        visit = Visit(enrolled(small_plan(expires=str(expires))), clock)
        assert isinstance(visit.join(), Joined)
        clock.now = datetime.combine(expires + timedelta(days=1), datetime.min.time(), UTC).timestamp() - 1
        assert isinstance(visit.hello(), Ready)
        clock.now += 1
        assert visit.hello().code == "expired"
        assert visit.ask().code == "expired"
        assert visit.join(2, clock.now).code == "expired"
        assert visit.charged == []

    def test_what_is_not_of_this_run_or_epoch(self):
        visit = Visit()
        assert visit.join(plan="0" * 64).code == "other-plan"
        assert visit.join(recipient="lender-2").code == "other-plan"
        assert visit.join(0).code == "out-of-order"
        assert isinstance(visit.join(3), Joined)
        for epoch in (-1, 2, 3):
            assert visit.join(epoch).code == "out-of-order"
        assert visit.join(4, run="run-2").code == "plan-has-run"

    def test_introductions_and_offers_only_in_their_epoch_and_once(self):
        visit = Visit()
        visit.join(2)
        assert visit.send(Deliver(visit.header(attempt=2), ())).code == "out-of-order"
        for header in (visit.header(attempt=1), visit.header(attempt=3), visit.header(attempt=2, run="run-2")):
            assert visit.send(Introduce(header, {}, ())).code == "out-of-order"
        assert isinstance(visit.send(Introduce(visit.header(attempt=2), {}, ())), Offered)
        assert isinstance(visit.send(Deliver(visit.header(attempt=2), ())), Ready)
        assert visit.send(Deliver(visit.header(attempt=2), ())).code == "out-of-order"
        # Nobody's seeds have come, so there is no cohort to answer in.
        assert visit.ask().code == "no-seeds"
        assert visit.charged == []

    def test_certificates_that_are_none(self):
        visit = Visit()
        visit.join()
        true = PlanKeys.generate(visit.members["lender-2"], PLAN.hash).certificate
        wrong = [
            b"",
            true[:-1],
            true + b"\0",
            PlanKeys.generate(visit.members["lender-3"], PLAN.hash).certificate,
            PlanKeys.generate(visit.members["lender-2"], "0" * 64).certificate,
            PlanKeys.generate(Identity.generate("lender-2", "lender"), PLAN.hash).certificate,
        ]
        for certificate in wrong:
            assert visit.send(Introduce(visit.header(), {"lender-2": certificate}, ())).code == "seal"
        assert isinstance(visit.send(Introduce(visit.header(), {"lender-2": true, "stranger": b""}, ())), Offered)

    def test_requests_of_another_run(self):
        visit = Visit()
        visit.join()
        other = visit.header(BIN, 1, run="run-2")
        for message in (Hello(other), SumRequest(other, LENDERS, np.zeros(0), {})):
            assert visit.send(message).code == "plan-has-run"
        # Nor does the node behind the door take the other run for its own.
        assert isinstance(visit.hello(), Ready)
        assert visit.charged == []

    @pytest.mark.parametrize("offer", [b"", b"\0" * 100, b"\xff" * 4])
    def test_offers_that_are_none(self, offer: bytes):
        visit = Visit()
        visit.join()
        visit.send(Introduce(visit.header(), {}, ()))
        assert visit.send(Deliver(visit.header(), (offer,))).code == "seal"
        assert visit.charged == []


class TestRefusals:
    @pytest.mark.parametrize("raw", [b"", b"\0", b"\xff" * 400, bytes(5000), b"sealscore signed message 1"])
    def test_bytes_that_are_nothing(self, raw: bytes):
        visit = Visit()
        for joined in (False, True):
            if joined:
                visit.join()
            reply = open_signed(visit.door.answer(raw), visit.plan.cards, Refusal)
            assert reply.code == ("seal" if joined else "not-joined")
            assert reply.header == Address(PLAN.hash, "", "", 0, 0, "lender-1", SERVER)
        assert visit.charged == []

    def test_one_holds_a_header_and_a_code_and_nothing_else(self):
        replies = []
        for seed in (1, 2):
            visit = Visit()
            visit.node.role._records = small_records(50 * seed, seed=seed)
            visit.join()
            replies.append(visit.door.answer(visit.seal(Hello(visit.header(BIN)))[:-1]))
        bodies = [open_signed(raw, PLAN.cards, Refusal) for raw in replies]
        assert bodies[0] == bodies[1]
        assert set(vars(bodies[0])) == {"header", "code"}

    def test_the_same_message_of_another_sender(self):
        visit = Visit()
        visit.join()
        request = SumRequest(visit.header(BIN, 1, sender="lender-2"), LENDERS, np.zeros(0), {})
        raw = visit.door.answer(seal_message(request, visit.members["lender-2"], visit.key))
        assert open_signed(raw, PLAN.cards, Refusal).code == "seal"
        assert visit.charged == []

    def test_a_message_that_only_parties_send(self):
        visit = Visit()
        visit.join()
        assert visit.send(Ready(visit.header(BIN))).code == "seal"


class TestClosing:
    def test_nothing_is_answered_any_more(self):
        visit = Visit()
        visit.join()
        assert isinstance(visit.hello(), Ready)
        visit.door.close()
        assert visit.hello().code == "closed"
        assert visit.ask().code == "closed"
        assert visit.join(2).code == "closed"
        assert visit.charged == []
        visit.door.close()

    def test_the_keys_and_seeds_are_gone(self):
        federation = Federation.of(small_plan(), small_federation())
        exchange = DirectExchange(federation.doors)
        server = SealedExchange(exchange, federation.plan, RUN, identities(federation.plan)[SERVER])
        header = Address(federation.plan.hash, RUN, BIN, 1, 1, SERVER, "lender-1")
        request = SumRequest(header, LENDERS, np.zeros(0), {})
        assert isinstance(server.ask({"lender-1": request})["lender-1"], SumAnswer)
        door = federation.doors["lender-1"]
        seeds = door._seeds
        kept = [*seeds._own.values(), *seeds._theirs.values()]
        assert all(any(seed) for seed in kept)
        door.close()
        assert not any(any(seed) for seed in kept)
        assert door._keys._private is None
        assert not door._masks.ready(LENDERS)
        assert server.ask({"lender-1": request})["lender-1"].code == "closed"


def test_a_door_with_fresh_keys_before_the_same_node():
    """As after a restart: earlier messages are refused, and the run goes on with a later epoch."""
    visit = Visit()
    visit.join()
    early = visit.seal(Hello(visit.header(BIN)))
    visit.reopen()
    assert visit.hello().code == "not-joined"
    assert isinstance(visit.join(2), Joined)
    assert isinstance(visit.hello(), Ready)
    assert open_signed(visit.door.answer(early), PLAN.cards, Refusal).code == "seal"
