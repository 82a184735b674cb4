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

from sealscore.shared.ledger.disclosure_store import DisclosureStore, DisclosureStoreError, Told
from sealscore.shared.persons.consent import Consent

PLAN, OTHER = "ab" * 32, "cd" * 32
values = st.dictionaries(st.sampled_from(["ann", "bo", "cy", "di"]), st.integers(0, 3), max_size=4)


def told(
    register: DisclosureStore, values: dict[str, int], what: str = "late", kind: str = "label", bits: int = 1
) -> int:
    return register.tell(kind, what, bits, "video-1", PLAN, values)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "register.db"


class TestTold:
    def test_is_there_again_in_a_file_that_only_its_owner_reads(self, path: Path):
        register = DisclosureStore(path)
        told(register, {"ann": 1, "bo": 0})
        register.close()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        again = DisclosureStore(path)
        assert again.values("label", "late") == {"ann": 1, "bo": 0}
        assert again.head == register.head
        (one,) = again.told_of("ann")
        assert one == Told(one.at, "label", "late", "video-1", PLAN, 1, 1)
        assert one.at.endswith("Z")
        assert again.told_of("cy") == []

    def test_bits_of_a_person_add_up_and_the_same_value_is_nothing_new(self):
        register = DisclosureStore()
        told(register, {"ann": 3}, "tower 1", "signal", 4)
        told(register, {"ann": 3}, "tower 1", "signal", 4)
        assert (register.bits("signal", "ann"), register.bits("signal", "bo")) == (4, 0)
        told(register, {"ann": 2}, "tower 1", "signal", 4)
        told(register, {"ann": 2}, "tower 2", "signal", 4)
        told(register, {"ann": 1}, "groups", "groups", 1)
        assert (register.bits("signal", "ann"), register.bits("groups", "ann")) == (12, 1)

    def test_nothing_of_a_person_shows_in_a_text(self):
        register = DisclosureStore()
        told(register, {"secret-person": 1})
        assert "secret-person" not in repr(register)

    @settings(max_examples=50)
    @given(st.lists(st.tuples(st.sampled_from(["t1", "t2"]), st.integers(1, 3), values), max_size=8))
    def test_a_reopened_file_says_what_the_object_said(self, tmp_path_factory: pytest.TempPathFactory, all_):
        path = tmp_path_factory.mktemp("register") / "register.db"
        register, bits, known = DisclosureStore(path), Counter(), {}
        for what, width, given_ in all_:
            for person, value in given_.items():
                if known.get((what, person)) != value:
                    bits[person] += width
                known[what, person] = value
            told(register, given_, what, "signal", width)
        register.close()
        again = DisclosureStore(path)
        for one in (register, again):
            assert {p: one.bits("signal", p) for p in ("ann", "bo", "cy", "di")} == {
                p: bits[p] for p in ("ann", "bo", "cy", "di")
            }
            assert all(one.values("signal", what)[person] == value for (what, person), value in known.items())
        assert again.head == register.head
        assert again.check() is None
        again.close()


class TestConfirming:
    """What the ledger never had counts as new when it is told again: the ledger must not under-count."""

    def test_told_again_it_is_new_until_the_ledger_has_it(self):
        register = DisclosureStore()
        assert [told(register, {"ann": 1, "bo": 0}) for _ in range(2)] == [2, 2]
        register.confirm()
        assert told(register, {"ann": 1, "bo": 0}) == 0
        assert told(register, {"ann": 1, "cy": 0}) == 1
        assert told(register, {"ann": 1, "cy": 0}) == 1

    def test_what_comes_after_does_not_vouch_for_what_was_before(self):
        register = DisclosureStore()
        told(register, {"ann": 1})
        told(register, {"bo": 1})
        register.confirm()
        assert told(register, {"ann": 1, "bo": 1}) == 1
        register.confirm()
        assert told(register, {"ann": 1, "bo": 1}) == 0

    def test_at_a_start_the_ledger_says_which_batches_it_has(self, path: Path):
        register, heads = DisclosureStore(path), []
        for given_, what in (({"ann": 1}, "late"), ({"bo": 1}, "late"), ({"ann": 0}, "later"), ({"bo": 1}, "late")):
            told(register, given_, what)
            heads.append(register.head)
        register.close()
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
        register, charged, left, heads = DisclosureStore(), 0, set(), set()
        for what, given_ in steps:
            fresh = told(register, given_)
            if what == "tell":
                charged += fresh
                heads.add(register.head)
                register.confirm()
                left |= set(given_.items())
            elif what == "tell and die":
                register.reconcile(heads)
            assert charged >= len(left)


class TestChain:
    def test_it_has_had_every_head_and_no_other(self):
        register = DisclosureStore()
        heads = [register.head]
        for value in range(3):
            told(register, {"ann": value})
            heads.append(register.head)
        assert len(set(heads)) == 4
        assert all(register.holds(head) for head in heads)
        assert not register.holds("ab" * 32)
        assert not DisclosureStore().holds(heads[1])
        assert DisclosureStore().holds(heads[0])

    def test_equal_registers_have_different_heads(self):
        """A head leaves the party in no entry that is shown, but it says nothing of persons even so."""
        one, two = DisclosureStore(), DisclosureStore()
        for register in (one, two):
            told(register, {"ann": 1})
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
        register = DisclosureStore(path)
        for values_ in ({"ann": 1}, {"bo": 1, "cy": 0}, {"di": 1}):
            told(register, values_)
        assert register.check() is None
        register.close()
        with sqlite3.connect(path) as database:
            database.execute(statement)
        database.close()
        assert DisclosureStore(path).check() in (2, 3)

    def test_an_old_copy_lacks_the_later_heads(self, path: Path, tmp_path: Path):
        register = DisclosureStore(path)
        told(register, {"ann": 1})
        register.close()
        shutil.copy(path, tmp_path / "copy.db")
        register = DisclosureStore(path)
        told(register, {"bo": 1})
        old = DisclosureStore(tmp_path / "copy.db")
        assert old.check() is None
        assert not old.holds(register.head)


class TestFiles:
    def test_a_folder_that_is_not_there(self, tmp_path: Path):
        with pytest.raises(DisclosureStoreError, match=r"nowhere/register.db: no "):
            DisclosureStore(tmp_path / "nowhere" / "register.db")

    def test_what_is_no_register(self, path: Path):
        path.write_bytes(b"rubbish " * 1000)
        with pytest.raises(DisclosureStoreError, match="restore it from a copy"):
            DisclosureStore(path)

    def test_what_cannot_be_written_is_not_told(self, path: Path):
        register = DisclosureStore(path)
        told(register, {"ann": 1})
        head = register.head
        with sqlite3.connect(path) as database:
            database.execute("ALTER TABLE told RENAME TO gone")
        database.close()
        with pytest.raises(DisclosureStoreError, match="cannot be written"):
            told(register, {"bo": 1})
        assert register.head == head
        assert register.values("label", "late") == {"ann": 1}
        assert register.bits("label", "bo") == 0

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
        register = DisclosureStore(path)
        assert register.check() is None
        assert acknowledged <= len(register.values("label", "late")) // 50 <= acknowledged + 1
        assert len(register.values("label", "late")) % 50 == 0


def _write_on(path: Path, writer: multiprocessing.connection.Connection) -> None:
    register, batch = DisclosureStore(path), 0
    while True:
        told(register, {f"p{batch}-{n}": n % 2 for n in range(50)})
        batch += 1
        writer.send(batch)


class TestPairsAndReceived:
    def test_pairs_are_of_a_plan_and_a_peer(self, path: Path):
        register = DisclosureStore(path)
        register.keep_pair(PLAN, "video-1", {b"a" * 16: "ann", b"b" * 16: "bo"}, 64)
        register.keep_pair(PLAN, "wallet", {b"c" * 16: "ann"}, 128)
        register.keep_pair(OTHER, "video-1", {b"d" * 16: "ann"}, 64)
        register.keep_pair(PLAN, "wallet", {b"e" * 16: "cy"}, 256)
        register.close()
        again = DisclosureStore(path)
        assert again.pairs(PLAN) == {
            "video-1": ({b"a" * 16: "ann", b"b" * 16: "bo"}, 64),
            "wallet": ({b"e" * 16: "cy"}, 256),
        }
        assert again.paired("video-1") == {PLAN: ("ann", "bo"), OTHER: ("ann",)}
        assert again.pairs("ef" * 32) == {}

    def test_what_is_received_again_takes_the_place_of_what_was_before(self, path: Path):
        register = DisclosureStore(path)
        register.receive(PLAN, "lender-1", "label", {"ann": 1, "bo": 0})
        register.receive(PLAN, "lender-2", "label", {"ann": 0})
        register.receive(PLAN, "lender-1", "groups", {"ann": 3})
        register.receive(OTHER, "lender-1", "label", {"ann": 1})
        register.receive(PLAN, "lender-1", "label", {"ann": 0})
        register.close()
        again = DisclosureStore(path)
        assert again.received(PLAN, "label") == {"lender-1": {"ann": 0}, "lender-2": {"ann": 0}}
        assert again.received(PLAN, "groups") == {"lender-1": {"ann": 3}}
        assert len(again.received_of("ann")) == 4

    def test_forgetting_deletes_what_one_peer_told_under_one_plan(self):
        register = DisclosureStore()
        for plan in (PLAN, OTHER):
            for peer in ("lender-1", "lender-2"):
                register.keep_pair(plan, peer, {b"a" * 16: "ann", b"b" * 16: "bo"}, 64)
                for kind in ("label", "groups"):
                    register.receive(plan, peer, kind, {"ann": 1, "bo": 0})
        assert register.forget(PLAN, "lender-1", [b"a" * 16, b"x" * 16]) == ("ann",)
        assert register.received(PLAN, "label") == {"lender-1": {"bo": 0}, "lender-2": {"ann": 1, "bo": 0}}
        assert register.received(PLAN, "groups")["lender-1"] == {"bo": 0}
        assert register.received(OTHER, "label")["lender-1"] == {"ann": 1, "bo": 0}
        # The handle keeps its place in payloads, and names nobody.
        assert register.pairs(PLAN)["lender-1"] == ({b"a" * 16: "", b"b" * 16: "bo"}, 64)
        assert register.paired("lender-1")[PLAN] == ("bo",)
        assert register.forget(PLAN, "lender-1", [b"a" * 16]) == ()

    def test_that_something_came_of_nobody_outlives_the_process(self, path: Path):
        """Nor does a pair that shares nobody: after a restart it must answer like any other."""
        register = DisclosureStore(path)
        register.keep_pair(PLAN, "lender-1", {}, 64)
        register.receive(PLAN, "lender-1", "label", {})
        register.close()
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

        register, ear, gone = DisclosureStore(), Ear(), Ear()
        register.subscribe(ear)
        register.subscribe(gone)
        register.keep_pair(PLAN, "lender-1", {b"a" * 16: "ann", b"b" * 16: "bo"}, 64)
        register.forget(PLAN, "lender-1", [b"x" * 16])
        assert ear.heard == []
        del gone
        register.forget(PLAN, "lender-1", [b"a" * 16])
        assert ear.heard == [(PLAN, "lender-1", ("ann",))]
        assert len(register._listeners) == 1

    def test_what_came_while_a_person_was_being_forgotten_is_deleted_again(self):
        register = DisclosureStore()
        register.keep_pair(PLAN, "lender-1", {b"a" * 16: "ann"}, 64)
        register.forget(PLAN, "lender-1", [b"a" * 16])
        register.receive(PLAN, "lender-1", "label", {"ann": 1, "bo": 0})
        register.erase(PLAN, "lender-1", ["ann"])
        assert register.received(PLAN, "label") == {"lender-1": {"bo": 0}}

    def test_what_was_told_is_never_forgotten(self):
        register = DisclosureStore()
        register.keep_pair(PLAN, "lender-1", {b"a" * 16: "ann"}, 64)
        told(register, {"ann": 1}, "tower", "signal", 4)
        register.forget(PLAN, "lender-1", [b"a" * 16])
        assert register.bits("signal", "ann") == 4
        assert len(register.told_of("ann")) == 1


class TestNotices:
    def test_each_person_once_until_it_is_passed(self, path: Path):
        register = DisclosureStore(path)
        register.keep_pair(PLAN, "wallet", {b"a" * 16: "ann", b"b" * 16: "bo"}, 64)
        assert register.withdraw(PLAN, "wallet", ["ann", "stranger"]) == ("ann",)
        assert register.withdraw(PLAN, "wallet", ["ann", "bo"]) == ("bo",)
        assert register.withdraw(OTHER, "wallet", ["ann"]) == ()
        assert register.notices("wallet") == [(PLAN, b"a" * 16), (PLAN, b"b" * 16)]
        assert register.notices("video-1") == []
        register.passed("wallet", [(PLAN, b"a" * 16)])
        register.close()
        again = DisclosureStore(path)
        assert again.notices("wallet") == [(PLAN, b"b" * 16)]
        assert again.withdraw(PLAN, "wallet", ["ann", "bo"]) == ()

    def test_what_the_peer_told_of_them_goes_at_once(self):
        register = DisclosureStore()
        register.keep_pair(PLAN, "wallet", {b"a" * 16: "ann", b"b" * 16: "bo"}, 64)
        register.receive(PLAN, "wallet", "signal", {"ann": 1, "bo": 2})
        register.receive(PLAN, "wallet", "groups", {"ann": 1})
        register.withdraw(PLAN, "wallet", ["ann"])
        assert register.received_of("ann") == []
        assert register.received(PLAN, "signal") == {"wallet": {"bo": 2}}
        assert register.paired("wallet") == {PLAN: ("bo",)}


class TestConsents:
    def test_as_the_data_last_had_them(self, path: Path):
        register = DisclosureStore(path)
        register.note_consents([("ann", "loan-1", Consent("wallet"))])
        whole = Consent("video-1", "credit-scoring", date(2030, 1, 1), date(2031, 1, 1), date(2030, 6, 1))
        now = [("ann", "loan-1", whole), ("ann", "loan-1", Consent("wallet")), ("bo", "loan-2", Consent("wallet"))]
        register.note_consents(now)
        register.close()
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
        self.register = DisclosureStore()
        self.bits: Counter[str] = Counter()
        self.values: dict[tuple[str, str], int] = {}
        self.received: dict[str, dict[str, int]] = {}
        self.named: dict[str, str] = {}
        self.heads: list[str] = [self.register.head]

    @rule(what=st.sampled_from(["t1", "t2"]), values_=values, bits=st.integers(1, 4))
    def tell(self, what: str, values_: dict[str, int], bits: int) -> None:
        for person, value in values_.items():
            if self.values.get((what, person)) != value:
                self.bits[person] += bits
            self.values[what, person] = value
        told(self.register, values_, what, "signal", bits)
        self.heads.append(self.register.head)

    @rule(peer=st.sampled_from(["one", "two"]), values_=values)
    def receive(self, peer: str, values_: dict[str, int]) -> None:
        self.register.keep_pair(PLAN, peer, {p.encode().ljust(16): p for p in values_}, 64)
        self.register.receive(PLAN, peer, "label", values_)
        self.received[peer] = dict(values_)

    @rule(peer=st.sampled_from(["one", "two"]), person=st.sampled_from(["ann", "bo", "cy", "di"]))
    def forget(self, peer: str, person: str) -> None:
        gone = self.register.forget(PLAN, peer, [person.encode().ljust(16)])
        assert gone == ((person,) if self.received.get(peer, {}).pop(person, None) is not None else ())

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "register"):
            return
        assert self.register.received(PLAN, "label") == self.received
        assert {p: self.register.bits("signal", p) for p in self.bits} == dict(self.bits)
        assert all(self.register.values("signal", what)[p] == value for (what, p), value in self.values.items())
        assert all(self.register.holds(head) for head in self.heads)
        assert self.register.check() is None


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
