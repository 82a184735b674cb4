"""Entries are canonical, whole and known, and their hash binds all that an entry says and where it stands."""

import hashlib
import json
import math

import pytest
from builders import small_plan
from hypothesis import given
from hypothesis import strategies as st
from ledger_entries import AT, DIGEST, abort, answer, approval, disclosed, opening, refusal, reserve
from pydantic import ValidationError

from sealscore.shared.ledger.chain import GENESIS, StoredEntry, UnknownEntry, body_of, entry_hash, entry_of
from sealscore.shared.ledger.entries import Ceilings, Entry, Identify, Limit, Revoke, Settle, Withdraw

PLAN = small_plan()
RESERVED = reserve(PLAN)
EVERY: dict[str, Entry] = {
    entry.kind: entry
    for entry in (
        opening(ceilings=Ceilings(epsilon=2.0, delta=1e-5, purposes={"credit-scoring": 1.0}, label_epsilon=3.0)),
        Identify(column="\u5ba2\u6237", form="creator-id"),
        Limit(ceilings=Ceilings(epsilon=None, delta=1e-6), why="the board decided"),
        approval(PLAN),
        RESERVED,
        answer(RESERVED, 3),
        abort(3),
        disclosed(PLAN, "align:video", register_head=DIGEST),
        refusal(PLAN, why="data-set: it is spent"),
        Settle(plan=PLAN.hash, why="finished"),
        Revoke(plan=PLAN.hash, why="the partner left"),
        Withdraw(plan=PLAN.hash, peer="video-1", direction="passed", persons=2),
    )
}
KINDS = pytest.mark.parametrize("kind", EVERY)


@KINDS
def test_an_entry_is_read_back_from_its_body(kind):
    body = body_of(EVERY[kind])
    assert entry_of(body) == EVERY[kind]
    assert json.loads(body)["kind"] == kind
    assert body.isascii()


@KINDS
def test_a_body_in_any_other_form_is_no_entry(kind):
    body = body_of(EVERY[kind])
    data = json.loads(body)
    others = [
        json.dumps(data),
        json.dumps(dict(reversed(data.items())), separators=(",", ":")),
        body + " ",
        body[:-1] + ',"kind":' + json.dumps(kind) + "}",
        body.replace(kind, kind.upper(), 1),
    ]
    for other in others:
        assert other != body
        with pytest.raises(UnknownEntry):
            entry_of(other)


@KINDS
def test_every_field_must_be_there_and_no_other(kind):
    data = json.loads(body_of(EVERY[kind]))
    for name in data:
        less = {key: value for key, value in data.items() if key != name}
        with pytest.raises(UnknownEntry):
            entry_of(json.dumps(less, sort_keys=True, separators=(",", ":")))
    with pytest.raises(UnknownEntry, match="extra"):
        entry_of(json.dumps({**data, "extra": 1}, sort_keys=True, separators=(",", ":")))


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        "[]",
        "7",
        '"open"',
        "{}",
        '{"kind":"forget"}',
        '{"kind":null}',
        "[" * 100_000,
        "9" * 10_000,
        "\ud800",
    ],
)
def test_what_is_no_entry_is_not_skipped(body):
    with pytest.raises(UnknownEntry):
        entry_of(body)


@pytest.mark.parametrize(
    "changes",
    [
        {"count": 0},
        {"count": 51},
        {"count": 2.0},
        {"round": -1},
        {"own_noise": -0.1},
        {"own_noise": math.inf},
        {"cohort": 0},
        {"plan": "AB" * 32},
        {"source": "guessed"},
        {"part": "everybody"},
        {"phase": ""},
        {"event": {"kind": "gdp", "mu": 1.0}},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_a_reservation_out_of_its_ranges_does_not_exist(changes):
    with pytest.raises(ValidationError):
        reserve(PLAN, **changes)
    data = json.loads(body_of(RESERVED)) | changes
    with pytest.raises(UnknownEntry):
        entry_of(json.dumps(data, sort_keys=True, separators=(",", ":")))


@pytest.mark.parametrize("changes", [{"epsilon": 0.0}, {"epsilon": math.inf}, {"delta": 0.5}, {"purposes": {"": 1.0}}])
def test_ceilings_that_bound_nothing_do_not_exist(changes):
    with pytest.raises(ValidationError):
        Ceilings(**{"epsilon": 1.0, "delta": 1e-5} | changes)


def test_the_hash_is_over_all_length_prefixed_fields():
    body, nonce = body_of(RESERVED), bytes(range(32))
    parts = [b"sealscore ledger entry 1", (3).to_bytes(8, "big"), GENESIS, AT.encode(), nonce, body.encode()]
    joined = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    assert entry_hash(3, GENESIS, AT, nonce, body) == hashlib.sha256(joined).digest()


@given(st.data())
def test_any_change_gives_another_hash(data):
    fields = (3, GENESIS, AT, bytes(32), body_of(RESERVED))
    place = data.draw(st.integers(0, 4))
    kinds = (
        st.integers(0, 2**64 - 1),
        st.binary(min_size=32, max_size=32),
        st.text(st.characters(codec="ascii"), max_size=30),
        st.binary(min_size=32, max_size=32),
        st.sampled_from([body_of(entry) for entry in EVERY.values()]),
    )
    other = data.draw(kinds[place].filter(lambda value: value != fields[place]))
    changed = (*fields[:place], other, *fields[place + 1 :])
    assert entry_hash(*changed) != entry_hash(*fields)


def test_a_stored_entry_tells_its_kind_unchecked_and_itself_checked():
    def stored(body: str) -> StoredEntry:
        return StoredEntry(3, AT, body, bytes(32), GENESIS, bytes(32), bytes(64))

    good = stored(body_of(RESERVED))
    assert good.kind == "reserve"
    assert good.entry == RESERVED
    odd = stored('{"kind":"forget"}')
    assert odd.kind == "forget"
    assert stored("[]").kind == ""
    with pytest.raises(UnknownEntry):
        _ = odd.entry
    assert "signature" not in repr(good)
