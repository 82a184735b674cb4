"""Alerts in the log: two breaches in a row, taken up once by a person, and whole after a kill."""

from __future__ import annotations

import os
import signal
from multiprocessing import get_context

import pytest
from small_release import Pair

from sealscore.clients.decision.register import DecisionError
from sealscore.clients.scoring.storage.batch import Batch
from sealscore.clients.watch.errors import WatchError
from sealscore.clients.watch.journal import WatchJournal, acknowledge, keep_month
from sealscore.clients.watch.judged import Judged, JudgedMonth, alerts_of
from sealscore.clients.watch.settings import WatchSettings

MONTH, NOTE = 24_000, "the mix of channels was looked at"
SETTINGS = WatchSettings(owners={"population": "model risk"})


def month_of(at: int, value: float = 5.0, *, family: str = "population") -> JudgedMonth:
    return JudgedMonth("ab", at, 0.01, (Judged("m", family, "shares", 100, value, 2.0),))


def keep(pair: Pair, judged: JudgedMonth) -> JudgedMonth:
    journal = WatchJournal.of(pair.log)
    before = journal.of_release("ab").get(judged.month - 1)
    alerts = alerts_of(judged, before, journal.going_on("ab", judged.month), SETTINGS)
    found = JudgedMonth(judged.release, judged.month, judged.level, judged.measures, alerts)
    keep_month(pair.log, found)
    return found


def test_two_breaches_in_a_row_make_one_alert_until_they_end(pair: Pair):
    values = [5.0, 1.0, 5.0, 3.0, 9.0, 1.0, 5.0, 5.0]
    alerts = [keep(pair, month_of(MONTH + at, value)).alerts for at, value in enumerate(values)]
    assert [len(found) for found in alerts] == [0, 0, 0, 1, 0, 0, 0, 1]
    assert alerts[3][0].severity == "medium"
    assert (alerts[7][0].severity, alerts[7][0].owner) == ("high", "model risk")
    assert len(WatchJournal.of(pair.log).alerts) == 2
    assert pair.log.check() == []


def test_two_breaches_that_made_no_alert_hide_none(pair: Pair):
    """A month was quiet, and breached by a table that was corrected after the next had been judged."""
    for at, value in ((0, 1.0), (1, 5.0), (0, 5.0)):
        keep(pair, month_of(MONTH + at, value))
    assert WatchJournal.of(pair.log).alerts == {}
    alerts = [keep(pair, month_of(MONTH + at)).alerts for at in (2, 3)]
    assert [len(found) for found in alerts] == [1, 0]


def test_a_month_that_is_missing_breaks_the_row(pair: Pair):
    keep(pair, month_of(MONTH))
    assert keep(pair, month_of(MONTH + 2)).alerts == ()


def test_an_alert_is_taken_up_once_by_a_person_with_a_note(pair: Pair):
    keep(pair, month_of(MONTH))
    (alert,) = keep(pair, month_of(MONTH + 1)).alerts
    for name, code in (("nobody", "by"), ("", "by")):
        with pytest.raises(WatchError) as caught:
            acknowledge(pair.log, alert.id, name, NOTE, "me")
        assert caught.value.code == code
    with pytest.raises(DecisionError):
        acknowledge(pair.log, alert.id, "staff 3", "ok", "me")
    with pytest.raises(WatchError) as caught:
        acknowledge(pair.log, "0" * 12, "staff 3", NOTE, "me")
    assert caught.value.code == "alert"
    assert WatchJournal.of(pair.log).alerts[alert.id].state == "open"
    assert acknowledge(pair.log, alert.id, "staff 3", NOTE, "me").state == "acknowledged"
    with pytest.raises(WatchError) as caught:
        acknowledge(pair.log, alert.id, "staff 4", NOTE, "me")
    assert caught.value.code == "acknowledged"
    # Judging the month again leaves it taken up.
    keep(pair, month_of(MONTH + 1, 6.0))
    kept = WatchJournal.of(pair.log).alerts[alert.id]
    assert (kept.by, kept.note) == ("staff 3", NOTE)


def _die_while_keeping(pair: Pair, before: bool) -> None:
    sign = Batch.sign

    def dying(self: Batch) -> None:
        if not before:
            sign(self)
        os.kill(os.getpid(), signal.SIGKILL)

    Batch.sign = dying  # type: ignore[method-assign]
    keep(pair, month_of(MONTH + 1))


@pytest.mark.parametrize("before", [True, False])
def test_a_kill_between_writes_leaves_the_month_and_its_alerts_or_neither(pair: Pair, before: bool):
    keep(pair, month_of(MONTH))
    pair.close()
    child = get_context("fork").Process(target=_die_while_keeping, args=(pair, before))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    journal = WatchJournal.of(pair.log)
    assert pair.log.check() == []
    assert set(journal.of_release("ab")) == {MONTH}
    assert journal.alerts == {}
    (alert,) = keep(pair, month_of(MONTH + 1)).alerts
    assert set(WatchJournal.of(pair.log).alerts) == {alert.id}
