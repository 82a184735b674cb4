"""The server's receipts: one for each head that a party gave, on the disk before it is passed on, never backwards."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from builders import LENDERS, small_plan
from hypothesis import given
from hypothesis import strategies as st

from sealscore.server.transport.sealed import HEADS, Receipts
from sealscore.shared.identity.identity import Identity
from sealscore.shared.ledger.chain import AnchorError, Head, Receipt, read_anchors
from sealscore.shared.plan.plan import SERVER
from sealscore.simulations.engine.enrolment import enrolled, identities

PLAN = enrolled(small_plan())
MEMBERS, CARDS = identities(PLAN), PLAN.cards
LEDGER = bytes(range(32))


def head(party: str = "lender-1", seq: int = 5, ledger: bytes = LEDGER, hash: bytes = bytes(32)) -> Head:
    return Head.sign(MEMBERS[party], ledger, seq, hash)


def receipts(path: Path | None = None, now: float = 1_000.9) -> Receipts:
    return Receipts(MEMBERS[SERVER], path, lambda: now)


def test_one_is_the_servers_word_for_a_head_at_its_time():
    made = receipts()
    receipt = made.sign("lender-1", head().to_bytes(), CARDS)
    receipt.check(CARDS[SERVER], CARDS["lender-1"])
    assert (receipt.head, receipt.at) == (head(), 1000)
    assert made.of("lender-1") is receipt
    assert made.of("lender-2") is None


def test_the_same_head_again_has_the_same_receipt(tmp_path: Path):
    made = receipts(tmp_path / "receipts.jsonl")
    first = made.sign("lender-1", head().to_bytes(), CARDS)
    assert made.sign("lender-1", head().to_bytes(), CARDS) is first
    assert read_anchors(tmp_path / "receipts.jsonl") == [first]


@pytest.mark.parametrize(
    "then",
    [
        head(seq=4),
        head(seq=5, hash=bytes([1]) * 32),
        head(seq=9, ledger=bytes(32)),
    ],
    ids=["back", "another of that number", "another ledger"],
)
@pytest.mark.parametrize("restart", [False, True])
def test_a_ledger_does_not_go_back(tmp_path: Path, then: Head, restart: bool):
    path = tmp_path / "receipts.jsonl"
    made = receipts(path)
    kept = made.sign("lender-1", head().to_bytes(), CARDS)
    made = receipts(path) if restart else made
    with pytest.raises(AnchorError, match=r"the ledger of 'lender-1' is at entry \d, and was at 5 before"):
        made.sign("lender-1", then.to_bytes(), CARDS)
    assert made.of("lender-1") == kept
    assert read_anchors(path) == [kept]


def test_only_the_partys_own_head_counts(tmp_path: Path):
    made = receipts(tmp_path / "receipts.jsonl")
    stranger = Identity.simulated(99, "lender-1", "lender")
    wrong = [
        head("lender-2").to_bytes(),
        dataclasses.replace(head("lender-2"), party="lender-1").to_bytes(),
        dataclasses.replace(head(), seq=6).to_bytes(),
        Head.sign(stranger, LEDGER, 5, bytes(32)).to_bytes(),
        b"",
        b"rubbish",
    ]
    for data in wrong:
        with pytest.raises(AnchorError):
            made.sign("lender-1", data, CARDS)
    assert made.of("lender-1") is None
    assert not (tmp_path / "receipts.jsonl").exists()


def test_each_party_is_given_the_last_heads_of_all_others():
    made = receipts()
    for seq in (5, 6):
        for party in LENDERS[:2]:
            made.sign(party, head(party, seq).to_bytes(), CARDS)
    members = {name: CARDS[name] for name in LENDERS}
    assert made.heads_for("lender-1", members) == (head("lender-2", 6).to_bytes(),)
    assert made.heads_for("lender-3", members) == tuple(head(party, 6).to_bytes() for party in LENDERS[:2])
    assert made.heads_for("lender-3", {"lender-2": CARDS["lender-2"]}) == (head("lender-2", 6).to_bytes(),)


def test_of_many_parties_each_head_goes_to_a_few_others_each_time_to_all_in_turn_and_to_all_at_the_end():
    names = [f"lender-{number:02}" for number in range(11)]
    members = {name: Identity.simulated(1, name, "lender") for name in names}
    cards, made = {name: who.card for name, who in members.items()}, receipts()
    for name, who in members.items():
        made.sign(name, Head.sign(who, LEDGER, 1, bytes(32)).to_bytes(), cards)
    shown: dict[str, set[str]] = {name: set() for name in names}
    for _ in range(3):
        round = {name: {Head.from_bytes(data).party for data in made.heads_for(name, cards)} for name in names}
        for name in names:
            assert len(round[name]) == HEADS == sum(name in seen for seen in round.values())
            shown[name] |= round[name]
    for name in names:
        assert shown[name] == set(names) - {name}
        assert len(made.heads_for(name, cards, last=True)) == len(names) - 1


def test_a_damaged_file_is_not_used(tmp_path: Path):
    path = tmp_path / "receipts.jsonl"
    receipts(path).sign("lender-1", head().to_bytes(), CARDS)
    path.write_text(path.read_text()[:-9] + "\n", encoding="ascii")
    with pytest.raises(AnchorError, match="line 1 is no head or receipt"):
        receipts(path)


def test_each_is_on_the_disk_before_anybody_can_be_shown_its_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path, server, on_disk = tmp_path / "receipts.jsonl", Identity.generate(SERVER, "server"), []
    monkeypatch.setattr("os.fsync", lambda number: on_disk.append(path.read_bytes().count(b"\n")))
    made = Receipts(server, path)
    for place, party in enumerate(LENDERS[:2], start=1):
        made.sign(party, head(party).to_bytes(), CARDS)
        assert on_disk[-1] == place
    made.close()
    made.sign("lender-1", head(seq=6).to_bytes(), CARDS)
    assert [one.head.seq for one in read_anchors(path) if isinstance(one, Receipt)] == [5, 5, 6]
    made.close()


@given(st.lists(st.tuples(st.sampled_from(LENDERS), st.integers(1, 6)), max_size=30))
def test_whatever_is_sent_the_file_has_every_party_only_go_on(tmp_path_factory: pytest.TempPathFactory, sent):
    path = tmp_path_factory.mktemp("receipts") / "receipts.jsonl"
    highest: dict[str, int] = {}
    for party, seq in sent:
        made = receipts(path)
        try:
            made.sign(party, head(party, seq).to_bytes(), CARDS)
            assert seq >= highest.get(party, 0)
            highest[party] = seq
        except AnchorError:
            assert seq < highest[party]
    found = read_anchors(path) if path.exists() else []
    for party in LENDERS:
        numbers = [one.head.seq for one in found if isinstance(one, Receipt) and one.head.party == party]
        assert numbers == sorted(set(numbers))
        assert max(numbers, default=0) == highest.get(party, 0)
