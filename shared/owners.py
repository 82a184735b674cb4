"""Whose the files of a node or server are: its user cannot write what a command typed as root leaves behind."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable, Iterator
from pathlib import Path

_NAMED = 3  # files that a message names
_DEEPEST = 4


def root_elsewhere(folder: Path) -> str | None:
    """Why a command of root must not work in this folder; None for its owner, and for a folder of root's own.

    Even one that only reads would make files beside a database there, which the folder's owner could not write.
    """
    owner = folder.stat().st_uid
    if os.geteuid() != 0 or owner == 0:
        return None
    name = user_name(owner)
    return f"{folder}: what root writes there its user {name} cannot use; type it as that user: sudo -u {name}"


def files_of_others(folder: Path, entries: Iterable[str]) -> dict[Path, int]:
    """Of these entries of a folder, and what is in them, those that another user owns than the folder; with whose."""
    owner = folder.stat().st_uid
    there = (path for entry in entries for path in _inside(folder / entry, _DEEPEST))
    return {path: uid for path in there if (uid := path.lstat().st_uid) != owner}


def others_words(folder: Path, found: dict[Path, int]) -> str:
    """What is wrong with files of others in a folder, and the fix."""
    named = ", ".join(str(path.relative_to(folder)) for path in list(found)[:_NAMED])
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    whose, owner = ", ".join(sorted({user_name(uid) for uid in found.values()})), user_name(folder.stat().st_uid)
    return (
        f"{folder}: {named}{more}: owned by {whose}, and the folder by {owner}, who may be unable to write them; "
        f"as root: chown -R {owner} {folder}, and type commands as {owner} from then on"
    )


def user_name(uid: int) -> str:
    """The name of a user of this machine, or the number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _inside(path: Path, depth: int) -> Iterator[Path]:
    """A path and what is in it, as far as it can be looked at."""
    if not path.is_symlink() and not path.exists():
        return
    yield path
    if depth > 1 and path.is_dir() and not path.is_symlink():
        try:
            names = sorted(os.listdir(path))
        except OSError:
            return
        for name in names:
            yield from _inside(path / name, depth - 1)
