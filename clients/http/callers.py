"""Who may call a service: names with rights, known by the hash of a bearer token or by a client certificate's subject.

The file has no token, only SHA-256 of it: a token is 32 random bytes, which nobody finds from the hash. It is read
again when it changes, so that who was added or removed is known or unknown from the next request on.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fcntl import LOCK_EX, flock
from pathlib import Path

from sealscore.clients.http.exchange import Scope, header
from sealscore.clients.http.problems import forbidden, unauthenticated
from sealscore.shared.files import OWNER_ONLY, write_whole

_FORMAT = "sealscore-callers-1"
_TOKEN_HEAD = "sealscore-caller-1."
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_BEARER = b"bearer "
SUBJECT = "sealscore.subject"
"""Where a request's scope has the subject of the client certificate that was verified (RFC 4514)."""


class CallersError(ValueError):
    """A caller that cannot be added or removed, or a file of callers that cannot be used; the message has the fix."""


@dataclass(frozen=True)
class Caller:
    """A caller, its rights, and by what it is known: the SHA-256 of its token, or a certificate's subject."""

    name: str
    rights: frozenset[str]
    token: str | None = None
    subject: str | None = None

    def require(self, right: str, *others: str) -> None:
        """HttpProblem `forbidden` (403) where it has neither the right nor one of the others."""
        if self.rights.isdisjoint((right, *others)):
            raise forbidden(right)

    def __repr__(self) -> str:
        return f"Caller(name={self.name!r}, rights={sorted(self.rights)})"


class CallerFile:
    """The file of a service's callers; `rights` are those that the service knows, `mode` is the file's.

    It must belong to this process's user, to the owner of its folder or of one of the files `beside` as they are now,
    or to root: whoever else may write the folder could put another file in its place.
    """

    def __init__(self, path: Path, rights: Iterable[str], mode: int = OWNER_ONLY, beside: Iterable[Path] = ()) -> None:
        self.path, self.rights, self._mode = path, tuple(rights), mode
        self._owners = {0, os.geteuid()}
        for one in (path.parent, *beside):
            with suppress(FileNotFoundError):
                self._owners.add(one.stat().st_uid)

    def read(self) -> list[Caller]:
        """All callers in their order; none where there is no file.

        Raises:
            CallersError: it cannot be read, others may write it, or it is another user's.
        """
        try:
            with self.path.open(encoding="utf-8") as file:
                status = os.fstat(file.fileno())
                data = json.load(file)
            if data["format"] != _FORMAT:
                raise ValueError("another format")
            found = [
                Caller(one["name"], frozenset(one["rights"]), one["token"], one["subject"]) for one in data["callers"]
            ]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError):
            raise CallersError(
                f"{self.path}: is no file of callers; restore it, or remove it and add them again"
            ) from None
        if status.st_uid not in self._owners:
            fix = "see who may write its folder, remove it, and add the callers again"
            raise CallersError(f"{self.path}: belongs to another user than the service's and the node's; {fix}")
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise CallersError(f"{self.path}: others may write it; chmod 600 {self.path}")
        return found

    def add(self, name: str, rights: Iterable[str], subject: str | None = None) -> str | None:
        """Add a caller and give its new token, or None where it is known by a certificate's subject.

        Raises:
            CallersError: there is one of that name or subject, or a right is unknown.
        """
        wanted = frozenset(rights)
        if not _NAME.fullmatch(name):
            raise CallersError("a caller's name has lower-case letters, digits, dots and dashes, at most 63")
        if not wanted or not wanted <= set(self.rights):
            raise CallersError(f"rights are {', '.join(self.rights)}; give at least one")
        token = None if subject else _TOKEN_HEAD + secrets.token_urlsafe(32)
        with self._locked():
            known = self.read()
            if any(one.name == name for one in known):
                raise CallersError(f"caller {name} is there already; remove it first, or choose another name")
            if subject and any(one.subject == subject for one in known):
                raise CallersError("another caller has that subject; remove it first")
            self._write([*known, Caller(name, wanted, None if token is None else _hash(token.encode()), subject)])
        return token

    def remove(self, name: str) -> None:
        """Remove a caller; CallersError where there is none."""
        with self._locked():
            known = self.read()
            left = [one for one in known if one.name != name]
            if len(left) == len(known):
                raise CallersError(f"there is no caller {name}; caller list shows who there is")
            self._write(left)

    def _write(self, callers: list[Caller]) -> None:
        rows = [
            {"name": one.name, "rights": sorted(one.rights), "token": one.token, "subject": one.subject}
            for one in callers
        ]
        try:
            write_whole(self.path, json.dumps({"format": _FORMAT, "callers": rows}, indent=1) + "\n", self._mode)
        except OSError as error:
            raise CallersError(f"{self.path}: cannot be written ({error.strerror})") from None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time: two commands at once would undo one another."""
        lock = self.path.with_name(f".{self.path.name}.lock")
        try:
            file = lock.open("w")
        except OSError as error:
            raise CallersError(f"{self.path}: cannot be written ({error.strerror})") from None
        with file:
            flock(file, LOCK_EX)
            yield


class Callers:
    """The callers of a running service: the file's, as it is now.

    A file that cannot be read lets nobody in; `warn` hears of it once.
    """

    def __init__(self, file: CallerFile, warn: Callable[[str], None]) -> None:
        self._file, self._path, self._warn = file, str(file.path), warn
        self._seen: tuple[int, ...] | None = None
        self._known: list[tuple[bytes, Caller]] = []
        self._subjects: dict[str, Caller] = {}

    def check(self, scope: Scope, right: str | None, *others: str) -> Caller:
        """Who sent a request, if it has the right or one of the others; None is for whoever has any.

        Raises:
            HttpProblem: `unauthenticated` (401) or `forbidden` (403).
        """
        self._look()
        caller = self._of(scope)
        if caller is None:
            raise unauthenticated()
        if right is not None:
            caller.require(right, *others)
        return caller

    def _of(self, scope: Scope) -> Caller | None:
        given = header(scope, b"authorization")
        if given is None:
            subject = scope.get(SUBJECT)
            return None if subject is None else self._subjects.get(subject)
        if given[:7].lower() != _BEARER or len(given) > 500:
            return None
        # Each is compared, and each in constant time: how long it takes tells nothing of any.
        hashed, found = _hash(given[7:]).encode("ascii"), None
        for token, caller in self._known:
            if hmac.compare_digest(token, hashed):
                found = caller
        return found

    def _look(self) -> None:
        try:
            status = os.stat(self._path)
            seen: tuple[int, ...] = (status.st_mtime_ns, status.st_ino, status.st_size, status.st_mode, status.st_uid)
        except OSError:
            seen = ()
        if seen == self._seen:
            return
        self._seen = seen
        try:
            callers = self._file.read()
        except CallersError as error:
            # Nobody is let in by a file that somebody else may have written.
            self._warn(str(error))
            callers = []
        self._known = [(one.token.encode("ascii"), one) for one in callers if one.token is not None]
        self._subjects = {one.subject: one for one in callers if one.subject is not None}


def _hash(token: bytes) -> str:
    return hashlib.sha256(token).hexdigest()
