"""A platform watches who agreed to that: it begins by a consent, tells a bit a quarter, and ends on a day fixed before.

Formal guarantee. What is told of a subscription, and on which day, follows from its own quarters, the creator's
consents, her own rows and the operator's ceilings alone: no message of a lender is read for it, so nothing that becomes
of a loan changes it. Each bit is charged, noted and put into the outbox in one transaction, after the ledger has the
day.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np

from sealscore.clients.scoring.consented import ConsentedRows
from sealscore.clients.scoring.serving_store import ServingStore, Transaction
from sealscore.clients.scoring.storage.subscriptions import (
    AT_ONCE,
    Subscription,
    due,
    end,
    live_subscriptions,
    put,
    subscribe,
    subscribed,
)
from sealscore.clients.scoring.tokens import NoToken, charge_days
from sealscore.shared.fields import pack_fields
from sealscore.shared.ledger.entries import TellLimit
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.persons.identifiers import NORMAL_FORMS
from sealscore.shared.persons.records import Records
from sealscore.shared.serving.manifest import WATCH_BITS, Manifest, Told, WatchRule
from sealscore.shared.serving.release import Release
from sealscore.shared.serving.watch import LONGEST_QUARTER, WATCH, last_day, quarter_after, quarter_of, watch_entry
from sealscore.shared.text.foreign import encodable

_LABEL = b"sealscore watch consent 1"


@dataclass(frozen=True)
class WatchRequest:
    """A creator agrees to be watched for a lender, for so many quarters after this one. Its `repr` shows no identifier.

    `key` is that by which she got the token for this lender; `text` the SHA-256 of the text that was shown, `language`
    the one in which it was.
    """

    lender: str
    person: str
    key: str
    text: str
    language: str
    quarters: int

    def __repr__(self) -> str:
        return f"WatchRequest(lender={self.lender!r})"

    def digest(self, person: str) -> bytes:
        """Of all that is asked, for the person in normal form."""
        texts = (self.lender, person, self.key, self.text, self.language, str(self.quarters))
        return hashlib.sha256(pack_fields(_LABEL, *(text.encode() for text in texts))).digest()


@dataclass(frozen=True)
class ToldQuarter:
    """How many bits of a quarter were told, how many subscriptions ended since the consent did, how many bits a ceiling
    kept back, and how many wait since today's data lack the creator, or all consents.
    """

    told: int = 0
    ended: int = 0
    kept_back: int = 0
    absent: int = 0


class Watching:
    """Watches under one release, by records as they are today.

    A consent counts that names the purpose of watching itself. With `asking_consents` a request is one, given on its
    day (see `TokenMaker`), and without it data that have no consents let nobody be watched.

    Raises:
        NoToken: `kind`, where the release tells no watch bit of this platform.
    """

    def __init__(
        self,
        platform: str,
        ledger: Ledger,
        store: ServingStore,
        release: Release,
        records: Records,
        asking_consents: bool = False,
    ) -> None:
        self._ledger, self._store, self._release = ledger, store, release
        group = release.plan.party(platform).group
        self._told, self._tower = release.manifest.told[group], release.content.towers[group]
        self._watch, self._purpose = _watched(release.manifest, group)
        self._cut = self._tower.cut(self._watch.worst)
        self._rows = ConsentedRows(records)
        self._asking = asking_consents
        self._form = NORMAL_FORMS[release.plan.alignment.identifier]

    def begin(self, request: WatchRequest, today: date) -> Subscription:
        """The subscription of a creator who agrees; the same one where the request came before. Nothing is told yet.

        Raises:
            NoToken: it cannot be; nothing was kept.
            ServingStoreError: it cannot be kept.
        """
        person = self._checked(request)
        limit, first = self._limit(), quarter_after(quarter_of(today), 1)
        last, ends = quarter_after(quarter_of(today), request.quarters), self._release.manifest.expires
        digest = request.digest(person)
        with self._store.transaction() as own:
            token = own.kept(self._release.hash, request.lender, request.key)
            if token is None or not _is_of(own, token.handle, person):
                raise NoToken("no-token", "she got no token for this lender by this key under this release: token new")
            if token.withdrawn:
                raise NoToken(
                    "withdrawn", "the token of this key was withdrawn or corrected; name the key of a new one"
                )
            known = subscribed(own.database, token.handle)
            if known is not None:
                if known.request != digest:
                    what = "another consent to be watched was given for this token; it stays as it was"
                    raise NoToken("key-used", what)
                if known.ended:
                    raise NoToken("withdrawn", "this consent was ended; a new one needs a new token")
                return known
            if today > date.fromisoformat(token.expires) + LONGEST_QUARTER:
                what = f"the token of this key ended on {token.expires}, too long ago; name the key of a new one"
                raise NoToken("withdrawn", what)
            if last_day(last) > ends:
                what = f"the release ends on {ends}, before the last of {request.quarters} quarters; ask for fewer"
                raise NoToken("release-expired", what)
            if self._live_row(own, person, request.lender, today if self._asking else None, today) is None:
                what = f"there is no live consent for {request.lender} that names the purpose {self._purpose}"
                if self._rows.records.consent is None:
                    what += '; the data have no consents: where her request is one, write consents = "request"'
                raise NoToken("no-consent", what)
            needed = own.bits(person, WATCH) + request.quarters * WATCH_BITS
            if needed > limit.life:
                what = f"watch: {needed} bits ever would exceed this person's ceiling, {limit.life}"
                raise NoToken("ceiling", f"{what}; ask for fewer quarters, or approve a release anew to raise it")
            about = (token.handle, person, request.lender, self._release.hash, digest, self._asking)
            made = Subscription(*about, str(today), first, last)
            subscribe(own.database, made)
        return made

    def tell(self, today: date) -> ToldQuarter:
        """Tell the bits of this quarter that are not told yet: each is charged, and waits for the day's batch.

        Raises:
            NoToken: the release is not live, or the clock was set back.
            LedgerError, ServingStoreError: it cannot be charged; what was told before is whole.
        """
        charge_days(self._ledger, self._store, self._release.hash, today)
        limit, quarter, after, counts = self._limit(), quarter_of(today), 0, [0, 0, 0, 0]
        while True:
            with self._store.transaction() as own:
                found = due(own.database, self._release.hash, quarter, after, AT_ONCE)
                for one in found:
                    counts[self._tell(own, one, quarter, limit, today)] += 1
            if not found:
                return ToldQuarter(*counts)
            after = found[-1].number

    def _tell(self, own: Transaction, one: Subscription, quarter: str, limit: TellLimit, today: date) -> int:
        """Tell one bit; gives the place in `ToldQuarter` where it counts."""
        row = self._live_row(own, one.person, one.lender, date.fromisoformat(one.day) if one.asked else None, today)
        if row is None:
            # Rows or a column that today's export lacks say nothing of what she agreed to.
            if not self._rows.has(one.person) or (self._rows.records.consent is None and not one.asked):
                return 3
            end(own.database, one, today)
            return 1
        if not has_room(own, one, self._told, quarter, limit):
            return 2
        what = _meaning(self._told, quarter)
        known = own.told(one.person, WATCH, what)
        bit = self._bit(row) if known is None else known
        new = 0 if known is not None else WATCH_BITS
        own.tell(one.person, WATCH, what, quarter, bit, new, one.lender, one.release, one.handle)
        put(own.database, one, watch_entry(one.handle, quarter, bit), quarter)
        return 0

    def _bit(self, row: int) -> int:
        columns: Mapping[str, np.ndarray] = self._rows.records.columns
        logit = self._tower.model.logits({name: values[row : row + 1] for name, values in columns.items()})[0]
        return int(logit > self._cut)

    def _live_row(self, own: Transaction, person: str, lender: str, asked_on: date | None, today: date) -> int | None:
        return self._rows.live_row(own, person, lender, [self._purpose], asked_on, today, named=True)

    def _limit(self) -> TellLimit:
        found = self._ledger.state.serving.releases.get(self._release.hash)
        if found is None or found.state != "live":
            raise NoToken("release", "this release is not approved here, or was withdrawn")
        return found.limits[WATCH]

    def _checked(self, request: WatchRequest) -> str:
        """The person in normal form."""
        if request.lender not in self._release.manifest.lenders:
            listed = ", ".join(self._release.manifest.lenders)
            raise NoToken("lender", f"{request.lender} is none of the release's lenders: {listed}")
        if not 1 <= request.quarters <= self._watch.quarters:
            raise NoToken(
                "quarters", f"a creator may be watched for 1 to {self._watch.quarters} quarters by this release"
            )
        texts = encodable(request.key) and encodable(request.language) and encodable(request.text)
        if not texts or not 1 <= len(request.key) <= 200 or not 2 <= len(request.language) <= 20:
            raise NoToken("malformed", "give the key of the token, and the text's SHA-256 and language")
        person = self._form(request.person) if encodable(request.person) else ""
        if not person:
            raise NoToken("person", "the identifier has no normal form; correct it")
        return person


def stop_watching(store: ServingStore, person: str, lender: str, today: date) -> int:
    """End what a person, in normal form, agreed to for a lender; gives how many subscriptions that were.

    The lender is told by the next batch, and deletes the bits that it has; tokens stay as they are.

    Raises:
        ServingStoreError: it cannot be noted.
    """
    with store.transaction() as own:
        found = live_subscriptions(own.database, person, lender)
        for one in found:
            end(own.database, one, today)
    return len(found)


def has_room(own: Transaction, one: Subscription, told: Told, quarter: str, limit: TellLimit) -> bool:
    """Whether the ceilings leave room for the bit of a quarter; one that was told to another lender needs none."""
    known = own.told(one.person, WATCH, _meaning(told, quarter))
    new = 0 if known is not None else WATCH_BITS
    return own.bits(one.person, WATCH, quarter) + new <= limit.month and own.bits(one.person, WATCH) + new <= limit.life


def _meaning(told: Told, quarter: str) -> str:
    return f"{told.definition('watch')}|{quarter}"


def _watched(manifest: Manifest, group: str) -> tuple[WatchRule, str]:
    watch, purpose = manifest.told[group].watch, manifest.monitoring_code
    if watch is None or purpose is None:
        raise NoToken("kind", f"the release tells no watch bit of {group}")
    return watch, purpose


def _is_of(own: Transaction, handle: bytes, person: str) -> bool:
    row = own.database.execute("SELECT 1 FROM tokens WHERE (handle, person) = (?, ?)", (handle, person)).fetchone()
    return row is not None
