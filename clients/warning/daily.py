"""The running node's part of the watch at a platform: the bits of a quarter, on its first day or the first it is up."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import date

from sealscore.clients.scoring.daily import Chore
from sealscore.clients.scoring.serving_store import ServingStore
from sealscore.clients.scoring.storage.subscriptions import due
from sealscore.clients.warning.watching import ToldQuarter, Watching
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.plan import Plan
from sealscore.shared.serving.release import Release
from sealscore.shared.serving.watch import quarter_of


def tell_bits(
    platform: str,
    ledger: Ledger,
    store: ServingStore,
    load_release: Callable[[str], Release],
    load_records: Callable[[Plan], Records],
    today: date,
) -> dict[str, ToldQuarter]:
    """Tell the quarter's bits under each live release of which some are due, by the release's name.

    Release and data are read where a bit is due, and not every day.

    Raises:
        NoToken, LedgerError, ServingStoreError: it cannot be charged.
        DataError, ReleaseError, PlanError: the data or the release cannot be read.
    """
    found = {}
    for state in ledger.state.serving.live:
        if state.told is None or state.told.watch is None:
            continue
        with store.transaction() as own:
            waits = due(own.database, state.manifest.hash, quarter_of(today), 0, 1)
        if waits:
            release = load_release(state.manifest.hash)
            records = load_records(release.plan)
            found[state.manifest.name] = Watching(platform, ledger, store, release, records).tell(today)
    return found


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
    return f"release {name}: {found.told} watch bits wait for the day's batch, {found.ended} watches ended{back}"
