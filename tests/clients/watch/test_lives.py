"""Invented months: quiet ones raise no alert, a planted shift is found, and the report shows no cell of few cases."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import polars as pl
import pytest
from watched_lives import FIRST, RELEASE, SHARES, InventedLife

from sealscore.clients.scoring.score_log import ScoreLog
from sealscore.clients.scoring.storage.log_keys import LogKeys
from sealscore.clients.watch.errors import WatchError
from sealscore.clients.watch.frames import WatchBook
from sealscore.clients.watch.journal import WatchJournal
from sealscore.clients.watch.judged import JudgedMonth
from sealscore.clients.watch.measures import watched_measures
from sealscore.clients.watch.months import month_text
from sealscore.clients.watch.noise.nulls import LEAST
from sealscore.clients.watch.report.cells import hidden, rate_cell
from sealscore.clients.watch.report.content import report_of
from sealscore.clients.watch.report.page import watch_page
from sealscore.clients.watch.run import WatchedLog, judge, judge_in_row, months_to_judge
from sealscore.clients.watch.settings import WatchedRelease, WatchSettings

LIVES = 500


def new_log() -> ScoreLog:
    return ScoreLog(LogKeys.of(b"k" * 96))


def watched_of(book: WatchBook, months: int, release: WatchedRelease = RELEASE, **settings: Any) -> WatchedLog:
    return WatchedLog(book, release, WatchSettings(**settings), FIRST, FIRST + months - 1, 0, True)


def judged(of: WatchedLog, log: ScoreLog) -> list[JudgedMonth]:
    return [judge(of, log, month, LIVES) for month in range(of.first, of.last + 1)]


def measures_alarmed(months: list[JudgedMonth]) -> dict[str, int]:
    return {alert.measure: one.month for one in months for alert in one.alerts}


def test_a_shift_is_found_in_its_second_month_and_quiet_months_raise_nothing():
    of = watched_of(InventedLife(seed=5, months=8, shift=FIRST + 5).book(), 8)
    log = new_log()
    found = measures_alarmed(judged(of, log))
    assert found["psi.champion.income"] == found["psi.champion.points"] == FIRST + 6
    assert min(found.values()) == FIRST + 6
    assert not {name for name in found if name.startswith(("roll", "reviews", "psi.champion.late"))}
    # What goes on makes no second alert of the same measure.
    kept = [alert.measure for alert in WatchJournal.of(log).alerts.values()]
    assert len(kept) == len(set(kept))


def test_loans_that_go_bad_are_found_when_their_second_window_closes():
    turn = FIRST + 2
    of = watched_of(InventedLife(seed=6, months=8, worse=(turn, 3.0)).book(), 8)
    found = measures_alarmed(judged(of, new_log()))
    assert found["calibration.champion"] == RELEASE.closes(turn + 1)
    assert not {name for name in found if name.startswith(("psi", "reviews"))}


def test_months_are_judged_in_a_row_and_only_when_they_are_over():
    of, log = watched_of(InventedLife(seed=1, months=3, size=60).book(), 3), new_log()
    over = FIRST + 2
    assert months_to_judge(of, WatchJournal(), None, over) == [FIRST, FIRST + 1, FIRST + 2]
    judge(of, log, FIRST, LIVES)
    known = WatchJournal.of(log)
    assert months_to_judge(of, known, None, over) == [FIRST + 1, FIRST + 2]
    assert months_to_judge(of, known, FIRST, over) == [FIRST]
    with pytest.raises(WatchError) as caught:
        months_to_judge(of, WatchJournal(), FIRST + 1, over)
    assert caught.value.code == "order"
    # A month that was left out is judged later.
    left_out = WatchJournal({RELEASE.release: {FIRST + 1: {}}})
    assert months_to_judge(of, left_out, None, over) == [FIRST, FIRST + 2]
    for month, code in ((FIRST + 3, "open"), (FIRST + 2, "order"), (FIRST - 1, "month")):
        with pytest.raises(WatchError) as caught:
            months_to_judge(of, known, month, over)
        assert caught.value.code == code
    with pytest.raises(WatchError) as caught:
        months_to_judge(of, known, FIRST + 3, over + 1)
    assert caught.value.code == "repayments"


def test_judging_again_changes_nothing_and_what_changed_is_a_line_of_its_own():
    book, log = InventedLife(seed=2, months=3, size=80).book(), new_log()
    of = watched_of(book, 3)
    first, head = judged(of, log), log.head
    assert judged(of, log) == first
    assert log.head == head
    other = watched_of(InventedLife(seed=3, months=3, size=80).book(), 3)
    judge(other, log, FIRST, LIVES)
    assert log.head != head
    assert log.check() == []
    known = WatchJournal.of(log).of_release(RELEASE.release)
    assert known[FIRST]["measures"] != first[0].plain()["measures"]
    assert known[FIRST + 1] == first[1].plain()


def test_a_month_that_changes_has_the_later_ones_judged_again_and_no_alert_is_lost():
    """The second of two breaches was judged while the first was quiet by a wrong table."""
    size, months = 400, 6
    right = InventedLife(seed=5, months=months, size=size, shift=FIRST + 3).book()
    wrong_scores = InventedLife(seed=5, months=months, size=size, shift=FIRST + 4).book().scores
    wrong, log = replace(right, scores=wrong_scores), new_log()
    before = list(judge_in_row(watched_of(wrong, 5), log, [*range(FIRST, FIRST + 5)], str, LIVES))
    assert measures_alarmed(before) == {}
    of = watched_of(right, 5)
    # A crash after the month that changed, and the same again.
    next(judge_in_row(of, log, [FIRST + 3], str, LIVES))
    again = list(judge_in_row(of, log, [FIRST + 3], str, LIVES))
    assert [one.month for one in again] == [FIRST + 3, FIRST + 4]
    assert measures_alarmed(again)["psi.champion.income"] == FIRST + 4
    head = log.head
    assert list(judge_in_row(of, log, [FIRST + 3], str, LIVES)) == again
    assert log.head == head


def test_a_measure_of_few_cases_in_the_first_months_is_named():
    book = InventedLife(seed=7, months=5, size=200).book()
    few = replace(
        book, scores=book.scores.filter((pl.col("month") > FIRST + 2) | (pl.col("application") == f"{FIRST}-0"))
    )
    of, log = watched_of(few, 5), new_log()
    report = report_of(of, judged(of, log)[-1], WatchJournal.of(log))
    assert "psi.champion.points" in report["without_reference"]
    assert "psi.champion.income" not in report["without_reference"]
    assert "psi.champion.points" in watch_page(report, "lender-1")


def test_a_vintage_that_is_not_shown_cannot_be_found_from_the_closed_ones():
    book, month = InventedLife(seed=8, months=6, size=60).book(), FIRST + 5
    first = book.loans.filter(pl.col("start") == FIRST)["loan"].to_list()
    few = replace(book, loans=book.loans.filter(~pl.col("loan").is_in(first[3:])))
    of, log = watched_of(few, 6), new_log()
    rows = report_of(of, judge(of, log, month, LIVES), WatchJournal.of(log))["vintages"]
    closed = [row for row in rows if row["closed"]]
    assert [row["cases"] is None for row in closed].count(True) == 2
    for row in closed:
        assert all((cell["cases"] is None) == (row["cases"] is None) for cell in row["curve"])


def test_a_role_of_few_loans_cannot_be_found_from_the_other_one():
    book = InventedLife(seed=8, months=5, size=60).book()
    fallback = book.loans.filter(pl.col("role") == "fallback")["loan"].to_list()
    few = replace(book, loans=book.loans.filter(~pl.col("loan").is_in(fallback[3:])))
    of, log = watched_of(few, 5), new_log()
    assert report_of(of, judge(of, log, FIRST + 4, LIVES), WatchJournal.of(log))["calibration"] == []


def test_what_a_person_decides_later_changes_no_offers_of_a_month_that_was_judged():
    book, waits = InventedLife(seed=9, months=5, size=60, groups=("north",)).book(), pl.col("waited")
    found = []
    for settled, offered in ((None, False), (FIRST + 4, True)):
        decisions = book.decisions.with_columns(
            settled=pl.when(waits & (pl.col("month") == FIRST + 3)).then(settled).otherwise(pl.col("settled")),
            offered=pl.when(waits & (pl.col("month") == FIRST + 3)).then(offered).otherwise(pl.col("offered")),
        )
        of, log = watched_of(replace(book, decisions=decisions), 5), new_log()
        judged_one = judge(of, log, FIRST + 3, LIVES)
        report = report_of(of, judged_one, WatchJournal.of(log))
        found.append((judged_one, report["groups"], report["operations"]))
    assert {one.name for one in found[0][0].measures} >= {"offers.north"}
    assert found[0] == found[1]


def test_loans_of_another_release_are_in_no_vintage():
    book = InventedLife(seed=8, months=5, size=60).book()
    others = book.loans.with_columns(role=pl.lit(None, pl.String))
    of, log = watched_of(replace(book, loans=others), 5), new_log()
    assert report_of(of, judged(of, log)[-1], WatchJournal.of(log))["vintages"] == []


def test_a_later_month_does_not_change_an_earlier_one():
    book = InventedLife(seed=4, months=6, size=80).book()
    until = FIRST + 3
    frames = {
        name: getattr(book, name).filter(pl.col("month") <= until)
        for name in ("scores", "decisions", "reviews", "repayments")
    }
    earlier = WatchBook(**frames, loans=book.loans.filter(pl.col("start").fill_null(0) <= until))
    one, other = (judge(watched_of(of, months), new_log(), until, LIVES) for of, months in ((earlier, 4), (book, 6)))
    assert one == other


def test_shares_are_compared_with_the_first_months_where_that_is_declared():
    book = InventedLife(seed=7, months=5, size=200).book()
    names = {one.name: one for one in watched_measures(book, RELEASE, WatchSettings(reference="months"), FIRST + 4)}
    one = names["psi.champion.income"]
    assert (one.reference, one.planned.begins) == ("the first months", FIRST + 3)
    own = {one.name: one for one in watched_measures(book, RELEASE, WatchSettings(), FIRST + 4)}
    assert own["psi.champion.income"].planned.begins == FIRST
    # Of points a release has no shares.
    assert own["psi.champion.points"].reference == "the first months"
    assert {f"psi.{role}.{name}" for role, of in SHARES.items() for name in of} <= own.keys()


def rates(data: Any) -> list[dict[str, Any]]:
    """All cells of a report that have a rate."""
    if isinstance(data, list):
        return [cell for one in data for cell in rates(one)]
    if not isinstance(data, dict):
        return []
    own = [data] if "cases" in data else []
    return own + [cell for one in data.values() for cell in rates(one)]


def test_a_report_shows_no_cell_of_few_cases_and_no_open_window():
    life = InventedLife(seed=8, months=5, size=60, groups=("north", "south", *["rare"]))
    book = life.book()
    # Above the cases from which on a measure is judged.
    floor = 45
    of, log = watched_of(book, 5, floor=floor), new_log()
    months = judged(of, log)
    report = report_of(of, months[-1], WatchJournal.of(log))
    cells = rates(report)
    assert {cell["cases"] is None for cell in cells} == {True, False}
    assert all(cell["cases"] is None or cell["cases"] >= floor for cell in cells)
    assert all((cell["rate"] is None) == (cell["cases"] is None) for cell in cells if "rate" in cell)
    assert any(LEAST <= one.cases < floor for one in months[-1].measures)
    read = report_of(replace(of, left_out=3), months[-1], WatchJournal.of(log))["read"]
    assert read["loans_left_out"] is None
    assert all(not count or count >= floor for count in read.values() if not isinstance(count, bool))
    for row in report["vintages"]:
        assert row["closed"] == (row["closes"] <= report["month"])
        assert row["closed"] or row["rate"] is None
    text = json.dumps(report, allow_nan=False) + watch_page(report, "lender-1")
    for names in (book.scores["application"], book.loans["loan"], book.decisions["decision"]):
        assert not any(name in text for name in names.to_list())


def test_a_part_that_is_not_shown_cannot_be_found_from_the_others():
    assert hidden([40, 3, 90], 10) == [True, True, False]
    # Two that are few together would follow from the whole as one that is.
    assert hidden([40, 3, 4, 90], 10) == [True, True, True, False]
    assert hidden([40, 6, 4, 90], 10) == [False, True, True, False]
    assert hidden([0, 40, 90], 10) == [True, False, False]
    assert hidden([40, 90], 10) == [False, False]
    assert hidden([], 10) == []
    assert rate_cell(3, 9, 10)["rate"] is None


def test_what_a_group_is_called_cannot_become_markup():
    life = InventedLife(seed=9, months=4, size=60, groups=("<script>alert(1)</script>", "b"))
    of, log = watched_of(life.book(), 4), new_log()
    page = watch_page(report_of(of, judged(of, log)[-1], WatchJournal.of(log)), "lender-1")
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_a_page_of_a_first_month_says_what_is_not_there_yet():
    of, log = watched_of(InventedLife(seed=1, months=1, size=60).book(), 1), new_log()
    report = report_of(of, judged(of, log)[-1], WatchJournal.of(log))
    assert report["calibration"] == report["vintages"] == report["alerts"] == []
    assert report["first_window_closes"] == month_text(RELEASE.closes(FIRST))
    assert report["first_window_closes"] in watch_page(report, "lender-1")
