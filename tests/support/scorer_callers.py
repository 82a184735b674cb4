"""Callers of a scorer under load, and what must hold of its log afterwards."""

from __future__ import annotations

import time
from typing import Any

import httpx
from http_callers import HttpCallers
from scorer_home import ScorerHome, ScorerProcess, application
from service_process import PATIENCE

from sealscore.clients.scoring.replay import replay


class ScorerCallers(HttpCallers):
    """So many callers at once, who have begun; what was answered and what was refused is kept."""

    def __init__(self, scorer: ScorerProcess, header: dict[str, str], count: int, prefix: str = "load") -> None:
        super().__init__(count, lambda: scorer.client(headers=header), self._score)
        self.answers: list[dict[str, Any]] = []
        self.refused: list[httpx.Response] = []
        self._prefix = prefix
        self.begin()

    def wait(self, more: int) -> None:
        """Until so many more were answered."""
        wanted, end = len(self.answers) + more, time.monotonic() + PATIENCE
        while len(self.answers) < wanted and time.monotonic() < end:
            time.sleep(0.002)
        assert len(self.answers) >= wanted

    def _score(self, client: httpx.Client, number: int, turn: int) -> None:
        answer = client.post("/v1/scores", json=application(f"{self._prefix}-{number}-{turn}"))
        if answer.status_code == 200:
            self.answers.append(answer.json())
        else:
            self.refused.append(answer)


def whole(home: ScorerHome, answers: list[dict[str, Any]]) -> int:
    """Check that all that was answered is in the log as it was answered, and the log itself; gives its lines."""
    log = home.dir.log()
    assert log.check() == []
    lines = list(log.lines())
    scores = [line for line in lines if line.kind == "score"]
    releases = {hash: home.dir.release(hash) for hash in set(home.approved)}
    found = replay(scores, releases)
    assert (found.differ, found.unknown) == ([], [])
    kept = {line.content["score_id"]: line.content for line in scores if line.content is not None}
    for answer in answers:
        content = kept[answer["score_id"]]
        for name in ("application_id", "version", "pd", "points", "band", "reasons", "valid_until"):
            assert content[name] == answer[name]
        assert content["release"] == answer["model"]["release"]
    # No score is there without its line: each that can be asked for again is one of the chain.
    rows = log._database.execute("SELECT score, seq FROM answers").fetchall()
    assert {(content, line) for content, line in rows} == {
        (line.content["score_id"], line.seq) for line in scores if line.content is not None
    }
    log.close()
    return len(lines)
