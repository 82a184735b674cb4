"""The scorer's thread: groups that are committed together, faults that stay with their request, and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from scorer_home import ScorerHome, application, new_home

from sealscore.clients.http.problems import HttpProblem
from sealscore.clients.scoring.service import ScoreService
from sealscore.clients.serve.committer import Committer


@pytest.fixture
def home(tmp_path: Path) -> ScorerHome:
    return new_home(tmp_path / "home")


@pytest.fixture
def committer(home: ScorerHome) -> Iterator[Committer]:
    made = Committer(home.dir)
    made.start()
    yield made
    made.stop()


def asked(committer: Committer, *bodies: Any, alone: bool = False) -> list[Any]:
    """What comes of each, asked at once: an answer, or the code of a problem."""

    async def one(body: Any) -> Any:
        try:
            return msgspec.json.decode(await committer.ask(body if alone else [body], "test", alone))
        except HttpProblem as problem:
            return problem.code

    async def all_of_them() -> list[Any]:
        return await asyncio.gather(*map(one, bodies))

    # A loop of its own each time would be another one than the committer answers in.
    return asyncio.new_event_loop().run_until_complete(all_of_them())


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


def test_all_that_was_asked_is_answered_at_the_end_and_nothing_after(home: ScorerHome):
    committer = Committer(home.dir)
    committer.start()

    async def end() -> tuple[list[Any], str]:
        waiting = [asyncio.create_task(committer.ask([application(f"p{n}")], "test")) for n in range(200)]
        await asyncio.sleep(0)
        await asyncio.get_running_loop().run_in_executor(None, committer.stop)
        with pytest.raises(HttpProblem) as refused:
            await committer.ask([application("late")], "test")
        return await asyncio.gather(*waiting), refused.value.code

    answers, code = asyncio.run(end())
    assert len({msgspec.json.decode(one)["score_id"] for one in answers}) == 200
    assert code == "stopping"


def test_a_log_without_its_key_ends_the_start(home: ScorerHome):
    home.dir.log().close()
    (home.dir.keys / "score-log").unlink()
    with pytest.raises(RuntimeError, match="restore"):
        Committer(home.dir).start()
