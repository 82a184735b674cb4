"""A node, its door and its host, fed everything: each request gets bytes back, and what is no answer is a known code.

A server that means ill signs and seals what it likes, so most examples are well signed and odd within.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import msgpack
import numpy as np
import pytest
from builders import (
    BIN,
    CALIBRATE,
    EVALUATE,
    LENDERS,
    TRAIN,
    binning_of,
    mechanisms,
    small_plan,
    small_records,
    weights_of,
)
from doubles import Talk
from hypothesis import example, given
from hypothesis import strategies as st
from ledgers import ledger_of
from mutations import ODD, altered, fuzz, limits, noise
from paths import ROOT
from vertical import ALIGN, LABELS, LENDER, PLATFORM, SIGNAL, vertical_records
from vertical import vertical_plan as vertical

from sealscore.clients.inbox.releases import ReleaseInbox
from sealscore.clients.node.node import Node
from sealscore.clients.node.plan_ledger import approve
from sealscore.clients.node.plan_router import PlanRouter
from sealscore.clients.node.sealed import SealedNode
from sealscore.clients.roles.lifetime import Lifetime
from sealscore.clients.setup.node_dir import NodeDir
from sealscore.clients.setup.serving_dir import ServingDir
from sealscore.shared.crypto.aggregation import MaskedSum, PlainSum
from sealscore.shared.crypto.sealing import (
    PlanKeys,
    is_signed,
    open_signed,
    peer_key,
    seal,
    sign_message,
    unseal_message,
)
from sealscore.shared.fields import pack_fields
from sealscore.shared.identity.trust import TrustStore
from sealscore.shared.ledger.chain import Head
from sealscore.shared.ledger.disclosure_store import DisclosureStore
from sealscore.shared.messages.codec import Address, decode, digest, encode, encode_body
from sealscore.shared.messages.messages import (
    Answered,
    Asked,
    Deliver,
    Hello,
    Introduce,
    Join,
    Joined,
    Offered,
    PairAnswer,
    PairRequest,
    Propose,
    ProposeRelease,
    Publish,
    Ready,
    Refusal,
    Relay,
    Relayed,
    Stored,
    SumAnswer,
    SumRequest,
)
from sealscore.shared.plan.plan import SERVER
from sealscore.shared.randomness.streams import StreamSource
from sealscore.simulations.engine.enrolment import enrolled, identities

RUN, NOW = "run-1", 1_800_000_000
ERRORS = (ROOT / "docs" / "errors.md").read_text("utf-8")
PLAN = small_plan()
BINS = binning_of(PLAN, small_records(seed=1))
PARTS = {"bins": digest(BINS.to_bytes())}


def known(reply: Any) -> None:
    """A refusal's code is one that the errors' page explains."""
    if isinstance(reply, Refusal):
        assert f"`{reply.code}`" in ERRORS, reply.code


def header(phase: str = BIN, round: int = 1, attempt: int = 1, plan: Any = PLAN, party: str = "lender-1") -> Address:
    """A header as the server writes it."""
    return Address(plan.hash, RUN, phase, round, attempt, SERVER, party)


REQUESTS: list[Any] = [
    Hello(header()),
    Publish(header(), "bins", BINS.to_bytes()),
    SumRequest(header(), LENDERS, np.zeros(0), {}),
    SumRequest(header(TRAIN), LENDERS, weights_of(PLAN, BINS), PARTS),
    SumRequest(header(CALIBRATE), LENDERS, weights_of(PLAN, BINS), PARTS),
    SumRequest(header(EVALUATE), LENDERS, weights_of(PLAN, BINS), PARTS),
    PairRequest(header("align:video"), "app-1", b"", {}),
]
PLAIN = [msgpack.unpackb(encode(request)) for request in REQUESTS]


def answered(node: Node, request: bytes, told: list[str]) -> None:
    """What a node says to a request: a reply, or a refusal of a known code; never what it did not foresee."""
    with limits(seconds=20, memory=256 * 2**20):
        reply = decode(node.answer(request), Ready, Stored, SumAnswer, PairAnswer, Refusal)
    known(reply)
    unforeseen = [words for words in told if "failed in" in words]
    told.clear()
    assert not unforeseen


def test_a_node():
    talk = Talk(PLAN)
    assert mechanisms(PLAN).noise_multipliers  # solved before the clock runs
    talk.publish()

    def ask(request: bytes) -> None:
        answered(talk.node, request, talk.told)

    fuzz(100)(given(noise([encode(request) for request in REQUESTS]))(ask))()
    fuzz(400)(given(altered(PLAIN).map(packed))(ask))()
    huge = st.sampled_from([0.0, 1e308, -1e308, 5e-324, np.nan, np.inf, 1e6])
    weights = st.lists(huge, min_size=len(weights_of(PLAN, BINS)), max_size=len(weights_of(PLAN, BINS)))
    attempts = iter(range(2, 10_000))

    def train(values: list[float]) -> None:
        ask(encode(SumRequest(header(TRAIN, 1, next(attempts)), LENDERS, np.array(values), PARTS)))

    fuzz(30)(given(weights)(train))()


def packed(plain: Any) -> bytes:
    """Bytes of plain data, empty where msgpack has none."""
    try:
        return bytes(msgpack.packb(plain))
    except (ValueError, OverflowError):
        return b""


PAIRS = vertical()


@pytest.mark.parametrize("party", [LENDER, PLATFORM])
def test_a_node_of_a_pair(party: str):
    told: list[str] = []
    lifetime = Lifetime.of(StreamSource.seeded(7, f"{party} labels"), DisclosureStore())
    records, source = vertical_records(PAIRS)[party], StreamSource.seeded(7, party)
    node = Node(PAIRS, party, records, source, PlainSum(), lifetime, ledger_of(PAIRS, party), told.append)
    peer = PLATFORM if party == LENDER else LENDER
    steps = [
        PairRequest(header(phase, step, 1, PAIRS, party), peer, body, {})
        for phase in (ALIGN, LABELS, SIGNAL)
        for step in (1, 2, 3, 4)
        for body in (b"", b"\0" * 32, bytes(range(256)) * 64)
    ]
    for request in steps[:4]:
        answered(node, encode(request), told)
    plain = [msgpack.unpackb(encode(request)) for request in steps]
    fuzz(300)(given(altered(plain).map(packed))(lambda request: answered(node, request, told)))()


class Door:
    """A door with a server that has joined; opened anew whenever it has closed."""

    def __init__(self) -> None:
        self.plan = enrolled(PLAN)
        self.members = identities(self.plan)
        self.server, self.party = self.members[SERVER], self.members["lender-1"]
        self.keys = PlanKeys.generate(self.server, self.plan.hash)
        self.others = {name: PlanKeys.generate(self.members[name], self.plan.hash) for name in LENDERS[1:]}
        self.told: list[str] = []
        self.epoch = 1
        self.open()

    def open(self) -> None:
        self.masks = MaskedSum(lone=False)
        source = StreamSource.seeded(7, "lender-1")
        ledger = ledger_of(self.plan, "lender-1", identity=self.party)
        node = Node(
            self.plan,
            "lender-1",
            small_records(seed=1),
            source,
            self.masks,
            Lifetime.fresh(source),
            ledger,
            self.told.append,
        )
        trust = TrustStore.simulated(self.plan.cards.values())
        self.door = SealedNode(node, self.masks, self.party, trust, lambda: NOW)
        self.epoch = 1
        self.certificate = self.ask(sign_message(self.joining(), self.server)).certificate
        self.key = peer_key(self.certificate, self.party.card, self.plan.hash)

    def header(self, attempt: int = 1) -> Address:
        return header("join", 0, attempt, self.plan)

    def joining(self) -> Join:
        return Join(self.header(self.epoch), self.keys.certificate, NOW, ())

    def introducing(self) -> Introduce:
        certificates = {name: keys.certificate for name, keys in self.others.items()}
        return Introduce(self.header(), certificates | {"lender-1": self.certificate}, ())

    def ask(self, request: bytes) -> Any:
        """The reply to a request, whatever it is: opened, of a known code where it is a refusal."""
        with limits(seconds=20, memory=256 * 2**20):
            raw = self.door.answer(request)
        cards = {"lender-1": self.party.card}
        if is_signed(raw):
            reply: Any = open_signed(raw, cards, Joined, Refusal)
        else:
            reply = unseal_message(raw, self.keys, cards, Ready, Offered, Refusal, Answered)
        known(reply)
        assert not [words for words in self.told if "failed in" in words], self.told
        if isinstance(reply, Refusal) and reply.code in ("closed", "ledger-behind", "expired"):
            self.open()
        return reply

    def seal(self, kind: str, body: bytes, at: Address) -> bytes:
        """A message of the server: well sealed, whatever is in it."""
        return seal(at, kind, body, self.server, self.key)


@pytest.fixture(scope="module")
def door() -> Door:
    return Door()


def bodies(message: Any) -> Any:
    """The fields of a message as plain data, without its header."""
    return msgpack.unpackb(encode_body(message))


def test_a_door_is_sent_bytes(door: Door):
    seeds = [sign_message(door.joining(), door.server), door.seal("Introduce", b"\x80", door.header())]

    def send(request: bytes) -> None:
        door.ask(request)

    fuzz(150)(given(noise(seeds, 2_000))(send))()


def test_a_door_is_sent_joins(door: Door):
    plain = [msgpack.unpackb(encode(door.joining()))]

    def join(message: bytes) -> None:
        label = b"sealscore signed message 1"
        door.ask(pack_fields(label, message, door.server.sign("signed message", message)))

    fuzz(200)(
        given(altered(plain, [*ODD, Head.sign(door.party, bytes(32), 7, bytes(32)).to_bytes()]).map(packed))(join)
    )()


def test_a_door_is_sent_what_the_server_sealed(door: Door):
    door.open()
    peer = Head.sign(door.members["lender-2"], b"\1" * 32, 2**63, b"\2" * 32)
    own = Head.sign(door.party, b"\1" * 32, 5, b"\2" * 32)
    requests = [Asked(door.header(), type(r).__name__, encode_body(r), (), b"", {}) for r in REQUESTS[:3]]
    requests += [dataclasses.replace(requests[0], heads=(peer.to_bytes(),), notices={"lender-2": b"notice"})]
    messages: list[Any] = [door.introducing(), Deliver(door.header(), (b"offer",)), *requests]
    seeds = [{"kind": type(m).__name__, "at": dataclasses.asdict(m.header), "body": bodies(m)} for m in messages]
    odd = [*ODD, peer.to_bytes(), own.to_bytes(), 2**63 - 1]

    def send(plain: Any) -> None:
        try:
            at = Address(**plain["at"])
            sealed = door.seal(plain["kind"], packed(plain["body"]), at)
        except (ValueError, TypeError, KeyError, AttributeError):  # what cannot be sealed is not sent
            return
        door.ask(sealed)

    fuzz(400)(given(altered(seeds, odd))(send))()


def test_a_head_with_a_number_that_no_ledger_has(door: Door):
    door.open()
    door.ask(door.seal("Introduce", encode_body(door.introducing()), door.header()))
    head = Head.sign(door.members["lender-2"], b"\1" * 32, 2**63, b"\2" * 32).to_bytes()
    asked = Asked(door.header(), "Hello", encode_body(Hello(door.header())), (head,), b"", {})
    reply = door.ask(door.seal("Asked", encode_body(asked), door.header()))
    assert isinstance(reply, Refusal)
    assert reply.code == "seal"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Any:
    plan = enrolled(PLAN)
    members = identities(plan)
    ledger = ledger_of(plan, "lender-1", identity=members["lender-1"])
    told: list[str] = []
    labels = StreamSource.seeded(7, "lender-1 labels")
    trust = TrustStore.simulated(plan.cards.values())
    made = PlanRouter(
        members["lender-1"],
        trust,
        ledger,
        DisclosureStore(),
        labels,
        lambda wanted: small_records(seed=1),
        lambda wanted: StreamSource.seeded(7, "lender-1"),
        lambda wanted: True,
        ReleaseInbox(ServingDir(NodeDir(tmp_path_factory.mktemp("node"))), "lender-1", tuple, told.append).take,
        lambda parcels: {sender: parcel[::-1] for sender, parcel in parcels.items()},
        told.append,
    )
    return made, plan, members


def test_a_host(host: Any):
    made, plan, members = host
    keys = PlanKeys.generate(members[SERVER], plan.hash)
    joining = Join(header("join", 0, 1, plan), keys.certificate, int(time.time()), ())
    proposing = Propose(dataclasses.replace(header(plan=plan), run=""), plan.canonical())
    manifest = b'name = "first"\nplan = "' + b"ab" * 32 + b'"\nlenders = ["lender-1"]\n[files]\n'
    files = {"release.toml": manifest, "plan.json": plan.canonical(), "model/card.json": b"{}"}
    sending = ProposeRelease(proposing.header, files)
    relaying = Relay(proposing.header, {"video-1": b"sealscore-batch-1.AAAA", "video-2": b""})
    messages = (joining, proposing, sending, relaying)

    def ask(request: bytes) -> None:
        with limits(seconds=20, memory=256 * 2**20):
            raw = made.answer(request)
        known(open_signed(raw, plan.cards, Joined, Ready, Relayed, Refusal))

    def signed(message: bytes) -> None:
        label = b"sealscore signed message 1"
        ask(pack_fields(label, message, members[SERVER].sign("signed message", message)))

    fuzz(150)(given(noise([sign_message(one, members[SERVER]) for one in messages], 2_000))(ask))()
    plain = [msgpack.unpackb(encode(one)) for one in messages]
    fuzz(200)(given(altered(plain).map(packed))(signed))()
    texts = noise([plan.canonical()])
    odd_texts = [b'{"version":' + b"1" * 5_000 + b"}", b"[" * 100_000, b"{}", b"\xff\xfe{\0}\0", b'"\\ud800"']
    proposals = texts.map(lambda text: encode(dataclasses.replace(proposing, text=text)))
    test = fuzz(200)(given(proposals)(signed))
    for text in odd_texts:
        test = example(encode(dataclasses.replace(proposing, text=text)))(test)
    test()


def test_approving_what_a_host_was_sent_still_works(host: Any):
    made, plan, members = host
    other = enrolled(small_plan(name="other"))
    ledger = ledger_of(plan, "lender-1", identity=members["lender-1"])
    assert approve(ledger, other) == 4
    assert made.name == "lender-1"
