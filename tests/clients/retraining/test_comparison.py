"""Champion and challenger from lines of a log to a report: who is counted, what is judged, what is hidden."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
import pytest
from small_release import crafted, small_release

from sealscore.clients.retraining.both_scored import BothReader
from sealscore.clients.retraining.comparison import Compared, comparison
from sealscore.clients.retraining.comparison_page import comparison_page
from sealscore.clients.scoring.score_log import ScoreLine
from sealscore.clients.watch.errors import WatchError
from sealscore.clients.watch.frames import REPAYMENTS
from sealscore.clients.watch.months import closing_month, month_number
from sealscore.clients.watch.run import WatchedLog
from sealscore.clients.watch.settings import WatchedRelease, WatchSettings
from sealscore.shared.serving.release import Release

DAY = "2026-01-15"
MONTH = month_number(DAY)
SIZE = 240


def named(release: Release, name: str) -> Release:
    """The release under another name, with a cut-off."""
    return crafted(release, name=name, cutoffs={"champion": 600, "fallback": 600})


@pytest.fixture
def releases() -> tuple[Release, Release]:
    return named(small_release(), "first"), named(small_release(), "second")


def lines(first: Release, second: Release, swapped: bool = False) -> Iterator[ScoreLine]:
    """Applications that both scored, of which the champion approved half, and the loans of these.

    The challenger's points are the champion's but for a tenth of them; `swapped` has the challenger answer.
    """
    random = np.random.default_rng(0)
    for place in range(SIZE):
        points = int(random.integers(560, 640))
        other = points + (40 if place % 10 == 0 else 0)
        figures = {
            first.hash: {"role": "champion", "points": points, "pd": 0.3 if points < 600 else 0.1},
            second.hash: {"role": "champion", "points": other, "pd": 0.25 if other < 600 else 0.12},
        }
        live, beside = (second, first) if swapped else (first, second)
        id, person = f"a{place}", f"p{place}".encode()
        score: dict[str, Any] = {
            "release": live.hash,
            "score_id": f"s{place}",
            "application_id": id,
            "product": "starter" if place % 3 else "traffic",
            "signals": [{"status": "used" if place % 4 else "none"}],
            "bins": [0, 0],
            **figures[live.hash],
            "shadow": {"release": beside.hash, **figures[beside.hash]},
        }
        yield ScoreLine(3 * place + 1, DAY, "score", score, person=person)
        approved = points >= 600
        decision: dict[str, Any] = {
            "decision_id": f"d{place}",
            "score_id": f"s{place}",
            "application_id": id,
            "day": DAY,
            "role": "champion",
            "scored": {"points": points, "pd": figures[live.hash]["pd"]},
            "state": "approved" if approved else "declined",
        }
        yield ScoreLine(3 * place + 2, DAY, "decision", decision, person=person)
        if approved:
            loan = {"loan": f"l{place}", "day": DAY, "principal": 100, "decision_id": f"d{place}"}
            yield ScoreLine(3 * place + 3, DAY, "loan", loan, person=person)


def compared(first: Release, second: Release, given: Iterator[ScoreLine], floor: int = 10) -> Compared:
    """What was read of the lines, a year later; every fourth loan is bad."""
    reader = BothReader(first.hash, challenger=second.hash)
    reader.read(given)
    last = closing_month(MONTH, first.plan.outcome.window_days) + 1
    rows = [
        {"loan": loan, "month": month, "days_past_due": 100 if place % 4 == 0 and month > MONTH + 3 else 0}
        for place, loan in enumerate(reader.loans)
        for month in range(MONTH, last)
    ]
    book = reader.book(pl.DataFrame(rows, schema=REPAYMENTS))
    settings = WatchSettings(floor=floor)
    watched = WatchedLog(book, WatchedRelease.of(first, "months"), settings, MONTH, last, repayments=True)
    return Compared(first, second, reader, watched)


@pytest.mark.parametrize("swapped", [False, True])
def test_the_report_counts_both_whichever_answered(releases: tuple[Release, Release], swapped: bool):
    first, second = releases
    found = comparison(compared(first, second, lines(first, second, swapped)))
    assert found["scored"]["applications"] == SIZE
    swaps = {row["swap"]: row for row in found["swaps"]}
    assert sum(row["applications"] for row in swaps.values()) == SIZE
    assert swaps["swapped out"]["applications"] == 0
    assert swaps["swapped in"]["applications"] == found["labels"]["swapped_in"] > 0
    # Whom the champion declined has no loan, and so no outcome.
    assert found["labels"]["swapped_in_with_outcome"] == 0
    assert swaps["approved by both"]["loans"]["rate"] == pytest.approx(0.25, abs=0.01)
    assert 0.8 < found["points"]["rank_correlation"] < 1
    assert sum(band["champion"] or 0 for band in found["points"]["bands"]) == SIZE
    assert found["outcomes"]["loans"] == found["scored"]["closed_loans"] > 100
    # All loans have one PD by each: no order, and a gap that is known exactly.
    figures = found["outcomes"]["figures"]
    assert figures["auc"]["champion"]["value"] == 0.5
    assert figures["auc"]["better"] == "lost in noise"
    assert figures["gap"]["better"] == "challenger"
    assert {one["part"] for one in found["segments"] if one["by"] == "product"} == {"starter", "traffic"}
    assert "<script" not in comparison_page(found, "<lender>")
    assert "<lender>" not in comparison_page(found, "<lender>")


def test_few_cases_are_hidden_and_nothing_is_said_of_few_loans(releases: tuple[Release, Release]):
    first, second = releases
    some = [line for line in lines(first, second) if line.seq <= 3 * 24]
    found = comparison(compared(first, second, iter(some)))
    assert found["scored"]["applications"] == 24
    assert found["outcomes"]["figures"] is None
    shown = [row["applications"] for row in found["swaps"] if row["applications"]]
    hidden = 24 - sum(shown)
    assert hidden == 0 or hidden >= 10
    assert all(count >= 10 for count in shown)
    hidden_whole = comparison(compared(first, second, iter(some), floor=50))
    assert hidden_whole["scored"]["applications"] is None
    assert hidden_whole["points"]["bands"] == []
    assert comparison_page(hidden_whole, "lender")


def test_answers_without_the_other_are_counted_and_no_row(releases: tuple[Release, Release]):
    first, second = releases

    def lacking() -> Iterator[ScoreLine]:
        for line in lines(first, second):
            content = dict(line.content or {})
            if line.kind == "score" and int(content["application_id"][1:]) < 50:
                content["shadow"] = {"release": second.hash}
            yield ScoreLine(line.seq, line.at, line.kind, content, person=line.person)

    found = comparison(compared(first, second, lacking()))
    assert found["scored"]["answers_without_the_other"] == 50
    assert found["scored"]["applications"] == SIZE - 50


def test_what_cannot_be_compared(releases: tuple[Release, Release]):
    first, second = releases
    third = named(small_release(), "third")
    with pytest.raises(WatchError) as error:
        comparison(compared(first, third, lines(first, second)))
    assert error.value.code == "nothing"
    without = crafted(first, cutoffs=None)
    found = comparison(compared(without, second, lines(without, second)))
    assert found["swaps"] is None
    assert comparison_page(found, "lender")
