"""The log of scores: what is altered, cut, moved or put back is found, and a destroyed key reads nothing."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing, suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from small_release import TODAY, Pair, application, small_release, trained_ledger

from sealscore.clients.scoring import score_log
from sealscore.clients.scoring.durable import HeadFile
from sealscore.clients.scoring.log_days import note_days
from sealscore.clients.scoring.replay import replay, replayed_part
from sealscore.clients.scoring.score_log import HeadNotKept, ScoreLog, ScoreLogError
from sealscore.clients.scoring.storage.log_keys import LogKeys

KEYS = LogKeys.of(b"k" * 96)
HANDLE = b"h" * 16
UNTIL = "2035-03-10"


def written(path: Path | None = None, persons: int = 4, lines: int = 3) -> ScoreLog:
    """A log with some lines of each person, one commit a line."""
    log = ScoreLog(KEYS, path)
    for number in range(lines):
        for person in range(persons):
            write(log, f"p{person}", f"a{person}-{number}")
    return log


def write(log: ScoreLog, person: str, name: str, handle: bytes | None = None) -> None:
    with log.commit() as batch:
        if handle is not None:
            assert batch.free(batch.handle(handle), name)
            batch.use(handle, name, person, "wallet", "2030-04-01", date(2030, 3, 10))
        batch.write({"score_id": f"score-{name}", "said": f"secret of {person}"}, name, person, 1, name.encode())


def readable(log: ScoreLog) -> list[int]:
    return [line.seq for line in log.lines() if line.kind == "score" and line.content is not None]


def altered(path: Path, to: Path, *changes: str) -> ScoreLog:
    """The log after somebody who can write the file, and has no key, changed it."""
    shutil.copyfile(path, to)
    with closing(sqlite3.connect(to)) as database:
        database.executescript("DROP TRIGGER lines_stay; DROP TRIGGER lines_last; " + "; ".join(changes))
    return ScoreLog(KEYS, to)


def test_a_whole_log_has_no_fault(tmp_path: Path):
    log = written(tmp_path / "log.db")
    assert log.check([log.head]) == []
    log.close()
    again = ScoreLog(KEYS, tmp_path / "log.db")
    assert again.check([again.head]) == []
    assert readable(again) == list(range(1, 13))
    assert (tmp_path / "log.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE lines SET body = zeroblob(50) WHERE seq = 3",
        "UPDATE lines SET at = '2020-01-01T00:00:00Z' WHERE seq = 12",
        "UPDATE lines SET kind = 'erased' WHERE seq = 1",
        "UPDATE lines SET person = (SELECT person FROM lines WHERE seq = 2) WHERE seq = 1",
        "DELETE FROM lines WHERE seq = 5",
        "DELETE FROM lines WHERE seq = 12",
        "DELETE FROM commits WHERE seq = 12",
        "UPDATE commits SET signature = (SELECT signature FROM commits WHERE seq = 11) WHERE seq = 12",
        "UPDATE lines SET seq = -1 WHERE seq = 2; UPDATE lines SET seq = 2 WHERE seq = 3;"
        "UPDATE lines SET seq = 3 WHERE seq = -1",
        "UPDATE lines SET seq = seq + 100",
    ],
)
def test_what_was_altered_cut_or_moved_is_found(tmp_path: Path, change: str):
    written(tmp_path / "log.db").close()
    assert altered(tmp_path / "log.db", tmp_path / "other.db", change).check() != []


def test_a_chain_that_was_made_anew_lacks_the_signature(tmp_path: Path):
    """Whoever writes other lines can chain them, and not sign them."""
    written(tmp_path / "log.db").close()
    forger = LogKeys.of(b"f" * 96)
    other = ScoreLog(forger, tmp_path / "forged.db")
    for number in range(3):
        write(other, "p0", f"a{number}")
    other.close()
    assert ScoreLog(forger, tmp_path / "forged.db").check() == []
    assert ScoreLog(KEYS, tmp_path / "forged.db").check() != []


def test_lines_cut_at_a_signature_are_found_by_the_ledger(tmp_path: Path):
    log = written(tmp_path / "log.db")
    head = log.head
    log.close()
    cut = altered(
        tmp_path / "log.db", tmp_path / "cut.db", "DELETE FROM lines WHERE seq > 6", "DELETE FROM commits WHERE seq > 6"
    )
    assert cut.check() == []
    assert cut.check([head]) != []
    assert cut.check([cut.head]) == []


def test_a_log_that_was_put_back_is_not_written_on(tmp_path: Path):
    ledger = trained_ledger("lender-1")
    log = written(tmp_path / "log.db")
    note_days(ledger, log, TODAY)
    log.close()
    shutil.copyfile(tmp_path / "log.db", tmp_path / "old.db")
    log = ScoreLog(KEYS, tmp_path / "log.db")
    write(log, "p9", "later", HANDLE)
    note_days(ledger, log, TODAY + timedelta(days=1))
    log.close()
    old = ScoreLog(KEYS, tmp_path / "old.db")
    before = ledger.head
    with pytest.raises(ScoreLogError, match="older than the ledger"):
        note_days(ledger, old, TODAY + timedelta(days=2))
    assert ledger.head == before
    assert old.check(day.head for day in ledger.state.serving.log_days) != []


def test_a_log_that_was_put_back_within_a_day_is_found_by_the_head_beside_it(tmp_path: Path):
    path, ledger = tmp_path / "log.db", trained_ledger("lender-1")
    log = written(path)
    note_days(ledger, log, TODAY)
    log.close()
    copy = path.read_bytes()
    log = ScoreLog(KEYS, path)
    write(log, "p9", "later", HANDLE)
    assert log.is_whole()
    log.close()
    path.write_bytes(copy)
    old = ScoreLog(KEYS, path)
    # No day's head is missing: the ledger alone would not see it.
    assert all(old.holds(day.head) for day in ledger.state.serving.log_days)
    assert not old.is_whole()
    assert old.check() != []
    before = ledger.head
    with pytest.raises(ScoreLogError, match="older than"):
        note_days(ledger, old, TODAY)
    assert ledger.head == before
    old.close()
    # What it does not show: both files put back, or the second one removed.
    (tmp_path / "log.head").unlink()
    assert ScoreLog(KEYS, path).check() == []


def test_a_head_file_has_the_latest_head_also_after_a_torn_write(tmp_path: Path):
    kept = HeadFile(tmp_path / "x.head")
    assert kept.read() is None
    for seq in range(1, 6):
        kept.keep(seq, bytes([seq]) * 32)
        assert kept.read() == (seq, bytes([seq]) * 32)
    kept.keep(3, b"o" * 32)
    assert kept.read() == (5, bytes([5]) * 32)
    whole = kept.path.read_bytes()
    assert kept.path.stat().st_mode & 0o777 == 0o600
    at = whole.index(bytes([5]) * 32)
    kept.path.write_bytes(whole[:at] + b"torn" + whole[at + 4 :])
    assert kept.read() == (4, bytes([4]) * 32)
    kept.keep(6, b"s" * 32)
    assert kept.read() == (6, b"s" * 32)


def test_a_crash_between_line_and_head_leaves_a_log_that_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    log = written(tmp_path / "log.db")

    def crash(file: HeadFile, seq: int, head: bytes) -> None:
        raise OSError("no room")

    with monkeypatch.context() as patched:
        patched.setattr(HeadFile, "keep", crash)
        # No answer leaves; asked again, the same one does.
        with pytest.raises(ScoreLogError):
            write(log, "p9", "later")
    assert log.is_whole()
    assert log.check() == []
    write(log, "p9", "latest")
    assert log.check() == []


def test_the_ledger_hears_of_each_day_whether_or_not_anybody_was_scored():
    found = []
    for scores in (0, 7):
        ledger, log = trained_ledger("lender-1"), ScoreLog(KEYS)
        for number in range(5):
            if number != 3:
                note_days(ledger, log, TODAY + timedelta(days=number))
            for score in range(scores):
                write(log, f"p{score}", f"{number}-{score}")
        note_days(ledger, log, TODAY + timedelta(days=4))
        found.append([(day.day, len(day.head)) for day in ledger.state.serving.log_days])
        assert log.check(day.head for day in ledger.state.serving.log_days) == []
    assert found[0] == found[1]
    assert len(found[0]) == 5


def test_an_erased_person_reads_nowhere_and_the_chain_verifies(tmp_path: Path):
    path = tmp_path / "log.db"
    log = written(path)
    keys = raw_keys(log)
    with log.commit() as batch:
        assert batch.erase("p1", "asked for it")
    with log.commit() as batch:
        assert not batch.erase("p1", "asked for it")
        assert not batch.erase("stranger", "asked for it")
    assert log.check() == []
    assert readable(log) == [seq for seq in range(1, 13) if seq % 4 != 2]
    assert {line.erased[:4] for line in log.lines() if line.seq in (2, 6, 10)} == {str(line_year(log))}
    # The key is in no page of the file or of what lies beside it: not freed alone, gone.
    files = b"".join(one.read_bytes() for one in tmp_path.iterdir())
    assert [key in files for key in keys] == [True, False, True, True]
    # Who comes again has a new key.
    write(log, "p1", "again")
    assert readable(log)[-1] == 14
    assert len(readable(log)) == 10
    log.close()


def raw_keys(log: ScoreLog) -> list[bytes]:
    """The keys of p0 to p3 as they are now."""
    found = dict(log._database.execute("SELECT person, key FROM persons").fetchall())
    return [found[KEYS.person(f"p{number}")] for number in range(4)]


def line_year(log: ScoreLog) -> int:
    return int(log._database.execute("SELECT at FROM lines ORDER BY seq DESC LIMIT 1").fetchone()[0][:4])


def test_a_retained_key_reads_for_replay_until_its_term_and_answers_nobody(tmp_path: Path):
    log = ScoreLog(KEYS, tmp_path / "log.db")
    write(log, "p1", "one", HANDLE)
    write(log, "p2", "two")
    (plain,) = log._database.execute("SELECT key FROM persons WHERE person = ?", (KEYS.person("p1"),)).fetchone()
    with log.commit() as batch:
        assert batch.content(1, "p1") is not None
        assert batch.withdraw([HANDLE], "wallet", str(TODAY), UNTIL) == 1
        assert batch.content(1, "p1") is None
    assert readable(log) == [1, 2]
    assert plain not in b"".join(one.read_bytes() for one in tmp_path.iterdir())
    # Without the retention key nothing of it reads.
    log.close()
    other = LogKeys(KEYS.signing, KEYS.naming, b"x" * 32)
    with closing(ScoreLog(other, tmp_path / "log.db")) as stolen:
        assert readable(stolen) == [2]
    log = ScoreLog(KEYS, tmp_path / "log.db")
    with log.commit() as batch:
        assert batch.destroy_expired(UNTIL) == 0
    assert readable(log) == [1, 2]
    with log.commit() as batch:
        assert batch.destroy_expired("2035-03-11") == 1
    assert readable(log) == [2]
    assert log.check() == []
    log.close()


def test_a_later_decision_is_kept_to_its_own_term():
    """Who withdraws, and applies again years later, cannot make the second decision end with the first."""
    log = ScoreLog(KEYS)
    write(log, "p1", "one", HANDLE)
    with log.commit() as batch:
        batch.withdraw([HANDLE], "wallet", str(TODAY), UNTIL)
    write(log, "p1", "two", b"2" * 16)
    with log.commit() as batch:
        assert batch.content(2, "p1") is not None
        # The same batch again, late or replayed, changes nothing of what came since.
        assert batch.withdraw([HANDLE], "wallet", "2034-01-01", "2039-01-01") == 1
        assert batch.content(2, "p1") is not None
        assert batch.destroy_expired("2035-03-11") == 1
    assert readable(log) == [2]
    with log.commit() as batch:
        batch.withdraw([b"2" * 16], "wallet", "2036-01-01", "2041-01-01")
    assert readable(log) == [2]
    with log.commit() as batch:
        assert batch.erase("p1", "term over")
    assert readable(log) == []


def test_a_withdrawal_of_another_platform_changes_nothing():
    log = ScoreLog(KEYS)
    write(log, "p1", "one", HANDLE)
    with log.commit() as batch:
        assert batch.withdraw([HANDLE], "video-1", str(TODAY), UNTIL) == 0
        handle = batch.handle(HANDLE)
        assert handle is not None
        assert handle.withdrawn is None
        assert batch.content(1, "p1") is not None


def test_a_tombstone_comes_before_its_token():
    log = ScoreLog(KEYS)
    with log.commit() as batch:
        assert batch.withdraw([HANDLE], "wallet", str(TODAY), UNTIL) == 0
        handle = batch.handle(HANDLE)
        assert handle is not None
        assert handle.withdrawn == str(TODAY)
        assert not batch.free(batch.handle(HANDLE), "one")


def test_a_commit_that_fails_leaves_nothing():
    log = written()
    head = log.head

    def fails() -> None:
        with log.commit() as batch:
            batch.use(HANDLE, "x", "p0", "wallet", "2030-04-01", date(2030, 3, 10))
            batch.write({"score_id": "x"}, "x", "p0", 1, b"x")
            batch.erase("p1", "x")
            raise KeyError("x")

    with pytest.raises(KeyError):
        fails()
    assert log.head == head
    assert log.find("x") is None
    assert len(readable(log)) == 12
    with log.commit() as batch:
        assert batch.handle(HANDLE) is None


def test_a_full_disk_logs_nothing_and_loses_nothing(tmp_path: Path):
    log = written(tmp_path / "log.db")
    pages = log._database.execute("PRAGMA page_count").fetchone()[0]
    log._database.execute(f"PRAGMA max_page_count = {pages}")

    def many() -> None:
        for number in range(200):
            write(log, f"q{number}", f"n{number}")

    with pytest.raises(ScoreLogError, match="room") as error:
        many()
    assert "secret" not in str(error.value)
    assert log.check() == []
    count = len(readable(log))
    log._database.execute("PRAGMA max_page_count = 100000")
    write(log, "p0", "after")
    assert len(readable(log)) == count + 1
    log.close()


def test_no_key_and_no_content_shows_in_words():
    log = written()
    for secret in ("secret", "b'k", repr(b"k" * 8)[2:-1]):
        assert secret not in repr(KEYS) + repr(next(log.lines()))


def test_a_file_that_is_none_is_named(tmp_path: Path):
    (tmp_path / "log.db").write_bytes(b"no database" * 500)
    with pytest.raises(ScoreLogError, match=r"log\.db"):
        ScoreLog(KEYS, tmp_path / "log.db")
    with pytest.raises(ScoreLogError):
        ScoreLog(KEYS, tmp_path / "no" / "log.db")


def scored(count: int = 6) -> Pair:
    pair = Pair(small_release())
    service = pair.service()
    for number in range(count):
        service.score(application(f"p{number}"), "me", TODAY)
    return pair


def test_replay_names_lines_that_differ_are_erased_or_of_a_release_that_is_gone():
    pair = scored()
    releases = {pair.release.hash: pair.release}
    assert replay(pair.log.lines(), releases).same == 6
    with pair.log.commit() as batch:
        batch.erase("p2", "asked for it")
    found = replay(pair.log.lines(), releases)
    assert (found.same, list(found.erased), found.good) == (5, [3], True)
    assert replay(pair.log.lines(), {}).unknown == [1, 2, 4, 5, 6]
    for name, value in (
        ("pd", 0.5),
        ("points", 1),
        ("logit", (0.5).hex()),
        ("bins", [0, 0]),
        ("reasons", [{"code": "late.high", "points": 99.0}]),
        ("bins", [-1] * 4),
    ):
        lines = list(pair.log.lines())
        content: dict[str, Any] = dict(lines[0].content or {})
        assert content[name] != value
        lines[0] = type(lines[0])(1, lines[0].at, "score", content | {name: value})
        assert replay(lines, releases).differ == [1]


def test_a_replay_that_reads_only_what_it_compares_finds_what_one_that_reads_all_does():
    pair = scored()
    releases = {pair.release.hash: pair.release}
    whole: dict[str, Any] = dict(next(pair.log.lines([1])).content or {})
    person = pair.log.keys.person("p1")
    forged = [
        *({name: value for name, value in whole.items() if name != gone} for gone in ("pd", "bins", "reasons")),
        *(whole | other for other in ({"pd": "0.5"}, {"bins": [0.5]}, {"bins": None}, {"reasons": [1]}, {"pd": 0.5})),
        whole | {"release": 3},
        {name: value for name, value in whole.items() if name != "release"},
    ]
    with pair.log.commit() as batch:
        seqs = [batch.add("score", content, person) for content in forged]
    for lines in (pair.log.lines(), pair.log.lines(read=replayed_part)):
        found = replay(lines, releases)
        assert (found.same, found.differ, found.unknown, found.erased) == (6, seqs[:-2], seqs[-2:], {})


def test_replay_across_a_rollback_of_releases_names_nothing():
    pair = scored(2)
    second = small_release(seed=1)
    releases = {one.hash: one for one in (pair.release, second)}
    for number, release in enumerate((second, pair.release, second)):
        pair.service(release=release).score(application(f"q{number}"), "me", TODAY)
    found = replay(pair.log.lines(), releases)
    assert (found.same, found.good) == (5, True)
    # Under the other release's models the answers would be others.
    swapped = {pair.release.hash: second, second.hash: pair.release}
    assert replay(pair.log.lines(), swapped).differ == [1, 2, 3, 4, 5]


def test_a_commit_within_another_is_a_part_of_it(tmp_path: Path):
    log = ScoreLog(KEYS, tmp_path / "log.db")
    with log.commit():
        write(log, "p0", "first")
        write(log, "p1", "second")
    assert log._database.execute("SELECT seq FROM commits").fetchall() == [(2,)]
    with suppress(KeyError), log.commit():
        write(log, "p2", "third")
        raise KeyError("what follows a score")
    write(log, "p3", "fourth")
    assert readable(log) == [1, 2, 3]
    assert log.check([log.head]) == []


def beside(path: Path) -> bytes:
    """All that lies in the log's files."""
    return b"".join(one.read_bytes() for one in path.parent.glob(f"{path.name}*"))


def test_a_part_that_fails_leaves_the_rest_of_its_commit(tmp_path: Path):
    """Also its place in the chain, the key of its person, and what was to go from the disk."""
    log = ScoreLog(KEYS, tmp_path / "log.db")
    with log.commit() as batch:
        for name in ("a", "bad", "b", "bad", "bad"):
            with suppress(ZeroDivisionError), batch.apart():
                batch.write({"score_id": f"score-{name}"}, name, f"p-{name}", 1, name.encode())
                if name == "bad":
                    assert batch.erase("p-a", "a fault")
                    assert 1 / 0
        assert not batch.shed
    assert log.check([log.head]) == []
    assert [(line.content or {})["score_id"] for line in log.lines()] == ["score-a", "score-b"]
    assert log._database.execute("SELECT COUNT(*) FROM persons").fetchone() == (2,)


def test_a_key_goes_from_the_disk_when_no_reader_keeps_it_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(score_log, "_PATIENCE", 0.05)
    path = tmp_path / "log.db"
    log = written(path)
    (key,) = log._database.execute("SELECT key FROM persons WHERE person = ?", (KEYS.person("p1"),)).fetchone()
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT COUNT(*) FROM lines").fetchone()
        with log.commit() as batch:
            assert batch.erase("p1", "asked for it")
        assert log.lingers
        assert bytes(key) in beside(path)
        write(log, "p2", "while it reads")
        assert log.lingers
        # Another process, or this one after a crash.
        with closing(ScoreLog(KEYS, path)) as other:
            assert other.lingers
        reader.execute("COMMIT")
    write(log, "p2", "after")
    assert not log.lingers
    assert bytes(key) not in beside(path)
    assert log.check() == []
    log.close()


def test_what_was_put_back_is_not_written_on_also_without_a_ledger(tmp_path: Path):
    """Two commits on it, and the head beside it would be one of its own."""
    path = tmp_path / "log.db"
    log = written(path)
    log.close()
    copy = path.read_bytes()
    log = ScoreLog(KEYS, path)
    write(log, "p9", "later", HANDLE)
    log.close()
    path.write_bytes(copy)
    old = ScoreLog(KEYS, path)
    for _ in range(3):
        with pytest.raises(ScoreLogError, match="older than"):
            write(old, "p9", "again", HANDLE)
    assert old.head != log_head(path)
    assert not old.is_whole()
    old.close()


def log_head(path: Path) -> str:
    found = HeadFile(path.with_suffix(".head")).read()
    assert found is not None
    return found.head.hex()


@pytest.mark.parametrize("way", ["replaced", "removed"])
def test_a_file_that_is_exchanged_under_a_process_gets_no_line_elsewhere(tmp_path: Path, way: str):
    path = tmp_path / "log.db"
    log = written(path)
    shutil.copyfile(path, tmp_path / "copy.db")
    if way == "replaced":
        (tmp_path / "copy.db").rename(path)
    else:
        path.unlink()
    with pytest.raises(ScoreLogError, match=r"log\.db: was replaced or removed"):
        write(log, "p0", "nowhere")
    assert log.find("score-nowhere") is None
    log.close()


def test_who_reads_holds_off_no_writer_and_is_held_off_by_none(tmp_path: Path):
    path = tmp_path / "log.db"
    log = written(path)
    with closing(ScoreLog(KEYS, path)) as other:
        # One that waited for the lock would wait for a minute.
        other._database.execute("PRAGMA busy_timeout = 0")
        log._database.execute("PRAGMA busy_timeout = 0")
        with log.commit() as batch:
            batch.write({"score_id": "x"}, "x", "p0", 1, b"x")
            with other.reading():
                assert len(readable(other)) == 12
        with other.reading() as view:
            before = readable(other)
            write(log, "p1", "while it reads")
            with other.reading() as within:
                assert within is view
            assert readable(other) == before
        assert len(readable(other)) == len(before) + 1
        # Within a commit it sees what is written there, and ends nothing of it.
        with other.commit() as batch:
            batch.write({"score_id": "y"}, "y", "p0", 1, b"y")
            with other.reading() as part:
                assert part is batch
                assert other.find("y") is not None
        assert other.find("y") is not None
    log.close()


def test_what_was_put_back_is_not_read_as_if_it_were_the_latest(tmp_path: Path):
    path = tmp_path / "log.db"
    written(path).close()
    copy = path.read_bytes()
    with closing(ScoreLog(KEYS, path)) as log:
        write(log, "p0", "later")
    path.write_bytes(copy)
    with closing(ScoreLog(KEYS, path)) as log, pytest.raises(ScoreLogError), log.reading():
        pass


def test_no_answer_leaves_until_a_head_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Not even one that needs no new line: put back, the log would forget what it was made of."""
    path = tmp_path / "log.db"
    log = written(path)
    (key,) = log._database.execute("SELECT key FROM persons WHERE person = ?", (KEYS.person("p1"),)).fetchone()

    def full(file: HeadFile, seq: int, head: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(HeadFile, "keep", full)
        with pytest.raises(HeadNotKept), log.commit() as batch:
            assert batch.erase("p1", "asked for it")
        # What was destroyed goes from the disk all the same.
        assert not log.lingers
        assert bytes(key) not in beside(path)
        with pytest.raises(HeadNotKept), log.commit():
            pass
        with log.reading():
            assert len(readable(log)) == 9
    with log.commit():
        pass
    kept = HeadFile(path.with_suffix(".head")).read()
    assert kept is not None
    assert kept.head.hex() == log.head
    log.close()
