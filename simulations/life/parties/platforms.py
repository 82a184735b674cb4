"""The platforms of a life: each makes tokens from its records of the day, charged to its own ledger and store."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import numpy as np

from sealscore.clients.scoring.serving_store import ServingStore
from sealscore.clients.scoring.tokens import ConsentRequest, TokenMaker
from sealscore.clients.setup.config import TELL_LIMITS
from sealscore.shared.ledger.entries import AdmitRelease, TellLimit
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.persons.records import Records
from sealscore.shared.serving.manifest import Kind
from sealscore.shared.serving.serving_keys import ServingPeer
from sealscore.simulations.life.parties.opening import Opened

TEXT = "5e" * 32
"""What stands for the digest of the text that creators were shown."""


class LifePlatform:
    """One platform: its ledger, its store of what was told, and its maker of tokens for the month.

    `records` are all of the life, one an application; `rows` the place of each application's, -1 for none.
    """

    def __init__(self, name: str, opened: Opened, folder: Path, records: Records, rows: np.ndarray) -> None:
        self.name, self.release = name, opened.release
        self.group = opened.plan.party(name).group
        self.kinds = tuple(opened.release.manifest.told[self.group].bits)
        self.limits: dict[str, TellLimit] = {kind: TELL_LIMITS[kind] for kind in self.kinds}
        self._identity, self._records, self.rows = opened.identities[name], records, rows
        self.ledger = Ledger(opened.ledgers[name], self._identity)
        self.store = ServingStore(folder / f"{name}.db")
        self._maker: TokenMaker | None = None
        manifest = opened.release.manifest
        entry = AdmitRelease(
            release=manifest.hash, plan=manifest.plan, text=manifest.canonical(), limits=dict(self.limits)
        )
        self.ledger.append(lambda state: entry)

    def begin_month(self, applications: np.ndarray, peers: Mapping[str, ServingPeer]) -> None:
        """Have at hand the records of a month's applications (places, by day), one of each person: the first."""
        rows = self.rows[applications]
        first: dict[str, int] = {}
        for row in rows[rows >= 0].tolist():
            first.setdefault(self._records.person[row], row)
        records = self._records.take(np.array(sorted(first.values()), dtype=np.int64))
        self._maker = TokenMaker(self._identity, self.ledger, self.store, self.release, records, peers)

    def token(self, lender: str, person: str, application: str, kinds: frozenset[Kind], today: date) -> str:
        """A token for an application of somebody whom the platform knows, as text.

        Raises:
            NoToken: there is none to give.
        """
        if self._maker is None:
            raise RuntimeError("a month begins before its tokens are made")
        request = ConsentRequest(lender, person, TEXT, "zh", f"of {application}", kinds)
        return urlsafe_b64encode(self._maker.make(request, today)).decode()

    def close(self) -> None:
        """Close its files."""
        self.store.close()
        self.ledger.close()
