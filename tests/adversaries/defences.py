"""One switch for each defence. An attack is written once and plays with its defence on, and with it off.

The switches work from outside, by putting weaker parts in the place of the real ones: no code that runs at a partner
has an off-switch. Everything is invented and simulated, so runs repeat but for the seeds of masks and keys.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
import pytest
from builders import BIN, RUN, mechanisms, no_weights, phase_of, small_federation, small_plan
from doubles import DirectExchange
from ledgers import ledger_of, watch

from sealscore.clients.features.dictionary.digest import dictionary_digest
from sealscore.clients.features.papers import CHECKS
from sealscore.clients.node.node import Node
from sealscore.clients.node.plan_ledger import PlanLedger
from sealscore.clients.node.plan_router import PlanRouter
from sealscore.clients.node.sealed import Anchoring, SealedNode
from sealscore.clients.roles.lifetime import Lifetime
from sealscore.clients.roles.role import RoundContext
from sealscore.clients.setup.config import DataSection
from sealscore.server.transport.exchange import ClearMessenger, Failure, Messenger
from sealscore.server.transport.sealed import SealedExchange
from sealscore.shared.crypto.aggregation import MaskedSum, PlainSum, SumShape
from sealscore.shared.crypto.payloads import pack_numbers, unpack_numbers
from sealscore.shared.dp.events import Event, RandomizedResponse
from sealscore.shared.dp.mechanisms import Mechanism
from sealscore.shared.identity.identity import Card, Identity
from sealscore.shared.identity.trust import TrustStore
from sealscore.shared.ledger.budget_check import BudgetCheck
from sealscore.shared.ledger.disclosure_store import DisclosureStore
from sealscore.shared.ledger.disclosures import Disclosed, ToldNumbers
from sealscore.shared.ledger.entries import PARTS
from sealscore.shared.ledger.labels import LabelRelease, LabelStore
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.ledger.state import NOWHERE, LedgerState, PlanState
from sealscore.shared.messages.codec import Address
from sealscore.shared.messages.messages import Message, PairRequest, Publish, Refusal, Stored, SumRequest
from sealscore.shared.model.bins import histogram, histogram_length
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.plan import SERVER, Plan
from sealscore.shared.plan.settings import Split
from sealscore.shared.randomness.noise import grid_scale
from sealscore.shared.randomness.streams import Purpose, Stream, StreamSource
from sealscore.simulations.data import creators
from sealscore.simulations.engine.enrolment import enrolled, identities
from sealscore.simulations.world.fits.detector import grow


class ClearSums(MaskedSum):
    """Masks off: the vector goes as it is."""

    def use(self, seeds: Any) -> None:
        """No seed is needed."""

    def ready(self, cohort: tuple[str, ...]) -> bool:
        return True

    def protect(self, address: Address, cohort: tuple[str, ...], shape: SumShape, vector: np.ndarray) -> bytes:
        return PlainSum().protect(address, cohort, shape, vector)


class StaleStreams(StreamSource):
    """Fresh randomness off: a new attempt has the sample and the noise of the one before."""

    def stream(
        self, run: str, phase: str, round: int, attempt: int, party: str, purpose: Purpose, step: int = 0
    ) -> Stream:
        return StreamSource.stream(self, run, phase, round, 0, party, purpose, step)


class Uncounted(Counter[str]):
    """Counts that stay at nothing."""

    def __getitem__(self, phase: str) -> int:
        return 0


class AnyCohort(Node):
    """The cohort rule off."""

    def _check_cohort(self, cohort: tuple[str, ...]) -> None:
        return


class AnyAddress:
    """The check of whom a request is for off."""

    def _check_header(self, header: Address) -> None:
        return


class OwnChannels:
    """A detector of a party's own: of the very channels that it scores."""

    def score(self, channels: pl.DataFrame) -> pl.DataFrame:
        """`at` and the score of each channel."""
        return grow(channels)[0].score(channels)


def _signatures(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Card, "check", lambda card, signature, purpose, *fields: None)


def _cards(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TrustStore, "check", lambda store, cards, own=None: {card.name: card for card in cards})


def _order_rule(patch: pytest.MonkeyPatch) -> None:
    """Nothing is below what was answered, for the node and for its ledger."""
    patch.setattr(PlanState, "allows", lambda state, peer, place: True)
    patch.setattr(PlanState, "answered", property(lambda state: NOWHERE, lambda state, place: None))


def _limit_of_rounds(patch: pytest.MonkeyPatch) -> None:
    """Nothing was ever answered, for the node and for its ledger, and no ceiling is looked at."""
    patch.setattr(PlanLedger, "answers", lambda plan_ledger, phase: 0)
    nothing = property(lambda state: Uncounted(), lambda state, counts: None)
    patch.setattr(PlanState, "spent", nothing, raising=False)
    patch.setattr(BudgetCheck, "check", lambda spending, state, plan, more=None: None)


def _heads(patch: pytest.MonkeyPatch) -> None:
    """A node takes any ledger for its own."""
    patch.setattr(Anchoring, "_held", lambda anchoring, head: None)


def _order_of_heads(patch: pytest.MonkeyPatch) -> None:
    """A node that forgets the heads of others, and so takes any that their holders signed."""
    honest = Anchoring.take

    def forgetful(anchoring: Anchoring, heads: tuple[bytes, ...], receipt: bytes) -> None:
        anchoring._peers.clear()
        anchoring._receipt = 0
        honest(anchoring, heads, receipt)

    patch.setattr(Anchoring, "take", forgetful)


def _register(patch: pytest.MonkeyPatch) -> None:
    """A node takes any register for the one that its ledger speaks of."""
    patch.setattr(DisclosureStore, "holds", lambda disclosure_store, head: True)


def _noise(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Mechanism, "noised", lambda mechanism, vector, stream, cohort, sampler=None: vector)


def _noise_of_cohort(patch: pytest.MonkeyPatch) -> None:
    def of_all(mechanism: Mechanism, cohort: int) -> float:
        return grid_scale(mechanism.noise_std, max(1, mechanism.parties - mechanism.insiders))

    patch.setattr(Mechanism, "own_scale", of_all)


def _insiders(patch: pytest.MonkeyPatch) -> None:
    """Noise is shared by the whole cohort, as if no party knew its own."""
    patch.setattr(Mechanism, "own_scale", lambda mechanism, cohort: grid_scale(mechanism.noise_std, cohort))


def _saturation(patch: pytest.MonkeyPatch) -> None:
    def strict(vector: np.ndarray, grid: float, bound: int) -> np.ndarray:
        if not np.isfinite(vector).all() or np.abs(vector / grid).max(initial=0) > bound:
            raise ValueError("the sum exceeds its bound")
        return np.rint(vector / grid).astype(np.int64)

    patch.setattr("sealscore.clients.roles.role.to_grid", strict)


def _weight_limit(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("sealscore.clients.node.node.MAX_WEIGHT", np.inf)


def _randomized_response(patch: pytest.MonkeyPatch) -> None:
    def truth(
        store: LabelStore, records: Sequence[str], labels: np.ndarray, outcome: str, epsilon: float, *to: str
    ) -> LabelRelease:
        return LabelRelease(labels.astype(np.int8), len(records))

    patch.setattr(LabelStore, "release", truth)


def _bit_limit(patch: pytest.MonkeyPatch) -> None:
    kept = Disclosed.spend

    def unlimited(
        disclosed: Disclosed,
        kind: str,
        what: str,
        bits: int,
        levels: int,
        values: Mapping[str, int],
        limit: int,
        *to: str,
    ) -> ToldNumbers:
        return kept(disclosed, kind, what, bits, levels, values, 10**6, *to)

    patch.setattr(Disclosed, "spend", unlimited)


def _limit_by_meaning(patch: pytest.MonkeyPatch) -> None:
    """The limit is held person by person: a fill stands where that person's own bits are used up."""
    patch.setattr(DisclosureStore, "meanings", lambda disclosure_store, kind: {})


def _kept_values(patch: pytest.MonkeyPatch) -> None:
    """A level or band is read from the data each time that it is told."""
    kept = DisclosureStore.values

    def labels_only(disclosure_store: DisclosureStore, kind: str, what: str) -> Mapping[str, int]:
        return kept(disclosure_store, kind, what) if kind == "label" else {}

    patch.setattr(DisclosureStore, "values", labels_only)
    patch.setattr(DisclosureStore, "told_to", lambda disclosure_store, kind, what, recipient: {})
    patch.setattr(DisclosureStore, "bits", lambda disclosure_store, kind, person: 0)


def _kept_fills(patch: pytest.MonkeyPatch) -> None:
    """In the place of who has no label stands chance, each time anew."""
    kept = LabelStore.release

    def anew(
        store: LabelStore, records: Sequence[str], labels: np.ndarray, outcome: str, epsilon: float, *to: str
    ) -> LabelRelease:
        there = np.flatnonzero(labels >= 0)
        found = kept(store, [records[row] for row in there], labels[there], outcome, epsilon, *to)
        bits = np.random.default_rng().integers(0, 2, len(records)).astype(np.int8)
        bits[there] = found.bits
        return LabelRelease(bits, found.fresh)

    patch.setattr(LabelStore, "release", anew)


def _kept_coins(patch: pytest.MonkeyPatch) -> None:
    kept = LabelStore.release

    def anew(
        store: LabelStore, records: Sequence[str], labels: np.ndarray, outcome: str, epsilon: float, *to: str
    ) -> LabelRelease:
        store._secret = StreamSource(hashlib.sha256(store._secret.secret).digest(), store._secret.source)
        store._disclosure_store._values.clear()
        return kept(store, records, labels, outcome, epsilon, *to)

    patch.setattr(LabelStore, "release", anew)


def _levels(patch: pytest.MonkeyPatch) -> None:
    """As good as floats: a platform tells which of 2^16 equal parts of the axis a logit is in."""
    fine = 2**16

    def told(logits: np.ndarray, edges: np.ndarray) -> np.ndarray:
        return np.clip((logits + 128) * 256, 0, fine - 1).astype(np.int64)

    patch.setattr("sealscore.clients.roles.platform.signal_levels", told)
    patch.setattr(
        "sealscore.clients.roles.pairing.pack_numbers", lambda a, numbers, levels, f: pack_numbers(a, numbers, fine, f)
    )
    patch.setattr(
        "sealscore.clients.roles.pairing.unpack_numbers", lambda a, payload, levels: unpack_numbers(a, payload, fine)
    )


def _padding(patch: pytest.MonkeyPatch) -> None:
    def bare(aligned: Any, numbers: np.ndarray, levels: int, filler: Stream) -> bytes:
        return bytes(aligned.digest) + numbers[numbers > 0].astype(np.uint8).tobytes()

    patch.setattr("sealscore.clients.roles.pairing.pack_numbers", bare)


def _row_local(patch: pytest.MonkeyPatch) -> None:
    """`build_table` as it must not be: the traffic detector is fitted on the channels that it scores, and the checks
    that compare applicants count for the score. Plans that pin the dictionary are read all the same, and worlds that
    are built meanwhile are kept apart."""
    dictionary_digest()
    key = creators._key
    patch.setattr(creators, "_key", lambda config: f"weak-{key(config)}")
    patch.setattr("sealscore.clients.features.traffic.shipped", OwnChannels)
    counted = tuple(dataclasses.replace(check, outside="") for check in CHECKS)
    patch.setattr("sealscore.clients.features.papers.CHECKS", counted)


def _answers_of_failed_work(patch: pytest.MonkeyPatch) -> None:
    """A failure inside is a refusal."""

    def plain(node: Node, request: SumRequest, phase: Any, work: Any) -> bytes:
        compute, mechanism = work
        address, cohort = request.header.reply(), tuple(sorted(request.cohort))
        context = RoundContext(node._secret, address, mechanism, len(cohort))
        vector = mechanism.noised(compute(context), context.stream(Purpose.NOISE), len(cohort))
        return node.aggregation.protect(address, cohort, mechanism.shape, vector)

    patch.setattr(Node, "_release", plain)


def _foreign_text(patch: pytest.MonkeyPatch) -> None:
    """Every character is shown as it is."""
    patch.setattr("sealscore.shared.text.foreign._seen", lambda character: True)


def _consents_of_the_operator(patch: pytest.MonkeyPatch) -> None:
    """Consents are read where the plan says, if it does."""
    patch.setattr(DataSection, "consents_in", None)


def _signed_before_reading(patch: pytest.MonkeyPatch) -> None:
    """Any message opens the door of the plan that it names."""
    door = PlanRouter._door
    patch.setattr(PlanRouter, "_door", lambda host, plan, may_open: door(host, plan, True))


def _one_part_by_date(patch: pytest.MonkeyPatch) -> None:
    """A split by date is taken for one that moves nobody, as it were where each person is at one party."""
    patch.setattr(Split, "moves", property(lambda split: False))


def _one_identifier(patch: pytest.MonkeyPatch) -> None:
    """Each plan says for itself what names a person."""
    patch.setattr(LedgerState, "_identify", lambda state, seq, at, entry: None)


def _others_charge(patch: pytest.MonkeyPatch) -> None:
    """A ledger counts its own answers only."""
    patch.setattr(PlanState, "elsewhere", lambda state, groups=None: {part: Counter() for part in PARTS})


def _whole_outcome_text(patch: pytest.MonkeyPatch) -> None:
    """Labels count once for the text in the ledger, of which it keeps 500 characters."""

    def by_text(state: LedgerState) -> dict[tuple[str, float], RandomizedResponse]:
        return {
            (told.what, told.event.epsilon): told.event
            for plan in state.plans.values()
            for told in plan.disclosures
            if isinstance(told.event, RandomizedResponse) and told.fresh
        }

    patch.setattr("sealscore.clients.node.plan_ledger.kept_meaning", lambda what: what[:500])
    patch.setattr("sealscore.shared.ledger.budget_check.released_labels", by_text)


def _built_otherwise(patch: pytest.MonkeyPatch) -> None:
    """The switch is thrown where the parties are built."""


SWITCHES: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "masks": _built_otherwise,
    "seals": _built_otherwise,
    "cohort rule": _built_otherwise,
    "addresses": _built_otherwise,
    "fresh randomness": _built_otherwise,
    "signatures": _signatures,
    "trust in cards": _cards,
    "order rule": _order_rule,
    "limit of rounds": _limit_of_rounds,
    "heads": _heads,
    "order of heads": _order_of_heads,
    "register": _register,
    "noise": _noise,
    "noise of the cohort": _noise_of_cohort,
    "insiders": _insiders,
    "saturation": _saturation,
    "limit of weights": _weight_limit,
    "randomized response": _randomized_response,
    "kept coins": _kept_coins,
    "limit of bits": _bit_limit,
    "limit by meaning": _limit_by_meaning,
    "kept values": _kept_values,
    "kept fills": _kept_fills,
    "levels": _levels,
    "padding": _padding,
    "row-local features": _row_local,
    "answers of failed work": _answers_of_failed_work,
    "foreign text": _foreign_text,
    "consents of the operator": _consents_of_the_operator,
    "signed before reading": _signed_before_reading,
    "one part by date": _one_part_by_date,
    "one identifier": _one_identifier,
    "other side's charge": _others_charge,
    "whole outcome text": _whole_outcome_text,
}


@dataclass(frozen=True)
class Defences:
    """All defences but those that are `off`."""

    off: frozenset[str] = frozenset()

    @contextmanager
    def without(self, *names: str) -> Iterator[Defences]:
        """The same with these defences off, until the block is left."""
        with pytest.MonkeyPatch.context() as patch:
            for name in names:
                SWITCHES[name](patch)
            yield Defences(self.off | set(names))

    def scene(self, plan: Plan, records: Mapping[str, Records], **more: Any) -> Scene:
        """A federation with these defences, and a server that does as it likes."""
        return Scene(self, enrolled(plan), dict(records), **more)

    def _node(self) -> type[Node]:
        parts = {"cohort rule": AnyCohort, "addresses": AnyAddress}
        bases = tuple(kind for name, kind in parts.items() if name in self.off)
        return type("WeakNode", (*bases, Node), {}) if bases else Node

    def node(
        self,
        plan: Plan,
        name: str,
        records: Records,
        masks: MaskedSum,
        ledger: Ledger,
        tell: Any,
        disclosure_store: DisclosureStore | None = None,
    ) -> Node:
        """A party's node."""
        secret = StreamSource.seeded(plan.seed, name)
        if "fresh randomness" in self.off:
            secret = StaleStreams(secret.secret, "seeded")
        lifetime = Lifetime.of(StreamSource.seeded(plan.seed, f"{name} labels"), disclosure_store or DisclosureStore())
        return self._node()(plan, name, records, secret, masks, lifetime, ledger, tell)


@dataclass
class Scene:
    """Parties of one enrolled plan, an exchange whose wire is `wire.log`, and a server that asks whatever it likes.

    `charged` holds the events of each party, `told` what nodes said to their own operators.
    """

    defences: Defences
    plan: Plan
    records: dict[str, Records]
    trust: TrustStore | None = None
    spoil: Callable[[str, bytes, bytes], bytes | Failure] | None = None
    clock: Callable[[], float] | None = None
    charged: dict[str, list[Event]] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.members: dict[str, Identity] = identities(self.plan)
        self.charged = {name: [] for name in self.records}
        self.masks: dict[str, MaskedSum] = {}
        self.nodes: dict[str, Node] = {}
        self.doors: dict[str, Any] = {}
        self.away = {party.name for party in self.plan.parties}
        for name in self.records:
            self.enter(name)
        self.wire = DirectExchange(self.doors, self._seen, self.away)
        self.server: Messenger = ClearMessenger(self.wire)
        if "seals" not in self.defences.off:
            self.server = SealedExchange(self.wire, self.plan, RUN, self.members[SERVER])

    def enter(self, name: str, ledger: Ledger | None = None, disclosure_store: DisclosureStore | None = None) -> None:
        """Build a party; with a ledger and a register that it says are its own, as after a restart."""
        lone = len(self.plan.members(self.plan.party(name).group)) == 1
        self.masks[name] = (ClearSums if "masks" in self.defences.off else MaskedSum)(lone=lone)
        self.nodes[name] = self.defences.node(
            self.plan,
            name,
            self.records[name],
            self.masks[name],
            ledger or ledger_of(self.plan, name, identity=self.members[name]),
            self.told.append,
            disclosure_store,
        )
        watch(self.nodes[name].plan_ledger.ledger, lambda header, event: self.charged[name].append(event))
        self.open_door(name)
        self.away.discard(name)

    def open_door(self, name: str) -> None:
        """A door with fresh keys before a party's node, as after a restart that lost them."""
        if "seals" in self.defences.off:
            self.doors[name] = self.nodes[name]
            return
        trust = self.trust or TrustStore.simulated(self.plan.cards.values())
        more = {} if self.clock is None else {"clock": self.clock}
        self.doors[name] = SealedNode(self.nodes[name], self.masks[name], self.members[name], trust, **more)

    def _seen(self, party: str, request: bytes, answer: bytes) -> bytes | Failure:
        found = answer if self.spoil is None else self.spoil(party, request, answer)
        if isinstance(found, bytes):
            self.answers.append(found)
        return found

    def header(self, phase: str, party: str, round: int = 1, attempt: int = 1, **changes: Any) -> Address:
        """A header as the server writes it, with fields replaced."""
        plain = Address(self.plan.hash, RUN, phase, round, attempt, SERVER, party)
        return dataclasses.replace(plain, **changes)

    def send(self, message: Message) -> Message | Failure:
        """One party's reply to a request of the server."""
        party = message.header.recipient
        return self.server.ask({party: message})[party]

    def publish(self, phase: str, name: str, body: bytes, parties: Sequence[str]) -> dict[str, str]:
        """Send a part to parties; the reference to it for requests."""
        for party in parties:
            reply = self.send(Publish(self.header(phase, party, 0, 0), name, body))
            assert isinstance(reply, Stored), reply
        return {name: reply.digest}

    def ask(
        self,
        phase: str,
        cohort: Sequence[str],
        round: int = 1,
        attempt: int = 1,
        parties: Sequence[str] | None = None,
        parameters: np.ndarray | None = None,
        parts: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        """What each of the parties (by default the cohort) replies to a request for its part of a sum."""
        weights = no_weights() if parameters is None else parameters
        return {
            party: self.send(SumRequest(self.header(phase, party, round, attempt), tuple(cohort), weights, parts or {}))
            for party in (cohort if parties is None else parties)
        }

    def pair(self, phase: str, step: int, party: str, peer: str, body: bytes = b"", attempt: int = 1, **parts: str):
        """What a party gives for its peer at a step."""
        return self.send(PairRequest(self.header(phase, party, step, attempt), peer, body, parts))

    def mechanism(self, phase: str, length: int) -> Mechanism:
        """The mechanism of a phase."""
        return mechanisms(self.plan).mechanism(phase_of(self.plan, phase), length)

    @property
    def bins(self) -> Mechanism:
        """The mechanism of the lenders' bins."""
        features = self.plan.groups[self.plan.lenders].table.scored
        return self.mechanism(BIN, histogram_length(features, self.plan.model.grid_cells))

    def truth(self, name: str) -> np.ndarray:
        """A lender's exact counts in grid units: what its bins would be without noise."""
        features = self.plan.groups[self.plan.lenders].table.scored
        part = self.records[name].training_part()
        return self.bins.counts(histogram(part.columns, features, self.plan.model.grid_cells))

    def opened(self, mechanism: Mechanism, *answers: Any) -> np.ndarray:
        """The sum of answers as the server reads it, int64 in grid units; of one alone, if it is one."""
        shape = mechanism.shape
        words = [shape.unpack(answer.contribution) for answer in answers]
        return shape.centre(np.sum(words, axis=0, dtype=np.uint64))


def near(found: np.ndarray, truth: np.ndarray, scale: float) -> bool:
    """Whether what was found is the truth but for noise of that scale: so the finder has read it."""
    return bool((np.abs(found - truth) <= 12 * scale).all())


# A fine histogram: thousands of entries, so that a distribution can be told from one answer.
WIDE = small_plan(model__grid_cells=4096)


def lenders_plan(count: int, max_colluding: int = 0, min_parties: int = 2) -> Plan:
    """The plan of the fine histogram for that many lenders."""
    data = WIDE.model_dump(mode="json")
    data["groups"]["lender"] |= {"max_colluding": max_colluding, "min_parties": min_parties}
    data["parties"] = [data["parties"][0] | {"name": f"lender-{number}"} for number in range(1, count + 1)]
    return Plan.parse(data)


def wide(defences: Defences, plan: Plan = WIDE) -> Scene:
    """A scene of lenders with invented records."""
    return defences.scene(plan, small_federation(parties=[party.name for party in plan.parties]))


def refused(replies: Mapping[str, Any]) -> set[str]:
    """The codes of refusals among replies."""
    return {reply.code for reply in replies.values() if isinstance(reply, Refusal)}


def free(scene: Scene) -> bool:
    """Whether nobody was charged anything."""
    return not any(scene.charged.values())
