"""The ledger hears of the log of scores once a day, whether or not anybody was scored: its head at the day's end."""

from __future__ import annotations

from datetime import date, timedelta

from sealscore.clients.scoring.score_log import ScoreLog
from sealscore.shared.ledger.entries import LogDay
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.ledger.state import LedgerState


class _DayNoted(Exception):
    """Another process has noted the day."""


def close_days(ledger: Ledger, log: ScoreLog, today: date) -> int:
    """Keep the log's head for the days that are over, and destroy the keys whose term has ended; gives how many.

    Raises:
        LedgerError, ScoreLogError: it cannot be noted.
    """
    note_days(ledger, log, today)
    with log.commit() as batch:
        return batch.destroy_expired(str(today))


def note_days(ledger: Ledger, log: ScoreLog, today: date) -> None:
    """Keep the log's head in the ledger, once for all days before today that it does not have.

    Days of which nothing is known more than the head that they ended with have one entry together.
    """
    day, head = str(today - timedelta(days=1)), log.head

    def make(state: LedgerState) -> LogDay:
        if state.serving.log_days and state.serving.log_days[-1].day >= day:
            raise _DayNoted
        return LogDay(day=day, head=head)

    try:
        ledger.append(make)
    except _DayNoted:
        return
