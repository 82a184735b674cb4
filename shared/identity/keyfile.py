"""Files of secret keys: mode 0600 (0640 where two users share them), optionally under a passphrase, never overwritten.

A file is JSON: what the key is for in clear, and the secret, sealed by AES-256-GCM under scrypt (RFC 7914) of the
passphrase where there is one. A digest over the whole distinguishes a damaged file from a wrong passphrase.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from sealscore.shared.files import OWNER_ONLY, create

_FORMAT = "sealscore-key-1"
_MOST = 65_536
_SALT, _NONCE, _KEY = 16, 12, 32
# 32 MiB and some 0.1 s a guess. They belong to the format: a file cannot ask for others.
_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 2**15, 8, 1


class KeyFileError(ValueError):
    """A key file that cannot be used; the message names the file and the fix, and nothing of the key."""


def write_key(
    path: Path, kind: str, about: Mapping[str, str], secret: bytes, passphrase: str | None, group: bool = False
) -> None:
    """Write a secret into a new file that only its owner can read, and its group where that is meant.

    Raises:
        KeyFileError: the file exists, cannot be written, or the passphrase is empty.
    """
    if passphrase == "":
        raise KeyFileError(f"{path}: the passphrase is empty; give one, or none at all")
    content: dict[str, Any] = {"format": _FORMAT, "kind": kind, "about": dict(about), "salt": None}
    if passphrase is None:
        content["data"] = secret.hex()
    else:
        salt, nonce = os.urandom(_SALT), os.urandom(_NONCE)
        content["salt"] = salt.hex()
        sealed = AESGCM(_derived(passphrase, salt)).encrypt(nonce, secret, _clear(content))
        content["data"] = (nonce + sealed).hex()
    content["check"] = _check(content)
    try:
        create(path, (json.dumps(content, indent=1) + "\n").encode("ascii"), 0o640 if group else OWNER_ONLY)
    except FileExistsError:
        raise KeyFileError(f"{path}: exists already, and a key is never overwritten; move it away first") from None
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be written ({error.strerror})") from None


def read_key(path: Path, kind: str, passphrase: str | None, group: bool = False) -> tuple[dict[str, str], bytes]:
    """What the key is for, and the secret; its group may read the file where that is meant.

    Raises:
        KeyFileError: the file is missing, open to others, damaged, of another kind, or under another passphrase.
    """
    content = _content(path, 0o137 if group else 0o177)
    if content["kind"] != kind:
        raise KeyFileError(f"{path}: contains a key of the kind {content['kind']!r}, and {kind!r} is needed here")
    data = bytes.fromhex(content["data"])
    if content["salt"] is None:
        if passphrase is not None:
            raise KeyFileError(f"{path}: is not under a passphrase, though one was given; give none")
        return content["about"], data
    if passphrase is None:
        raise KeyFileError(f"{path}: is under a passphrase, and none was given")
    sealing = AESGCM(_derived(passphrase, bytes.fromhex(content["salt"])))
    try:
        return content["about"], sealing.decrypt(data[:_NONCE], data[_NONCE:], _clear(content))
    except InvalidTag:
        raise KeyFileError(f"{path}: the passphrase is wrong") from None


def _content(path: Path, forbidden: int) -> dict[str, Any]:
    try:
        # Without O_NONBLOCK a named pipe in the file's place would stop the node for good.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        raise KeyFileError(f"{path}: there is no such key file") from None
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            raise KeyFileError(f"{path}: is no regular file")
        if mode & forbidden:
            open_to = f"{stat.S_IMODE(mode):04o}"
            raise KeyFileError(f"{path}: has the mode {open_to}, and a key is for its owner alone: chmod 600 {path}")
        content = _parsed(os.read(handle, _MOST + 1))
    finally:
        os.close(handle)
    if content is None:
        raise KeyFileError(f"{path}: is damaged or no key file; restore it from a copy, or make a new key and enrol it")
    return content


def _parsed(raw: bytes) -> dict[str, Any] | None:
    if len(raw) > _MOST:
        return None
    try:
        content = json.loads(raw.decode("ascii"))
        whole = isinstance(content, dict) and content["format"] == _FORMAT and content["check"] == _check(content)
        data, salt = bytes.fromhex(content["data"]), content["salt"]
        known = all(type(text) is str for text in (content["kind"], *content["about"].values()))
        sealed = salt is None or (len(bytes.fromhex(salt)) == _SALT and len(data) > _NONCE)
        return content if whole and known and sealed else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _clear(content: Mapping[str, Any]) -> bytes:
    named = {name: content[name] for name in ("format", "kind", "about", "salt")}
    return json.dumps(named, sort_keys=True).encode("ascii")


def _check(content: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in content.items() if name != "check"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode("ascii")).hexdigest()


def _derived(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=_KEY, n=_SCRYPT_N, r=_SCRYPT_R, p=_SCRYPT_P).derive(passphrase.encode("utf-8"))
