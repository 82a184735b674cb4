"""A node holds its ledger against what others keep of it, and keeps theirs."""

from __future__ import annotations

import dataclasses
import shutil
import sqlite3
from pathlib import Path

import pytest
from builders import LENDERS, small_plan
from ledger_entries import refusal
from ledgers import UNLIMITED

from sealscore.clients.node.plan_ledger import approve
from sealscore.clients.node.sealed import Anchoring, LedgerBehind
from sealscore.shared.identity.identity import Identity
from sealscore.shared.ledger.chain import GENESIS, AnchorError, Head, Receipt, entry_hash
from sealscore.shared.ledger.disclosure_store import DisclosureStore
from sealscore.shared.ledger.entries import Withdraw
from sealscore.shared.ledger.ledger import SIGNED, Ledger, stored_entries
from sealscore.shared.plan.plan import SERVER
from sealscore.simulations.engine.enrolment import enrolled, identities

PLAN = enrolled(small_plan())
MEMBERS = identities(PLAN)
OWN, PEER, OTHER = LENDERS


class Party:
    """A party with a ledger in a file."""

    def __init__(self, folder: Path, name: str = OWN) -> None:
        self.path, self.identity = folder / f"{name}.db", MEMBERS[name]
        self.disclosure_store = DisclosureStore()
        self.begin()

    def begin(self, entries: int = 3) -> None:
        """A new ledger with so many entries after the approval."""
        self.ledger = Ledger.create(self.path, self.identity, "records", UNLIMITED)
        approve(self.ledger, PLAN)
        self.write(entries)

    def write(self, entries: int = 1) -> Head:
        for _ in range(entries):
            self.ledger.append(lambda state: refusal(PLAN))
        return self.ledger.head

    def reopen(self) -> Anchoring:
        """Start anew on the file."""
        self.ledger.close()
        self.ledger = Ledger(self.path, self.identity)
        return Anchoring(self.ledger, PLAN.cards, self.disclosure_store)

    @property
    def anchoring(self) -> Anchoring:
        return Anchoring(self.ledger, PLAN.cards, self.disclosure_store)

    def receipt(self, at: int = 1) -> Receipt:
        return Receipt.sign(MEMBERS[SERVER], self.ledger.head, at)


@pytest.fixture
def party(tmp_path: Path) -> Party:
    return Party(tmp_path)


@pytest.fixture
def peer(tmp_path: Path) -> Party:
    return Party(tmp_path, PEER)


def restore_a_copy(party: Party) -> Head:
    """Put an old copy of the file in its place; as the others below, returns the last head that was given away."""
    copy = party.path.with_suffix(".copy")
    party.ledger.close()
    shutil.copy(party.path, copy)
    party.ledger = Ledger(party.path, party.identity)
    head = party.write(2)
    party.ledger.close()
    shutil.copy(copy, party.path)
    return head


def change_and_sign_anew(party: Party) -> Head:
    """The last entries say another thing, and the chain and all signatures are right: it is the party's own key."""
    head = party.write(2)
    party.ledger.close()
    with sqlite3.connect(party.path) as database:
        database.execute("DROP TRIGGER entries_stay")
        database.execute("DROP TRIGGER entries_last")
        rows = list(stored_entries(database, 0))
        database.execute("DELETE FROM entries")
        previous = GENESIS
        for row in rows:
            body = row.body.replace('"code":"budget"', '"code":"bad-cohort"') if row.seq == 6 else row.body
            hashed = entry_hash(row.seq, previous, row.at, row.nonce, body)
            signature = party.identity.sign(SIGNED, hashed)
            values = (row.seq, row.at, body, row.nonce, previous, hashed, signature)
            database.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)", values)
            previous = hashed
    database.close()
    return head


def begin_anew(party: Party) -> Head:
    """A new ledger in the place of the old one, with more entries than that had."""
    head = party.write(2)
    party.ledger.close()
    for path in party.path.parent.glob(f"{party.path.name}*"):
        path.unlink()
    party.begin(9)
    return head


SPOILT = pytest.mark.parametrize("spoil", [restore_a_copy, change_and_sign_anew, begin_anew])


class TestOwnLedger:
    def test_a_ledger_that_grew_holds_all_heads_of_before(self, party: Party):
        heads = [party.write().to_bytes() for _ in range(3)]
        party.reopen().compare(tuple(heads))
        party.anchoring.compare(())

    @SPOILT
    def test_one_that_was_spoilt_lacks_the_last_head(self, party: Party, spoil):
        early = party.ledger.head.to_bytes()
        head = spoil(party)
        # What the party itself gave away is the only sign of it: a spoilt ledger is whole in itself.
        anchoring = party.reopen()
        with pytest.raises(LedgerBehind, match=f"lacks entry {head.seq}, for which this party once signed"):
            anchoring.compare((head.to_bytes(),))
        if spoil is not begin_anew:
            anchoring.compare((early,))

    def test_cut_back_below_a_receipt_that_it_keeps_itself_it_does_not_start(self, party: Party):
        party.anchoring.take((), party.receipt().to_bytes())
        seq = party.ledger.head.seq
        party.ledger.close()
        with sqlite3.connect(party.path) as database:
            database.execute("DROP TRIGGER entries_last")
            database.execute("DELETE FROM entries WHERE seq = ?", (seq,))
        database.close()
        with pytest.raises(LedgerBehind, match=f"lacks entry {seq}"):
            party.reopen()

    @pytest.mark.parametrize("signer", [MEMBERS[PEER], MEMBERS[SERVER], Identity.simulated(99, OWN, "lender")])
    def test_a_head_that_another_made_up_proves_nothing(self, party: Party, signer: Identity):
        made_up = Head.sign(signer, party.ledger.head.ledger, 99, bytes(32))
        for head in (made_up, dataclasses.replace(made_up, party=OWN)):
            with pytest.raises(AnchorError):
                party.anchoring.compare((head.to_bytes(),))
        with pytest.raises(AnchorError, match="no head"):
            party.anchoring.compare((b"rubbish",))


class TestDisclosureStore:
    def test_one_that_is_older_than_the_ledger_stops_the_node(self, party: Party, tmp_path: Path):
        party.disclosure_store = DisclosureStore(tmp_path / "register.db")
        party.disclosure_store.tell("label", "late", 1, PEER, PLAN.hash, {"ann": 1})
        copy = tmp_path / "copy.db"
        party.disclosure_store.close()
        shutil.copy(tmp_path / "register.db", copy)
        party.disclosure_store = DisclosureStore(tmp_path / "register.db")
        party.disclosure_store.tell("label", "late", 1, PEER, PLAN.hash, {"bo": 0})
        self.note(party, party.disclosure_store.head)
        party.reopen()
        party.disclosure_store = DisclosureStore(copy)
        with pytest.raises(LedgerBehind, match="older than the ledger"):
            party.reopen()
        party.disclosure_store = DisclosureStore()
        with pytest.raises(LedgerBehind, match="older than the ledger"):
            party.reopen()

    def test_one_that_is_ahead_does_not(self, party: Party):
        """It was written, and then the process died before the ledger was."""
        self.note(party, party.disclosure_store.head)
        party.disclosure_store.tell("label", "late", 1, PEER, PLAN.hash, {"ann": 1})
        party.reopen()

    @staticmethod
    def note(party: Party, head: str) -> None:
        """An entry that speaks of a state of the register."""
        party.ledger.append(
            lambda state: Withdraw(plan=PLAN.hash, peer=PEER, direction="passed", persons=1, register_head=head)
        )


class TestKeeping:
    def test_heads_and_receipts_outlive_a_restart(self, party: Party, peer: Party):
        heads = [peer.ledger.head, peer.write(2)]
        receipts = [party.receipt()]
        party.write()
        receipts.append(party.receipt())
        anchoring = party.anchoring
        for head, receipt in zip(heads, receipts, strict=True):
            anchoring.take((head.to_bytes(),), receipt.to_bytes())
            anchoring.take((head.to_bytes(),), receipt.to_bytes())
        assert anchoring.kept == (heads[1].to_bytes(),)
        assert party.reopen().kept == (heads[1].to_bytes(),)
        assert party.ledger.anchors(OWN) == [receipts[1]]

    def test_nothing_is_a_thing_to_take(self, party: Party):
        party.anchoring.take((), b"")
        assert party.anchoring.kept == ()

    @pytest.mark.parametrize("restart", [False, True])
    def test_a_peers_head_that_goes_back_is_refused(self, party: Party, peer: Party, restart: bool):
        early, late = peer.ledger.head, peer.write(2)
        anchoring = party.anchoring
        anchoring.take((late.to_bytes(),), b"")
        anchoring = party.reopen() if restart else anchoring
        with pytest.raises(AnchorError, match=f"'lender-2' is at entry {early.seq}, and was at {late.seq} before"):
            anchoring.take((early.to_bytes(),), b"")
        assert anchoring.kept == (late.to_bytes(),)

    def test_nor_within_one_request(self, party: Party, peer: Party):
        early, late = peer.ledger.head, peer.write()
        anchoring = party.anchoring
        with pytest.raises(AnchorError):
            anchoring.take((late.to_bytes(), early.to_bytes()), b"")
        assert anchoring.kept == ()

    def test_two_heads_at_one_entry_are_two_ledgers(self, party: Party, peer: Party, tmp_path: Path):
        head = peer.write()
        fork = Head.sign(MEMBERS[PEER], head.ledger, head.seq, bytes(32))
        (tmp_path / "new").mkdir()
        new = Party(tmp_path / "new", PEER).write(9)
        anchoring = party.anchoring
        anchoring.take((head.to_bytes(),), b"")
        for other in (fork, new):
            with pytest.raises(AnchorError, match="the ledger of 'lender-2'"):
                anchoring.take((other.to_bytes(),), b"")

    def test_a_strangers_head_is_refused(self, party: Party, peer: Party):
        head = peer.ledger.head
        stranger = Identity.simulated(99, PEER, "lender")
        server = Head.sign(MEMBERS[SERVER], head.ledger, head.seq, head.hash)
        wrong = [
            Head.sign(stranger, head.ledger, head.seq, head.hash),
            Head.sign(Identity.simulated(1, "stranger", "lender"), head.ledger, head.seq, head.hash),
            dataclasses.replace(head, party=OTHER),
            dataclasses.replace(head, seq=head.seq + 1),
            dataclasses.replace(server, party=PEER),
            party.ledger.head,
        ]
        for one in wrong:
            with pytest.raises(AnchorError):
                party.anchoring.take((one.to_bytes(),), b"")
        with pytest.raises(AnchorError):
            party.anchoring.take((b"rubbish",), b"")
        assert party.ledger.anchors() == []

    def test_a_receipt_that_is_another_ones_or_a_strangers_is_refused(self, party: Party, peer: Party):
        head = party.ledger.head
        wrong = [
            peer.receipt(),
            Receipt.sign(Identity.simulated(99, SERVER, "server"), head, 1),
            Receipt.sign(MEMBERS[PEER], head, 1),
            dataclasses.replace(party.receipt(), at=2),
            dataclasses.replace(party.receipt(), head=dataclasses.replace(head, hash=bytes(32))),
        ]
        for one in wrong:
            with pytest.raises(AnchorError):
                party.anchoring.take((), one.to_bytes())
        assert party.ledger.anchors() == []

    @pytest.mark.parametrize("restart", [False, True])
    def test_a_receipt_that_goes_back_is_refused(self, party: Party, restart: bool):
        early = party.receipt()
        party.write()
        late = party.receipt()
        anchoring = party.anchoring
        anchoring.take((), late.to_bytes())
        anchoring = party.reopen() if restart else anchoring
        with pytest.raises(AnchorError, match="a receipt for entry"):
            anchoring.take((), early.to_bytes())
        anchoring.take((), late.to_bytes())

    def test_a_receipt_for_what_the_ledger_lacks_says_that_it_is_behind(self, party: Party):
        ahead = Head.sign(party.identity, party.ledger.head.ledger, 99, bytes(32))
        with pytest.raises(LedgerBehind, match="lacks entry 99"):
            party.anchoring.take((), Receipt.sign(MEMBERS[SERVER], ahead, 1).to_bytes())
