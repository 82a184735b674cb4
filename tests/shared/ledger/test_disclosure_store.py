"""The register: what was told of whom is never forgotten, adds up, and is chained; what was received is deleted."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sqlite3
import stat
from collections import Counter
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sealscore.shared.ledger.disclosure_store import DisclosureStore, DisclosureStoreError, ToldValue
from sealscore.shared.persons.consent import Consent

PLAN, OTHER = "ab" * 32, "cd" * 32
values = st.dictionaries(st.sampled_from(["ann", "bo", "cy", "di"]), st.integers(0, 3), max_size=4)


def told(
    disclosure_store: DisclosureStore, values: dict[str, int], what: str = "late", kind: str = "label", bits: int = 1
) -> int:
    return disclosure_store.tell(kind, what, bits, "video-1", PLAN, values)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "register.db"


class TestTold:
    def test_is_there_again_in_a_file_that_only_its_owner_reads(self, path: Path):
        disclosure_store = DisclosureStore(path)
        told(disclosure_store, {"ann": 1, "bo": 0})
        disclosure_store.close()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        again = DisclosureStore(path)
        assert again.values("label", "late") == {"ann": 1, "bo": 0}
        assert again.head == disclosure_store.head
        (one,) = again.told_of("ann")
        assert one == ToldValue(one.at, "label", "late", "video-1", PLAN, 1, 1)
        assert one.at.endswith("Z")
        assert again.told_of("cy") == []

    def test_bits_of_a_person_add_up_and_the_same_value_is_nothing_new(self):
        disclosure_store = DisclosureStore()
        told(disclosure_store, {"ann": 3}, "tower 1", "signal", 4)
        told(disclosure_store, {"ann": 3}, "tower 1", "signal", 4)
        assert (disclosure_store.bits("signal", "ann"), disclosure_store.bits("signal", "bo")) == (4, 0)
        told(disclosure_store, {"ann": 2}, "tower 1", "signal", 4)
        told(disclosure_store, {"ann": 2}, "tower 2", "signal", 4)
        told(disclosure_store, {"ann": 1}, "groups", "groups", 1)
        assert (disclosure_store.bits("signal", "ann"), disclosure_store.bits("groups", "ann")) == (12, 1)

    def test_nothing_of_a_person_shows_in_a_text(self):
        disclosure_store = DisclosureStore()
        told(disclosure_store, {"secret-person": 1})
        assert "secret-person" not in repr(disclosure_store)

    @settings(max_examples=50)
    @given(st.lists(st.tuples(st.sampled_from(["t1", "t2"]), st.integers(1, 3), values), max_size=8))
    def test_a_reopened_file_says_what_the_object_said(self, tmp_path_factory: pytest.TempPathFactory, all_):
        path = tmp_path_factory.mktemp("register") / "register.db"
        disclosure_store, bits, known = DisclosureStore(path), Counter(), {}
        for what, width, given_ in all_:
            for person, value in given_.items():
                if known.get((what, person)) != value:
                    bits[person] += width
                known[what, person] = value
            told(disclosure_store, given_, what, "signal", width)
        disclosure_store.close()
        again = DisclosureStore(path)
        for one in (disclosure_store, again):
            assert {p: one.bits("signal", p) for p in ("ann", "bo", "cy", "di")} == {
                p: bits[p] for p in ("ann", "bo", "cy", "di")
            }
            assert all(one.values("signal", what)[person] == value for (what, person), value in known.items())
        assert again.head == disclosure_store.head
        assert again.check() is None
        again.close()


class TestConfirming:
    """What the ledger never had counts as new when it is told again: the ledger must not under-count."""

    def test_told_again_it_is_new_until_the_ledger_has_it(self):
        disclosure_store = DisclosureStore()
        assert [told(disclosure_store, {"ann": 1, "bo": 0}) for _ in range(2)] == [2, 2]
        disclosure_store.confirm()
        assert told(disclosure_store, {"ann": 1, "bo": 0}) == 0
        assert told(disclosure_store, {"ann": 1, "cy": 0}) == 1
        assert told(disclosure_store, {"ann": 1, "cy": 0}) == 1

    def test_what_comes_after_does_not_vouch_for_what_was_before(self):
        disclosure_store = DisclosureStore()
        told(disclosure_store, {"ann": 1})
        told(disclosure_store, {"bo": 1})
        disclosure_store.confirm()
        assert told(disclosure_store, {"ann": 1, "bo": 1}) == 1
        disclosure_store.confirm()
        assert told(disclosure_store, {"ann": 1, "bo": 1}) == 0

    def test_at_a_start_the_ledger_says_which_batches_it_has(self, path: Path):
        disclosure_store, heads = DisclosureStore(path), []
        for given_, what in (({"ann": 1}, "late"), ({"bo": 1}, "late"), ({"ann": 0}, "later"), ({"bo": 1}, "late")):
            told(disclosure_store, given_, what)
            heads.append(disclosure_store.head)
        disclosure_store.close()
        again = DisclosureStore(path)
        again.reconcile({heads[0], heads[2]})
        assert told(again, {"ann": 1, "bo": 1}) == 1
        assert told(again, {"ann": 0, "bo": 0}, "later") == 1
        again.reconcile({heads[3], heads[2]})
        assert told(again, {"ann": 1, "bo": 1}) == 1
        again.reconcile([])
        assert told(again, {"ann": 1, "bo": 1}) == 2

    @given(st.lists(st.tuples(st.sampled_from(["tell", "tell and fail", "tell and die"]), values), max_size=12))
    def test_whatever_comes_between_everybody_who_was_told_of_is_charged(self, steps):
        """The ledger's fresh persons, summed up, are never fewer than the distinct values that left."""
        disclosure_store, charged, left, heads = DisclosureStore(), 0, set(), set()
        for what, given_ in steps:
            fresh = told(disclosure_store, given_)
            if what == "tell":
                charged += fresh
                heads.add(disclosure_store.head)
                disclosure_store.confirm()
                left |= set(given_.items())
            elif what == "tell and die":
                disclosure_store.reconcile(heads)
            assert charged >= len(left)


class TestChain:
    def test_it_has_had_every_head_and_no_other(self):
        disclosure_store = DisclosureStore()
        heads = [disclosure_store.head]
        for value in range(3):
            told(disclosure_store, {"ann": value})
            heads.append(disclosure_store.head)
        assert len(set(heads)) == 4
        assert all(disclosure_store.holds(head) for head in heads)
        assert not disclosure_store.holds("ab" * 32)
        assert not DisclosureStore().holds(heads[1])
        assert DisclosureStore().holds(heads[0])

    def test_equal_registers_have_different_heads(self):
        """A head leaves the party in no entry that is shown, but it says nothing of persons even so."""
        one, two = DisclosureStore(), DisclosureStore()
        for disclosure_store in (one, two):
            told(disclosure_store, {"ann": 1})
        assert one.head != two.head

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE told SET value = 0 WHERE person = 'bo'",
            "UPDATE told SET person = 'eve' WHERE person = 'bo'",
            "DELETE FROM told WHERE person = 'bo'",
            "INSERT INTO told VALUES (2, 'eve', 1)",
            "UPDATE batches SET what = 'early' WHERE batch = 2",
            "UPDATE batches SET kind = 'signal' WHERE batch = 2",
            "UPDATE batches SET recipient = 'video-2' WHERE batch = 2",
            "UPDATE batches SET plan = 'x' WHERE batch = 2",
            "UPDATE batches SET bits = 9 WHERE batch = 2",
            "UPDATE batches SET nonce = zeroblob(32) WHERE batch = 2",
            "UPDATE batches SET head = zeroblob(32) WHERE batch = 2",
            "DELETE FROM batches WHERE batch = 2",
        ],
    )
    def test_what_is_changed_behind_its_back_is_found(self, path: Path, statement: str):
        disclosure_store = DisclosureStore(path)
        for values_ in ({"ann": 1}, {"bo": 1, "cy": 0}, {"di": 1}):
            told(disclosure_store, values_)
        assert disclosure_store.check() is None
        disclosure_store.close()
        with sqlite3.connect(path) as database:
            database.execute(statement)
        database.close()
        assert DisclosureStore(path).check() in (2, 3)

    def test_an_old_copy_lacks_the_later_heads(self, path: Path, tmp_path: Path):
        disclosure_store = DisclosureStore(path)
        told(disclosure_store, {"ann": 1})
        disclosure_store.close()
        shutil.copy(path, tmp_path / "copy.db")
        disclosure_store = DisclosureStore(path)
        told(disclosure_store, {"bo": 1})
        old = DisclosureStore(tmp_path / "copy.db")
        assert old.check() is None
        assert not old.holds(disclosure_store.head)


class TestFiles:
    def test_a_folder_that_is_not_there(self, tmp_path: Path):
        with pytest.raises(DisclosureStoreError, match=r"nowhere/register.db: no "):
            DisclosureStore(tmp_path / "nowhere" / "register.db")

    def test_what_is_no_register(self, path: Path):
        path.write_bytes(b"rubbish " * 1000)
        with pytest.raises(DisclosureStoreError, match="restore it from a copy"):
            DisclosureStore(path)

    def test_what_cannot_be_written_is_not_told(self, path: Path):
        disclosure_store = DisclosureStore(path)
        told(disclosure_store, {"ann": 1})
        head = disclosure_store.head
        with sqlite3.connect(path) as database:
            database.execute("ALTER TABLE told RENAME TO gone")
        database.close()
        with pytest.raises(DisclosureStoreError, match="cannot be written"):
            told(disclosure_store, {"bo": 1})
        assert disclosure_store.head == head
        assert disclosure_store.values("label", "late") == {"ann": 1}
        assert disclosure_store.bits("label", "bo") == 0

    def test_whoever_is_killed_while_writing_leaves_whole_batches(self, path: Path):
        """Each batch of the file is whole, and none is lost that was acknowledged."""
        context = multiprocessing.get_context("spawn")
        reader, writer = context.Pipe(duplex=False)
        process = context.Process(target=_write_on, args=(path, writer))
        process.start()
        try:
            acknowledged = 0
            while acknowledged < 20:
                acknowledged = reader.recv()
        finally:
            os.kill(process.pid or 0, signal.SIGKILL)
            process.join()
        while reader.poll():
            acknowledged = reader.recv()
        disclosure_store = DisclosureStore(path)
        assert disclosure_store.check() is None
        assert acknowledged <= len(disclosure_store.values("label", "late")) // 50 <= acknowledged + 1
        assert len(disclosure_store.values("label", "late")) % 50 == 0


def _write_on(path: Path, writer: multiprocessing.connection.Connection) -> None:
    disclosure_store, batch = DisclosureStore(path), 0
    while True:
        told(disclosure_store, {f"p{batch}-{n}": n % 2 for n in range(50)})
        batch += 1
        writer.send(batch)


class TestPairsAndReceived:
    def test_pairs_are_of_a_plan_and_a_peer(self, path: Path):
        disclosure_store = DisclosureStore(path)
        disclosure_store.keep_pair(PLAN, "video-1", {b"a" * 16: "ann", b"b" * 16: "bo"}, 64)
        disclosure_store.keep_pair(PLAN, "wallet", {b"c" * 16: "ann"}, 128)
        disclosure_store.keep_pair(OTHER, "video-1", {b"d" * 16: "ann"}, 64)
        disclosure_store.keep_pair(PLAN, "wallet", {b"e" * 16: "cy"}, 256)
        disclosure_store.close()
        again = DisclosureStore(path)
        assert again.pairs(PLAN) == {
            "video-1": ({b"a" * 16: "ann", b"b" * 16: "bo"}, 64),
            "wallet": ({b"e" * 16: "cy"}, 256),
        }
        assert again.paired("video-1") == {PLAN: ("ann", "bo"), OTHER: ("ann",)}
        assert again.pairs("ef" * 32) == {}

    def test_what_is_received_again_takes_the_place_of_what_was_before(self, path: Path):
        disclosure_store = DisclosureStore(path)
        disclosure_store.receive(PLAN, "lender-1", "label", {"ann": 1, "bo": 0})
        disclosure_store.receive(PLAN, "lender-2", "label", {"ann": 0})
        disclosure_store.receive(PLAN, "lender-1", "groups", {"ann": 3})
        disclosure_store.receive(OTHER, "lender-1", "label", {"ann": 1})
        disclosure_store.receive(PLAN, "lender-1", "label", {"ann": 0})
        disclosure_store.close()
        again = DisclosureStore(path)
        assert again.received(PLAN, "label") == {"lender-1": {"ann": 0}, "lender-2": {"ann": 0}}
        assert again.received(PLAN, "groups") == {"lender-1": {"ann": 3}}
        assert len(again.received_of("ann")) == 4

    def test_forgetting_deletes_what_one_peer_told_under_one_plan(self):
        disclosure_store = DisclosureStore()
        for plan in (PLAN, OTHER):
            for peer in ("lender-1", "lender-2"):
                disclosure_store.keep_pair(plan, peer, {b"a" * 16: "ann", b"b" * 16: "bo"}, 64)
                for kind in ("label", "groups"):
                    disclosure_store.receive(plan, peer, kind, {"ann": 1, "bo": 0})
        assert disclosure_store.forget(PLAN, "lender-1", [b"a" * 16, b"x" * 16]) == ("ann",)
        assert disclosure_store.received(PLAN, "label") == {"lender-1": {"bo": 0}, "lender-2": {"ann": 1, "bo": 0}}
        assert disclosure_store.received(PLAN, "groups")["lender-1"] == {"bo": 0}
        assert disclosure_store.received(OTHER, "label")["lender-1"] == {"ann": 1, "bo": 0}
        # The handle keeps its place in payloads, and names nobody.
        assert disclosure_store.pairs(PLAN)["lender-1"] == ({b"a" * 16: "", b"b" * 16: "bo"}, 64)
        assert disclosure_store.paired("lender-1")[PLAN] == ("bo",)
        assert disclosure_store.forget(PLAN, "lender-1", [b"a" * 16]) == ()

    def test_that_something_came_of_nobody_outlives_the_process(self, path: Path):
        """Nor does a pair that shares nobody: after a restart it must answer like any other."""
        disclosure_store = DisclosureStore(path)
        disclosure_store.keep_pair(PLAN, "lender-1", {}, 64)
        disclosure_store.receive(PLAN, "lender-1", "label", {})
        disclosure_store.close()
        again = DisclosureStore(path)
        assert again.pairs(PLAN) == {"lender-1": ({}, 64)}
        assert again.received(PLAN, "label") == {"lender-1": {}}
        assert again.paired("lender-1") == {}
        assert again.received(PLAN, "signal") == {}

    def test_listeners_hear_what_is_deleted_as_long_as_they_live(self):
        class Ear:
            def __init__(self) -> None:
                self.heard: list[tuple[str, str, tuple[str, ...]]] = []

            def forgotten(self, plan: str, peer: str, persons: tuple[str, ...]) -> None:
                self.heard.append((plan, peer, persons))

        disclosure_store, ear, gone = DisclosureStore(), Ear(), Ear()
        disclosure_store.subscribe(ear)
        disclosure_store.subscribe(gone)
        disclosure_store.keep_pair(PLAN, "lender-1", {b"a" * 16: "ann", b"b" * 16: "bo"}, 64)
        disclosure_store.forget(PLAN, "lender-1", [b"x" * 16])
        assert ear.heard == []
        del gone
        disclosure_store.forget(PLAN, "lender-1", [b"a" * 16])
        assert ear.heard == [(PLAN, "lender-1", ("ann",))]
        assert len(disclosure_store._listeners) == 1

    def test_what_came_while_a_person_was_being_forgotten_is_deleted_again(self):
        disclosure_store = DisclosureStore()
        disclosure_store.keep_pair(PLAN, "lender-1", {b"a" * 16: "ann"}, 64)
        disclosure_store.forget(PLAN, "lender-1", [b"a" * 16])
        disclosure_store.receive(PLAN, "lender-1", "label", {"ann": 1, "bo": 0})
        disclosure_store.erase(PLAN, "lender-1", ["ann"])
        assert disclosure_store.received(PLAN, "label") == {"lender-1": {"bo": 0}}

    def test_what_was_told_is_never_forgotten(self):
        disclosure_store = DisclosureStore()
        disclosure_store.keep_pair(PLAN, "lender-1", {b"a" * 16: "ann"}, 64)
        told(disclosure_store, {"ann": 1}, "tower", "signal", 4)
        disclosure_store.forget(PLAN, "lender-1", [b"a" * 16])
        assert disclosure_store.bits("signal", "ann") == 4
        assert len(disclosure_store.told_of("ann")) == 1


class TestNotices:
    def test_each_person_once_until_it_is_passed(self, path: Path):
        disclosure_store = DisclosureStore(path)
        disclosure_store.keep_pair(PLAN, "wallet", {b"a" * 16: "ann", b"b" * 16: "bo"}, 64)
        assert disclosure_store.withdraw(PLAN, "wallet", ["ann", "stranger"]) == ("ann",)
        assert disclosure_store.withdraw(PLAN, "wallet", ["ann", "bo"]) == ("bo",)
        assert disclosure_store.withdraw(OTHER, "wallet", ["ann"]) == ()
        assert disclosure_store.notices("wallet") == [(PLAN, b"a" * 16), (PLAN, b"b" * 16)]
        assert disclosure_store.notices("video-1") == []
        disclosure_store.passed("wallet", [(PLAN, b"a" * 16)])
        disclosure_store.close()
        again = DisclosureStore(path)
        assert again.notices("wallet") == [(PLAN, b"b" * 16)]
        assert again.withdraw(PLAN, "wallet", ["ann", "bo"]) == ()

    def test_what_the_peer_told_of_them_goes_at_once(self):
        disclosure_store = DisclosureStore()
        disclosure_store.keep_pair(PLAN, "wallet", {b"a" * 16: "ann", b"b" * 16: "bo"}, 64)
        disclosure_store.receive(PLAN, "wallet", "signal", {"ann": 1, "bo": 2})
        disclosure_store.receive(PLAN, "wallet", "groups", {"ann": 1})
        disclosure_store.withdraw(PLAN, "wallet", ["ann"])
        assert disclosure_store.received_of("ann") == []
        assert disclosure_store.received(PLAN, "signal") == {"wallet": {"bo": 2}}
        assert disclosure_store.paired("wallet") == {PLAN: ("bo",)}


class TestConsents:
    def test_as_the_data_last_had_them(self, path: Path):
        disclosure_store = DisclosureStore(path)
        disclosure_store.note_consents([("ann", "loan-1", Consent("wallet"))])
        whole = Consent("video-1", "credit-scoring", date(2030, 1, 1), date(2031, 1, 1), date(2030, 6, 1))
        now = [("ann", "loan-1", whole), ("ann", "loan-1", Consent("wallet")), ("bo", "loan-2", Consent("wallet"))]
        disclosure_store.note_consents(now)
        disclosure_store.close()
        again = DisclosureStore(path)
        assert again.consents() == now
        assert again.consents("bo") == now[2:]
        assert again.consents("cy") == []
        again.note_consents([])
        assert again.consents() == []


class Machine(RuleBasedStateMachine):
    """Telling, receiving and forgetting against a model in dictionaries."""

    @initialize()
    def begin(self) -> None:
        self.disclosure_store = DisclosureStore()
        self.bits: Counter[str] = Counter()
        self.values: dict[tuple[str, str], int] = {}
        self.received: dict[str, dict[str, int]] = {}
        self.named: dict[str, str] = {}
        self.heads: list[str] = [self.disclosure_store.head]

    @rule(what=st.sampled_from(["t1", "t2"]), values_=values, bits=st.integers(1, 4))
    def tell(self, what: str, values_: dict[str, int], bits: int) -> None:
        for person, value in values_.items():
            if self.values.get((what, person)) != value:
                self.bits[person] += bits
            self.values[what, person] = value
        told(self.disclosure_store, values_, what, "signal", bits)
        self.heads.append(self.disclosure_store.head)

    @rule(peer=st.sampled_from(["one", "two"]), values_=values)
    def receive(self, peer: str, values_: dict[str, int]) -> None:
        self.disclosure_store.keep_pair(PLAN, peer, {p.encode().ljust(16): p for p in values_}, 64)
        self.disclosure_store.receive(PLAN, peer, "label", values_)
        self.received[peer] = dict(values_)

    @rule(peer=st.sampled_from(["one", "two"]), person=st.sampled_from(["ann", "bo", "cy", "di"]))
    def forget(self, peer: str, person: str) -> None:
        gone = self.disclosure_store.forget(PLAN, peer, [person.encode().ljust(16)])
        assert gone == ((person,) if self.received.get(peer, {}).pop(person, None) is not None else ())

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "disclosure_store"):
            return
        assert self.disclosure_store.received(PLAN, "label") == self.received
        assert {p: self.disclosure_store.bits("signal", p) for p in self.bits} == dict(self.bits)
        assert all(self.disclosure_store.values("signal", what)[p] == value for (what, p), value in self.values.items())
        assert all(self.disclosure_store.holds(head) for head in self.heads)
        assert self.disclosure_store.check() is None


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
