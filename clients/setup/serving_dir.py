"""Where a node keeps what serving needs, in its own folder; see also `sealscore.clients.setup.node_dir`.

releases/HASH/     releases that the operator approved; releases/state.json says which is live
releases/proposed/ releases by hash that the server sent, for the operator to look at
serving.db         at a platform: what was told for scoring, of whom (never delete it, never give it away)
scores.db          at a lender: the log of scores; scores.head the head of its last line
keys/serving-M     at a lender: the serving key of a month; keys/score-log what the log is kept under
serving-keys/      at a platform: lenders' serving keys, by lender and month
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Literal

from sealscore.clients.scoring.score_log import KEY_BYTES, LogKeys, ScoreLog
from sealscore.clients.scoring.serving_store import ServingStore
from sealscore.clients.scoring.storage.kept_levels import KeptLevels
from sealscore.clients.setup.node_dir import NodeDir, NodeDirError, passphrase
from sealscore.shared.crypto.sealing import PlanKeys
from sealscore.shared.files import write_whole
from sealscore.shared.identity.identity import Card, Identity
from sealscore.shared.identity.keyfile import read_key, write_key
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.serving.manifest import MANIFEST, Manifest
from sealscore.shared.serving.release import Release, ReleaseError
from sealscore.shared.serving.serving_keys import KEPT_DAYS, ServingKeys, ServingPeer, month_of

Role = Literal["installed", "shadow", "live", "retired"]
_KEY, _LOG = "serving-key", "score-log"


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


@dataclass(frozen=True)
class ServingDir:
    """The serving part of a node's folder."""

    node: NodeDir

    @property
    def releases(self) -> Path:
        return self.node.folder / "releases"

    @property
    def store_file(self) -> Path:
        return self.node.folder / "serving.db"

    @property
    def log_file(self) -> Path:
        return self.node.folder / "scores.db"

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

    @property
    def proposed(self) -> Path:
        return self.releases / "proposed"

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

    def log(self) -> ScoreLog:
        """The log of scores; ScoreLogError or KeyFileError where it cannot be used."""
        path = self.node.folder / "keys" / _LOG
        if not path.exists():
            if self.log_file.exists():
                raise NodeDirError(f"{path}: is missing, and {self.log_file} cannot be read without it; restore it")
            write_key(path, _LOG, {}, os.urandom(3 * KEY_BYTES), passphrase())
        return ScoreLog(LogKeys.of(read_key(path, _LOG, passphrase())[1]), self.log_file)

    def kept_levels(self) -> KeptLevels:
        """Levels of tokens that a lender keeps for retraining."""
        path = self.node.folder / "keys" / _LOG

        def naming() -> bytes | None:
            return LogKeys.of(read_key(path, _LOG, passphrase())[1]).naming if path.exists() else None

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
        path = self.releases / "state.json"
        content: dict[str, object] = {"live": pointer.live, "before": pointer.before, "shadow": pointer.shadow}
        whole = content | {"retired": list(pointer.retired)}
        try:
            self.releases.mkdir(mode=0o700, exist_ok=True)
            write_whole(path, json.dumps(whole, indent=1) + "\n", 0o600)
        except OSError as error:
            what = f"{path}: cannot be written ({error.strerror}); see to it, and repeat the command"
            raise NodeDirError(what) from None

    def serving_key(self, identity: Identity, month: str) -> ServingKeys:
        """The lender's key of a month, made where there is none; KeyFileError where it cannot be."""
        path = self._key_file(month)
        if not path.exists():
            write_key(path, _KEY, {"month": month}, PlanKeys.secret(), passphrase())
        return ServingKeys.of(identity, month, read_key(path, _KEY, passphrase())[1])

    def serving_keys(self, identity: Identity) -> list[ServingKeys]:
        """All keys that are here."""
        months = sorted(path.name.removeprefix("serving-") for path in self._key_file("x").parent.glob("serving-*-*"))
        return [self.serving_key(identity, month) for month in months]

    def destroy_keys(self, today: date, token_days: int) -> list[str]:
        """Destroy keys of months whose last token ended `KEPT_DAYS` ago; gives the months."""
        oldest = month_of(today - timedelta(days=token_days + KEPT_DAYS))
        gone = []
        for path in sorted(self._key_file("x").parent.glob("serving-*-*")):
            month = path.name.removeprefix("serving-")
            if month < oldest:
                path.unlink()
                gone.append(month)
        return gone

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

    def _key_file(self, month: str) -> Path:
        return self.node.folder / "keys" / f"serving-{month}"


def today() -> date:
    """The day in UTC: tokens, limits and charges go by it everywhere."""
    return datetime.now(UTC).date()
