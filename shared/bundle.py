"""The courier bundle: the files that Flower carries from the server to every node, in one archive.

Partners approve it by its hash, so it holds what runs at them and nothing else: the courier, and a description that
is written here. Nothing else of the project is read, and the archive is stored uncompressed under one date: every
installation of a release builds the same bytes, and a release that leaves the courier alone leaves its hash alone.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path

import sealscore

COURIER_VERSION = "1.0.0"
"""Raised whenever the courier changes: Flower keeps unpacked bundles by name and version."""

COURIER_FILES = ("clients/__init__.py", "clients/app.py", "clients/courier.py", "clients/frames.py")

# The server's app is the installed package's own: Flower loads it at the server, and nothing of it is carried.
SERVER_APP = "sealscore.server.app:app"
# What a run may be told (Flower refuses any other key), with its defaults.
RUN_CONFIG = {"home": "", "action": "", "plan": "", "output": "", "parties": "", "node-sockets": ""}

_PYPROJECT = "pyproject.toml"
_DATE = (2024, 10, 1, 0, 0, 0)  # Flower's own for its archives
_PLAIN = re.compile(r"[\w./: -]*")


@dataclass(frozen=True)
class Bundle:
    """A built bundle. `sha256` is what plans name and nodes compare before they run it; `files` names what is in it."""

    content: bytes
    sha256: str
    files: tuple[str, ...]


@cache
def courier_bundle() -> Bundle:
    """The bundle of this release, from its installed files."""
    return build_bundle(courier_app())


def courier_app(server_app: str = SERVER_APP, config: Mapping[str, str | float] = RUN_CONFIG) -> dict[str, bytes]:
    """The files of a Flower app with the courier at the nodes: name in the bundle to content.

    Raises:
        ValueError: a name or value that would need quoting in the description.
    """
    houses = Path(sealscore.__file__).parent
    return {
        _PYPROJECT: _description(server_app, config).encode("ascii"),
        **{name: (houses / name).read_bytes() for name in COURIER_FILES},
    }


def build_bundle(files: Mapping[str, bytes]) -> Bundle:
    """The archive of a Flower app, byte for byte as Flower would build it.

    First the description, the other files in the order of their names, and at the end a list of them all with SHA-256
    and size in bits (Flower's `.info/CONTENT`).
    """
    names = sorted(files.keys() - {_PYPROJECT})
    archive, listed = BytesIO(), []
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as out:
        for name in (_PYPROJECT, *names):
            out.writestr(zipfile.ZipInfo(name, _DATE), files[name])
            listed.append(f"{name},{hashlib.sha256(files[name]).hexdigest()},{8 * len(files[name])}")
        out.writestr(zipfile.ZipInfo(".info/CONTENT", _DATE), "\n".join(listed))
    content = archive.getvalue()
    return Bundle(content, hashlib.sha256(content).hexdigest(), tuple(names))


def write_app(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write a Flower app's files below a folder, for Flower's commands that want a tree; returns the folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def _description(server_app: str, config: Mapping[str, str | float]) -> str:
    """The bundle's pyproject.toml, in the form into which Flower brings any."""
    for word in (server_app, *config, *config.values()):
        if isinstance(word, str) and not _PLAIN.fullmatch(word):
            raise ValueError(f"{word!r} would need quoting in {_PYPROJECT}")
    values = "\n".join(f"{key} = {_literal(value)}" for key, value in config.items())
    return f"""[project]
name = "sealscore-courier"
version = "{COURIER_VERSION}"
description = "Carries sealed messages between Flower and the node of a party"
license = "Apache-2.0"

[tool.flwr.app]
publisher = "sealscore"

[tool.flwr.app.components]
serverapp = "{server_app}"
clientapp = "clients.app:app"

[tool.flwr.app.config]
{values}
"""


def _literal(value: str | float) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)
