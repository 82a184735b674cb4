"""A platform that watches and a lender that is told, step by step, for tests."""

from __future__ import annotations

import base64
from datetime import date
from typing import Any

from small_release import TEXT, TODAY, Pair, agreed, application

from sealscore.clients.scoring.batches import batch_for, take_batch, take_receipt
from sealscore.clients.scoring.storage.subscriptions import Subscription
from sealscore.clients.scoring.storage.watch_bits import WatchBit
from sealscore.clients.warning.watching import ToldQuarter, Watching, WatchRequest
from sealscore.shared.crypto.sealing import unseal
from sealscore.shared.fields import unpack_fields
from sealscore.shared.serving.token import _Under

NEXT = date(2030, 4, 1)
"""The first day of the quarter after `TODAY`."""


def watching(pair: Pair, records: Any = None, asking: bool = False) -> Watching:
    """The platform's part, by its records or others."""
    return Watching(pair.platform, pair.ledger, pair.store, pair.release, records or agreed(pair.platform), asking)


def watch_request(person: str, quarters: int = 4, **more: Any) -> WatchRequest:
    """What is asked where a creator agrees, by the token whose key is her name."""
    given: dict[str, Any] = {"lender": "lender-1", "key": person, "text": TEXT, "language": "en"} | more
    return WatchRequest(person=person, quarters=quarters, **given)


def begun(pair: Pair, person: str, quarters: int = 4, used: bool = True, day: date = TODAY) -> Subscription:
    """A token that the lender used, and the consent to be watched."""
    token = pair.token(person, person, day)
    if used:
        pair.service(day).score(application(person, token, day=day), "me", day)
    return watching(pair).begin(watch_request(person, quarters), day)


def told(pair: Pair, day: date = NEXT) -> ToldQuarter:
    """Tell what is due on a day."""
    return watching(pair).tell(day)


def batch_of(pair: Pair, day: date = NEXT) -> str:
    """The day's batch."""
    return batch_for(pair.identity(), pair.ledger, pair.store, pair.release, pair.peer(day), day)


def opened(pair: Pair, text: str, day: date) -> bytes:
    """What the lender finds in a batch: the seal itself is of chance."""
    data = base64.urlsafe_b64decode(text.removeprefix("sealscore-batch-1."))
    _, _, body = unseal(data, _Under(pair.release.hash, pair.keys(day).keys), pair.plan.cards)
    return unpack_fields(body, 2)[1]


def taken(pair: Pair, text: str, day: date = NEXT, receipted: bool = True) -> int:
    """The lender takes a batch; gives how many tokens were withdrawn. The receipt goes back unless it is lost."""
    releases, lender = {pair.release.hash: pair.release}, pair.identity(pair.lender)
    receipt, count = take_batch(text, lender, pair.lender_ledger, pair.log, releases, [pair.keys(day)], day, 100)
    if receipted:
        take_receipt(pair.store, receipt, pair.platform, pair.plan.cards[pair.lender])
    return count


def exchanged(pair: Pair, day: date = NEXT) -> int:
    """A day's batch that arrives."""
    return taken(pair, batch_of(pair, day), day)


def bits_of(pair: Pair, person: str, day: date = NEXT) -> list[WatchBit]:
    """The bits that the lender has of a person."""
    name = pair.log.keys.person(person)
    return [bit for bit in pair.log.watch_bits(day) if bit.person == name]
