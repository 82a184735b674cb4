"""The scorer's thread: groups that are committed together, faults that stay with their request, and its end."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from deciding_home import approved, check_decisions, loan
from policies import INPUTS, lenient
from scorer_home import ScorerHome, application, now, pair_of
from small_release import known_at, small_folder

from sealscore.clients.decision.policy.approved import ApprovedPolicies
from sealscore.clients.decision.service import shown
from sealscore.clients.http.problems import HttpProblem
from sealscore.clients.scoring.durable import HeadFile
from sealscore.clients.scoring.score_log import ScoreLogError
from sealscore.clients.scoring.service import ScoreService
from sealscore.clients.serve.committer import Committer, _Worker
from sealscore.clients.serve.decisions.works import deciding, reviewing
from sealscore.clients.serve.live import LiveRelease
from sealscore.clients.serve.work import Work, one_score, score_batch
from sealscore.shared.serving.release import Release


@pytest.fixture
def committer(home: ScorerHome) -> Iterator[Committer]:
    made = Committer(home.dir)
    made.start()
    yield made
    made.stop()


async def outcome(committer: Committer, given: list[Any], alone: bool = False) -> Any:
    """An answer, or the code of a problem; who waits for ever fails."""
    work = (score_batch(given, "test") if alone else one_score(given[0], "test")) if given else None
    return await came_of(committer, work)


async def came_of(committer: Committer, work: Work | None) -> Any:
    """What comes of one request."""
    try:
        return msgspec.json.decode(await asyncio.wait_for(committer.ask(work), 60.0))
    except HttpProblem as problem:
        return problem.code


def asked(
    committer: Committer, *bodies: Any, alone: bool = False, loop: asyncio.AbstractEventLoop | None = None
) -> list[Any]:
    """What comes of each, asked at once: an answer, or the code of a problem. A committer answers in one loop alone."""

    async def all_of_them() -> list[Any]:
        return await asyncio.gather(*(outcome(committer, body if alone else [body], alone) for body in bodies))

    return (loop or asyncio.new_event_loop()).run_until_complete(all_of_them())


def test_requests_that_wait_share_a_commit_and_one_that_is_refused_spoils_none(committer: Committer):
    good = [application(f"p{number}") for number in range(20)]
    answers = asked(committer, *good[:10], {}, *good[10:], application("x", purpose="other"))
    assert [one["application_id"] for one in answers[:10]] == [one["application_id"] for one in good[:10]]
    assert (answers[10], answers[-1]) == ("malformed", "purpose")
    assert committer.committed == 20
    assert committer.groups < 20


def test_a_fault_stays_with_the_request_that_meets_it(committer: Committer, home: ScorerHome):
    answer = ScoreService.answer

    def faulty(self: ScoreService, log: Any, opened: Any, *more: Any) -> dict[str, Any]:
        found = answer(self, log, opened, *more)
        if opened.application.id == "app-bad":
            raise RuntimeError("a fault of ours")
        return found

    with patch.object(ScoreService, "answer", faulty):
        answers = asked(committer, *[application(name) for name in ("a", "b", "bad", "c")])
    assert [one if isinstance(one, str) else one["version"] for one in answers] == [1, 1, "internal", 1]
    committer.stop()
    log = home.dir.log()
    assert log.check() == []
    kept = [line.content["application_id"] for line in log.lines() if line.content is not None]
    assert sorted(kept) == ["app-a", "app-b", "app-c"]
    log.close()


def test_what_cannot_be_decided_leaves_no_score_and_spoils_no_other(home: ScorerHome):
    approved(home, lenient())
    committer = Committer(home.dir)
    committer.start()

    async def all_of_it() -> list[Any]:
        first = await committer.ask(deciding(loan("p1"), "test"))
        # A new body of an application that has an approval is scored, refused, and undone.
        works = [deciding(loan(f"q{n}"), "test") for n in range(6)]
        works[3:3] = [deciding(loan("p1", amount=5000, features={"income": 40.0, "late": 2}), "test")]
        again = await asyncio.gather(*map(committer.ask, works), return_exceptions=True)
        return [first, *again]

    found = asyncio.run(all_of_it())
    assert [one.code for one in found if isinstance(one, HttpProblem)] == ["approved-before"]
    committer.stop()
    assert committer.groups < 8
    answers = [msgspec.json.decode(one) for one in found if isinstance(one, bytes)]
    assert check_decisions(home, answers) == 7
    with closing(home.dir.log()) as log:
        assert sum(line.kind == "score" for line in log.lines()) == 7


def test_all_that_was_asked_is_answered_at_the_end_and_nothing_after(home: ScorerHome):
    committer = Committer(home.dir)
    committer.start()

    async def end() -> tuple[list[Any], str]:
        waiting = [asyncio.create_task(committer.ask(one_score(application(f"p{n}"), "test"))) for n in range(200)]
        await asyncio.sleep(0)
        await asyncio.get_running_loop().run_in_executor(None, committer.stop)
        with pytest.raises(HttpProblem) as refused:
            await committer.ask(one_score(application("late"), "test"))
        return await asyncio.gather(*waiting), refused.value.code

    answers, code = asyncio.run(end())
    assert len({msgspec.json.decode(one)["score_id"] for one in answers}) == 200
    assert code == "stopping"


def test_a_log_without_its_key_ends_the_start(home: ScorerHome):
    home.dir.log().close()
    (home.dir.keys / "score-log").unlink()
    with pytest.raises(RuntimeError, match="restore"):
        Committer(home.dir).start()


def test_a_copy_of_a_key_that_somebody_made_stops_nothing(home: ScorerHome, committer: Committer):
    (key,) = home.dir.keys.glob("serving-*")
    shutil.copy(key, key.with_name(f"{key.name}.bak"))
    assert [one["version"] for one in asked(committer, application("a"))] == [1]


def test_a_fault_while_the_files_are_looked_at_is_told_to_each_and_passes(home: ScorerHome, committer: Committer):
    """No release answers meanwhile, not even the one that was live before: the files may no longer name it."""

    async def all_of_it() -> None:
        assert (await outcome(committer, [application("a")]))["version"] == 1
        with patch.object(LiveRelease, "_made", side_effect=ValueError("a fault of ours")):
            home.dir.point(home.dir.pointer)
            for _ in range(2):
                questions = ([application("b")], [], [application("c"), application("d")])
                found = [await outcome(committer, one, alone=len(one) == 2) for one in questions]
                assert found == ["internal"] * 3
        assert (await outcome(committer, [application("b")]))["version"] == 1

    asyncio.run(all_of_it())


class Panic(BaseException):
    """As a library in Rust raises it: no Exception."""


def test_a_thread_that_ends_leaves_nobody_waiting(committer: Committer):
    ended: list[bool] = []
    committer.on_failure = lambda: ended.append(committer.failed)

    async def all_of_it() -> None:
        with patch.object(_Worker, "answer", side_effect=Panic):
            found = await asyncio.gather(*(outcome(committer, [application(f"p{n}")]) for n in range(200)))
        # Those that were being answered, and those behind them.
        assert set(found) == {"internal", "stopping"}
        assert await outcome(committer, [application("late")]) == "stopping"
        assert await outcome(committer, []) == "stopping"

    asyncio.run(all_of_it())
    assert ended == [True]
    assert committer.waiting == 0


def retraining(name: str) -> Path:
    """A release that names a purpose of retraining; all of them have the same towers."""
    first = now() - timedelta(days=1)
    return small_folder(name=name, issued=first, expires=first + timedelta(days=90), retraining_code="retraining")


@pytest.fixture
def retraining_home(tmp_path: Path) -> ScorerHome:
    """Two such releases, of which the second is live."""
    home = ScorerHome(tmp_path / "scorer")
    home.approve(retraining("first"))
    home.use(home.approve(retraining("second")))
    return home


def kept(home: ScorerHome) -> int:
    with closing(home.dir.log()) as log:
        (count,) = log._database.execute("SELECT COUNT(*) FROM levels").fetchone()
        return int(count)


def test_levels_are_kept_also_of_tokens_under_another_approved_release(retraining_home: ScorerHome, tmp_path: Path):
    committer, (one, two) = Committer(retraining_home.dir), known_at()[:2]
    committer.start()
    loop = asyncio.new_event_loop()
    for number, (hash, person) in enumerate(zip(retraining_home.approved, (one, two), strict=True), start=1):
        pair = pair_of(tmp_path / hash, Release.load(retraining_home.dir.release_folder(hash)))
        (answer,) = asked(committer, application(person, pair.token(person, retraining=True)), loop=loop)
        assert answer["signals"][0]["status"] == "used"
        assert kept(retraining_home) == number
        pair.close()
    committer.stop()


def test_an_application_that_is_refused_leaves_no_level(retraining_home: ScorerHome, tmp_path: Path):
    committer, person = Committer(retraining_home.dir), known_at()[0]
    committer.start()
    pair = pair_of(tmp_path / "pair", Release.load(retraining("second")))
    tokens = [pair.token(person, key, retraining=True) for key in "ab"]
    assert asked(committer, application(person, *tokens), application("p2"))[0] == "two-tokens"
    assert kept(retraining_home) == 0
    pair.close()
    committer.stop()


def test_a_log_that_was_put_back_is_not_served(home: ScorerHome):
    first = Committer(home.dir)
    first.start()
    asked(first, application("a"))
    first.stop()
    copy = home.dir.log_file.read_bytes()
    second = Committer(home.dir)
    second.start()
    asked(second, application("b"))
    second.stop()
    home.dir.log_file.write_bytes(copy)
    with pytest.raises(ScoreLogError, match="restore the latest copy"):
        Committer(home.dir).start()
    # What is there can be looked at.
    with closing(home.dir.log(behind=True)) as log:
        assert len(log.check()) == 1


def test_a_log_that_is_exchanged_under_it_gets_no_line_and_is_not_ready(committer: Committer, home: ScorerHome):
    loop = asyncio.new_event_loop()
    asked(committer, application("a"), loop=loop)
    copy = home.dir.folder / "copy.db"
    copy.write_bytes(home.dir.log_file.read_bytes())
    copy.rename(home.dir.log_file)
    assert asked(committer, application("b"), loop=loop) == ["log"]
    with pytest.raises(HttpProblem) as refused:
        loop.run_until_complete(committer.ready())
    assert refused.value.code == "log"


def test_what_is_committed_and_not_confirmed_says_so(home: ScorerHome):
    """A review that is sent again would be refused, so nobody may be told that nothing was done."""
    approved(home, lenient())
    committer = Committer(home.dir)
    committer.start()
    loop = asyncio.new_event_loop()

    def done(work: Work) -> Any:
        return loop.run_until_complete(came_of(committer, work))

    waits = done(deciding(loan("p2", inputs=INPUTS | {"identity_verified": False}), "me"))
    word = (waits["decision_id"], "approve", "staff 17", "papers were seen in person", 6000, "me")
    full = OSError(28, "No space left on device")
    with patch.object(HeadFile, "keep", side_effect=full):
        assert done(reviewing(*word)) == "unconfirmed"
        # What is refused is refused for its own reason, and what was answered before is not confirmed either.
        assert done(reviewing(*word)) == "not-waiting"
        assert done(one_score(application("p5"), "me")) == "unconfirmed"
        assert done(one_score(application("p5"), "me")) == "unconfirmed"
        with pytest.raises(HttpProblem, match="log"):
            loop.run_until_complete(committer.ready())
    assert committer.counts["reviews", (("outcome", "approve"),)] == 1
    assert done(one_score(application("p5"), "me"))["version"] == 1
    loop.run_until_complete(committer.ready())
    committer.stop()
    with closing(home.dir.log()) as log:
        now_is = shown(log, ApprovedPolicies.of(log), waits["decision_id"], now())
    assert (now_is["state"], now_is["reserved"]) == ("approved", 6000)
