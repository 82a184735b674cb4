"""The app bundle: the files that Flower carries to every node, in one archive whose hash a plan can name.

The files are those that `fab-include` of the project's pyproject.toml names, in sorted order, stored uncompressed
under a fixed date: the same tree gives the same bytes on every machine.
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path

import server

_DESCRIPTION = "pyproject.toml"


class BundleError(ValueError):
    """A bundle that cannot be built; the text names the file and the mend."""


@dataclass(frozen=True)
class Bundle:
    """A built bundle. `sha256` is what nodes compare before they run it."""

    content: bytes
    sha256: str
    files: tuple[str, ...]


def build_bundle(project: Path | None = None) -> Bundle:
    """Build the bundle of a source tree, by default the one that this code was started from.

    Raises:
        BundleError: there is no pyproject.toml with a Flower app, a pattern matches nothing, or Flower takes the
            files for no app.
    """
    from flwr.cli.build import build_fab_from_files

    root = (project or Path(server.__file__).resolve().parents[1]).resolve()
    files = bundle_files(root)
    try:
        content, _ = build_fab_from_files({name: root / name for name in (_DESCRIPTION, *files)})
    except ValueError as error:
        raise BundleError(f"{root / _DESCRIPTION}: {error}") from None
    return Bundle(content, hashlib.sha256(content).hexdigest(), files)


def bundle_files(root: Path) -> tuple[str, ...]:
    """The files that belong into the bundle of a source tree, relative to it and sorted.

    Flower itself would look at every file below the tree, virtual environments and data included.
    """
    description = root / _DESCRIPTION
    try:
        patterns = tomllib.loads(description.read_text("utf-8"))["tool"]["flwr"]["app"]["fab-include"]
    except OSError:
        raise BundleError(f"{description} is missing: a bundle is built from the source tree; clone it") from None
    except (tomllib.TOMLDecodeError, KeyError):
        raise BundleError(f"{description}: [tool.flwr.app] names no files in fab-include") from None
    found: set[str] = set()
    for pattern in patterns:
        files = {path.relative_to(root).as_posix() for path in root.glob(pattern) if path.is_file()}
        if not files:
            raise BundleError(f"{description}: the fab-include pattern {pattern!r} matches no file")
        found |= files
    return tuple(sorted(found))
