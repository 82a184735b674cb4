"""The platforms of a life: each makes tokens from its records of the day, charged to its own ledger and store.

It tells the quarter's watch bits, and passes withdrawals on.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import numpy as np

from sealscore.clients.scoring.batches import batch_for, take_receipt
from sealscore.clients.scoring.serving_store import ServingStore
from sealscore.clients.scoring.storage.subscriptions import lenders_with_bits
from sealscore.clients.scoring.tokens import ConsentRequest, TokenMaker
from sealscore.clients.setup.config import TELL_LIMITS
from sealscore.clients.warning.watching import ToldQuarter, Watching, WatchRequest
from sealscore.shared.identity.identity import Card
from sealscore.shared.ledger.entries import AdmitRelease, TellLimit
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.persons.records import Records
from sealscore.shared.serving.manifest import Kind
from sealscore.shared.serving.release import Release
from sealscore.shared.serving.serving_keys import ServingPeer
from sealscore.shared.serving.watch import WATCH
from sealscore.simulations.life.parties.opening import Opened

TEXT = "5e" * 32
"""What stands for the digest of the text that creators were shown."""
LIMITS: Mapping[str, TellLimit] = {**TELL_LIMITS, WATCH: TellLimit(month=1, life=8)}
"""Ceilings by kind: those of a node whose operator says nothing, and of watch bits those of docs/warning.md."""


class LifePlatform:
    """One platform: its ledger, its store of what was told, and its maker of tokens for the month.

    `records` are all of the life, one an application; `rows` the place of each application's, -1 for none; `watched`
    are those of the first days of quarters, where it tells watch bits.
    """

    def __init__(
        self,
        name: str,
        opened: Opened,
        folder: Path,
        records: Records,
        rows: np.ndarray,
        watched: Mapping[date, Records],
    ) -> None:
        self.name = name
        self.group = opened.plan.party(name).group
        self._identity, self._records, self.rows, self._watched = opened.identities[name], records, rows, watched
        self.ledger = Ledger(opened.ledgers[name], self._identity)
        self.store = ServingStore(folder / f"{name}.db")
        self._maker: TokenMaker | None = None
        self._watching: Watching | None = None
        self._peers: Mapping[str, ServingPeer] = {}
        self._releases: list[Release] = []
        self.use(opened.release)

    def use(self, release: Release) -> None:
        """Approve a release, and tell under it from the next month on; watches under earlier ones go on."""
        manifest = release.manifest
        self.limits = {kind: LIMITS[kind] for kind in manifest.told[self.group].bits}
        entry = AdmitRelease(
            release=manifest.hash, plan=manifest.plan, text=manifest.canonical(), limits=dict(self.limits)
        )
        self.ledger.append(lambda state: entry)
        self._releases.append(release)

    @property
    def release(self) -> Release:
        """The release under which it tells."""
        return self._releases[-1]

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What its tokens may tell."""
        return tuple(self.release.manifest.told[self.group].token_bits)

    @property
    def watches(self) -> bool:
        """Whether it tells a watch bit."""
        return self.release.manifest.told[self.group].watch is not None

    def begin_month(self, applications: np.ndarray, peers: Mapping[str, ServingPeer]) -> None:
        """Have at hand the records of a month's applications (places, by day), one of each person: the first."""
        rows = self.rows[applications]
        first: dict[str, int] = {}
        for row in rows[rows >= 0].tolist():
            first.setdefault(self._records.person[row], row)
        records = self._records.take(np.array(sorted(first.values()), dtype=np.int64))
        self._peers = peers
        self._maker = TokenMaker(self._identity, self.ledger, self.store, self.release, records, peers)
        if self.watches:
            self._watching = self._watch(self.release, records)

    def token(
        self, lender: str, person: str, application: str, kinds: frozenset[Kind], retraining: bool, today: date
    ) -> str:
        """A token for an application of somebody whom the platform knows, as text.

        Raises:
            NoToken: there is none to give.
        """
        if self._maker is None:
            raise RuntimeError("a month begins before its tokens are made")
        request = ConsentRequest(lender, person, TEXT, "zh", _key(application), kinds, retraining)
        return urlsafe_b64encode(self._maker.make(request, today)).decode()

    def given(self, lender: str, application: str) -> str:
        """The token that was given for an application, as text; KeyError where there was none."""
        with self.store.transaction() as own:
            for release in self._releases:
                if kept := own.kept(release.hash, lender, _key(application)):
                    return urlsafe_b64encode(kept.token).decode()
        raise KeyError(application)

    def begin_watch(self, lender: str, person: str, application: str, quarters: int, today: date) -> None:
        """Somebody agrees to be watched, by the token of an application.

        Raises:
            NoToken: it cannot be.
        """
        if self._watching is None:
            raise RuntimeError("a month begins before its watches")
        self._watching.begin(WatchRequest(lender, person, _key(application), TEXT, "zh", quarters), today)

    def tell_bits(self, today: date) -> ToldQuarter:
        """Tell the quarter's bits, on its first day, under all releases; they wait for the next batches."""
        if not self.watches or today not in self._watched:
            return ToldQuarter()
        told = [self._watch(release, self._watched[today]).tell(today) for release in self._releases]
        return ToldQuarter(
            *(sum(getattr(one, name) for one in told) for name in ("told", "ended", "kept_back", "absent"))
        )

    def withdraw(self, person: str, lender: str, today: date) -> int:
        """A person (in normal form) withdraws from a lender; how many tokens go into the next batches."""
        with self.store.transaction() as own:
            return own.withdraw(person, lender, str(today))

    def waiting(self) -> list[str]:
        """The lenders for which withdrawals, ends of watches or bits wait for a batch."""
        with self.store.transaction() as own:
            return sorted({*(lender for lender, _ in own.waiting()), *lenders_with_bits(own.database)})

    def batch(self, lender: str, today: date) -> str:
        """The day's batch for a lender."""
        return batch_for(self._identity, self.ledger, self.store, self.release, self._peers[lender], today)

    def receipt(self, text: str, card: Card) -> None:
        """Take a lender's receipt of a batch."""
        take_receipt(self.store, text, self.name, card)

    def close(self) -> None:
        """Close its files."""
        self.store.close()
        self.ledger.close()

    def _watch(self, release: Release, records: Records) -> Watching:
        """What is asked for in a life is the consent itself, so its data list none."""
        return Watching(self.name, self.ledger, self.store, release, records, asking_consents=True)


def _key(application: str) -> str:
    return f"of {application}"
