"""The day's batch of a platform for a lender: handles of tokens that were withdrawn, entries of the watch, and dummies,
sealed, of one size.

A batch is repeated, with what it had and more, until the lender's signed receipt of it came. Handles leave tombstones
at the lender, so one that comes late, twice or out of order restores nothing.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterable, Mapping
from datetime import date, timedelta

from sealscore.clients.scoring.score_log import ScoreLog
from sealscore.clients.scoring.serving_store import ServingStore
from sealscore.clients.scoring.storage.subscriptions import AT_ONCE, end, live_under
from sealscore.shared.crypto.sealing import SealError, claimed_address, seal
from sealscore.shared.fields import FieldsError, counter, pack_fields, unpack_fields
from sealscore.shared.identity.identity import BadSignature, Card, Identity
from sealscore.shared.ledger.entries import ServeWithdraw
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.ledger.state import LedgerState
from sealscore.shared.messages.codec import Address
from sealscore.shared.serving.release import Release
from sealscore.shared.serving.serving_keys import ServingKeys, ServingPeer
from sealscore.shared.serving.token import HANDLE_BYTES, open_sealed
from sealscore.shared.serving.watch import quarter_after, quarter_of

ALARM_DAYS = 3
_KIND, _PHASE, _PURPOSE, _DUMMIES = "batch", "batch", "batch receipt", "batch dummies"
_LABEL = b"sealscore batch 1"
BATCH_HEAD, RECEIPT_HEAD = "sealscore-batch-1.", "sealscore-receipt-1."
"""How the one line of a batch and of a receipt begins."""


class BatchError(ValueError):
    """A batch or a receipt that is not taken; the message says why."""


def batch_for(
    identity: Identity, ledger: Ledger, store: ServingStore, release: Release, peer: ServingPeer, today: date
) -> str:
    """The day's batch for a lender, one line of text of always the same length.

    Raises:
        LedgerError, ServingStoreError: it cannot be noted; nothing is sent.
    """
    _end_watches(ledger, store, today)
    places, lender = release.manifest.batch_places, peer.key.name
    with store.transaction() as own:
        number, handles, entries = own.take_batch(lender, str(today), places)
    entry = ServeWithdraw(peer=lender, direction="passed", batch=number, persons=len(handles))
    _note(ledger, entry)
    told = [*handles, *entries]
    mixed = sorted([*told, *_dummies(identity, lender, number, places - len(told))])
    body = pack_fields(_LABEL, b"".join(mixed))
    address = Address(release.hash, peer.month, _PHASE, number, 0, identity.name, lender)
    return BATCH_HEAD + base64.urlsafe_b64encode(seal(address, _KIND, body, identity, peer.key)).decode("ascii")


def take_batch(
    text: str,
    identity: Identity,
    ledger: Ledger,
    log: ScoreLog,
    releases: Mapping[str, Release],
    keys: Iterable[ServingKeys],
    today: date,
    retention_days: int,
) -> tuple[str, int]:
    """Use the tokens of a platform's batch no more, and keep its watch bits: the receipt, and how many of the tokens
    were known here.

    Raises:
        BatchError: it is none for this lender.
        LedgerError, ScoreLogError: it cannot be noted; there is no receipt.
    """
    data = _decoded(text, BATCH_HEAD, "batch")
    try:
        claimed = claimed_address(data)
        release = releases.get(claimed.plan)
        own = {one.month: one for one in keys}.get(claimed.run)
        if release is None or own is None:
            raise BatchError("this batch is under a release or a serving key that is not here")
        cards = {name: card for name, card in release.plan.cards.items() if card.role == "platform"}
        address, body = open_sealed(data, own, release.hash, cards, _KIND, _PHASE)
        label, joined = unpack_fields(body, 2)
    except (SealError, FieldsError) as error:
        raise BatchError(f"this batch cannot be opened: {error}") from None
    places = release.manifest.batch_places
    if label != _LABEL or len(joined) != HANDLE_BYTES * places or not 1 <= address.round < 2**31:
        raise BatchError("this is no batch of the release's size")
    handles = [joined[at : at + HANDLE_BYTES] for at in range(0, len(joined), HANDLE_BYTES)]
    # A lender whose releases tell no watch bit looks for none.
    watches = any(told.watch for one in releases.values() for told in one.manifest.told.values())
    before = log.watch_meanings(address.sender, today) if watches else None
    with log.commit() as batch:
        until = str(today + timedelta(days=retention_days))
        if watches:
            handles = batch.take_watch(handles, address.sender, today, before)
        count = batch.withdraw(handles, address.sender, str(today), until)
    _note(ledger, ServeWithdraw(peer=address.sender, direction="received", batch=address.round, persons=count))
    fields = (counter(address.round), address.sender.encode(), address.recipient.encode())
    receipt = pack_fields(*fields, identity.sign(_PURPOSE, *fields))
    return RECEIPT_HEAD + base64.urlsafe_b64encode(receipt).decode("ascii") + "\n", count


def take_receipt(store: ServingStore, text: str, platform: str, card: Card) -> int:
    """Note a lender's receipt of a batch; gives its number. BatchError where it is none."""
    data = _decoded(text, RECEIPT_HEAD, "receipt")
    try:
        number, sender, recipient, signature = unpack_fields(data, 4)
        card.check(signature, _PURPOSE, number, sender, recipient)
    except (FieldsError, BadSignature):
        raise BatchError(f"this is no receipt that {card.name} signed") from None
    if (sender.decode("utf-8", "replace"), recipient.decode("utf-8", "replace")) != (platform, card.name):
        raise BatchError("this receipt is of another pair")
    found = int.from_bytes(number, "big")
    if len(number) != len(counter(0)) or found >= 2**63:
        raise BatchError("this receipt names no batch")
    with store.transaction() as own:
        if not own.receipted(card.name, found, data):
            raise BatchError(f"there is no batch {found} for {card.name}")
    return found


def late_batches(store: ServingStore, today: date) -> dict[str, list[int]]:
    """By lender the batches of which no receipt came for `ALARM_DAYS` days or more; none where all is well.

    A lender without a number has withdrawals, or ends of watches, that have been in no batch for so long.
    """
    found: dict[str, list[int]] = {}
    with store.transaction() as own:
        for lender, number, day in own.unreceipted():
            if _old(day, today):
                found.setdefault(lender, []).append(number)
        for lender, day in own.waiting():
            if _old(day, today):
                found.setdefault(lender, [])
    return found


def _old(day: str, today: date) -> bool:
    return (today - date.fromisoformat(day)).days >= ALARM_DAYS


def _end_watches(ledger: Ledger, store: ServingStore, today: date) -> None:
    """End the watches of releases that were withdrawn: what waits of them is dropped, and lenders delete what came.

    Of a watch that is over for more than a quarter no bit is left to delete.
    """
    oldest = quarter_after(quarter_of(today), -1)
    over = [hash for hash, one in ledger.state.serving.releases.items() if one.state != "live"]
    for hash in over:
        while _end_some(store, hash, oldest, today):
            pass


def _end_some(store: ServingStore, release: str, oldest: str, today: date) -> bool:
    """End some watches of a release, whose last quarter is not before the oldest; False where none was left."""
    with store.transaction() as own:
        found = live_under(own.database, release, oldest, AT_ONCE)
        for one in found:
            end(own.database, one, today)
    return bool(found)


def _dummies(identity: Identity, lender: str, number: int, count: int) -> list[bytes]:
    """Handles of no token. A batch that is made twice has the same: what differed would name the dummies."""
    secret = identity.sign(_DUMMIES, lender.encode(), counter(number))
    return [hmac.digest(secret, counter(place), "sha256")[:HANDLE_BYTES] for place in range(count)]


def _note(ledger: Ledger, entry: ServeWithdraw) -> None:
    """Note a batch once: one that comes or goes again is no news."""

    def make(state: LedgerState) -> ServeWithdraw:
        same = (one for one in state.serving.withdrawals if (one.peer, one.direction) == (entry.peer, entry.direction))
        if any(one.batch >= entry.batch for one in same):
            raise _Noted
        return entry

    try:
        ledger.append(make)
    except _Noted:
        return


class _Noted(Exception):
    """The ledger has this batch."""


def _decoded(text: str, head: str, what: str) -> bytes:
    body = text.strip()
    if not body.startswith(head):
        raise BatchError(f"this is no {what}: one begins with {head}")
    try:
        return base64.b64decode(body.removeprefix(head).encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise BatchError(f"this {what} is cut off or mistyped") from None
