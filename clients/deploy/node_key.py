"""The SuperNode's key: an elliptic-curve key (P-384) in OpenSSH form, by which the server knows the node's connection.

It opens the connection only. What the party says is signed by its identity, and nothing of it rests on this key.
"""

from __future__ import annotations

import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sealscore.shared.files import create


class NodeKeyError(ValueError):
    """A SuperNode key that cannot be made or used; the text names the file and the fix."""


def make_node_key(path: Path) -> str:
    """Make a key in a new file, its owner's alone; returns the public key, one line in OpenSSH form.

    Raises:
        NodeKeyError: the file exists (a key is never overwritten), or cannot be written.
    """
    key = ec.generate_private_key(ec.SECP384R1())
    content = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        create(path, content)
    except FileExistsError:
        raise NodeKeyError(f"{path}: exists already, and a key is never overwritten; move it away first") from None
    except OSError as error:
        raise NodeKeyError(f"{path}: cannot be written ({error.strerror})") from None
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return public.decode("ascii")


def read_node_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The key in a file.

    Raises:
        NodeKeyError: the file is missing, open to others, or contains no such key.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        content = path.read_bytes()
    except OSError as error:
        raise NodeKeyError(f"{path}: cannot be read ({error.strerror})") from None
    if mode & 0o077:
        raise NodeKeyError(f"{path}: has the mode {mode:04o}, and a key is for its owner alone: chmod 600 {path}")
    try:
        key = serialization.load_ssh_private_key(content, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise NodeKeyError(f"{path}: contains no key in OpenSSH form without a passphrase; make a new one") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise NodeKeyError(f"{path}: is no elliptic-curve key; make a new one")
    return key
