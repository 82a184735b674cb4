"""The running node's part of the watch at a platform: the bits of a quarter, on its first day or the first it is up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import date

from sealscore.clients.data import DataError
from sealscore.clients.scoring.daily import Chore, reason_of
from sealscore.clients.scoring.serving_store import ServingStore
from sealscore.clients.scoring.storage.subscriptions import AT_ONCE, due
from sealscore.clients.scoring.tokens import NoToken
from sealscore.clients.warning.watching import ToldQuarter, Watching, has_room
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.ledger.serving_state import ReleaseState
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import Plan
from sealscore.shared.serving.release import Release, ReleaseError
from sealscore.shared.serving.watch import WATCH, quarter_of


class NotTold(RuntimeError):
    """Releases whose bits could not be told; `found` is what was told of the others."""

    def __init__(self, found: Mapping[str, ToldQuarter], failed: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"release {name}: {why}" for name, why in failed.items()))
        self.found = found


def tell_bits(
    platform: str,
    ledger: Ledger,
    store: ServingStore,
    load_release: Callable[[str], Release],
    load_records: Callable[[Plan], Records],
    today: date,
) -> dict[str, ToldQuarter]:
    """Tell the quarter's bits under each live release of which some are due, by the release's name.

    Release and data are read where a bit is due and fits the ceilings, and not every day. What keeps one release from
    being told keeps no other: it is raised when all others were.

    Raises:
        NotTold: releases cannot be told; each is named, with why.
        LedgerError, ServingStoreError: nothing can be charged.
    """
    found, failed = {}, {}
    for state in ledger.state.serving.live:
        if not _waits(store, state, quarter_of(today)):
            continue
        name = state.manifest.name
        try:
            release = load_release(state.manifest.hash)
            records = load_records(release.plan)
            found[name] = Watching(platform, ledger, store, release, records).tell(today)
        except (NoToken, DataError, ReleaseError, PlanError, OSError) as error:
            failed[name] = reason_of(error)
    if failed:
        raise NotTold(found, failed)
    return found


def _waits(store: ServingStore, state: ReleaseState, quarter: str) -> bool:
    """Whether a bit of a quarter is due under a release that the ceilings leave room for."""
    if state.told is None or state.told.watch is None:
        return False
    after = 0
    while True:
        with store.transaction() as own:
            some = due(own.database, state.manifest.hash, quarter, after, AT_ONCE)
            if any(has_room(own, one, state.told, quarter, state.limits[WATCH]) for one in some):
                return True
        if not some:
            return False
        after = some[-1].number


def watch_chore(
    platform: str,
    ledger: Ledger,
    open_store: Callable[[], ServingStore],
    load_release: Callable[[str], Release],
    load_records: Callable[[Plan], Records],
) -> Chore:
    """What a running node does each day: most days nothing is due."""

    def tell(today: date) -> list[str]:
        with closing(open_store()) as store:
            found = tell_bits(platform, ledger, store, load_release, load_records, today)
        return [told_words(name, one) for name, one in found.items()]

    return Chore("telling the quarter's watch bits", tell)


def told_words(name: str, found: ToldQuarter) -> str:
    """What the operator is told of a quarter: counts alone."""
    back = f", {found.kept_back} kept back by a ceiling" if found.kept_back else ""
    if found.absent:
        back += f", {found.absent} kept until the data have the creator and consents again"
    return f"release {name}: {found.told} watch bits wait for the day's batch, {found.ended} watches ended{back}"
