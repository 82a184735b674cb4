"""Folders of a person's data: their owner's alone, whatever the process's umask says."""

from __future__ import annotations

from pathlib import Path


def private_folder(folder: Path) -> None:
    """Make a folder and those above it that are absent, of mode 0700; one that is there keeps its mode."""
    absent = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(absent):
        path.mkdir(mode=0o700, exist_ok=True)
        path.chmod(0o700)
