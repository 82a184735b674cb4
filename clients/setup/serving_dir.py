"""Where a node keeps what serving needs, in its own folder; see also `sealscore.clients.setup.node_dir`.

At a lender what a scorer needs may lie in a folder of its own (`[serving] folder`), which another user shares by its
group: it is then all that this user can read of the node.

releases/HASH/     releases that the operator approved; releases/state.json says which is live
releases/proposed/ releases by hash that the server sent, for the operator to look at
serving.db         at a platform: what was told for scoring, of whom (never delete it, never give it away)
scores.db          at a lender: the log of scores; scores.head the head of its last line
scorer.json        at a lender: whose scorer this is, and which releases are approved; callers.json who may ask it
numbers.db         at a lender: the index of numbers that others used, under keys/used-numbers
keys/serving-M     at a lender: the serving key of a month; keys/score-log what the log is kept under
serving-keys/      at a platform: lenders' serving keys, by lender and month
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Literal

from sealscore.clients.scoring.score_log import ScoreLog, ScoreLogError
from sealscore.clients.scoring.serving_store import ServingStore
from sealscore.clients.scoring.storage.kept_levels import KeptLevels
from sealscore.clients.scoring.storage.log_keys import KEY_BYTES, LogKeys
from sealscore.clients.setup.node_dir import NodeDir, NodeDirError, passphrase
from sealscore.shared.crypto.sealing import PlanKeys
from sealscore.shared.files import OWNER_ONLY, write_whole
from sealscore.shared.identity.identity import Card, Identity
from sealscore.shared.identity.keyfile import read_key, write_key
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.serving.manifest import MANIFEST, Manifest
from sealscore.shared.serving.release import Release, ReleaseError
from sealscore.shared.serving.serving_keys import KEPT_DAYS, ServingKeys, ServingPeer, is_month, month_of

Role = Literal["installed", "shadow", "live", "retired"]
_KEY, _LOG = "serving-key", "score-log"
_KEY_HEAD = "serving-"


@dataclass(frozen=True)
class Pointer:
    """Which release a lender scores with: `live`, the one before it, and the one in the shadow."""

    live: str | None = None
    before: str | None = None
    shadow: str | None = None
    retired: tuple[str, ...] = ()

    def role(self, release: str) -> Role:
        """What a release is used for."""
        if release == self.live:
            return "live"
        if release == self.shadow:
            return "shadow"
        return "retired" if release in self.retired else "installed"

    def going_live(self, release: str) -> Pointer:
        """With another release live; the one that was is retired, and rollback goes back to it."""
        if release == self.live:
            return self
        retired = tuple(one for one in (*self.retired, self.live) if one and one != release)
        shadow = None if self.shadow == release else self.shadow
        # Where the live one was withdrawn, the one before it is still there to go back to.
        before = next((one for one in (self.live, self.before) if one and one != release), None)
        return Pointer(release, before, shadow, tuple(dict.fromkeys(retired)))

    def without(self, release: str) -> Pointer:
        """With a release that was withdrawn used for nothing."""
        keep = {name: None for name in ("live", "before", "shadow") if getattr(self, name) == release}
        retired = tuple(dict.fromkeys((*self.retired, release)))
        return replace(self, **keep, retired=retired)


class ScorerDir:
    """What a process that scores opens, and nothing of a ledger, an identity or a table: releases, keys and log.

    Where the folder hands its group on (`chmod 2770`), files in it are for that group too.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def shared(self) -> bool:
        """Whether the folder is for a group."""
        try:
            mode = self.folder.stat().st_mode
        except OSError:
            return False
        return bool(mode & stat.S_ISGID and mode & stat.S_IWGRP)

    @property
    def releases(self) -> Path:
        return self.folder / "releases"

    @property
    def log_file(self) -> Path:
        return self.folder / "scores.db"

    @property
    def scorer_file(self) -> Path:
        return self.folder / "scorer.json"

    @property
    def callers_file(self) -> Path:
        return self.folder / "callers.json"

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    def release_folder(self, hash: str) -> Path:
        """Where a release is kept."""
        return self.releases / hash

    def release(self, hash: str) -> Release:
        """A release that is kept; ReleaseError where it cannot be used."""
        folder = self.release_folder(hash)
        found = Release.load(folder)
        if found.hash != hash:
            raise ReleaseError(f"{folder}: holds another release than was approved; restore the approved one")
        return found

    def log(self, behind: bool = False) -> ScoreLog:
        """The log of scores; one that was put back is opened only for looking (`behind`).

        Raises:
            ScoreLogError, KeyFileError, NodeDirError: it cannot be used.
        """
        path, shared = self.keys / _LOG, self.shared
        if not path.exists():
            if self.log_file.exists():
                raise NodeDirError(f"{path}: is missing, and {self.log_file} cannot be read without it; restore it")
            self.make(self.keys)
            write_key(path, _LOG, {}, os.urandom(3 * KEY_BYTES), passphrase(), shared)
        keys = LogKeys.of(read_key(path, _LOG, passphrase(), shared)[1])
        log = ScoreLog(keys, self.log_file, 0o660 if shared else OWNER_ONLY)
        try:
            if not behind:
                log.require_latest()
        except ScoreLogError:
            log.close()
            raise
        return log

    def kept_levels(self) -> KeptLevels:
        """Levels of tokens that a lender keeps for retraining."""
        path = self.keys / _LOG

        def naming() -> bytes | None:
            return LogKeys.of(read_key(path, _LOG, passphrase(), self.shared)[1]).naming if path.exists() else None

        return KeptLevels(self.log_file, cache(naming))

    @property
    def pointer(self) -> Pointer:
        """Which release is used for what."""
        try:
            data = json.loads((self.releases / "state.json").read_text("utf-8"))
            return Pointer(data["live"], data["before"], data["shadow"], tuple(data["retired"]))
        except FileNotFoundError:
            return Pointer()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NodeDirError(f"{self.releases / 'state.json'}: cannot be read ({error}); restore it") from None

    def point(self, pointer: Pointer) -> None:
        """Use releases otherwise from now on: one file, replaced in one step."""
        content: dict[str, object] = {"live": pointer.live, "before": pointer.before, "shadow": pointer.shadow}
        self._write(self.releases / "state.json", content | {"retired": list(pointer.retired)})

    @property
    def handed_over(self) -> tuple[str, dict[str, str | None]]:
        """Whose scorer this is, and by hash the releases that are approved and not withdrawn, with the purpose of
        retraining of those that name one.

        Raises:
            NodeDirError: the node has not said it yet, or the file is damaged.
        """
        try:
            data = json.loads(self.scorer_file.read_text("utf-8"))
            approved = data["approved"]
            # Earlier versions handed over a list of hashes.
            codes = dict.fromkeys(approved) if isinstance(approved, list) else dict(approved)
            return str(data["lender"]), {str(hash): code and str(code) for hash, code in codes.items()}
        except FileNotFoundError:
            fix = "at the node: sealscore-node release use NAME"
            raise NodeDirError(f"{self.scorer_file}: the node has handed nothing over to its scorer; {fix}") from None
        except (OSError, ValueError, KeyError, TypeError):
            fix = "sealscore-node release use NAME writes it anew"
            raise NodeDirError(f"{self.scorer_file}: cannot be read; {fix}") from None

    def hand_over(self, lender: str, approved: Mapping[str, str | None]) -> None:
        """Tell a scorer whose it is, and the releases that the ledger has as approved, as `handed_over` gives them."""
        self._write(self.scorer_file, {"lender": lender, "approved": dict(sorted(approved.items()))})

    def opening_keys(self, lender: str) -> list[ServingKeys]:
        """All serving keys that are here, for opening tokens alone; no identity is needed."""
        return [ServingKeys.to_open(lender, month, self._key(month)) for month in self._months()]

    def serving_key(self, identity: Identity, month: str) -> ServingKeys:
        """The lender's key of a month, made where there is none; KeyFileError where it cannot be."""
        path = self._key_file(month)
        if not path.exists():
            self.make(self.keys)
            write_key(path, _KEY, {"month": month}, PlanKeys.secret(), passphrase(), self.shared)
        return ServingKeys.of(identity, month, self._key(month))

    def serving_keys(self, identity: Identity) -> list[ServingKeys]:
        """All keys that are here."""
        return [self.serving_key(identity, month) for month in self._months()]

    def destroy_keys(self, today: date, token_days: int) -> list[str]:
        """Destroy keys of months whose last token ended `KEPT_DAYS` ago, with copies beside them; gives the months."""
        oldest, gone = month_of(today - timedelta(days=token_days + KEPT_DAYS)), set()
        for path, text in self._key_files():
            month = text[: len(oldest)]
            if is_month(month) and month < oldest:
                path.unlink()
                gone.add(month)
        return sorted(gone)

    def share(self, folder: Path) -> None:
        """Let the group read what was copied here, where the folder is for one."""
        if self.shared:
            folder.chmod(0o2770)
            for path in folder.rglob("*"):
                path.chmod(0o2770 if path.is_dir() else 0o640)

    def _months(self) -> list[str]:
        # A copy that somebody made, as serving-2027-03.bak, is no key of a month.
        return sorted(text for _, text in self._key_files() if is_month(text))

    def _key_files(self) -> list[tuple[Path, str]]:
        found = self.keys.glob(f"{_KEY_HEAD}*-*")
        return [(path, path.name.removeprefix(_KEY_HEAD)) for path in found if path.is_file()]

    def _key(self, month: str) -> bytes:
        return read_key(self._key_file(month), _KEY, passphrase(), self.shared)[1]

    def _key_file(self, month: str) -> Path:
        return self.keys / f"{_KEY_HEAD}{month}"

    def make(self, folder: Path) -> None:
        """Make a folder in it, where there is none, as the folder itself is: its owner's alone or its group's too."""
        folder.mkdir(mode=0o700, exist_ok=True)
        if self.shared and folder.stat().st_mode & 0o7777 == 0o2700:
            folder.chmod(0o2770)

    def _write(self, path: Path, content: dict[str, object]) -> None:
        try:
            self.make(path.parent)
            write_whole(path, json.dumps(content, indent=1) + "\n", 0o640 if self.shared else OWNER_ONLY)
        except OSError as error:
            what = f"{path}: cannot be written ({error.strerror}); see to it, and repeat the command"
            raise NodeDirError(what) from None


class ServingDir(ScorerDir):
    """The serving part of a node's folder."""

    def __init__(self, node: NodeDir) -> None:
        self.node = node
        elsewhere = node.config().serving.folder if node.config_file.exists() else None
        super().__init__(node.folder if elsewhere is None else node.folder / elsewhere)

    @property
    def store_file(self) -> Path:
        return self.node.folder / "serving.db"

    @property
    def proposed(self) -> Path:
        return self.node.folder / "releases" / "proposed"

    def proposed_releases(self) -> dict[str, Manifest]:
        """The manifests of releases that the server sent, by hash; a folder that does not hold its own is left out."""
        found = {}
        for path in sorted(self.proposed.glob(f"[0-9a-f]*/{MANIFEST}")):
            with contextlib.suppress(PlanError):
                manifest = Manifest.load(path)
                if manifest.hash == path.parent.name:
                    found[manifest.hash] = manifest
        return found

    def store(self) -> ServingStore:
        """What was told for scoring; ServingStoreError where it cannot be used."""
        return ServingStore(self.store_file)

    def keep_peer(self, text: str, card: Card) -> ServingPeer:
        """Keep a lender's serving key; CertificateError where it did not certify it."""
        peer = ServingPeer.read(text, card)
        (self.node.folder / "serving-keys").mkdir(mode=0o700, exist_ok=True)
        write_whole(self._peer_file(card.name, peer.month), text.strip() + "\n")
        return peer

    def keep_new_peer(self, text: str, card: Card) -> bool:
        """Keep a lender's serving key of a month that has none; False where another one of that month is kept.

        Raises:
            CertificateError: the lender did not certify it.
        """
        peer = ServingPeer.read(text, card)
        path = self._peer_file(card.name, peer.month)
        if not path.exists():
            self.keep_peer(text, card)
        return path.read_text("ascii", "replace").strip() == text.strip()

    def peers(self, cards: dict[str, Card], month: str) -> dict[str, ServingPeer]:
        """The serving keys of lenders for a month, by name; CertificateError for a file that is none."""
        found = {}
        for name, card in cards.items():
            path = self._peer_file(name, month)
            if path.exists():
                found[name] = ServingPeer.read(path.read_text("ascii", "replace"), card)
        return found

    def _peer_file(self, lender: str, month: str) -> Path:
        return self.node.folder / "serving-keys" / f"{lender}-{month}.txt"


def today() -> date:
    """The day in UTC: tokens, limits and charges go by it everywhere."""
    return datetime.now(UTC).date()
