"""Consents that are withdrawn in the middle of a run: not used in the next round, and deleted where peers hold them."""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from builders import BIN, CALIBRATE, EVALUATE, TRAIN, small_plan, small_records
from doubles import DirectExchange, Talk
from vertical_builders import Wire, federation_of, fresh_lifetimes, only, quiet_plan

from sealscore.clients.node.plan_ledger import approve
from sealscore.clients.node.withdrawals import BLOCK, KIND
from sealscore.server.transport.sealed import SealedExchange
from sealscore.shared.crypto.sealing import seal
from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.fields import pack_fields
from sealscore.shared.messages.codec import Address, encode
from sealscore.shared.messages.messages import (
    Hello,
    Message,
    PairAnswer,
    PairRequest,
    Publish,
    Ready,
    SumAnswer,
    SumRequest,
)
from sealscore.shared.messages.parts import edges_to_bytes, weights_to_bytes
from sealscore.shared.model.bins import Binning, histogram
from sealscore.shared.model.build import coding_of, initial_tower
from sealscore.shared.model.signal import CELLS, signal_histogram
from sealscore.shared.model.tower import flatten, load_flat
from sealscore.shared.persons.consent import FEDERATION, Consent
from sealscore.shared.persons.records import Records
from sealscore.shared.phases.kind import Kind
from sealscore.shared.plan.plan import SERVER, Plan
from sealscore.simulations.engine.enrolment import identities
from sealscore.simulations.engine.federation import Federation

YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)
PLAN = only(quiet_plan(evaluation__groups={"age": [40]}, privacy__spare_attempts=1.0), "lender-1", "lender-2", "wallet")
LENDER, OTHER, WALLET = "lender-1", "lender-2", "wallet"
RUN = "run-1"
ALIGN, LABELS, EDGES, SIGNAL = (f"{k}:wallet" for k in ("align", "release_labels", "signal_edges", "disclose_signal"))


def with_consent(records: Records, *recipients: str) -> Records:
    """The records, with everybody's consent for these recipients."""
    given = tuple(Consent(recipient, "credit-scoring") for recipient in recipients)
    return dataclasses.replace(records, consent=(given,) * len(records))


def without(records: Records, persons: Iterable[str], recipient: str, day: date = YESTERDAY) -> Records:
    """The records, with these persons' consent for the recipient withdrawn on a day."""
    gone = set(persons)
    assert records.consent is not None
    changed = tuple(
        tuple(dataclasses.replace(c, withdrawn=day) if c.recipient == recipient else c for c in given)
        if person in gone
        else given
        for person, given in zip(records.person, records.consent, strict=True)
    )
    return dataclasses.replace(records, consent=changed)


class TestSums:
    """Without noise a sum changes by the record that is withdrawn, and by nothing else."""

    PLAN = small_plan(privacy__noise="none", training__sample_rate=1.0)

    @pytest.mark.parametrize(("phase", "test"), [(BIN, False), (TRAIN, False), (CALIBRATE, False), (EVALUATE, True)])
    def test_the_next_attempt_is_without_the_record(self, phase: str, test: bool):
        records = with_consent(small_records(seed=1), FEDERATION)
        row = int(np.flatnonzero(records.test == test)[7])
        talk, bare = Talk(self.PLAN, records=records), Talk(self.PLAN, records=records.take(np.arange(400) != row))
        for one in (talk, bare):
            one.publish()
        before = talk.vector(phase)
        talk.node.reload(without(records, [records.person[row]], FEDERATION))
        after = talk.vector(phase, attempt=2)
        assert not np.array_equal(before, after)
        assert np.array_equal(after, bare.vector(phase))

    def test_bins_lose_one_cell_a_feature(self):
        records = with_consent(small_records(seed=1), FEDERATION)
        row = int(np.flatnonzero(~records.test)[7])
        talk = Talk(self.PLAN, records=records)
        before = talk.vector(BIN)
        talk.node.reload(without(records, [records.person[row]], FEDERATION))
        features = self.PLAN.groups["lender"].table.scored
        own = histogram(records.take(np.array([row])).columns, features, self.PLAN.model.grid_cells)
        scale = round(1 / talk.mechanism(BIN).grid)
        assert np.array_equal(before - talk.vector(BIN, attempt=2), own * scale)

    @pytest.mark.parametrize(
        "change",
        [
            lambda c: dataclasses.replace(c, expires=YESTERDAY),
            lambda c: dataclasses.replace(c, given=datetime.now(UTC).date() + timedelta(days=2)),
            lambda c: dataclasses.replace(c, purpose="marketing"),
            lambda c: dataclasses.replace(c, recipient="wallet"),
        ],
        ids=["expired", "not yet", "another purpose", "for another"],
    )
    def test_nor_is_one_used_that_holds_no_more_or_for_another_thing(self, change: Any):
        records = with_consent(small_records(seed=1), FEDERATION)
        row = int(np.flatnonzero(~records.test)[7])
        consent = list(records.consent or ())
        consent[row] = tuple(change(c) for c in consent[row])
        talk = Talk(self.PLAN, records=dataclasses.replace(records, consent=tuple(consent)))
        bare = Talk(self.PLAN, records=records.take(np.arange(400) != row))
        assert np.array_equal(talk.vector(BIN), bare.vector(BIN))

    def test_what_was_answered_is_answered_again_as_it_was(self):
        records = with_consent(small_records(seed=1), FEDERATION)
        talk = Talk(self.PLAN, records=records)
        request = talk.request(BIN)
        first = talk.node.answer(request)
        talk.node.reload(without(records, records.person[:50], FEDERATION))
        assert talk.node.answer(request) == first


class Run:
    """Two lenders and a wallet behind seals, aligned and with labels released, and a server that asks one by one."""

    def __init__(self, plan: Plan = PLAN) -> None:
        held = federation_of(plan)
        self.records = {
            LENDER: with_consent(held[LENDER], FEDERATION, WALLET),
            OTHER: with_consent(held[OTHER], FEDERATION, WALLET),
            WALLET: with_consent(held[WALLET], FEDERATION, LENDER, OTHER),
        }
        self.federation = Federation.of(plan, self.records)
        self.plan, self.nodes = self.federation.plan, self.federation.nodes
        self.members = identities(self.plan)
        self.inner = DirectExchange(self.federation.doors)
        self.server = SealedExchange(self.inner, self.plan, RUN, self.members[SERVER])
        for lender in (LENDER, OTHER):
            self.carry(ALIGN, (lender, WALLET, lender, WALLET))
        for lender in (LENDER, OTHER):
            self.carry(LABELS, (lender, WALLET))
        features, cells = self.plan.groups[WALLET].table.scored, self.plan.model.grid_cells
        counts = histogram(held[WALLET].columns, features, cells).astype(np.float64)
        self.binning = Binning.from_histogram(features, cells, self.plan.model.bins, counts)
        self.tower = initial_tower(self.plan, WALLET, self.binning)
        load_flat(self.tower, np.random.default_rng(1).uniform(-2, 2, len(flatten(self.tower))))
        self.parts = self.publish(bins=self.binning.to_bytes())

    def header(self, phase: str, party: str, round: int = 0, attempt: int = 0) -> Address:
        return Address(self.plan.hash, RUN, phase, round, attempt, SERVER, party)

    def send(self, *messages: Message) -> list[Any]:
        """Replies to requests that go out at once."""
        replies = self.server.ask({m.header.recipient: m for m in messages})
        return [replies[m.header.recipient] for m in messages]

    def hello(self, *parties: str) -> None:
        replies = self.send(*(Hello(self.header(EDGES, party)) for party in parties))
        assert all(isinstance(reply, Ready) for reply in replies)

    def carry(self, phase: str, order: tuple[str, ...], attempt: int = 1, **parts: str) -> list[bytes]:
        body, seen = b"", []
        for step, party in enumerate(order, start=1):
            peer = next(other for other in order if other != party)
            named = parts if party == WALLET else {}
            (reply,) = self.send(PairRequest(self.header(phase, party, step, attempt), peer, body, named))
            assert isinstance(reply, PairAnswer), (reply, self.federation.faults)
            body = reply.body
            seen.append(body)
        return seen

    def publish(self, **bodies: bytes) -> dict[str, str]:
        """Publish parts to the wallet; gives their digests."""
        replies = {name: self.send(Publish(self.header(EDGES, WALLET), name, body))[0] for name, body in bodies.items()}
        return {name: reply.digest for name, reply in replies.items()}

    def counts(self, attempt: int = 1) -> np.ndarray:
        """The wallet's counts of logits of training persons, exact: no noise, and nobody to be masked with."""
        header, weights = self.header(EDGES, WALLET, 1, attempt), flatten(self.tower)
        (reply,) = self.send(SumRequest(header, (WALLET,), weights, self.parts))
        assert isinstance(reply, SumAnswer), reply
        made = Mechanisms(self.plan)
        mechanism = made.mechanism(next(phase for phase in made.phases if phase.name == EDGES), CELLS)
        return np.rint(mechanism.shape.centre(mechanism.shape.unpack(reply.contribution)) * mechanism.grid)

    def own_counts(self, person: str) -> np.ndarray:
        """What one person adds to these."""
        part = self.records[WALLET].take(np.array([self.records[WALLET].person.index(person)]))
        codes = coding_of(self.plan, WALLET, self.binning).encode(self.binning.quantize(part.columns))
        return signal_histogram(self.tower.weights().logits(codes))

    def withdraw(self, party: str, persons: Iterable[str], recipient: str) -> None:
        """A party's data now says that these consents are withdrawn."""
        self.records[party] = without(self.records[party], persons, recipient)
        self.nodes[party].reload(self.records[party])

    def shared(self, count: int = 1) -> list[str]:
        """Training persons whom the wallet shares with the lender and not with the other one."""
        pairs = dict(self.nodes[WALLET].role._pairs.items())
        training = set(self.records[WALLET].training_part().person)
        return sorted((set(pairs[LENDER].persons) - set(pairs[OTHER].persons)) & training)[:count]

    def noted(self, party: str) -> list[tuple[str, str, int]]:
        """What a party's ledger has of withdrawals."""
        found = self.federation.ledgers[party].state.withdrawals
        return [(entry.direction, entry.peer, entry.persons) for entry in found]

    def levels(self) -> None:
        """The wallet tells the lender the levels of all whom it may."""
        edges = np.linspace(-1, 1, self.plan.model.signal_levels - 1)
        told = self.publish(tower=weights_to_bytes(flatten(self.tower)), edges=edges_to_bytes(edges))
        self.carry(SIGNAL, (WALLET, LENDER), **self.parts | told)


@pytest.fixture
def run() -> Run:
    return Run()


class TestALendersWithdrawal:
    def test_the_platform_deletes_the_label_and_uses_the_person_no_more(self, run: Run):
        (person,) = run.shared()
        before = run.counts()
        assert person in run.nodes[WALLET].disclosure_store.received(run.plan.hash, "label")[LENDER]
        run.withdraw(LENDER, [person], WALLET)
        run.hello(LENDER)
        assert np.array_equal(before - run.counts(2), run.own_counts(person))
        assert person not in run.nodes[WALLET].disclosure_store.received(run.plan.hash, "label")[LENDER]
        assert person not in run.nodes[WALLET].role._bits[LENDER]
        assert run.noted(WALLET) == [("received", LENDER, 1)]
        # The platform's word goes along with that answer, and comes with the next request to the lender.
        run.hello(LENDER)
        assert run.noted(LENDER) == [("passed", WALLET, 1)]
        assert run.nodes[LENDER].disclosure_store.notices(WALLET) == []

    def test_labels_that_are_released_later_are_without_the_person(self, run: Run):
        (person,) = run.shared()
        run.withdraw(LENDER, [person], WALLET)
        run.carry(LABELS, (LENDER, WALLET), attempt=2)
        assert person not in run.nodes[WALLET].disclosure_store.received(run.plan.hash, "label")[LENDER]
        assert person not in run.nodes[WALLET].role._bits[LENDER]

    def test_what_was_released_stays_charged(self, run: Run):
        (person,) = run.shared()
        charged = len(run.federation.ledgers[LENDER].state.plans[run.plan.hash].disclosures)
        run.withdraw(LENDER, [person], WALLET)
        run.hello(LENDER)
        run.hello(WALLET)
        run.hello(LENDER)
        assert len(run.federation.ledgers[LENDER].state.plans[run.plan.hash].disclosures) == charged

    def test_a_person_of_two_lenders_stays_with_the_other_ones_label(self, run: Run):
        pairs = dict(run.nodes[WALLET].role._pairs.items())
        training = set(run.records[WALLET].training_part().person)
        person = sorted(set(pairs[LENDER].persons) & set(pairs[OTHER].persons) & training)[0]
        before = run.counts()
        run.withdraw(LENDER, [person], WALLET)
        run.hello(LENDER)
        assert np.array_equal(run.counts(2), before)
        labels = run.nodes[WALLET].disclosure_store.received(run.plan.hash, "label")
        assert person not in labels[LENDER]
        assert person in labels[OTHER]

    def test_records_that_are_gone_from_the_data_are_withdrawn_too(self, run: Run):
        (person,) = run.shared()
        part = run.records[LENDER]
        run.nodes[LENDER].reload(part.take(np.array([one != person for one in part.person])))
        run.hello(LENDER)
        run.hello(WALLET)
        assert person not in run.nodes[WALLET].disclosure_store.received(run.plan.hash, "label")[LENDER]

    def test_nothing_is_passed_where_nothing_was_withdrawn(self, run: Run):
        for party in (LENDER, OTHER, WALLET):
            run.nodes[party].reload(run.records[party])
            run.hello(party)
        assert run.server._notices == {}
        assert [run.noted(party) for party in (LENDER, OTHER, WALLET)] == [[], [], []]


class TestAPlatformsWithdrawal:
    def test_the_lender_deletes_the_level_and_scores_without(self, run: Run):
        run.levels()
        (person,) = run.shared()
        row = run.records[LENDER].person.index(person)
        role = run.nodes[LENDER].role
        assert not np.isnan(role.scored_records().columns["signal.wallet"][row])
        known = (~np.isnan(role.scored_records().columns["signal.wallet"])).sum()
        run.withdraw(WALLET, [person], LENDER)
        run.hello(WALLET)
        run.hello(LENDER)
        column = role.scored_records().columns["signal.wallet"]
        assert np.isnan(column[row])
        assert (~np.isnan(column)).sum() == known - 1
        assert person not in run.nodes[LENDER].disclosure_store.received(run.plan.hash, "signal")[WALLET]
        assert run.noted(LENDER) == [("received", WALLET, 1)]
        run.hello(WALLET)
        assert run.noted(WALLET) == [("passed", LENDER, 1)]

    def test_one_who_withdrew_before_is_told_nothing_of(self, run: Run):
        (person,) = run.shared()
        run.withdraw(WALLET, [person], LENDER)
        run.levels()
        assert person not in run.nodes[LENDER].disclosure_store.received(run.plan.hash, "signal")[WALLET]
        assert "" not in run.nodes[LENDER].disclosure_store.received(run.plan.hash, "signal")[WALLET]
        disclosed = run.federation.ledgers[WALLET].state.plans[run.plan.hash].disclosures[-1]
        aligned = run.nodes[WALLET].role._pairs[LENDER]
        assert disclosed.persons == len(aligned.persons) - 1


class TestNotices:
    def test_they_are_repeated_until_the_peer_took_them(self, run: Run):
        (person,) = run.shared()
        run.withdraw(LENDER, [person], WALLET)
        for _ in range(3):
            run.hello(LENDER)
            assert set(run.server._notices[WALLET]) == {LENDER}
            run.server._notices.clear()  # lost
        assert run.noted(WALLET) == []
        run.hello(LENDER)
        run.hello(WALLET)
        assert run.noted(WALLET) == [("received", LENDER, 1)]
        run.server._notices.clear()  # the word that it was taken is lost, too
        run.hello(LENDER)
        run.hello(WALLET)
        run.hello(LENDER)
        assert run.noted(LENDER) == [("passed", WALLET, 1)]
        assert run.noted(WALLET) == [("received", LENDER, 1)]
        run.hello(LENDER)
        assert run.server._notices == {}

    def test_they_are_taken_where_all_are_asked_at_once(self, run: Run):
        run.withdraw(LENDER, run.shared(), WALLET)
        for _ in range(4):
            run.hello(LENDER, OTHER, WALLET)
        assert run.noted(LENDER) == [("passed", WALLET, 1)]
        assert run.noted(WALLET) == [("received", LENDER, 1)]
        assert run.server._notices == {}

    def test_more_that_are_withdrawn_in_between_are_passed_too(self, run: Run):
        first, second = run.shared(2)
        run.withdraw(LENDER, [first], WALLET)
        run.hello(LENDER)
        run.withdraw(LENDER, [second], WALLET)
        for _ in range(4):
            run.hello(LENDER, WALLET)
        assert sum(persons for way, _, persons in run.noted(LENDER)) == 2
        assert not {first, second} & run.nodes[WALLET].disclosure_store.received(run.plan.hash, "label")[LENDER].keys()

    def test_both_sides_may_withdraw_at_once(self, run: Run):
        first, second = run.shared(2)
        run.withdraw(LENDER, [first], WALLET)
        run.withdraw(WALLET, [second], LENDER)
        for _ in range(4):
            run.hello(LENDER, WALLET)
        assert set(run.noted(LENDER)) == {("received", WALLET, 1), ("passed", WALLET, 1)}
        assert set(run.noted(WALLET)) == {("received", LENDER, 1), ("passed", LENDER, 1)}

    def test_the_server_sees_that_somebody_withdrew_and_no_more(self, run: Run):
        """One person, and as many as a block holds, are one length; nothing on the wire names a person."""
        lengths = {}
        everybody = run.shared(BLOCK + 1)
        assert len(everybody) == BLOCK + 1
        for count in (1, 2, BLOCK, BLOCK + 1):
            made = Run()
            made.withdraw(LENDER, everybody[:count], WALLET)
            made.hello(LENDER)
            notice = made.server._notices[WALLET][LENDER]
            lengths[count] = len(notice)
            handles = [handle for _, handle in made.nodes[LENDER].disclosure_store.notices(WALLET)]
            assert len(handles) == count
            seen = [notice, *made.inner.log[-1].values()]
            for word in (*handles, *(person.encode() for person in everybody[:count])):
                assert not any(word in raw for raw in seen)
        assert lengths[1] == lengths[2] == lengths[BLOCK] < lengths[BLOCK + 1]

    @pytest.mark.parametrize("by", [SERVER, OTHER])
    def test_nobody_else_can_have_a_label_deleted(self, run: Run, by: str):
        """The server, or another lender that knows the handle, in the lender's name or in the own one."""
        (person,) = run.shared()
        handle = next(
            h for h, p in run.nodes[LENDER].disclosure_store.pairs(run.plan.hash)[WALLET][0].items() if p == person
        )
        body = (1).to_bytes(8, "big") + bytes.fromhex(run.plan.hash) + handle + bytes(63 * 48)
        content = pack_fields(b"withdrawn", body, b"taken", b"")
        key = run.server._peers[WALLET]
        address = Address(run.plan.hash, RUN, KIND, 0, 0, by, WALLET)
        forged = seal(address, KIND, content, run.members[by], key)
        for name in (LENDER, OTHER):
            run.server._notices[WALLET] = {name: forged}
            run.hello(WALLET)
        assert person in run.nodes[WALLET].disclosure_store.received(run.plan.hash, "label")[LENDER]
        assert run.noted(WALLET) == []
        # Teeth: signed by the lender itself, the very same is taken.
        genuine = dataclasses.replace(address, sender=LENDER)
        run.server._notices[WALLET] = {LENDER: seal(genuine, KIND, content, run.members[LENDER], key)}
        run.hello(WALLET)
        assert person not in run.nodes[WALLET].disclosure_store.received(run.plan.hash, "label")[LENDER]

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"rubbish",
            pack_fields(b"withdrawn", b"", b"taken"),
            pack_fields(b"withdraw", b"", b"taken", b""),
            pack_fields(b"withdrawn", bytes(8) + bytes(48), b"taken", b""),
            pack_fields(b"withdrawn", (65).to_bytes(8, "big") + bytes(64 * 48), b"taken", b""),
            pack_fields(b"withdrawn", (2**63).to_bytes(8, "big"), b"taken", b"x"),
        ],
    )
    def test_what_is_no_notice_changes_nothing(self, run: Run, content: bytes):
        address = Address(run.plan.hash, RUN, KIND, 0, 0, LENDER, WALLET)
        notice = seal(address, KIND, content, run.members[LENDER], run.server._peers[WALLET])
        run.server._notices[WALLET] = {LENDER: notice}
        run.hello(WALLET)
        assert run.noted(WALLET) == []
        assert len(run.nodes[WALLET].role._bits[LENDER]) == len(run.nodes[WALLET].role._pairs[LENDER].persons)


class TestSeveralPlans:
    """Two open plans on one data set: what is withdrawn under one of them is used under none."""

    ONE = only(PLAN, LENDER, WALLET)
    PLANS = (ONE.replace(name="plan-a"), ONE.replace(name="plan-b"))

    @pytest.fixture
    def aligned(self) -> tuple[Wire, Wire]:
        life, records = fresh_lifetimes(self.ONE), federation_of(self.ONE)
        first, second = (Wire(plan, records, life, run=plan.name) for plan in self.PLANS)
        first.align(LENDER, WALLET)
        return first, second

    @pytest.fixture
    def wires(self, aligned: tuple[Wire, Wire]) -> tuple[Wire, Wire]:
        first, second = aligned
        first.give(Kind.LABELS, WALLET, LENDER, 2, first.labels(LENDER, WALLET))
        first.give(Kind.SIGNAL, LENDER, WALLET, 2, first.signal(WALLET, LENDER).body)
        return first, second

    def handles(self, wire: Wire, count: int = 50) -> dict[bytes, str]:
        pair = wire.aligned(WALLET, LENDER)
        return dict(list(zip(pair.handles, pair.persons, strict=True))[:count])

    def test_the_platforms_other_node_trains_on_them_no_more(self, wires: tuple[Wire, Wire]):
        first, second = wires
        role, gone = first.nodes[WALLET].role, self.handles(first)
        examples, part = role._examples(), first.records[WALLET]
        rest = [(peer, row) for peer, row in examples if part.person[row] not in set(gone.values())]
        assert len(rest) < len(examples)
        assert second.nodes[WALLET].forget(LENDER, first.plan.hash, gone) == len(gone)
        first.nodes[WALLET].answer(b"whatever comes next")
        assert role._examples() == rest
        assert len(role._training_rows()) == len(role._noisy_labels()) == len(rest)
        assert not set(gone.values()) & role._bits[LENDER].keys()
        assert (
            not set(gone.values())
            & first.lifetimes[WALLET].disclosure_store.received(first.plan.hash, "label")[LENDER].keys()
        )

    def test_the_lenders_other_node_scores_without_their_levels(self, wires: tuple[Wire, Wire]):
        first, second = wires
        role, gone = first.nodes[LENDER].role, self.handles(first)
        known = (~np.isnan(role.scored_records().columns["signal.wallet"])).sum()
        assert second.nodes[LENDER].forget(WALLET, first.plan.hash, gone) == len(gone)
        first.nodes[LENDER].answer(b"whatever comes next")
        assert (~np.isnan(role.scored_records().columns["signal.wallet"])).sum() == known - len(gone)
        assert not role._encoders["lender"]._kept
        assert not role._split

    def test_the_next_sum_is_without_them(self, aligned: tuple[Wire, Wire]):
        """Not by chance of some later turn: they are gone before the very next request is looked at."""
        first, second = aligned
        node, gone = first.nodes[WALLET], self.handles(first)
        seen: list[int] = []
        plain = node.role.sum

        def watched(*given: Any) -> Any:
            seen.append(len(node.role._examples()))
            return plain(*given)

        node.role.sum = watched  # type: ignore[method-assign]
        before = len(node.role._examples())
        second.nodes[WALLET].forget(LENDER, first.plan.hash, gone)
        header = first.header(Kind.BIN, WALLET, 1, WALLET)
        node.answer(encode(SumRequest(header, (WALLET,), np.zeros(0), {})))
        assert len(seen) == 1
        assert seen[0] < before

    def test_labels_that_come_while_a_person_is_being_forgotten_are_deleted_with_it(self, aligned: tuple[Wire, Wire]):
        first, second = aligned
        node, gone = first.nodes[WALLET], self.handles(first)
        body, plain = first.labels(LENDER, WALLET), node.role._pairs.read

        def meanwhile(*given: Any) -> dict[str, int]:
            found = plain(*given)
            second.nodes[WALLET].forget(LENDER, first.plan.hash, gone)
            return found

        node.role._pairs.read = meanwhile  # type: ignore[method-assign]
        first.give(Kind.LABELS, WALLET, LENDER, 2, body)
        assert not set(gone.values()) & node.role._bits[LENDER].keys()
        assert not set(gone.values()) & node.disclosure_store.received(first.plan.hash, "label")[LENDER].keys()

    def test_two_nodes_that_forget_for_each_other_wait_for_nobody(self, wires: tuple[Wire, Wire]):
        wires[1].align(LENDER, WALLET)
        asked = [
            (wires[1 - place].nodes[WALLET], wire.plan.hash, [handle])
            for place, wire in enumerate(wires)
            for handle in self.handles(wire, 100)
        ]
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda one: one[0].forget(LENDER, one[1], one[2]), asked, timeout=60))
        assert found == [1] * len(asked)
        for wire in wires:
            wire.nodes[WALLET].answer(b"whatever comes next")
            assert sum(not person for person in wire.aligned(WALLET, LENDER).persons) == 100

    def test_a_node_that_is_gone_is_told_nothing(self, wires: tuple[Wire, Wire]):
        first, second = wires
        disclosure_store, gone = first.lifetimes[WALLET].disclosure_store, self.handles(first)
        del first.nodes[WALLET]
        gc.collect()
        assert list(disclosure_store._listeners) == [second.nodes[WALLET]]
        assert second.nodes[WALLET].forget(LENDER, first.plan.hash, gone) == len(gone)


@pytest.mark.parametrize(("purpose", "reached"), [("credit-scoring", True), ("insurance", False)])
def test_a_withdrawal_reaches_what_was_told_under_an_earlier_plan_of_the_same_purpose(purpose: str, reached: bool):
    """A label that a platform keeps of an earlier plan is deleted, too; for another purpose the consent stands."""
    run, earlier = Run(), PLAN.replace(seed=8, purpose_code=purpose)
    (person,) = run.shared()
    approve(run.federation.ledgers[LENDER], earlier)
    disclosure_store, theirs = run.nodes[LENDER].disclosure_store, run.nodes[WALLET].disclosure_store
    disclosure_store.keep_pair(earlier.hash, WALLET, {b"h" * 16: person}, 64)
    theirs.keep_pair(earlier.hash, LENDER, {b"h" * 16: person}, 64)
    theirs.receive(earlier.hash, LENDER, "label", {person: 1})
    run.withdraw(LENDER, [person], WALLET)
    assert len(disclosure_store.notices(WALLET)) == 1 + reached
    for party in (LENDER, WALLET, LENDER):
        run.hello(party)
    left = [] if reached else [(earlier.hash, LENDER, "label", 1)]
    assert theirs.received_of(person) == left
    assert run.noted(WALLET) == [("received", LENDER, 1)] * (1 + reached)
    assert run.noted(LENDER) == [("passed", WALLET, 1 + reached)]
