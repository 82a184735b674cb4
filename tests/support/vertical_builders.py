"""A small vertical federation for tests: two lenders, two video platforms, a wallet, and people at several of them.

Invented numbers throughout. `Wire` carries payloads between two nodes as the server does, and lets a test look at
them or put others in their place.
"""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from doubles import DirectExchange, Quiet
from ledgers import ledger_of, watch

from sealscore.clients.data import test_mask as split_mask
from sealscore.clients.node.node import Node
from sealscore.clients.node.plan_ledger import approve
from sealscore.clients.roles.errors import Refused
from sealscore.clients.roles.lifetime import Lifetime
from sealscore.server.run.coordinator import Coordinator, RunOutcome
from sealscore.server.run.kept_scores import KeptScore
from sealscore.server.transport.exchange import ClearMessenger
from sealscore.shared.crypto.aggregation import PlainSum
from sealscore.shared.dp.events import Disclosure, Event
from sealscore.shared.ledger.disclosure_store import DisclosureStore
from sealscore.shared.ledger.entries import Disclose
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.messages.codec import Address, decode, digest, encode
from sealscore.shared.messages.messages import (
    Finish,
    Hello,
    PairAnswer,
    PairRequest,
    Publish,
    Refusal,
    Stored,
    SumRequest,
)
from sealscore.shared.messages.parts import edges_to_bytes, weights_to_bytes
from sealscore.shared.model.bins import Binning, histogram
from sealscore.shared.model.build import initial_tower
from sealscore.shared.model.tower import parameter_count
from sealscore.shared.model.weights import admissible
from sealscore.shared.persons.records import Records
from sealscore.shared.phases.kind import Kind
from sealscore.shared.plan.plan import Plan
from sealscore.shared.randomness.streams import StreamSource

LENDERS, VIDEOS = ("lender-1", "lender-2"), ("video-1", "video-2")
PARTIES = (*LENDERS, *VIDEOS, "wallet")
RUN = "run-1"
KEY = "which persons are test persons"

PLAN: dict[str, Any] = {
    "name": "vertical",
    "purpose": "a vertical plan for tests",
    "seed": 7,
    "groups": {
        "lender": {
            "role": "lender",
            "min_parties": 2,
            "max_colluding": 0,
            "table": {
                "id": "loan",
                "person": "who",
                "label": "bad",
                "features": [
                    {"name": "income", "lower": 0, "upper": 100},
                    {"name": "late", "lower": 0, "upper": 12, "integer": True, "missing": True},
                    {"name": "age", "lower": 18, "upper": 100, "integer": True, "protected": True},
                ],
            },
        },
        "video": {
            "role": "platform",
            "min_parties": 2,
            "max_colluding": 0,
            "table": {
                "id": "who",
                "features": [
                    {"name": "views", "lower": 0, "upper": 100},
                    {"name": "shop", "lower": 0, "upper": 100, "missing": True},
                ],
            },
        },
        "wallet": {
            "role": "platform",
            "min_parties": 1,
            "max_colluding": 0,
            "table": {
                "id": "account",
                "person": "who",
                "features": [
                    {"name": "inflow", "lower": 0, "upper": 100},
                    {"name": "refunds", "lower": 0, "upper": 12, "integer": True},
                    {"name": "region", "kind": "categorical", "levels": ["coast", "inland"], "protected": True},
                ],
            },
        },
    },
    "parties": [
        {"name": name, "group": name.split("-")[0], "nominal_records": 500}
        for name in ("lender-1", "lender-2", "video-1", "video-2", "wallet")
    ],
    "outcome": {"definition": "90 days past due", "window_days": 365, "cutoff": "2020-01-01"},
    # Exact matching costs a test nothing; those of private alignment ask for it.
    "alignment": {"method": "exact", "min_overlap": 20},
    "model": {"bins": 4, "grid_cells": 16, "signal_levels": 5},
    "privacy": {"epsilon": 8.0, "delta": 1e-5, "label_epsilon": 1.0, "max_parties_per_person": 2},
    "training": {"rounds": 4, "sample_rate": 0.5, "optimizer": {"learning_rate": 2.0}},
    "evaluation": {
        "split": {"kind": "hash", "key": KEY, "test_fraction": 0.25},
        "groups": {"age": [40], "region": []},
        "cells": 8,
    },
}


@lru_cache(maxsize=64)
def _plan(changes: tuple[tuple[str, Any], ...]) -> Plan:
    return Plan.parse(PLAN).replace(**dict(changes))


def vertical_plan(**changes: Any) -> Plan:
    """The vertical plan with dotted keys replaced, written with __ for the dot."""
    try:
        return _plan(tuple(sorted(changes.items())))
    except TypeError:  # a value that is not hashable
        return Plan.parse(PLAN).replace(**changes)


def quiet_plan(**changes: Any) -> Plan:
    """The plan without noise and with true labels: nothing is to be solved."""
    return vertical_plan(privacy__noise="none", privacy__label_epsilon=None, **changes)


def auto_vertical_plan(**changes: Any) -> Plan:
    """The vertical plan, trained by the additive recipe."""
    plan = Plan.parse({**PLAN, "training": "auto", "model": {"signal_levels": 5}})
    return plan.replace(**changes) if changes else plan


def only(plan: Plan, *parties: str, **changes: Any) -> Plan:
    """The plan with these parties only, and the groups and bands that are left."""
    data = plan.model_dump(mode="json")
    data["parties"] = [party for party in data["parties"] if party["name"] in parties]
    groups = {party["group"] for party in data["parties"]}
    data["groups"] = {name: group for name, group in data["groups"].items() if name in groups}
    for name, group in data["groups"].items():
        group["min_parties"] = sum(party["group"] == name for party in data["parties"])
    known = {f["name"] for group in data["groups"].values() for f in group["table"]["features"]}
    data["evaluation"]["groups"] = {k: v for k, v in data["evaluation"]["groups"].items() if k in known}
    data["privacy"]["max_parties_per_person"] = min(2, len(parties))
    found = Plan.parse(data)
    return found.replace(**changes) if changes else found


def people(n: int = 800, seed: int = 0) -> dict[str, np.ndarray]:
    """Of n persons what everybody could know: columns float64 [n], and `bad`, which they tell a part of each."""
    random = np.random.default_rng(seed)
    money, craft, noise = random.standard_normal((3, n))
    return {
        "income": np.clip(50 + 15 * money + 5 * noise, 0, 100),
        "late": random.poisson(np.exp(0.5 - 0.5 * money)).clip(0, 12).astype(np.float64),
        "age": random.integers(18, 80, n).astype(np.float64),
        "views": np.clip(50 + 20 * craft, 0, 100),
        "shop": np.where(random.random(n) < 0.1, np.nan, np.clip(40 + 12 * craft + 6 * money, 0, 100)),
        "inflow": np.clip(50 + 10 * money + 10 * craft, 0, 100),
        "refunds": random.poisson(np.exp(0.8 - 0.4 * craft)).clip(0, 12).astype(np.float64),
        "region": (random.random(n) < 0.4).astype(np.float64),
        "bad": (random.random(n) < 1 / (1 + np.exp(1.0 + 1.3 * money + 1.3 * craft))).astype(np.float64),
    }


def members(n: int = 800, seed: int = 0) -> dict[str, np.ndarray]:
    """Whom of n persons each party knows: overlapping, so that some are at both of a kind and some on no platform."""
    random = np.random.default_rng([seed, 1])
    return {party: np.flatnonzero(random.random(n) < 0.55) for party in PARTIES}


def names(rows: Iterable[int]) -> tuple[str, ...]:
    """The identifiers of persons."""
    return tuple(f"p{row:05d}" for row in rows)


def records_of(
    plan: Plan, party: str, everybody: Mapping[str, np.ndarray], rows: np.ndarray, loan: str = ""
) -> Records:
    """A party's records of the persons at `rows`."""
    table = plan.groups[plan.party(party).group].table
    persons = names(rows.tolist())
    columns = {feature.name: everybody[feature.name][rows] for feature in table.features}
    label = everybody["bad"][rows].astype(np.int8) if table.label else None
    ids = tuple(f"{party}{loan}/{person}" for person in persons) if table.person else persons
    test = split_mask(plan.evaluation.split, persons, None, Path(), plan.alignment.identifier)
    return Records(table, ids, persons, columns, label, test)


def federation_of(plan: Plan, n: int = 800, seed: int = 0) -> dict[str, Records]:
    """The records of every party of a plan; a person's channel is another one at the second video platform."""
    everybody, known = people(n, seed), members(n, seed)
    random = np.random.default_rng([seed, 2])
    second = {name: np.clip(everybody[name] + random.normal(0, 8, n), 0, 100) for name in ("views", "shop")}
    held = {party.name: everybody | (second if party.name == "video-2" else {}) for party in plan.parties}
    return {name: records_of(plan, name, columns, known[name]) for name, columns in held.items()}


def with_labels(records: Records, change: Callable[[np.ndarray], np.ndarray]) -> Records:
    """The records with other labels."""
    assert records.label is not None
    return dataclasses.replace(records, label=change(records.label).astype(np.int8))


def fresh_lifetimes(plan: Plan, seed: int = 0) -> dict[str, Lifetime]:
    """What each party remembers of a data set of which nothing was released."""
    return {p.name: Lifetime.fresh(StreamSource.seeded(seed, f"{p.name} labels")) for p in plan.parties}


_ledgers: weakref.WeakKeyDictionary[DisclosureStore, Ledger] = weakref.WeakKeyDictionary()


class Wire:
    """Nodes of a plan, and a server that carries payloads between them.

    `charged` holds (party, header, event) of every charge but of `noted`, which are who is aligned and what a lender
    was told; `told` the words that nodes told their own operators.
    `refuse` names parties whose charges are refused.
    """

    def __init__(
        self,
        plan: Plan,
        records: Mapping[str, Records] | None = None,
        lifetimes: Mapping[str, Lifetime] | None = None,
        run: str = RUN,
        seed: int | None = None,
    ) -> None:
        self.plan, self.run = plan, run
        self.records = dict(federation_of(plan) if records is None else records)
        self.lifetimes = dict(fresh_lifetimes(plan) if lifetimes is None else lifetimes)
        self.charged: list[tuple[str, Address, Event]] = []
        self.noted: list[tuple[str, Address, Event]] = []
        self.told: list[str] = []
        self.refuse: set[str] = set()
        secret = plan.seed if seed is None else seed
        self.nodes = {
            name: Node(
                plan,
                name,
                part,
                StreamSource.seeded(secret, name),
                PlainSum(),
                self.lifetimes[name],
                self._ledger(name),
                self.told.append,
            )
            for name, part in self.records.items()
        }

    def _ledger(self, party: str) -> Ledger:
        """The ledger of the party's data set, which goes along with its register from wire to wire."""
        disclosure_store = self.lifetimes[party].disclosure_store
        ledger = _ledgers.get(disclosure_store)
        if ledger is None:
            _ledgers[disclosure_store] = ledger = ledger_of(self.plan, party, self._charge(party))
            return ledger
        watch(ledger, self._charge(party))
        if self.plan.hash not in ledger.state.plans:
            approve(ledger, self.plan)
        return ledger

    def _charge(self, party: str) -> Callable[[Address, Event], None]:
        def charge(header: Address, event: Event) -> None:
            if party in self.refuse:
                raise Refused("budget")
            lender = self.plan.party(party).group == self.plan.lenders
            noted = header.phase.startswith(Kind.ALIGN.value) or (lender and isinstance(event, Disclosure))
            (self.noted if noted else self.charged).append((party, header, event))

        return charge

    def events(self, party: str) -> list[Event]:
        """What a party has charged, in order."""
        return [event for name, _, event in self.charged if name == party]

    def disclosures(self, party: str) -> list[Disclose]:
        """What a party's ledger has of payloads under the plan."""
        return self.nodes[party].plan_ledger.ledger.state.plans[self.plan.hash].disclosures

    def header(self, kind: Kind, group: str, step: int, party: str, attempt: int = 1) -> Address:
        """The header of a request, as the server writes it."""
        return Address(self.plan.hash, self.run, f"{kind.value}:{group}", step, attempt, "server", party)

    def ask(
        self,
        kind: Kind,
        party: str,
        peer: str,
        step: int,
        body: bytes = b"",
        parts: Mapping[str, str] | None = None,
        attempt: int = 1,
    ) -> PairAnswer | Refusal:
        """One step of a paired phase at `party`, with what `peer` is said to have sent."""
        group = next(g for g in (self.plan.party(p).group for p in (party, peer)) if g != self.plan.lenders)
        header = self.header(kind, group, step, party, attempt)
        return decode(
            self.nodes[party].answer(encode(PairRequest(header, peer, body, dict(parts or {})))), PairAnswer, Refusal
        )

    def give(self, *args: Any, **more: Any) -> bytes:
        """The payload of a step; fails where it is refused."""
        reply = self.ask(*args, **more)
        assert isinstance(reply, PairAnswer), f"{reply.code}: {self.told}"
        return reply.body

    def code(self, *args: Any, **more: Any) -> str:
        """The code with which a step is refused; fails where it is answered."""
        reply = self.ask(*args, **more)
        assert isinstance(reply, Refusal), "answered"
        return reply.code

    def align(self, lender: str, platform: str) -> None:
        """All four steps of align."""
        body = b""
        for step, (party, peer) in enumerate([(lender, platform), (platform, lender)] * 2, start=1):
            body = self.give(Kind.ALIGN, party, peer, step, body)

    def aligned(self, party: str, peer: str) -> Any:
        """The alignment that a party keeps with a peer."""
        return self.nodes[party].role._pairs[peer]

    def labels(self, lender: str, platform: str, attempt: int = 1) -> bytes:
        """The payload of labels from a lender to a platform, not taken by the platform yet."""
        return self.give(Kind.LABELS, lender, platform, 1, attempt=attempt)

    def publish(self, platform: str, **bodies: bytes) -> dict[str, str]:
        """Publish parts to a platform; gives their digests."""
        group = self.plan.party(platform).group
        for name, body in bodies.items():
            header = self.header(Kind.SIGNAL, group, 0, platform, 0)
            reply = decode(self.nodes[platform].answer(encode(Publish(header, name, body))), Stored, Refusal)
            assert isinstance(reply, Stored), reply
        return {name: digest(body) for name, body in bodies.items()}

    def tower(self, platform: str, seed: int = 0) -> dict[str, bytes]:
        """Bins, random weights and edges for a platform, as a server could publish them."""
        group = self.plan.party(platform).group
        features, cells = self.plan.groups[group].table.scored, self.plan.model.grid_cells
        # The bins of everybody, so that all platforms of a kind could be sent the same tower.
        counts = histogram(people(), features, cells).astype(np.float64)
        binning = Binning.from_histogram(features, cells, self.plan.model.bins, counts)
        weights = np.random.default_rng(seed).uniform(
            0.5, 2.0, parameter_count(initial_tower(self.plan, group, binning))
        )
        weights[-1] = 0.0  # the bias: logits lie on both sides of the edges
        edges = np.linspace(-1.0, 1.0, self.plan.model.signal_levels - 1)
        return {
            "bins": binning.to_bytes(),
            "tower": weights_to_bytes(admissible(weights)),
            "edges": edges_to_bytes(edges),
        }

    def signal(self, platform: str, lender: str, seed: int = 0, attempt: int = 1) -> PairAnswer | Refusal:
        """Step 1 of disclose_signal under the tower with that seed."""
        parts = self.publish(platform, **self.tower(platform, seed))
        return self.ask(Kind.SIGNAL, platform, lender, 1, parts=parts, attempt=attempt)


def carry_out(
    wire: Wire,
    spoil: Callable[[str, bytes, bytes], Any] | None = None,
    kept: Mapping[str, KeptScore] = MappingProxyType({}),
) -> tuple[RunOutcome, DirectExchange]:
    """Run the whole plan over the nodes of a wire; `kept` are the scores that it calibrates again, if it does."""
    exchange = DirectExchange(wire.nodes, spoil)
    messenger = ClearMessenger(exchange)
    coordinator = Coordinator(wire.plan, wire.run, messenger, PlainSum(), Quiet(), patience=1.0, kept=kept)
    return coordinator.run(), exchange


def payloads(exchange: DirectExchange) -> list[tuple[str, PairRequest]]:
    """Every payload that was handed to a party, with its request."""
    found = []
    for requests in exchange.log:
        for party, raw in requests.items():
            message = decode(raw, *REQUESTS)
            if isinstance(message, PairRequest) and message.body:
                found.append((party, message))
    return found


REQUESTS = (Hello, Publish, SumRequest, PairRequest, Finish)
