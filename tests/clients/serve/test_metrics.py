"""What is counted is told also while the scorer's thread counts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import pytest
from scorer_home import ScorerHome

from sealscore.clients.http.callers import Callers
from sealscore.clients.serve.api import ScorerApi
from sealscore.clients.serve.applicants import ScorerApplicants
from sealscore.clients.serve.committer import Committer
from sealscore.clients.serve.decisions.reader import DecisionReader
from sealscore.clients.serve.process import caller_file
from sealscore.clients.serve.reader import LogReader
from sealscore.clients.serve.replayer import Replayer


class _Counting(str):
    """A name at whose telling another label is counted, as the scorer's thread does at any moment."""

    committer: Committer

    def __format__(self, spec: str) -> str:
        self.committer.counts["later", (("number", str(len(self.committer.counts))),)] += 1
        return super().__format__(spec)


@pytest.fixture
def reader(home: ScorerHome) -> Iterator[LogReader]:
    made = LogReader(home.dir)
    yield made
    made.stop()


def test_a_label_that_comes_while_counts_are_told_spoils_no_answer(home: ScorerHome, reader: LogReader):
    committer, name = Committer(home.dir), _Counting("decisions")
    name.committer = committer
    committer.counts.update({(name, (("state", one),)): 1 for one in ("approved", "declined")})
    callers, decisions = Callers(caller_file(home.dir), print), DecisionReader(reader)
    api = ScorerApi(committer, Replayer(home.dir, reader), decisions, ScorerApplicants(home.dir), callers)

    async def told() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://scorer") as client:
            return await client.get("/metrics", headers=home.caller())

    answer = asyncio.run(told())
    assert answer.status_code == 200
    assert 'sealscore_scorer_decisions_total{state="declined"} 1' in answer.text.splitlines()
    assert len(committer.counts) > 2
