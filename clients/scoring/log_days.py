"""The ledger hears of the log of scores by day, whether or not anybody was scored: its head at each day's end."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, timedelta
from functools import partial

from sealscore.clients.scoring.score_log import ScoreLog, older
from sealscore.shared.ledger.entries import LogDay
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.ledger.state import LedgerState

# Days for which a node that was away notes afterwards.
_MOST_DAYS = 366


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
    """Keep the log's head in the ledger for each day before today that it does not have.

    Days on which nobody was scored have an entry as well: how many there are tells nothing of applicants. On all of
    them the log ended with the head that it has now.

    Raises:
        ScoreLogError: the log lacks a head that the ledger keeps, or the last one, which is kept beside it: tokens that
            were used or withdrawn would be used.
        LedgerError: the ledger cannot be written.
    """
    noted = ledger.state.serving.log_days
    log.require_latest()
    if noted and not log.holds(noted[-1].head):
        raise older(log.path)
    yesterday, head = today - timedelta(days=1), log.head
    last = date.fromisoformat(noted[-1].day) if noted else yesterday - timedelta(days=1)
    first = max(last + timedelta(days=1), yesterday - timedelta(days=_MOST_DAYS))
    for number in range((yesterday - first).days + 1):
        with suppress(_DayNoted):
            ledger.append(partial(_log_day, str(first + timedelta(days=number)), head))


def _log_day(day: str, head: str, state: LedgerState) -> LogDay:
    if state.serving.log_days and state.serving.log_days[-1].day >= day:
        raise _DayNoted
    return LogDay(day=day, head=head)
