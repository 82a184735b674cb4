"""The day's batch: of one size whatever is in it, repeated until its receipt came, and of no use to anybody else."""

from __future__ import annotations

import base64
import dataclasses
from datetime import date, timedelta

import pytest
from small_release import TODAY, Pair, application, content_of, crafted, known_at, small_release

from sealscore.clients.scoring.batches import BatchError, batch_for, late_batches, take_batch, take_receipt
from sealscore.clients.scoring.serving_store import ServingStore
from sealscore.shared.crypto.sealing import unseal
from sealscore.shared.fields import pack_fields, unpack_fields
from sealscore.shared.ledger.entries import ServeWithdraw
from sealscore.shared.serving.token import _Under

PLACES = 8


@pytest.fixture
def pair() -> Pair:
    return Pair(crafted(small_release(), batch_places=PLACES))


def made(pair: Pair, day: date = TODAY) -> str:
    return batch_for(pair.identity(), pair.ledger, pair.store, pair.release, pair.peer(day), day)


def taken(pair: Pair, text: str, day: date = TODAY) -> tuple[str, int]:
    releases = {pair.release.hash: pair.release}
    lender = pair.identity(pair.lender)
    return take_batch(text, lender, pair.lender_ledger, pair.log, releases, [pair.keys(day)], day, 100)


def receipt(pair: Pair, text: str) -> int:
    return take_receipt(pair.store, text, pair.platform, pair.plan.cards[pair.lender])


def withdraw(pair: Pair, *persons: str, day: date = TODAY) -> None:
    with pair.store.transaction() as own:
        for person in persons:
            assert own.withdraw(person, pair.lender, str(day)) == 1


def handles(pair: Pair, text: str, day: date = TODAY) -> set[bytes]:
    """What is in a batch: handles and dummies."""
    data = base64.urlsafe_b64decode(text.removeprefix("sealscore-batch-1."))
    _, _, body = unseal(data, _Under(pair.release.hash, pair.keys(day).keys), pair.plan.cards)
    joined = unpack_fields(body, 2)[1]
    return {joined[at : at + 16] for at in range(0, len(joined), 16)}


def test_batches_have_one_size_whatever_is_in_them(pair: Pair):
    persons = known_at()[:5]
    for person in persons:
        pair.token(person, person)
    empty = made(pair)
    withdraw(pair, *persons)
    full = made(pair, TODAY + timedelta(days=1))
    assert len(empty) == len(full)
    assert len(handles(pair, empty)) == len(handles(pair, full)) == PLACES


def test_a_batch_that_is_made_again_does_not_name_its_dummies(pair: Pair):
    person = known_at()[0]
    handle = content_of(pair, pair.token(person)).handle
    withdraw(pair, person)
    first, second = handles(pair, made(pair)), handles(pair, made(pair))
    assert first == second
    assert handle in first
    # Another batch has other dummies, and other lenders' have others again.
    assert len(first & handles(pair, made(pair, TODAY + timedelta(days=1)))) == 1


def test_a_withdrawal_arrives_once_however_often_it_is_sent(pair: Pair):
    one, two = known_at()[:2]
    token, unused = pair.token(one, one), pair.token(two, two)
    pair.service().score(application(one, token), "me", TODAY)
    withdraw(pair, one, two)
    text = made(pair)
    for _ in range(2):
        _, count = taken(pair, text)
        assert count == 1
    entries = [entry for entry in pair.lender_ledger.state.serving.withdrawals if isinstance(entry, ServeWithdraw)]
    assert [(entry.direction, entry.batch, entry.persons) for entry in entries] == [("received", 1, 1)]
    answer = pair.service().score(application(two, unused), "me", TODAY)
    assert answer["signals"][0]["status"] == "withdrawn"


def test_what_was_not_receipted_is_sent_again_and_what_does_not_fit_waits(pair: Pair):
    persons = known_at()
    sent = {person: content_of(pair, pair.token(person, person)).handle for person in persons}
    withdraw(pair, *persons)
    seen: list[set[bytes]] = []
    for number in range(4):
        day = TODAY + timedelta(days=number)
        text = made(pair, day)
        seen.append(handles(pair, text, day) & set(sent.values()))
        if number >= 1:
            assert receipt(pair, taken(pair, text, day)[0]) == number + 1
    assert [len(one) for one in seen] == [PLACES, PLACES, len(persons) - PLACES, 0]
    assert seen[0] == seen[1]
    assert seen[1] | seen[2] == set(sent.values())
    assert late_batches(pair.store, TODAY + timedelta(days=30)) == {}


def test_a_batch_without_a_receipt_is_late_after_three_days(pair: Pair):
    text = made(pair)
    assert late_batches(pair.store, TODAY + timedelta(days=2)) == {}
    assert late_batches(pair.store, TODAY + timedelta(days=3)) == {pair.lender: [1]}
    receipt(pair, taken(pair, text)[0])
    assert late_batches(pair.store, TODAY + timedelta(days=3)) == {}


def test_a_batch_is_taken_by_its_lender_alone_and_whole(pair: Pair):
    text = made(pair)
    releases = {pair.release.hash: pair.release}
    other = Pair(pair.release, lender="lender-2")
    with pytest.raises(BatchError):
        taken(other, text)
    for changed in (text[:-40], text[:200] + ("A" if text[200] != "A" else "B") + text[201:], "x", "", text + "!"):
        with pytest.raises(BatchError):
            taken(pair, changed)
    lender = pair.identity(pair.lender)
    for known, keys in (({}, [pair.keys()]), (releases, []), (releases, [pair.keys(date(2030, 4, 1))])):
        with pytest.raises(BatchError):
            take_batch(text, lender, pair.lender_ledger, pair.log, known, keys, TODAY, 100)
    # A token is no batch, and a batch of another size is none of the release.
    token = "sealscore-batch-1." + base64.urlsafe_b64encode(pair.token(known_at()[0])).decode()
    with pytest.raises(BatchError):
        taken(pair, token)
    larger = crafted(pair.release, batch_places=9)
    with pytest.raises(BatchError):
        take_batch(text, lender, pair.lender_ledger, pair.log, {larger.hash: larger}, [pair.keys()], TODAY, 100)
    assert pair.lender_ledger.state.serving.withdrawals == []
    assert pair.log.head == "0" * 64


def test_a_platform_withdraws_its_own_tokens_alone(pair: Pair):
    person = known_at()[0]
    token = pair.token(person)
    pair.service().score(application(person, token), "me", TODAY)
    # Another platform that learned the handle puts it into its own batch.
    thief = Pair(pair.release, platform="video-1")
    with thief.store.transaction() as own:
        own._database.execute(
            "INSERT INTO tokens SELECT ?, ?, 'k', X'00', 'p', '2030-03-10', '2030-04-01', ?, X'00', '2030-03-10', NULL",
            (pair.release.hash, pair.lender, content_of(pair, token).handle),
        )
    assert taken(pair, made(thief))[1] == 0
    again = pair.service().score(application(person, token, product="again"), "me", TODAY)
    assert again["signals"][0]["status"] == "used"


def test_a_receipt_is_of_its_pair_and_signed(pair: Pair):
    text = taken(pair, made(pair))[0]
    cards = pair.plan.cards
    with pytest.raises(BatchError):
        take_receipt(pair.store, text, "video-1", cards[pair.lender])
    with pytest.raises(BatchError):
        take_receipt(pair.store, text, pair.platform, cards["lender-2"])
    with pytest.raises(BatchError, match="no batch"):
        take_receipt(ServingStore(), text, pair.platform, cards[pair.lender])
    body = text.strip().removeprefix("sealscore-receipt-1.")
    for at in (0, 9, 40, len(body) - 3):
        changed = body[:at] + ("A" if body[at] != "A" else "B") + body[at + 1 :]
        with pytest.raises(BatchError):
            receipt(pair, "sealscore-receipt-1." + changed)
    assert receipt(pair, text) == 1


def test_a_receipt_of_a_number_that_no_batch_has_is_refused(pair: Pair):
    lender = pair.identity(pair.lender)
    for number in (b"\xff" * 8, b"\0" * 8, b"", b"\1" * 9, (7).to_bytes(8, "big")):
        fields = (number, pair.platform.encode(), pair.lender.encode())
        data = pack_fields(*fields, lender.sign("batch receipt", *fields))
        with pytest.raises(BatchError):
            receipt(pair, "sealscore-receipt-1." + base64.urlsafe_b64encode(data).decode())


def test_a_message_about_a_batch_has_no_handle_in_it(pair: Pair):
    person = known_at()[0]
    handle = content_of(pair, pair.token(person)).handle
    withdraw(pair, person)
    text = made(pair)
    other = dataclasses.replace(pair, lender="lender-2")
    with pytest.raises(BatchError) as error:
        taken(other, text)
    assert handle.hex() not in str(error.value)
    assert person not in str(error.value)
