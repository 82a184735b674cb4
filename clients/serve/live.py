"""What is live now: the release that the pointer names, the keys at hand, the approved releases, the policy.

The files are looked at before each group of answers, so one group is of one release, and a command that changes the
pointer takes effect at the next. Which policy decides is read in the commit itself, as the log says it there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, date, datetime

from sealscore.clients.decision.loans import LoanBook
from sealscore.clients.decision.notice import Notices
from sealscore.clients.decision.policy.approved import ApprovedPolicies
from sealscore.clients.decision.register import SCHEMA
from sealscore.clients.decision.reviews import ReviewDesk
from sealscore.clients.decision.service import DecisionService
from sealscore.clients.scoring.score_log import ScoreLog
from sealscore.clients.scoring.service import ScoreService
from sealscore.clients.serve.faults import clock_ahead, clock_behind, log_ahead, no_release
from sealscore.clients.setup.node_dir import NodeDirError
from sealscore.clients.setup.serving_dir import ScorerDir
from sealscore.clients.steady_clock import ClockFault, SteadyClock, uptime
from sealscore.shared.identity.keyfile import KeyFileError
from sealscore.shared.persons.identifiers import NORMAL_FORMS
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.settings import Form
from sealscore.shared.serving.release import Release, ReleaseError

Stamp = tuple[tuple[int, int, int], ...]


class ServiceClock:
    """The day, by a clock that can be gone by: behind, tokens that have ended would be used again. All in seconds."""

    def __init__(
        self,
        logged: float = 0.0,
        clock: Callable[[], float] = time.time,
        passed: Callable[[], float] = uptime,
        warn: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._clock = SteadyClock(logged, clock, passed, warn)

    def today(self) -> date:
        """The day in UTC.

        Raises:
            HttpProblem: the clock is more than five minutes behind what it, or the log, said before, or more than five
                minutes ahead of what it should say by now; `log-ahead` where it was behind the log from the start.
        """
        try:
            return datetime.fromtimestamp(self._clock.now(), UTC).date()
        except ClockFault as fault:
            if fault.way == "early":
                raise log_ahead(fault.wait) from None
            raise (clock_behind() if fault.way == "behind" else clock_ahead()) from None


class LiveDecisions:
    """What is done after a score, under the policies as the log has them in the commit that is under way."""

    def __init__(self, log: ScoreLog) -> None:
        self._log = log
        log.extend(SCHEMA)
        self._policies: ApprovedPolicies | None = None
        self._made: tuple[ScoreService, ApprovedPolicies, DecisionService] | None = None

    @property
    def policies(self) -> ApprovedPolicies:
        """The policies that were approved, whoever approved or ended one meanwhile.

        Raises:
            PlanError: the log has one that this version cannot read.
        """
        if self._policies is None or self._log.noted != self._policies.noted:
            self._policies = ApprovedPolicies.of(self._log)
        return self._policies

    def service(self, scores: ScoreService, form: Form) -> DecisionService:
        """Decides on these scores; NoPolicy where no policy is live."""
        policies = self.policies
        if self._made is None or self._made[0] is not scores or self._made[1] is not policies:
            self._made = (scores, policies, DecisionService(scores, self._log, policies, form))
        return self._made[2]

    @property
    def desk(self) -> ReviewDesk:
        """Reviews and disputes."""
        return ReviewDesk(self._log, self.policies)

    @property
    def notices(self) -> Notices:
        """Notices of decisions."""
        return Notices(self._log, self.policies)

    def loans(self, form: Form = "exact") -> LoanBook:
        """Open loans; `form` is that of persons, where one is named."""
        return LoanBook(self._log, NORMAL_FORMS[form])


class LiveRelease:
    """The service of the live release; `warn` hears once of what is wrong with it."""

    def __init__(self, folder: ScorerDir, log: ScoreLog, warn: Callable[[str], None]) -> None:
        self._folder, self._log, self._warn = folder, log, warn
        self._seen: Stamp | None = None
        watched = (folder.releases / "state.json", folder.scorer_file, folder.keys)
        self._watched = tuple(map(str, watched))
        self._service: ScoreService | None = None
        self._why = ""
        self._releases: dict[str, Release] = {}
        self.release: Release | None = None
        """The live release as it was last looked at."""

    def service(self) -> ScoreService:
        """The service as the files have it now.

        Raises:
            HttpProblem: none can be used, `no-release`.
        """
        seen = self._stamp()
        if seen != self._seen or self._service is None:
            self._seen = seen
            self._look()
        if self._service is None:
            raise no_release(self._why)
        return self._service

    def _look(self) -> None:
        # Before anything is read: after a fault that nobody foresaw, no release is used that the files no longer name.
        self._service = None
        try:
            self._service = self._made()
            self._why = ""
        except (NodeDirError, KeyFileError, PlanError, ReleaseError, OSError) as error:
            if str(error) != self._why:
                self._why = str(error)
                self._warn(self._why)
        finally:
            if self._service is None:
                self.release = None

    def _made(self) -> ScoreService:
        lender, approved = self._folder.handed_over
        pointer = self._folder.pointer
        if pointer.live is None or pointer.live not in approved:
            fix = "sealscore-node release use NAME, after release approve FOLDER"
            raise ReleaseError(f"{self._folder.releases}: no release is live; {fix}")
        shadow = pointer.shadow if pointer.shadow in approved else None
        wanted = {hash for hash in (pointer.live, shadow) if hash is not None}
        self._releases = {
            hash: self._releases[hash] if hash in self._releases else self._folder.release(hash) for hash in wanted
        }
        self.release = self._releases[pointer.live]
        if lender not in self.release.manifest.lenders:
            fix = "use a release for this lender"
            raise ReleaseError(f"{self._folder.release_folder(pointer.live)}: is not for this lender; {fix}")
        beside = None if shadow is None else self._releases[shadow]
        keys, codes = self._folder.opening_keys(lender), {hash: code for hash, code in approved.items() if code}
        return ScoreService(self.release, keys, self._log, approved, beside, codes)

    def _stamp(self) -> Stamp:
        return tuple(_stamp(path) for path in self._watched)


def _stamp(path: str) -> tuple[int, int, int]:
    try:
        status = os.stat(path)
    except OSError:
        return (0, 0, 0)
    return (status.st_mtime_ns, status.st_ino, status.st_size)
