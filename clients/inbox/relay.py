"""What partners pass each other for scoring through the server once a day: a node takes its parcels and gives its own.

A platform gives each lender the day's batch; a lender gives each platform its serving key, the receipts of batches, and
the releases under which it can open one.
Each parcel is lines of text, the very ones of the files that operators can pass on by hand. What one side cannot take
is told to its operator, and the other side sends it again: a batch without a receipt comes back, with what it had.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import date, timedelta

from sealscore.clients.scoring.batches import RECEIPT_HEAD, BatchError, batch_for, take_batch, take_receipt
from sealscore.clients.scoring.log_days import note_days
from sealscore.clients.setup.serving_dir import ServingDir
from sealscore.shared.crypto.sealing import CertificateError
from sealscore.shared.fields import FieldsError, pack_fields, unpack_fields
from sealscore.shared.identity.identity import BadSignature, Card, Identity
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.ledger.serving_state import ReleaseState
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.serving.parcel import recipients
from sealscore.shared.serving.release import Release, ReleaseError
from sealscore.shared.serving.serving_keys import KEY_HEAD, ServingPeer, month_of
from sealscore.shared.text.foreign import plain

MOST_LINES = 16
"""Of a parcel; a lender's has two keys, a line of releases, and a receipt for each batch that it took."""

AHEAD_DAYS = 10
"""So many days before a month begins its key goes out, so that the first of the month has tokens."""

_RELEASES_HEAD, _PURPOSE = "sealscore-releases-1.", "relay releases"
_HASH, _MOST_RELEASES = 32, 64


def _releases_line(identity: Identity, hashes: list[str]) -> str:
    """The releases that a lender can open batches under, signed by it, on one line."""
    fields = identity.name.encode(), b"".join(map(bytes.fromhex, hashes))
    packed = pack_fields(*fields, identity.sign(_PURPOSE, *fields))
    return _RELEASES_HEAD + base64.urlsafe_b64encode(packed).decode("ascii")


def _read_releases(line: str, card: Card) -> set[str]:
    """The hashes on such a line; BatchError where the holder of the card has not signed it."""
    try:
        raw = base64.b64decode(line.removeprefix(_RELEASES_HEAD).encode("ascii"), altchars=b"-_", validate=True)
        name, joined, signature = unpack_fields(raw, 3)
        card.check(signature, _PURPOSE, name, joined)
    except (binascii.Error, UnicodeEncodeError, FieldsError, BadSignature):
        raise BatchError(f"these are no releases that {card.name} signed") from None
    return {joined[at : at + _HASH].hex() for at in range(0, len(joined), _HASH)}


class _Relay:
    """What both sides do alike. `tell` gets in words, for the operator, what was not taken and why."""

    def __init__(self, identity: Identity, ledger: Ledger, serving: ServingDir, tell: Callable[[str], None]) -> None:
        self._identity, self._ledger, self._serving, self._tell = identity, ledger, serving, tell

    def _releases(self) -> list[Release]:
        """All approved releases that can be read, ended ones first, each in order of approval."""
        states = sorted(self._ledger.state.serving.releases.values(), key=_rank)
        return [found for state in states if (found := self._readable(state)) is not None]

    def _readable(self, state: ReleaseState) -> Release | None:
        hash = state.manifest.hash
        if not self._serving.release_folder(hash).is_dir():
            return None
        try:
            return self._serving.release(hash)
        except (ReleaseError, PlanError) as error:
            self._tell(f"release {plain(state.manifest.name)} cannot be used for the day's batch: {plain(error)}")
            return None

    def _lines(self, sender: str, parcel: bytes) -> list[str]:
        """The lines of a parcel; none where it has too many."""
        lines = parcel.decode("ascii", "replace").splitlines()
        if len(lines) > MOST_LINES:
            self._tell(f"what came from {plain(sender)} through the server is not taken: it has {len(lines)} lines")
            return []
        return lines


class LenderRelay(_Relay):
    """A lender's side; lines of withdrawn persons are kept for `retention_days`."""

    def __init__(
        self,
        identity: Identity,
        ledger: Ledger,
        serving: ServingDir,
        tell: Callable[[str], None],
        retention_days: int,
    ) -> None:
        super().__init__(identity, ledger, serving, tell)
        self._retention_days = retention_days

    def exchange(self, parcels: Mapping[str, bytes], today: date) -> dict[str, bytes]:
        """Take the platforms' batches; gives each platform the serving key and receipts.

        Raises:
            LedgerError, ScoreLogError, KeyFileError, OSError: it cannot be noted; nothing is receipted.
        """
        releases = self._releases()
        platforms = {name for one in releases for name in _platforms(one)}
        if not platforms:
            return {}
        keys = [self._serving.serving_key(self._identity, month).certificate for month in _months(today)]
        keys.append(_releases_line(self._identity, [one.hash for one in releases][-_MOST_RELEASES:]))
        return {
            name: "\n".join([*keys, *self._receipts(name, parcels.get(name, b""), releases, today)]).encode("ascii")
            for name in sorted(platforms)
        }

    def _receipts(self, platform: str, parcel: bytes, releases: list[Release], today: date) -> list[str]:
        receipts = []
        for line in self._lines(platform, parcel):
            try:
                receipts.append(self.take(line, releases, today)[0].strip())
            except BatchError as error:
                self._tell(f"a batch of {plain(platform)} that came through the server is not taken: {plain(error)}")
        return receipts

    def take(self, text: str, releases: list[Release], today: date) -> tuple[str, int]:
        """Use the tokens of a batch no more: its receipt, and how many of them were known here.

        Raises:
            BatchError: it is none for this lender.
            LedgerError, ScoreLogError, KeyFileError: it cannot be noted; there is no receipt.
        """
        with closing(self._serving.log()) as log:
            note_days(self._ledger, log, today)
            found, keys = {one.hash: one for one in releases}, self._serving.serving_keys(self._identity)
            return take_batch(text, self._identity, self._ledger, log, found, keys, today, self._retention_days)

    def take_file(self, text: str, today: date) -> tuple[str, int]:
        """As `take`, of a batch that the operator was given."""
        return self.take(text, self._releases(), today)


class PlatformRelay(_Relay):
    """A platform's side."""

    def exchange(self, parcels: Mapping[str, bytes], today: date) -> dict[str, bytes]:
        """Take lenders' serving keys and receipts; gives each lender the day's batch.

        It is under the newest release that the lender can open one under, if that is known. A lender without a key of
        this month gets none, and the operator is told.

        Raises:
            LedgerError, ServingStoreError, OSError: it cannot be noted; nothing is given.
        """
        of: dict[str, list[Release]] = {}
        for release in self._releases():
            for lender in release.manifest.lenders:
                of.setdefault(lender, []).append(release)
        batches = {}
        for lender, releases in of.items():
            card, opens = releases[-1].plan.cards[lender], set[str]()
            for line in self._lines(lender, parcels.get(lender, b"")):
                opens |= self._take(line, card, today)
            # A lender that has approved none of them yet may have done so before it opens this.
            release = next((one for one in reversed(releases) if one.hash in opens), releases[-1])
            if (batch := self.batch(release, release.plan.cards[lender], today)) is not None:
                batches[lender] = batch.encode("ascii")
            else:
                self._tell(f"{lender} gets no batch today: there is no serving key of it for {month_of(today)}")
        return batches

    def batch(self, release: Release, card: Card, today: date) -> str | None:
        """The day's batch for the lender of a card; None where there is no serving key of it for this month.

        Raises:
            LedgerError, ServingStoreError: it cannot be noted; nothing is to be sent.
            CertificateError: the key that is kept is damaged.
        """
        peer = self._serving.peers({card.name: card}, month_of(today)).get(card.name)
        if peer is None:
            return None
        with closing(self._serving.store()) as store:
            return batch_for(self._identity, self._ledger, store, release, peer, today)

    def receipt(self, text: str, card: Card) -> int:
        """Note a lender's receipt; gives the batch's number. BatchError where it is none."""
        with closing(self._serving.store()) as store:
            return take_receipt(store, text, self._identity.name, card)

    def _take(self, line: str, card: Card, today: date) -> set[str]:
        """Take a line of a lender; gives the releases that it says it can open batches under, if it is about them."""
        try:
            if line.startswith(_RELEASES_HEAD):
                return _read_releases(line, card)
            if line.startswith(KEY_HEAD):
                self._take_key(line, card, today)
            elif line.startswith(RECEIPT_HEAD):
                self.receipt(line, card)
            else:
                raise BatchError("it is no serving key and no receipt")
        except (BatchError, CertificateError) as error:
            self._tell(f"what came from {card.name} through the server is not taken: {plain(error)}")
        return set()

    def _take_key(self, line: str, card: Card, today: date) -> None:
        """Keep a key of a month that has none. An old key that somebody sends again must not replace a newer one."""
        month = ServingPeer.read(line, card).month
        if month >= month_of(today) and not self._serving.keep_new_peer(line, card):
            self._tell(
                f"{card.name} has another serving key for {month} than the one that is kept; where its operator says "
                "that it made a new one, take it by hand: sealscore-node serving-key take"
            )


def _rank(state: ReleaseState) -> tuple[bool, int]:
    return state.state == "live", state.admitted


def _platforms(release: Release) -> list[str]:
    return [name for name in recipients(release) if name not in release.manifest.lenders]


def _months(today: date) -> list[str]:
    return sorted({month_of(today), month_of(today + timedelta(days=AHEAD_DAYS))})
