"""What serving needs of a running node each UTC day, whether or not anybody is scored.

Each chore is done when the node starts, when a day begins, and when a release is approved or withdrawn. One that fails
is told to the operator once and tried again; it ends nothing, and keeps no other chore from being done. A clock that
jumps is told as well, and nothing is done by it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime

from sealscore.clients.scoring.batches import ALARM_DAYS, late_batches
from sealscore.clients.scoring.log_days import close_days
from sealscore.clients.scoring.score_log import ScoreLog, ScoreLogError, lingering
from sealscore.clients.scoring.serving_store import ServingStore
from sealscore.clients.scoring.tokens import charge_days
from sealscore.clients.steady_clock import ClockFault, SteadyClock, uptime
from sealscore.shared.ledger.ledger import Ledger, LedgerError

RETRY = 60.0  # seconds until a chore that failed is tried again


@dataclass(frozen=True)
class Chore:
    """`work` is done for the day that it is given; what it returns is told to the operator. `what` names it."""

    what: str
    work: Callable[[date], Sequence[str]]


class Daily:
    """The chores of one node. `look` is called often, and from one thread."""

    def __init__(
        self,
        ledger: Ledger,
        chores: Sequence[Chore],
        notice: Callable[[str], None],
        clock: Callable[[], float] = time.time,
        passed: Callable[[], float] = uptime,
    ) -> None:
        self._ledger, self._chores, self._notice = ledger, chores, notice
        self._clock = SteadyClock(0.0, clock, passed, notice)
        self._done: dict[str, Hashable] = {}
        self._failed: dict[str, tuple[str, float]] = {}

    @property
    def undone(self) -> list[str]:
        """What could not be done, and why, one line each."""
        clock = [] if self._clock.fault is None else [str(self._clock.fault)]
        return clock + [f"{what}: {why}" for what, (why, _) in self._failed.items()]

    def look(self) -> None:
        """Do what is due; nothing is raised."""
        try:
            now = self._clock.now()
        except ClockFault:
            # A day that never was would destroy keys that are in use, and stand in the ledger.
            return
        today = datetime.fromtimestamp(now, UTC).date()
        try:
            serving = self._ledger.state.serving
        except LedgerError:
            return  # whoever calls reads the ledger, too, and says so
        if not serving.releases:
            return
        due = (today, frozenset(release.manifest.hash for release in serving.live))
        for chore in self._chores:
            _, again = self._failed.get(chore.what, ("", now))
            if self._done.get(chore.what) != due and again <= now:
                self._do(chore, today, due, now)

    def _do(self, chore: Chore, today: date, due: Hashable, now: float) -> None:
        try:
            said = chore.work(today)
        except Exception as error:
            why, (before, _) = reason_of(error), self._failed.get(chore.what, ("", 0.0))
            if why != before:
                self._notice(f"{chore.what} failed, and is tried again: {why}")
            self._failed[chore.what] = (why, now + RETRY)
            return
        if self._failed.pop(chore.what, None) is not None:
            self._notice(f"{chore.what} is done now")
        self._done[chore.what] = due
        for line in said:
            self._notice(line)


def platform_chores(ledger: Ledger, open_store: Callable[[], ServingStore]) -> tuple[Chore, ...]:
    """A platform's: charge the day for each live release, and miss receipts of batches."""

    def charge(today: date) -> list[str]:
        with closing(open_store()) as store:
            for release in ledger.state.serving.live:
                charge_days(ledger, store, release.manifest.hash, today)
        return []

    def watch(today: date) -> list[str]:
        with closing(open_store()) as store:
            return [late_words(lender, numbers) for lender, numbers in late_batches(store, today).items()]

    return Chore("charging the day for scoring", charge), Chore("looking for receipts of batches", watch)


def lender_chores(
    ledger: Ledger,
    open_log: Callable[[], ScoreLog],
    destroy_keys: Callable[[date, int], Sequence[str]],
    hand_over: Callable[[], None],
) -> tuple[Chore, ...]:
    """A lender's: keep the head of its log of scores, and destroy keys whose term has ended, also from the disk.

    `destroy_keys` destroys the serving keys of months whose last token, of so many days, has ended, and names them.
    `hand_over` tells the scorer which releases are approved: also where a command that should have was broken off.
    """

    def note(today: date) -> list[str]:
        with closing(open_log()) as log:
            gone = close_days(ledger, log, today)
        return [f"keys of {gone} persons in the log of scores are destroyed: their term has ended"] if gone else []

    def clear(today: date) -> list[str]:
        with closing(open_log()) as log:
            with log.commit():
                pass  # each commit tries
            if log.lingers:
                raise ScoreLogError(lingering(log.path))
        return []

    def destroy(today: date) -> list[str]:
        days = max(release.manifest.token_days for release in ledger.state.serving.releases.values())
        return [
            f"the serving key of {month} is destroyed: its last token has ended" for month in destroy_keys(today, days)
        ]

    def tell(today: date) -> list[str]:
        hand_over()
        return []

    return (
        Chore("telling the scorer which releases are approved", tell),
        Chore("noting the log of scores", note),
        Chore("clearing what was destroyed", clear),
        Chore("destroying serving keys", destroy),
    )


def late_words(lender: str, numbers: Sequence[int]) -> str:
    """What an operator is told of batches without a receipt."""
    if not numbers:
        return (
            f"withdrawals or ends of watches for {lender} have been in no batch for {ALARM_DAYS} days or more; "
            "see that the server's relay runs, or pass batches on by hand: batch make"
        )
    listed = ", ".join(map(str, numbers))
    return f"no receipt of {lender} for {ALARM_DAYS} days or more of batch {listed}; send it again: batch make"


def reason_of(error: Exception) -> str:
    """What an operator is told of an error: ours have no value of a person in them; of others only the kind is told."""
    if type(error).__module__.startswith("sealscore."):
        return str(error)
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__
