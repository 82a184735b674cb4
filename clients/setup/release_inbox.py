"""Releases that the server sends: each is kept whole for the operator to look at, or refused by a code and not kept."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from tempfile import mkdtemp

from sealscore.clients.setup.serving_dir import ServingDir
from sealscore.shared.messages.messages import ProposeRelease
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.serving.parcel import check_parcel, recipients, unpack
from sealscore.shared.serving.release import Release, ReleaseError
from sealscore.shared.text.foreign import grouped, plain

# Releases that wait for the operator; each may have 14 MiB.
MAX_PROPOSED = 20
_DRAFT = ".draft-"
BAD, OTHER, TOO_MANY = "bad-release", "other-release", "too-many-releases"


class ReleaseInbox:
    """Takes releases for the party `name`.

    `approved` gives the hashes of releases that its ledger knows, which are not kept again. `tell` gets in words, for
    the operator, what was taken, and why something was not.
    """

    def __init__(
        self, serving: ServingDir, name: str, approved: Callable[[], Collection[str]], tell: Callable[[str], None]
    ) -> None:
        self._serving, self._name, self._approved, self._tell = serving, name, approved, tell
        self._lock = threading.Lock()

    def take(self, message: ProposeRelease) -> str | None:
        """Keep a release; the code of a refusal, which follows from the message and from how many wait already.

        Nothing is approved. What is refused leaves nothing behind.

        Raises:
            OSError: it cannot be written.
            LedgerError: the ledger cannot be read.
        """
        with self._lock:
            self._sweep()
            try:
                check_parcel(message.files)
            except ReleaseError as error:
                return self._refused(BAD, error)
            self._serving.proposed.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = Path(mkdtemp(prefix=_DRAFT, dir=self._serving.proposed))
            try:
                unpack(message.files, draft)
                return self._looked_at(draft, message.header.plan)
            finally:
                shutil.rmtree(draft, ignore_errors=True)

    def _sweep(self) -> None:
        """Remove what a crash left half written; one process takes releases, one at a time."""
        for path in self._serving.proposed.glob(f"{_DRAFT}*"):
            shutil.rmtree(path, ignore_errors=True)

    def _looked_at(self, draft: Path, hash: str) -> str | None:
        try:
            release = Release.load(draft)
        except Exception as error:
            # Whoever made the files up chose what reading them raises.
            return self._refused(BAD, error)
        if release.hash != hash:
            return self._refused(BAD, ReleaseError(f"it is {grouped(release.hash)}, and was announced as another"))
        if self._name not in recipients(release):
            return self._refused(OTHER, ReleaseError(f"{release.manifest.name} does not concern this party"))
        if hash in self._approved():
            return None
        waiting = self._serving.proposed_releases()
        if hash not in waiting and len(waiting) >= MAX_PROPOSED:
            return self._refused(TOO_MANY, ReleaseError(f"{len(waiting)} wait already; refuse or approve some"))
        target = self._serving.proposed / hash
        shutil.rmtree(target, ignore_errors=True)
        draft.rename(target)
        if hash not in waiting:
            self._tell(
                f"the server proposes release {plain(release.manifest.name)}, {grouped(hash)}; "
                "see sealscore-node release show"
            )
        return None

    def _refused(self, code: str, error: Exception) -> str:
        known = isinstance(error, (ReleaseError, PlanError))
        why = plain(error) if known else type(error).__name__
        self._tell(f"a release that the server proposes is refused ({code}): {why}")
        return code
