"""A watch of one release over one log: which months can be judged, and judging them one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as with_other

from sealscore.clients.decision.register import SCHEMA, Register
from sealscore.clients.scoring.score_log import ScoreLog
from sealscore.clients.watch.errors import WatchError
from sealscore.clients.watch.frames import WatchBook
from sealscore.clients.watch.journal import WatchJournal, keep_month
from sealscore.clients.watch.judged import JudgedMonth, alerts_of, judged_month
from sealscore.clients.watch.measures import watched_measures
from sealscore.clients.watch.months import month_text
from sealscore.clients.watch.noise.thresholds import LIVES
from sealscore.clients.watch.reading import WatchReader
from sealscore.clients.watch.repayments import RepaymentTable
from sealscore.clients.watch.settings import WatchedRelease, WatchSettings

Told = Callable[[str], None]
_AGAIN = "sealscore-node watch run --month"


@dataclass(frozen=True)
class WatchedLog:
    """What is watched: the frames, and up to which month they reach.

    `left_out` counts loans of the repayments whose lines were not read; `repayments` says whether there is a table.
    """

    book: WatchBook = field(repr=False)
    release: WatchedRelease
    settings: WatchSettings
    first: int
    last: int
    left_out: int = 0
    repayments: bool = False


def watched(
    log: ScoreLog,
    reader: WatchReader,
    release: WatchedRelease,
    settings: WatchSettings,
    table: RepaymentTable | None,
    over: int,
    told: Told,
) -> WatchedLog:
    """Read a log and the table of repayments, up to the last month that is over.

    Raises:
        WatchError: the log has no score of this release that can be read.
        DataError: the table is at fault.
    """
    told("reading the log")
    reader.read(log.lines(locked=False))
    book, left, last = reader.book(), 0, over
    if (first := book.first) is None:
        what = f"the log has no score of this release ({reader.erased} lines erased, {reader.withdrawn} withdrawn)"
        raise WatchError("empty", f"{what}; score first, or name another one as --release")
    if table is not None:
        told("reading the table of repayments")
        rows = table.read(log.keys)
        log.extend(SCHEMA)
        with log.commit() as batch:
            unread, others = reader.left_out(Register(batch, log.keys).loans())
        kept, left = rows.checked(book.loans, unread, others, over, release.window)
        book = with_other(book, repayments=kept)
        last = min(over, rows.last if rows.last is not None else over)
    return WatchedLog(book, release, settings, first, last, left, table is not None)


def months_to_judge(of: WatchedLog, journal: WatchJournal, month: int | None, over: int) -> list[int]:
    """The month that was asked for, or all that are over and were not judged yet.

    Raises:
        WatchError: the month is not over, not covered by the repayments, before the first score, or one before it was
            not judged yet.
    """
    known = journal.of_release(of.release.release)
    missing = [one for one in range(of.first, of.last + 1) if one not in known]
    if month is None:
        return missing
    if month > over:
        raise WatchError("open", f"{month_text(month)} is not over; {_AGAIN} {month_text(over)} is the last that is")
    if month > of.last:
        what = (
            f"the table of repayments ends with {month_text(of.last)}, so that of {month_text(month)} nothing is known"
        )
        raise WatchError("repayments", f"{what}; export it again, or {_AGAIN} {month_text(of.last)}")
    if month < of.first:
        raise WatchError("month", f"the first score of this release is of {month_text(of.first)}; watch from there on")
    if missing and month > missing[0]:
        before = month_text(missing[0])
        raise WatchError("order", f"{before} was not judged yet, and months count in a row; {_AGAIN} {before} first")
    return [month]


def judge_in_row(
    of: WatchedLog, log: ScoreLog, months: Sequence[int], told: Told, lives: int = LIVES
) -> Iterator[JudgedMonth]:
    """Judge months in their order, and the later ones that were judged before again: breaches count in a row.

    All of them, whether or not a line changed: one that did may have been kept just before a crash.

    Raises:
        ScoreLogError: see `judge`.
    """
    known = WatchJournal.of(log).of_release(of.release.release)
    for month in range(months[0], of.last + 1):
        if month in months or month in known:
            told(f"judging {month_text(month)}")
            yield judge(of, log, month, lives)


def judge(of: WatchedLog, log: ScoreLog, month: int, lives: int = LIVES) -> JudgedMonth:
    """Judge a month and keep it: one signed line of the log, none where the log has the very same already.

    Raises:
        ScoreLogError: it cannot be kept; nothing was.
    """
    release = of.release.release
    measures = watched_measures(of.book, of.release, of.settings, month)
    found = judged_month(measures, release, of.first, month, lives)
    journal = WatchJournal.of(log)
    before = journal.of_release(release).get(month - 1)
    alerts = alerts_of(found, before, journal.going_on(release, month), of.settings)
    found = with_other(found, alerts=alerts)
    keep_month(log, found)
    return found
