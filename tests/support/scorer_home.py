"""A scorer's folder with an invented release, and the process that serves it."""

from __future__ import annotations

import hashlib
import shutil
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from service_process import ServiceProcess
from small_release import Pair, serving_keys, small_folder
from small_release import application as application_on

from sealscore.clients.serve.api import RIGHTS
from sealscore.clients.serve.process import caller_file
from sealscore.clients.setup.serving_dir import Pointer, ScorerDir
from sealscore.shared.crypto.sealing import PlanKeys
from sealscore.shared.identity.keyfile import write_key
from sealscore.shared.serving.release import Release
from sealscore.shared.serving.serving_keys import ServingKeys, month_of

LENDER = "lender-1"


def now() -> date:
    """The day on which the process works."""
    return datetime.now(UTC).date()


def application(person: str = "p1", *tokens: bytes, **changes: Any) -> dict[str, Any]:
    """An application of today."""
    return application_on(person, *tokens, day=now(), **changes)


@cache
def release_folder(seed: int = 0, name: str = "small", ended: bool = False) -> Path:
    """A release that is in force today, or was until yesterday; another seed has other weights."""
    first = now() - timedelta(days=40)
    last = now() - timedelta(days=1) if ended else now() + timedelta(days=300)
    return small_folder(seed=seed, name=name, issued=first, expires=last)


def pair_of(folder: Path, release: Release) -> Pair:
    """The platform and the lender of a release today, for tokens."""
    folder.mkdir(exist_ok=True)
    return Pair(release, folder=folder, day=now())


class ScorerHome:
    """A scorer's folder as a node hands it over."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self.dir = ScorerDir(folder)
        self.approved: dict[str, str | None] = {}
        (folder / "keys").mkdir(mode=0o700, exist_ok=True)
        self.dir.share(folder / "keys")
        month = month_of(now())
        secret = _secret(month)
        assert ServingKeys.to_open(LENDER, month, secret).keys._public == serving_keys(LENDER, month).keys._public
        write_key(folder / "keys" / f"serving-{month}", "serving-key", {"month": month}, secret, None, self.dir.shared)

    def approve(self, source: Path) -> str:
        """Keep a release as approved; gives its hash."""
        manifest = Release.load(source).manifest
        hash = manifest.hash
        if not self.dir.release_folder(hash).exists():
            self.dir.releases.mkdir(mode=0o700, exist_ok=True)
            shutil.copytree(source, self.dir.release_folder(hash))
            self.dir.share(self.dir.releases)
        self.approved[hash] = manifest.retraining_code
        self.dir.hand_over(LENDER, self.approved)
        return hash

    def use(self, hash: str) -> None:
        """Have a release live."""
        self.dir.point(self.dir.pointer.going_live(hash))

    def rollback(self) -> None:
        """Have the one before live again."""
        before = self.dir.pointer.before
        assert before is not None
        self.use(before)

    def withdraw(self, hash: str) -> None:
        """End a release, as the node does: first by the list, then by the pointer."""
        del self.approved[hash]
        self.dir.hand_over(LENDER, self.approved)
        self.dir.point(self.dir.pointer.without(hash))

    def caller(self, name: str = "loans", *rights: str) -> dict[str, str]:
        """A new caller with these rights, or all: the header that it sends."""
        token = caller_file(self.dir).add(name, rights or RIGHTS)
        return {"authorization": f"Bearer {token}"}


def _secret(month: str) -> bytes:
    """As `serving_keys` has it, which seals to it."""
    return hashlib.shake_256(f"{LENDER} {month}".encode()).digest(len(PlanKeys.secret()))


def new_home(folder: Path) -> ScorerHome:
    """A home with one release that is live."""
    home = ScorerHome(folder)
    home.use(home.approve(release_folder()))
    assert home.dir.pointer != Pointer()
    return home


class ScorerProcess(ServiceProcess):
    """`sealscore-node serve` in a process of its own."""

    def __init__(self, home: ScorerHome, *options: str, listen: str = "127.0.0.1:0", **more: Any) -> None:
        self.home = home
        super().__init__("serve", home.dir.folder, "--listen", listen, *options, **more)

    def ready(self) -> ScorerProcess:
        """Wait until it listens."""
        self.wait()
        return self
