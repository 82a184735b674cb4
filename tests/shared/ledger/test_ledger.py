"""A ledger holds what was appended, refuses what is not its own, and finds out at its opening that it was changed."""

import sqlite3
import stat
import threading

import pytest
from builders import TRAIN, small_plan
from ledger_entries import EVENT, UNLIMITED, answer, approval, refusal, reserve

from sealscore.compliance.verify.anchoring import kept_anchors
from sealscore.shared.identity.identity import BadSignature, Identity
from sealscore.shared.ledger.budget_check import BudgetCheck, Overdrawn
from sealscore.shared.ledger.chain import Head, Receipt, body_of, entry_hash
from sealscore.shared.ledger.entries import Reserve, Settle
from sealscore.shared.ledger.ledger import SIGNED, Ledger, LedgerError, read_ledger
from sealscore.shared.ledger.state import LedgerFault

PLAN = small_plan()
REAL = Identity.generate("lender-1", "lender")
SIMULATED = Identity.simulated(7, "lender-1", "lender")
SERVER = Identity.generate("server", "server")


@pytest.fixture(params=[REAL, SIMULATED], ids=["real", "simulated"])
def identity(request):
    return request.param


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


def put(ledger, *entries):
    """Append the entries; their numbers."""
    return [ledger.append(lambda state, entry=entry: entry) for entry in entries]


def filled(path, identity=REAL):
    """A ledger with a plan, a block and an answer; closed."""
    ledger, block = Ledger.create(path, identity, "loans", UNLIMITED), reserve(PLAN, TRAIN, count=3)
    put(ledger, approval(PLAN), block, answer(block, 3), refusal(PLAN))
    ledger.close()


def edit(path, statement, *values):
    """Change the file as somebody does who does not want to be found out."""
    with sqlite3.connect(path) as database:
        database.execute("DROP TRIGGER entries_stay")
        database.execute("DROP TRIGGER entries_last")
        database.execute(statement, values)
    database.close()


def test_what_was_appended_is_there_after_a_restart(path, identity):
    ledger = Ledger.create(path, identity, "loans", UNLIMITED)
    assert put(ledger, approval(PLAN), reserve(PLAN, TRAIN, count=3), refusal(PLAN)) == [2, 3, 4]
    ledger.close()
    again = Ledger(path, identity)
    assert again.state.plans[PLAN.hash].charged["training"] == {EVENT: 3}
    assert again.state.opened.data_set == "loans"
    assert again.head.seq == 4
    assert [stored.kind for stored in read_ledger(path)] == ["open", "approve", "reserve", "refuse"]
    again.close()


def test_entries_are_chained_signed_and_hidden(path, identity):
    filled(path, identity)
    previous, nonces = bytes(32), set()
    for seq, stored in enumerate(read_ledger(path), start=1):
        assert (stored.seq, stored.previous) == (seq, previous)
        assert stored.hash == entry_hash(seq, previous, stored.at, stored.nonce, stored.body)
        identity.card.check(stored.signature, SIGNED, stored.hash)
        previous = stored.hash
        nonces.add(stored.nonce)
    assert len(nonces) == seq == 5
    with pytest.raises(BadSignature):
        identity.card.check(stored.signature, "ledger head", stored.hash)


def test_the_file_is_the_owner_s_alone_and_durable(path):
    ledger = Ledger.create(path, REAL, "loans", UNLIMITED)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ledger._database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert ledger._database.execute("PRAGMA synchronous").fetchone() == (2,)
    for statement in ("UPDATE entries SET at = ''", "DELETE FROM entries"):
        with pytest.raises(sqlite3.IntegrityError, match="only grows"):
            ledger._database.execute(statement)
    ledger.close()


def test_a_real_identity_keeps_no_ledger_in_memory():
    for make in (lambda: Ledger.create(None, REAL, "loans", UNLIMITED), lambda: Ledger(None, REAL)):
        with pytest.raises(ValueError, match="for simulations"):
            make()
    ledger = Ledger.create(None, SIMULATED, "loans", UNLIMITED)
    assert put(ledger, approval(PLAN)) == [2]
    ledger.close()


def test_an_existing_file_is_not_made_anew(path):
    filled(path)
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="no ledger can be created there"):
        Ledger.create(path, REAL, "loans", UNLIMITED)
    assert path.read_bytes() == before
    with pytest.raises(LedgerError, match="create one first"):
        Ledger(path.with_name("another.db"), REAL)


@pytest.mark.parametrize("other", [Identity.generate("lender-1", "lender"), Identity.generate("lender-2", "lender")])
def test_another_key_is_refused(path, other):
    filled(path)
    with pytest.raises(LedgerError, match="another key"):
        Ledger(path, other)


@pytest.mark.parametrize("content", [b"", b"no database at all, but text" * 100])
def test_a_file_that_is_no_ledger(path, content):
    path.write_bytes(content)
    with pytest.raises(LedgerError, match="is no ledger"):
        Ledger(path, REAL)
    with pytest.raises(LedgerError, match="is no ledger"):
        list(read_ledger(path))
    with pytest.raises(LedgerError, match="no such ledger"):
        list(read_ledger(path.with_name("another.db")))


CHANGED = body_of(refusal(PLAN, code="order"))


@pytest.mark.parametrize(
    ("statement", "values", "message"),
    [
        ("UPDATE entries SET body = ? WHERE seq = 5", [CHANGED], "entry 5 was changed"),
        ("UPDATE entries SET body = ? WHERE seq = 5", ["é"], "entry 5 is not allowed"),
        ("UPDATE entries SET at = '2030-01-01T00:00:00Z' WHERE seq = 3", [], "entry 3 was changed"),
        ("UPDATE entries SET nonce = zeroblob(32) WHERE seq = 3", [], "entry 3 was changed"),
        ("UPDATE entries SET hash = zeroblob(32) WHERE seq = 3", [], "entry 3 was changed"),
        ("UPDATE entries SET previous = zeroblob(32) WHERE seq = 3", [], "breaks at entry 3"),
        ("DELETE FROM entries WHERE seq = 3", [], "breaks at entry 4"),
        ("DELETE FROM entries WHERE seq = 1", [], "breaks at entry 2"),
        ("UPDATE entries SET seq = 9 WHERE seq = 5", [], "breaks at entry 9"),
    ],
    ids=["body", "not-ascii", "time", "nonce", "hash", "previous", "gap", "beginning", "number"],
)
def test_a_changed_file_is_not_opened(path, statement, values, message):
    filled(path)
    edit(path, statement, *values)
    with pytest.raises(LedgerError, match=message):
        Ledger(path, REAL)


def test_an_entry_that_its_own_party_forged_must_be_allowed_there(path):
    filled(path)
    last, body = list(read_ledger(path))[-1], body_of(reserve(PLAN, TRAIN))
    for forged in (body, '{"kind":"forget"}'):
        hashed = entry_hash(6, last.hash, last.at, bytes(32), forged)
        row = (6, last.at, forged, bytes(32), last.hash, hashed, REAL.sign(SIGNED, hashed))
        with sqlite3.connect(path) as database:
            database.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        database.close()
        with pytest.raises(LedgerError, match="entry 6 is not allowed"):
            Ledger(path, REAL)


def test_a_ledger_that_is_cut_while_it_is_in_use_takes_nothing_more(path):
    filled(path)
    ledger = Ledger(path, REAL)
    edit(path, "DELETE FROM entries WHERE seq = 5")
    for use in (lambda: put(ledger, refusal(PLAN)), lambda: ledger.state, lambda: ledger.head):
        with pytest.raises(LedgerError, match="entry 5 is missing"):
            use()
    ledger.close()
    assert len(list(read_ledger(path))) == 4


def test_what_cannot_stand_is_not_written(path, identity):
    ledger = Ledger.create(path, identity, "loans", UNLIMITED)
    with pytest.raises(LedgerFault) as refused:
        put(ledger, reserve(PLAN))
    assert refused.value.code == "not-approved"

    def overdrawn(state):
        raise Overdrawn("data-set", "it is spent")

    with pytest.raises(Overdrawn):
        ledger.append(overdrawn)
    assert ledger.head.seq == 1
    assert put(ledger, approval(PLAN)) == [2]
    ledger.close()


def test_times_are_in_utc_by_the_clock(path):
    ledger = Ledger.create(path, REAL, "loans", UNLIMITED, clock=lambda: 1_925_460_000.9)
    ledger.close()
    assert next(read_ledger(path)).at == "2031-01-06T10:00:00Z"


def test_objects_on_one_file_see_each_other(path, identity):
    one = Ledger.create(path, identity, "loans", UNLIMITED)
    two = Ledger(path, identity)
    put(one, approval(PLAN), reserve(PLAN, TRAIN))
    assert two.state.plans[PLAN.hash].spent == {TRAIN: 1}
    with pytest.raises(LedgerFault):
        put(two, reserve(PLAN, TRAIN))
    assert put(two, Settle(plan=PLAN.hash, why="finished")) == [4]
    assert one.head == two.head
    assert one.state.live == []
    for ledger in (one, two):
        ledger.close()


def test_threads_share_an_object(path, identity):
    ledger = Ledger.create(path, identity, "loans", UNLIMITED)
    threads = [threading.Thread(target=lambda: put(ledger, *[refusal(PLAN)] * 20)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [stored.seq for stored in read_ledger(path)] == list(range(1, 82))
    ledger.close()


def test_a_check_against_the_ceilings_is_of_what_is_appended_with_it(path):
    ledger, spending = Ledger.create(path, REAL, "loans", UNLIMITED), BudgetCheck()

    def checked(state) -> Reserve:
        entry = reserve(PLAN, TRAIN, state.plans[PLAN.hash].spent[TRAIN] + 1, event=EVENT)
        spending.check(state, PLAN.hash, entry)
        return entry

    put(ledger, approval(PLAN))
    assert [ledger.append(checked) for _ in range(3)] == [3, 4, 5]
    ledger.close()


def test_own_heads_are_held_and_others_are_kept(path):
    filled(path)
    ledger, other = Ledger(path, REAL), Identity.generate("lender-2", "lender")
    first, second, third = (Head.sign(other, bytes(32), seq, bytes([seq] * 32)) for seq in (1, 2, 3))
    receipt = Receipt.sign(SERVER, ledger.head, 1_925_460_000)
    ledger.keep(receipt, second, first)
    assert ledger.anchors() == [receipt, second]
    ledger.keep(third)
    ledger.keep(second)
    ledger.keep()
    # Another head of the same place takes nothing's place, and one of another ledger stands beside it.
    ledger.keep(Head.sign(other, bytes(32), 3, bytes(32)))
    assert ledger.last_heads() == {"lender-2": third}
    new = Head.sign(other, bytes([1] * 32), 1, bytes(32))
    ledger.keep(new)
    assert ledger.anchors("lender-2") == [new, third]
    assert ledger.anchors() == list(kept_anchors(path)) == [receipt, new, third]
    head = ledger.head
    head.check(REAL.card)
    assert ledger.holds(head)
    for changed in (
        Head.sign(REAL, head.ledger, head.seq + 1, head.hash),
        Head.sign(REAL, head.ledger, head.seq - 1, head.hash),
        Head.sign(REAL, bytes(32), head.seq, head.hash),
        Head.sign(REAL, head.ledger, head.seq, bytes(32)),
    ):
        assert not ledger.holds(changed)
    ledger.close()
    assert Ledger(path, REAL).anchors() == [receipt, new, third]


def test_a_damaged_anchor_is_named(path):
    filled(path)
    with sqlite3.connect(path) as database:
        database.execute("INSERT INTO anchors VALUES ('lender-2', zeroblob(32), 0, 1, x'00')")
    database.close()
    with pytest.raises(LedgerError, match="damaged"):
        Ledger(path, REAL).anchors()
