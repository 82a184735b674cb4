"""The store of a platform: files from before a table get it, and counts of a day are those of its tokens."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from small_release import TODAY, Pair, code_of, crafted, known_at, small_release

from sealscore.clients.scoring.serving_store import ServingStore


def test_a_file_from_before_days_were_counted_is_counted_once(tmp_path: Path):
    pair = Pair(crafted(small_release(), most_a_day=3), folder=tmp_path)
    one, two, three, four = known_at()[:4]
    pair.token(one, "a")
    pair.token(two, "b", lender="lender-2")
    pair.token(two, "c")
    pair.close()
    with closing(sqlite3.connect(tmp_path / "serving.db")) as database:
        database.executescript("DROP TRIGGER tokens_counted; DROP TABLE given; DROP TABLE withdrawals;")
    # A process with the file open from before does not know the table, and its tokens are counted all the same.
    old = sqlite3.connect(tmp_path / "serving.db", isolation_level=None)
    old.execute("SELECT COUNT(*) FROM tokens").fetchone()
    for _ in range(2):
        ServingStore(tmp_path / "serving.db").close()
    row = (pair.release.hash, "lender-1", "old", b"", "somebody", str(TODAY), "2030-12-31", b"h", b"t")
    old.execute("INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)", row)
    old.close()
    with pair.store.transaction() as own:
        counts = [own.given_on(pair.release.hash, lender, str(TODAY)) for lender in ("lender-1", "lender-2", "other")]
        assert counts == [3, 1, 0]
        assert own.withdrew(one, "lender-1") is None
    assert code_of(lambda: pair.token(three, "d")) == "day-full"
    pair.token(four, "e", TODAY + timedelta(days=1))
    pair.close()


def test_a_withdrawal_keeps_its_last_day():
    store = ServingStore()
    for day in ("2030-03-10", "2030-03-12", "2030-03-11"):
        with store.transaction() as own:
            own.withdraw("somebody", "lender-1", day)
    with store.transaction() as own:
        assert own.withdrew("somebody", "lender-1") == "2030-03-12"
        assert own.withdrew("somebody", "lender-2") is None
