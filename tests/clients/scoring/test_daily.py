"""The daily work of serving, with a clock in the test's hand and no process."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from ledger_files import CEILINGS, PARTY, PLATFORM, append_raw, approval, enrolled_plan, members, new_ledger
from serving_entries import LENDERS, admit, manifest, platform_ledger

from sealscore.clients.scoring import score_log
from sealscore.clients.scoring.daily import RETRY, Chore, Daily, lender_chores, platform_chores
from sealscore.clients.scoring.score_log import ScoreLog
from sealscore.clients.scoring.serving_store import ServingStore, ServingStoreError
from sealscore.clients.scoring.storage.log_keys import LogKeys
from sealscore.shared.ledger.entries import EndRelease
from sealscore.shared.ledger.ledger import Ledger

FIRST = manifest()


class Clock:
    """Seconds since 1970, as a test sets them."""

    def __init__(self, day: str) -> None:
        self.now = datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() + 3600

    def __call__(self) -> float:
        return self.now

    def forward(self, **time: float) -> None:
        self.now += timedelta(**time).total_seconds()


class Node:
    """A node's ledger and daily work; `asked` and `done` are what chores of tests note."""

    def __init__(self, ledger: Ledger, chores: Sequence[Chore], day: str = "2031-01-05") -> None:
        self.ledger, self.clock, self.told = ledger, Clock(day), list[str]()
        # The time passes as the clock says, but for a jump.
        self.jumped = 0.0
        self.daily = Daily(ledger, chores, self.told.append, self.clock, lambda: self.clock.now - self.jumped)
        self.keys = LogKeys.fresh()
        self.asked, self.done = list[tuple[date, int]](), list[date]()
        self.handed = list[list[str]]()

    def days(self, release: str = FIRST.hash) -> dict[str, list[str]]:
        found = self.ledger.state.serving.releases[release].days
        return {lender: [day.day for day in days] for lender, days in found.items()}


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Node]:
    """A platform with one live release."""
    ledger = Ledger(platform_ledger(tmp_path / "ledger.db", admit(FIRST)), members()[PLATFORM])
    yield Node(ledger, platform_chores(ledger, lambda: ServingStore(tmp_path / "serving.db")))
    ledger.close()


@pytest.fixture
def lender(tmp_path: Path) -> Iterator[Node]:
    """A lender with one live release, and a log of scores."""
    ledger = new_ledger(tmp_path / "ledger.db", PARTY, CEILINGS)
    ledger.append(lambda state: approval(enrolled_plan()))
    ledger.append(lambda state: admit(FIRST, {}))

    def destroy(today: date, days: int) -> list[str]:
        node.asked.append((today, days))
        return ["2030-09"]

    def tell() -> None:
        node.handed.append([one.manifest.hash for one in ledger.state.serving.live])

    node = Node(ledger, lender_chores(ledger, lambda: ScoreLog(node.keys, tmp_path / "scores.db"), destroy, tell))
    yield node
    ledger.close()


class TestPlatform:
    def test_each_day_is_charged_once_for_each_lender_whether_or_not_anybody_agrees(self, platform: Node):
        for _ in range(3):
            for _ in range(5):
                platform.daily.look()
                platform.clock.forward(hours=1)
            platform.clock.forward(hours=19)
        expected = ["2031-01-05", "2031-01-06", "2031-01-07"]
        assert platform.days() == dict.fromkeys(LENDERS, expected)
        assert (platform.told, platform.daily.undone) == ([], [])

    def test_days_away_are_charged_afterwards(self, platform: Node):
        platform.daily.look()
        platform.clock.forward(days=3)
        platform.daily.look()
        assert len(platform.days()[LENDERS[0]]) == 4

    def test_a_release_that_is_approved_in_the_day_is_charged_that_day(self, platform: Node, tmp_path: Path):
        platform.daily.look()
        second = manifest("second")
        append_raw(tmp_path / "ledger.db", admit(second), party=PLATFORM)
        platform.daily.look()
        assert platform.days(second.hash) == {lender: ["2031-01-05"] for lender in LENDERS}

    def test_one_that_was_withdrawn_or_has_expired_is_not(self, platform: Node):
        platform.daily.look()
        platform.ledger.append(lambda state: EndRelease(release=FIRST.hash, why="x"))
        platform.ledger.append(lambda state: admit(short))
        for _ in range(3):
            platform.clock.forward(days=1)
            platform.daily.look()
        assert platform.days()[LENDERS[0]] == ["2031-01-05"]
        assert platform.days(short.hash)[LENDERS[0]] == ["2031-01-06", "2031-01-07"]
        assert platform.told == []

    def test_batches_without_a_receipt_are_told_of_each_day(self, platform: Node, tmp_path: Path):
        store = ServingStore(tmp_path / "serving.db")
        with store.transaction() as own:
            own.take_batch(LENDERS[1], "2031-01-05", 8)
        store.close()
        for _ in range(4):
            platform.daily.look()
            platform.clock.forward(days=1)
        assert [LENDERS[1] in line for line in platform.told] == [True]

    def test_a_clock_that_was_set_back_is_told_of_once(self, platform: Node):
        platform.daily.look()
        platform.clock.forward(days=-2)
        for _ in range(3):
            platform.daily.look()
            platform.clock.forward(seconds=RETRY + 1)
        assert len(platform.told) == 1
        assert len(platform.daily.undone) == 1


def test_one_bad_reading_of_the_clock_does_nothing_and_is_told_of_once(tmp_path: Path):
    ledger = Ledger(platform_ledger(tmp_path / "ledger.db", admit(FIRST)), members()[PLATFORM])
    done: list[date] = []

    def work(today: date) -> list[str]:
        done.append(today)
        return []

    node = Node(ledger, [Chore("destroying what is over", work)])
    node.daily.look()
    node.jumped = timedelta(days=300).total_seconds()
    node.clock.forward(days=300)
    for _ in range(3):
        node.daily.look()
    assert (len(node.told), len(node.daily.undone)) == (1, 1)
    node.clock.forward(days=-300)
    node.jumped = 0.0
    node.clock.forward(days=1)
    node.daily.look()
    assert [str(day) for day in done] == ["2031-01-05", "2031-01-06"]
    assert node.daily.undone == []
    ledger.close()


short = manifest("short", expires=date(2031, 1, 7))


class TestLender:
    def test_the_head_of_the_log_is_noted_each_day(self, lender: Node):
        for _ in range(3):
            lender.daily.look()
            lender.daily.look()
            lender.clock.forward(days=1)
        days = lender.ledger.state.serving.log_days
        assert [day.day for day in days] == ["2031-01-04", "2031-01-05", "2031-01-06"]

    def test_serving_keys_whose_last_token_has_ended_are_destroyed(self, lender: Node):
        lender.daily.look()
        assert lender.asked == [(date(2031, 1, 5), FIRST.token_days)]
        assert [line for line in lender.told if "2030-09" in line]

    def test_keys_of_the_log_whose_term_has_ended_are_destroyed(self, lender: Node, tmp_path: Path):
        log = ScoreLog(lender.keys, tmp_path / "scores.db")
        with log.commit() as batch:
            batch.use(b"h" * 32, "app", "ann", PLATFORM, "2031-02-01", date(2031, 1, 5))
            batch.write({"score_id": "s"}, "app", "ann", 1, b"d" * 32)
            batch.withdraw([b"h" * 32], PLATFORM, "2031-01-05", "2031-01-06")
        for readable in (True, True, False):
            lender.daily.look()
            assert (next(log.lines([1])).content is not None) == readable
            lender.clock.forward(days=1)
        assert len([line for line in lender.told if "log of scores" in line]) == 1
        log.close()

    def test_the_scorer_hears_of_a_release_that_was_withdrawn(self, lender: Node, tmp_path: Path):
        """By a command that ended with its entry in the ledger."""
        lender.daily.look()
        assert lender.handed == [[FIRST.hash]]
        append_raw(tmp_path / "ledger.db", EndRelease(release=FIRST.hash, why="a test"), party=PARTY)
        lender.daily.look()
        assert lender.handed == [[FIRST.hash], []]

    def test_what_a_reader_keeps_on_the_disk_is_said_and_cleared_later(
        self, lender: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(score_log, "_PATIENCE", 0.05)
        path = tmp_path / "scores.db"
        log = ScoreLog(lender.keys, path)
        with log.commit() as batch:
            batch.write({"score_id": "s"}, "app", "ann", 1, b"d" * 32)
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT COUNT(*) FROM lines").fetchone()
            with log.commit() as batch:
                batch.erase("ann", "asked for it")
            lender.daily.look()
            assert len(lender.daily.undone) == 1
            reader.execute("COMMIT")
        lender.clock.forward(seconds=RETRY + 1)
        lender.daily.look()
        assert lender.daily.undone == []
        assert not log.lingers
        log.close()


class TestFailures:
    """A full disk, through the doors by which the chores write."""

    def failing(self, ledger: Ledger, errors: list[Exception | None]) -> Node:
        def work(today: date) -> list[str]:
            if (error := errors.pop(0)) is not None:
                raise error
            node.done.append(today)
            return []

        node = Node(ledger, [Chore("one", work), Chore("two", lambda today: ["two was done"])])
        return node

    def test_is_told_once_and_ends_nothing(self, platform: Node):
        full = OSError(errno.ENOSPC, "No space left on device")
        node = self.failing(platform.ledger, [full, full, None])
        node.daily.look()
        assert node.told == ["one failed, and is tried again: No space left on device", "two was done"]
        assert node.daily.undone == ["one: No space left on device"]
        node.daily.look()  # not yet again
        node.clock.forward(seconds=RETRY + 1)
        node.daily.look()
        assert len(node.told) == 2
        node.clock.forward(seconds=RETRY + 1)
        node.daily.look()
        assert node.told[2:] == ["one is done now"]
        assert node.daily.undone == []
        assert node.done == [date(2031, 1, 5)]

    def test_another_reason_is_told_too(self, platform: Node):
        node = self.failing(platform.ledger, [ServingStoreError("serving.db: no room"), OSError(5, "I/O error")])
        node.daily.look()
        node.clock.forward(seconds=RETRY + 1)
        node.daily.look()
        assert [line for line in node.told if line.startswith("one")] == [
            "one failed, and is tried again: serving.db: no room",
            "one failed, and is tried again: I/O error",
        ]

    def test_what_others_raise_is_told_without_its_words(self, platform: Node):
        node = self.failing(platform.ledger, [KeyError("creator-007")])
        node.daily.look()
        assert "007" not in "".join(node.told)
        assert node.daily.undone == ["one: KeyError"]


def test_without_a_release_nothing_is_done(tmp_path: Path):
    ledger = Ledger(platform_ledger(tmp_path / "ledger.db"), members()[PLATFORM])
    node = Node(ledger, platform_chores(ledger, lambda: ServingStore(tmp_path / "serving.db")))
    node.daily.look()
    assert not (tmp_path / "serving.db").exists()
    assert (node.told, ledger.head.seq) == ([], 4)
    ledger.close()
