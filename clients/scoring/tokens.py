"""A platform makes a token: checks release, consent and limits, charges, computes the level, seals. In that order.

Nothing leaves before the ledger has the day and the serving store has what is told, whatever order calls come in: the
token is made inside the transaction that keeps both.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial

import numpy as np

from sealscore.clients.scoring.consented import ConsentedRows
from sealscore.clients.scoring.serving_store import KeptToken, ServingStore, ServingStoreError, Transaction
from sealscore.shared.fields import pack_fields
from sealscore.shared.identity.identity import Identity
from sealscore.shared.ledger.entries import ServeCorrect, ServeDay
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.ledger.serving_state import ReleaseState
from sealscore.shared.ledger.state import LedgerState
from sealscore.shared.persons.identifiers import NORMAL_FORMS
from sealscore.shared.persons.records import Records
from sealscore.shared.serving.manifest import Kind
from sealscore.shared.serving.release import Release
from sealscore.shared.serving.serving_keys import ServingPeer, month_of
from sealscore.shared.serving.token import HANDLE_BYTES, Token, person_tag, seal_token
from sealscore.shared.serving.told_values import told_values
from sealscore.shared.text.foreign import encodable

_LABEL = b"sealscore consent 1"
# Days for which a node that was away charges afterwards: their entries say nothing, and a year of them is enough.
_MOST_DAYS = 366


class NoToken(ValueError):
    """No token is made; `code` names why, and the message says what to do. Nothing was charged."""

    def __init__(self, code: str, what: str) -> None:
        super().__init__(what)
        self.code = code


@dataclass(frozen=True)
class ConsentRequest:
    """What the platform's back end asks for when a creator agrees. Its `repr` shows no identifier.

    `text` is the SHA-256 of the text that was shown, `language` the one in which it was; `key` makes a repetition known
    as one. `kinds` are those that the consent names beside "signal".
    """

    lender: str
    person: str
    text: str
    language: str
    key: str
    kinds: frozenset[Kind] = frozenset({"signal"})
    retraining: bool = False

    def __repr__(self) -> str:
        return f"ConsentRequest(lender={self.lender!r})"

    def digest(self, person: str) -> bytes:
        """Of all that is asked, for the person in normal form."""
        texts = (self.lender, person, self.text, self.language, *sorted(self.kinds), str(self.retraining))
        return hashlib.sha256(pack_fields(_LABEL, *(text.encode() for text in texts))).digest()

    @property
    def consent(self) -> str:
        """SHA-256 of what the creator agreed to: the text, in a language, for these kinds."""
        texts = (self.text, self.language, *sorted(self.kinds), str(self.retraining))
        return hashlib.sha256(pack_fields(_LABEL, *(text.encode() for text in texts))).hexdigest()


CAUSES = {
    "wrong-rows": "rows of the table had wrong values",
    "other-person": "rows were those of somebody else",
    "computing": "this software or its settings computed it wrongly",
    "dispute": "the creator disputed it, and was right",
}
"""Why a value that was told may be corrected, by code."""


@dataclass(frozen=True)
class Correction:
    """That what was told of a person in this month was computed from wrong data; `why` is in the operator's words."""

    cause: str
    why: str


class TokenMaker:
    """Makes tokens under one release, from records as they are today.

    `peers` are the serving keys of lenders by name; another month's may take their place. The records are those of the
    release's plan. With `asking_consents` a request is a consent itself, given on its day, beside those of the records:
    only where the operator says that whoever asks has the creator's word. For a correction the consent of a token of
    the same month, lender and text stands then.
    """

    def __init__(
        self,
        identity: Identity,
        ledger: Ledger,
        store: ServingStore,
        release: Release,
        records: Records,
        peers: Mapping[str, ServingPeer],
        asking_consents: bool = False,
    ) -> None:
        self._identity, self._ledger, self._store, self._release = identity, ledger, store, release
        self._records, self.peers, self._asking_consents = records, peers, asking_consents
        self.group = release.plan.party(identity.name).group
        self._tower = release.content.towers[self.group]
        self._told = release.manifest.told[self.group]
        self._rows = ConsentedRows(records)
        self._form = NORMAL_FORMS[release.plan.alignment.identifier]

    def make(self, request: ConsentRequest, today: date, correction: Correction | None = None) -> bytes:
        """The token of `give`, as it is given to the creator."""
        return self.give(request, today, correction).token

    def give(self, request: ConsentRequest, today: date, correction: Correction | None = None) -> KeptToken:
        """The token for a consent, charged and kept; the same one where the request came before.

        With a `correction` the month's values are computed again and told beyond the ceilings, once a person, kind and
        month. Tokens that told the wrong ones go into the next batches; other lenders get the corrected ones by a
        token of their own.

        Raises:
            NoToken: there is none to give; nothing was charged.
            LedgerError, ServingStoreError: it cannot be charged; nothing was told.
        """
        person = self._form(request.person) if encodable(request.person) else ""
        peer = self._checked(request, person, today)
        if correction is not None and correction.cause not in CAUSES:
            raise NoToken("cause", f"a correction has one of the causes {', '.join(CAUSES)}")
        charge_days(self._ledger, self._store, self._release.hash, today)
        digest, place = request.digest(person), (self._release.hash, request.lender, request.key)
        if correction is not None:
            digest = hashlib.sha256(digest + correction.cause.encode()).digest()
        with self._store.transaction() as store:
            kept = store.kept(*place)
            if kept is not None:
                if kept.request != digest:
                    raise NoToken("key-used", "this idempotency key was used for another consent; choose a new one")
                if kept.withdrawn:
                    raise NoToken(
                        "withdrawn",
                        "this consent was withdrawn, or its token corrected; a new one needs a new idempotency key",
                    )
                return kept
            given = store.given_on(*place[:2], str(today))
            if correction is None and given >= self._release.manifest.most_a_day:
                raise NoToken("day-full", "all tokens of the day for this lender are given; ask again tomorrow")
            asked_on = self._asked_on(store, request, person, today, correction is not None)
            row = self._live_row(store, request, person, today, asked_on)
            handle = os.urandom(HANDLE_BYTES)
            if correction is None:
                values = self._values(store, request, person, row, today, handle)
            else:
                values = self._corrected(store, request, person, row, today, handle, correction)
            token = seal_token(self._token(request, person, values, today, handle, peer), self._identity, peer)
            kept = KeptToken(digest, handle, token, str(self._expires(today)))
            store.keep(*place, kept, person, str(today))
        return kept

    def record(self, person: str) -> dict[str, np.ndarray]:
        """The columns of a person by today's records, float64 [1] each, for use at this party.

        Raises:
            KeyError: there is no record of that person.
        """
        return self._columns(self._rows.row(self._form(person)))

    def _checked(self, request: ConsentRequest, person: str, today: date) -> ServingPeer:
        manifest = self._release.manifest
        if request.lender not in manifest.lenders:
            raise NoToken("lender", f"{request.lender} is none of the release's lenders: {', '.join(manifest.lenders)}")
        if not manifest.issued <= today <= manifest.expires:
            raise NoToken("release-expired", f"the release is for {manifest.issued} to {manifest.expires}; use another")
        if unknown := request.kinds - set(self._told.token_bits):
            raise NoToken("kind", f"the release tells no {', '.join(sorted(unknown))} of {self.group}")
        if request.retraining and manifest.retraining_code is None:
            raise NoToken("retraining", "the release names no purpose of retraining, so no consent to it counts")
        if "signal" not in request.kinds:
            raise NoToken("kind", "a token always tells the signal")
        texts = _is_digest(request.text) and encodable(request.key) and encodable(request.language)
        if not texts or not 1 <= len(request.key) <= 200 or not 2 <= len(request.language) <= 20:
            raise NoToken("malformed", "give text as 64 hexadecimal digits, a language, and a key of 1 to 200 letters")
        peer = self.peers.get(request.lender)
        if peer is None or peer.month != month_of(today):
            raise NoToken(
                "no-key", f"there is no serving key of {request.lender} for {month_of(today)}; ask it for that month's"
            )
        if not person:
            raise NoToken("person", "the identifier has no normal form; correct it")
        return peer

    def _asked_on(
        self, store: Transaction, request: ConsentRequest, person: str, today: date, corrects: bool
    ) -> date | None:
        """The day of the consent that a request is, or stands for; None where it is none."""
        if self._records.consent is None or (self._asking_consents and not corrects):
            return today
        if not self._asking_consents:
            return None
        # Who corrects does not speak for the creator: the very consent by which she got what is corrected does.
        found = store.consented(self._release.hash, request.lender, person, request.digest(person))
        day = None if found is None else date.fromisoformat(found)
        return day if day is not None and month_of(day) == month_of(today) else None

    def _live_row(
        self, store: Transaction, request: ConsentRequest, person: str, today: date, asked_on: date | None
    ) -> int:
        """The row of a person who consents. Who is unknown and who does not consent get the same words."""
        manifest = self._release.manifest
        purposes = [manifest.purpose_code]
        if request.retraining and manifest.retraining_code:
            purposes.append(manifest.retraining_code)
        row = self._rows.live_row(store, person, request.lender, purposes, asked_on, today)
        if row is None:
            words = " and ".join(purposes)
            raise NoToken("no-consent", f"there is no live consent for {request.lender} and the purpose {words}")
        return row

    def _values(
        self, store: Transaction, request: ConsentRequest, person: str, row: int, today: date, handle: bytes
    ) -> dict[Kind, int]:
        """What is told of each kind; each is charged here, or NoToken is raised and nothing is."""
        limits = self._limits(self._ledger.state)
        month, lender, release = month_of(today), request.lender, self._release.hash
        fresh = told_values(self._tower, self._told, self._columns(row))
        found: dict[Kind, int] = {}
        for kind in sorted(request.kinds):
            bits, what = self._told.bits[kind], f"{self._told.definition(kind)}|{month}"
            known = store.told(person, kind, what)
            new = 0 if known is not None else bits
            spent = store.bits(person, kind, month) + new, store.bits(person, kind) + new
            limit = limits.limits[kind]
            if spent[0] > limit.month or spent[1] > limit.life:
                raise NoToken(
                    "ceiling",
                    f"{kind}: {spent[0]} bits this month and {spent[1]} ever would exceed this person's ceilings, "
                    f"{limit.month} and {limit.life}; tell the creator, and approve a release anew to raise them",
                )
            found[kind] = fresh[kind] if known is None else known
            store.tell(person, kind, what, month, found[kind], new, lender, release, handle)
        return found

    def _corrected(
        self,
        store: Transaction,
        request: ConsentRequest,
        person: str,
        row: int,
        today: date,
        handle: bytes,
        correction: Correction,
    ) -> dict[Kind, int]:
        """What is told of each kind once more. It is in the ledger before anything of it is kept: a crash in between
        leaves an entry too many, and nothing told.
        """
        self._limits(self._ledger.state)
        month, release = month_of(today), self._release.hash
        fresh = told_values(self._tower, self._told, self._columns(row))
        meanings = {kind: f"{self._told.definition(kind)}|{month}" for kind in sorted(request.kinds)}
        known = {kind: store.told(person, kind, what) for kind, what in meanings.items()}
        if untold := [kind for kind, value in known.items() if value is None]:
            what = f"no {', '.join(untold)} of this person was told in {month}, so none is to be corrected: token new"
            raise NoToken("not-told", what)
        due = [kind for kind, what in meanings.items() if not store.corrected(person, kind, what)]
        if not due:
            what = f"{', '.join(meanings)} of this person was corrected in {month} before, and is told so: token new"
            raise NoToken("corrected", what)
        # Of a token that says the same as before a lender would learn that the data were thought to be wrong.
        if all(known[kind] == fresh[kind] for kind in due):
            raise NoToken("unchanged", "what was told is what the data say now; put the data right first")
        found = {kind: fresh[kind] if kind in due else value for kind, value in known.items() if value is not None}
        bits = {str(kind): self._told.bits[kind] for kind in due}
        entry = ServeCorrect(
            release=release,
            peer=request.lender,
            day=str(today),
            bits=bits,
            cause=correction.cause,
            why=correction.why,
            store_head=self._store.head,
        )
        self._ledger.append(lambda state: entry)
        for kind, what in meanings.items():
            if kind in due:
                store.supersede(person, kind, what, str(today))
            told = (person, kind, what, month, found[kind], bits.get(kind, 0), request.lender, release, handle)
            store.tell(*told, correction.cause if kind in due else "")
        return found

    def _limits(self, state: LedgerState) -> ReleaseState:
        found = state.serving.releases.get(self._release.hash)
        if found is None or found.state != "live":
            raise NoToken("release", "this release is not approved here, or was withdrawn")
        return found

    def _token(
        self,
        request: ConsentRequest,
        person: str,
        values: Mapping[Kind, int],
        today: date,
        handle: bytes,
        peer: ServingPeer,
    ) -> Token:
        return Token(
            release=self._release.hash,
            platform=self._identity.name,
            lender=request.lender,
            group=self.group,
            purpose=self._release.manifest.purpose_code,
            meaning=self._told.meaning,
            handle=handle,
            as_of=today,
            expires=self._expires(today),
            consent=request.consent,
            retraining=request.retraining,
            values=values,
            tag=person_tag(handle, person),
        )

    def _expires(self, today: date) -> date:
        return min(today + timedelta(days=self._release.manifest.token_days), self._release.manifest.expires)

    def _columns(self, row: int) -> dict[str, np.ndarray]:
        return {name: values[row : row + 1] for name, values in self._records.columns.items()}


def charge_days(ledger: Ledger, store: ServingStore, release: str, today: date) -> None:
    """Charge all days up to today of a release, for each of its lenders: also those of which nothing is told.

    After the release's last day nothing is told, so nothing is charged either.

    Raises:
        NoToken: the release is not live, or the clock was set back.
        LedgerError: it cannot be charged.
        ServingStoreError: the store is older than the ledger: what it lacks would be told again, and not be charged.
    """
    state = ledger.state.serving.releases.get(release)
    if state is None or state.state != "live":
        raise NoToken("release", "this release is not approved here, or was withdrawn")
    latest = [days[-1] for one in ledger.state.serving.releases.values() for days in one.days.values()]
    if not all(store.holds(day.store_head) for day in latest):
        raise ServingStoreError(f"{store.path}: is older than the ledger; restore the latest copy of it")
    for lender in state.manifest.lenders:
        days = state.days.get(lender, [])
        last = date.fromisoformat(days[-1].day) if days else today - timedelta(days=1)
        if last > today:
            raise NoToken("clock", f"the ledger has {last} already, and the clock says {today}; set it")
        first = max(last + timedelta(days=1), today - timedelta(days=_MOST_DAYS))
        until = min(today, state.manifest.expires)
        for number in range((until - first).days + 1):
            with contextlib.suppress(_Charged):
                ledger.append(partial(_day, release, lender, first + timedelta(days=number), store.head))


class _Charged(Exception):
    """Another process has charged the day."""


def _day(release: str, lender: str, day: date, head: str, folded: LedgerState) -> ServeDay:
    state = folded.serving.releases[release]
    if state.told is None:
        raise NoToken("release", "a lender makes no tokens")
    if any(one.day >= str(day) for one in state.days.get(lender, [])[-1:]):
        raise _Charged
    bits, most = dict(state.told.bits), state.manifest.most_a_day
    return ServeDay(release=release, peer=lender, day=str(day), most=most, bits=bits, store_head=head)


def _is_digest(text: str) -> bool:
    return len(text) == 64 and all(letter in "0123456789abcdef" for letter in text)
