"""The desk at which a platform's back end asks: consents, withdrawals, what was told, and factors.

Ledger and store are used by one thread alone, `worker`; releases and records are read by another (`look`), and take the
place of those before them in one step. Other processes may charge at the same time: each charge is one transaction of
the store's file, which sees all that were committed before it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from datetime import date

from sealscore.clients.data import DataError
from sealscore.clients.platform_api.factors import LevelFactors
from sealscore.clients.scoring.serving_store import KeptToken, ServingStore
from sealscore.clients.scoring.storage.subscriptions import Subscription
from sealscore.clients.scoring.tokens import ConsentRequest, NoToken, TokenMaker
from sealscore.clients.warning.watching import Watching, WatchRequest, stop_watching
from sealscore.shared.crypto.sealing import CertificateError
from sealscore.shared.identity.identity import Card, Identity
from sealscore.shared.ledger.ledger import Ledger, LedgerError
from sealscore.shared.persons.identifiers import NORMAL_FORMS
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import Plan
from sealscore.shared.plan.schema import TableSchema
from sealscore.shared.serving.manifest import Manifest, Told
from sealscore.shared.serving.release import Release, ReleaseError
from sealscore.shared.serving.serving_keys import ServingPeer, month_of
from sealscore.shared.text.foreign import encodable

RETRY = 60.0  # seconds until what could not be read is tried again, unless it changes before


@dataclass(frozen=True)
class DeskSources:
    """Where the desk gets what it needs. What each raises is what it raises where a node's folder is read.

    `state` changes when the data may have changed: sizes and times of files, for instance; `keys_state` the same of
    serving keys. `peers` are lenders' serving keys of a month. `clock` gives seconds, for the pause after which what
    could not be read is tried again.
    """

    release: Callable[[str], Release]
    records: Callable[[Plan], Records]
    state: Callable[[], Hashable]
    keys_state: Callable[[], Hashable]
    peers: Callable[[Mapping[str, Card], str], Mapping[str, ServingPeer]]
    today: Callable[[], date]
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True)
class _OpenRelease:
    """A live release with today's records."""

    release: Release
    maker: TokenMaker
    factors: LevelFactors
    watching: Watching | None


class ConsentDesk:
    """Answers a platform's back end. All methods but `look` are called by the worker's one thread.

    `form` is the normal form of identifiers in the data set. With `asking_consents` a request is a consent itself (see
    `TokenMaker`).
    """

    def __init__(
        self,
        identity: Identity,
        ledger: Ledger,
        store: ServingStore,
        sources: DeskSources,
        form: str,
        asking_consents: bool = False,
    ) -> None:
        self._identity, self._ledger, self._store, self._sources = identity, ledger, store, sources
        self._normal, self._asking_consents = NORMAL_FORMS[form], asking_consents
        self._served: dict[str, _OpenRelease] = {}
        self._seen: Hashable = None
        self._keys_seen: Hashable = sources.keys_state()
        self._failed: dict[str, str] = {}
        self._retry = 0.0

    @property
    def undone(self) -> tuple[str, ...]:
        """What could not be read when it was last tried, one line each; what was there before is still used."""
        return tuple(self._failed.values())

    def live(self) -> dict[str, tuple[Manifest, Told]]:
        """The live releases under which this platform tells something, by hash, and what it tells.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        live = self._ledger.state.serving.live
        return {one.manifest.hash: (one.manifest, one.told) for one in live if one.told is not None}

    def ready(self) -> dict[str, tuple[Manifest, Told]]:
        """The live releases for which tokens are made now; LedgerError as above."""
        return {hash: found for hash, found in self.live().items() if hash in self._served}

    def consent(self, release: str, request: ConsentRequest) -> KeptToken:
        """The token for a creator who agreed.

        Raises:
            NoToken: there is none to give; nothing was charged.
            LedgerError, ServingStoreError: it cannot be charged; nothing was told.
        """
        served, today = self._of(release), self._sources.today()
        try:
            return served.maker.give(request, today)
        except NoToken as error:
            if error.code != "no-key":
                raise
        # A month has begun, or a key came.
        self._take_keys(served, today)
        return served.maker.give(request, today)

    def watch(self, release: str, request: WatchRequest) -> Subscription:
        """The subscription of a creator who agreed to be watched; nothing is told yet (see `Watching.begin`).

        Raises:
            NoToken: it cannot be; nothing was kept.
            LedgerError, ServingStoreError: it cannot be kept.
        """
        watching = self._of(release).watching
        if watching is None:
            raise NoToken("kind", "the release tells no watch bit of this platform")
        return watching.begin(request, self._sources.today())

    def end_watch(self, person: str, lender: str) -> int:
        """End what a creator agreed to be watched for; gives how many watches.

        Raises:
            NoToken: the identifier has no normal form, or no release was ever for such a lender.
            ServingStoreError: it cannot be noted.
        """
        form = self._form(person)
        self._require_lender(lender)
        return stop_watching(self._store, form, lender, self._sources.today())

    def withdraw(self, person: str, lender: str) -> int:
        """Note that a creator withdrew from a lender; gives how many tokens the lender will be told not to use.

        Raises:
            NoToken: the identifier has no normal form, or no release was ever for such a lender.
            ServingStoreError: it cannot be noted.
        """
        form = self._form(person)
        self._require_lender(lender)
        with self._store.transaction() as own:
            return own.withdraw(form, lender, str(self._sources.today()))

    def told(self, person: str) -> list[Mapping[str, object]]:
        """What was told of a creator for scoring, and when; NoToken where the identifier has no normal form."""
        return self._store.told_of(self._form(person))

    def factors(self, release: str, person: str) -> dict[str, list[dict[str, str]]]:
        """What moves a creator's level, in words (see `LevelFactors`); nothing is charged.

        Raises:
            NoToken: no such release is live here, or there is no record of that person.
            LedgerError: the ledger cannot be read.
        """
        served = self._of(release)
        try:
            return served.factors.of(served.maker.record(self._form(person)))
        except KeyError:
            raise NoToken("no-record", "there is no record of this creator in today's data") from None

    def table(self, release: str) -> TableSchema:
        """The table of this kind of platform under a release's plan; NoToken where no such release is live here."""
        served = self._of(release)
        return served.release.plan.groups[served.maker.group].table

    def look(self, worker: Executor, again: bool = False) -> bool:
        """Read what is new: releases that were approved, another day's data; `again` reads the data in any case.

        Called by a thread of its own. What cannot be read stands in `undone`, and the next look tries again. Whether
        anything was read.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        today, keys = self._sources.today(), self._sources.keys_state()
        if keys != self._keys_seen:
            self._keys_seen = keys
            for one in self._served.values():
                worker.submit(self._take_keys, one, today).result()
        live, seen = worker.submit(self.live).result(), (self._sources.state(), today)
        late = bool(self._failed) and self._sources.clock() >= self._retry
        fresh = again or late or seen != self._seen
        wanted = [hash for hash in live if fresh or (hash not in self._served and hash not in self._failed)]
        if not wanted and self._served.keys() <= live.keys():
            return False
        served = {hash: one for hash, one in self._served.items() if hash in live}
        failed = {} if fresh else {hash: why for hash, why in self._failed.items() if hash in live}
        records: dict[str, Records] = {}
        for hash in wanted:
            try:
                release = served[hash].release if hash in served else self._sources.release(hash)
                if release.plan.hash not in records:
                    records[release.plan.hash] = self._sources.records(release.plan)
                served[hash] = self._serving(release, records[release.plan.hash], today)
            except (DataError, ReleaseError, PlanError, CertificateError) as error:
                failed[hash] = f"release {live[hash][0].name}: {error}"
                self._retry = self._sources.clock() + RETRY
        self._served, self._failed, self._seen = served, failed, seen
        return True

    def _serving(self, release: Release, records: Records, today: date) -> _OpenRelease:
        peers = self._peers(release, today)
        maker = TokenMaker(
            self._identity, self._ledger, self._store, release, records, peers, asking_consents=self._asking_consents
        )
        watching = None
        if release.manifest.told[maker.group].watch is not None:
            name, asking = self._identity.name, self._asking_consents
            watching = Watching(name, self._ledger, self._store, release, records, asking)
        factors = LevelFactors(release.plan, release.content.towers[maker.group])
        return _OpenRelease(release, maker, factors, watching)

    def _require_lender(self, lender: str) -> None:
        # A ledger that cannot be read keeps nobody from withdrawing.
        with suppress(LedgerError):
            # Also of a release that has ended: what was told under it is withdrawn.
            known = {name for one in self._ledger.state.serving.releases.values() for name in one.manifest.lenders}
            if lender not in known:
                listed = ", ".join(sorted(known))
                raise NoToken("lender", f"no release of this node is for that lender; there are {listed}")

    def _take_keys(self, served: _OpenRelease, today: date) -> None:
        served.maker.peers = self._peers(served.release, today)

    def _peers(self, release: Release, today: date) -> Mapping[str, ServingPeer]:
        cards = {name: release.plan.cards[name] for name in release.manifest.lenders}
        return self._sources.peers(cards, month_of(today))

    def _of(self, release: str) -> _OpenRelease:
        found = self._served.get(release)
        if found is None:
            raise NoToken("release", "no such release is live here")
        return found

    def _form(self, person: str) -> str:
        found = self._normal(person) if encodable(person) else ""
        if not found:
            raise NoToken("person", "the identifier has no normal form; correct it")
        return found
