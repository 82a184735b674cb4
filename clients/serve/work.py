"""What one request asks of the scorer's thread: what is looked at before a commit, and what is done in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sealscore.clients.scoring.storage.batch import Batch
from sealscore.clients.serve.live import LiveDecisions, LiveRelease

Step = Callable[[Batch], Any]
"""What is done in a commit; gives the answer as plain data."""
Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Work:
    """`begin` checks what is asked, reads nothing of the log, and gives the step for the commit.

    `answers` are answered by it. `alone` takes a commit of its own. `apart` undoes what the step wrote where it
    refuses; a step without it writes nothing before its last refusal. `counted` names what of a new answer is counted:
    a metric and its labels, nothing of a person.
    """

    begin: Callable[[LiveRelease, LiveDecisions, date], Step]
    answers: int = 1
    alone: bool = False
    apart: bool = True
    counted: Callable[[Any], tuple[str, Labels]] | None = None


def one_score(application: Any, caller: str) -> Work:
    """Score one application."""

    def begin(live: LiveRelease, decisions: LiveDecisions, today: date) -> Step:
        service = live.service()
        (opened,) = service.open([application], today)
        return lambda batch: service.answer(batch, opened, caller, today)

    return Work(begin, apart=False)


def score_batch(applications: Sequence[Any], caller: str) -> Work:
    """Score several applications, or none."""

    def begin(live: LiveRelease, decisions: LiveDecisions, today: date) -> Step:
        service = live.service()
        opened = service.open(applications, today)
        return lambda batch: {"answers": [service.answer(batch, one, caller, today) for one in opened]}

    return Work(begin, answers=len(applications), alone=True)
