"""Releases that the server sends: each is kept whole for the operator to look at, or refused by a code and not kept."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from tempfile import mkdtemp

from sealscore.clients.roles.errors import Refused
from sealscore.clients.setup.serving_dir import ServingDir
from sealscore.shared.messages.messages import ProposeRelease
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.serving.parcel import check_parcel, recipients, unpack
from sealscore.shared.serving.release import Release, ReleaseError
from sealscore.shared.text.foreign import grouped, plain

# Releases that wait for the operator; each may have 14 MiB.
MAX_PROPOSED = 20
_DRAFT = ".draft-"


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

    def take(self, message: ProposeRelease) -> None:
        """Keep a release. Nothing is approved; what is refused leaves nothing behind.

        Raises:
            Refused: by a code that follows from the message and from how many wait already.
            OSError: it cannot be written.
            LedgerError: the ledger cannot be read.
        """
        with self._lock:
            self._sweep()
            try:
                self._take(message)
            except _Unfit as unfit:
                self._tell(f"a release that the server proposes is refused ({unfit.refusal.code}): {unfit}")
                raise unfit.refusal from None

    def _sweep(self) -> None:
        """Remove what a crash left half written; one process takes releases, one at a time."""
        for path in self._serving.proposed.glob(f"{_DRAFT}*"):
            shutil.rmtree(path, ignore_errors=True)

    def _take(self, message: ProposeRelease) -> None:
        try:
            check_parcel(message.files)
        except ReleaseError as error:
            raise _Unfit(Refused("bad-release"), error) from None
        self._serving.proposed.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = Path(mkdtemp(prefix=_DRAFT, dir=self._serving.proposed))
        try:
            unpack(message.files, draft)
            release = self._loaded(draft, message.header.plan)
            if release.hash not in self._approved():
                self._keep(draft, release)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _loaded(self, draft: Path, announced: str) -> Release:
        try:
            release = Release.load(draft)
        except (ReleaseError, PlanError) as error:
            raise _Unfit(Refused("bad-release"), error) from None
        except Exception as error:
            # Whoever made the files up chose what reading them raises.
            raise _Unfit(Refused("bad-release"), type(error).__name__) from None
        if release.hash != announced:
            raise _Unfit(Refused("bad-release"), f"it is {grouped(release.hash)}, and was announced as another")
        if self._name not in recipients(release):
            raise _Unfit(Refused("other-release"), f"{release.manifest.name} does not concern this party")
        return release

    def _keep(self, draft: Path, release: Release) -> None:
        waiting = self._serving.proposed_releases()
        if release.hash not in waiting and len(waiting) >= MAX_PROPOSED:
            raise _Unfit(Refused("too-many-releases"), f"{len(waiting)} wait already; refuse or approve some")
        target = self._serving.proposed / release.hash
        shutil.rmtree(target, ignore_errors=True)
        draft.rename(target)
        if release.hash not in waiting:
            name = plain(release.manifest.name)
            self._tell(f"the server proposes release {name}, {grouped(release.hash)}; see sealscore-node release show")


class _Unfit(Exception):
    """A release that is not kept: the refusal for the server, and words for the operator."""

    def __init__(self, refusal: Refused, why: object) -> None:
        super().__init__(plain(why))
        self.refusal = refusal
