"""One logged answer, computed anew from its bins."""

from __future__ import annotations

import re
from contextlib import suppress

import msgspec

from sealscore.clients.http.problems import HttpProblem
from sealscore.clients.scoring.replay import replay
from sealscore.clients.scoring.score_log import ScoreLog
from sealscore.clients.serve.reader import LogReader
from sealscore.clients.setup.serving_dir import ScorerDir
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.serving.release import Release, ReleaseError

_ID = re.compile(r"[0-9a-f]{32}")
# Releases that are kept loaded; a lender has a few a year.
_MOST_RELEASES = 4


class Replayer:
    """Replays by the log and the releases of a scorer's folder."""

    def __init__(self, folder: ScorerDir, reader: LogReader) -> None:
        self._folder, self._reader = folder, reader
        self._releases: dict[str, Release] = {}

    async def replay(self, score: str) -> bytes:
        """What became of a score, encoded.

        Raises:
            HttpProblem: there is no such score, or the log cannot be read.
        """
        return await self._reader.read(lambda log: self._replayed(log, score))

    def _replayed(self, log: ScoreLog, score: str) -> bytes:
        line = log.find(score) if _ID.fullmatch(score) else None
        if line is None:
            fix = "give the `score_id` of an answer"
            raise HttpProblem(404, "no-such-score", "there is no such score in the log", fix)
        release = None if line.content is None else self._release(str(line.content["release"]))
        found = replay([line], {} if release is None else {release.hash: release})
        result = "same" if found.same else "differs" if found.differ else "erased" if found.erased else "no-release"
        answer = {"score_id": score, "line": line.seq, "at": line.at, "result": result}
        return msgspec.json.encode(answer | ({"erased": line.erased} if result == "erased" else {}))

    def _release(self, hash: str) -> Release | None:
        if hash not in self._releases:
            with suppress(ReleaseError, PlanError, OSError):
                if len(self._releases) == _MOST_RELEASES:
                    self._releases.pop(next(iter(self._releases)))
                self._releases[hash] = self._folder.release(hash)
        return self._releases.get(hash)
