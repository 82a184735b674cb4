"""The scorer as a process: one on a log, and what it is made of."""

from __future__ import annotations

import fcntl
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import scipy.special  # noqa: F401 - the model's: no request waits for it, and a service may be kept from files later

from sealscore.clients.http.binding import Binding
from sealscore.clients.http.callers import CallerFile, Callers
from sealscore.clients.http.rates import CallerRates
from sealscore.clients.http.server import HttpLimits, HttpServer
from sealscore.clients.serve.api import RIGHTS, ScorerApi
from sealscore.clients.serve.applicants import ScorerApplicants
from sealscore.clients.serve.committer import Committer
from sealscore.clients.serve.decisions.reader import DecisionReader
from sealscore.clients.serve.reader import LogReader
from sealscore.clients.serve.replayer import Replayer
from sealscore.clients.setup.serving_dir import ScorerDir
from sealscore.shared.files import OWNER_ONLY

log = logging.getLogger("sealscore.scorer")


class ScorerError(RuntimeError):
    """A scorer that cannot be started; the message has the fix."""


def caller_file(folder: ScorerDir) -> CallerFile:
    """The file of who may ask a scorer."""
    mode = 0o640 if folder.shared else OWNER_ONLY
    # What the node hands over is of its user, who adds callers.
    return CallerFile(folder.callers_file, RIGHTS, mode, beside=[folder.scorer_file])


def run_scorer(
    folder: ScorerDir,
    binding: Binding,
    ready: Callable[[str], None] = log.info,
    limits: HttpLimits | None = None,
    most_a_second: float | None = None,
    **more: Any,
) -> None:
    """Serve until SIGTERM or SIGINT; all that was accepted is answered before it returns.

    `most_a_second` is how many applications, features and replays each caller may ask for in a second, None for any.

    Raises:
        ScorerError: another process serves this log, or the thread that answers has failed.
        BindingError: nothing can listen there.
        ScoreLogError, KeyFileError, NodeDirError: the log cannot be used.
    """
    with _alone(folder):
        committer, applicants, reader = Committer(folder, **more), ScorerApplicants(folder), LogReader(folder)
        committer.start()
        try:
            callers, decisions = Callers(caller_file(folder), log.warning), DecisionReader(reader)
            api = ScorerApi(
                committer, Replayer(folder, reader), decisions, applicants, callers, CallerRates(most_a_second)
            )
            server = HttpServer(api, binding, limits, ready)
            committer.on_failure = server.stop
            server.serve_forever()
            if committer.failed:
                fix = "start it again, as its unit does, and report what its log says"
                raise ScorerError(f"{folder.log_file}: the thread that answers has failed; {fix}")
        finally:
            committer.stop()
            reader.stop()
            applicants.stop()


@contextmanager
def _alone(folder: ScorerDir) -> Iterator[None]:
    """Be the only scorer of a folder: two would give one application two different versions of one number."""
    path = folder.folder / "scorer.lock"
    try:
        file = path.open("a")
    except OSError as error:
        raise ScorerError(f"{path}: cannot be written ({error.strerror}); see to the folder's rights") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            fix = "stop it first, or serve another folder"
            raise ScorerError(f"{folder.log_file}: another scorer serves this log; {fix}") from None
        yield
