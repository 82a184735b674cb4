"""A release as it travels: all its files by name, within the bounds of one message."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from sealscore.shared.files import write_whole
from sealscore.shared.serving.manifest import MANIFEST
from sealscore.shared.serving.release import FALLBACK, GOLDEN, MODEL, MODEL_FILES, PLAN, SIGNALS, Release, ReleaseError
from sealscore.shared.serving.sentences import SENTENCES
from sealscore.shared.serving.signal_tower import PART_NAMES

# Of the 50 kinds of platforms that a plan may have, each with four parts, and of the models and texts beside them.
MOST_FILES = 256
MOST_BYTES = 14 * 2**20
"""Of all files together: a message to a node has 15 MiB at most, with what is around them."""

# All names that a release can have, so that no name leads out of a folder, to a hidden file or through another file.
_NAME = re.compile(
    f"{MANIFEST}|{PLAN}|{GOLDEN}|{SENTENCES}"
    f"|({MODEL}|{FALLBACK})/({'|'.join(MODEL_FILES)})"
    f"|{SIGNALS}/[a-z0-9][a-z0-9-]{{0,39}}/({'|'.join(PART_NAMES)})".replace(".", r"\.")
)


def check_parcel(files: Mapping[str, bytes]) -> None:
    """Check number, names and size of a release's files; nothing is read of them.

    Raises:
        ReleaseError: they are no release's, or more than one message holds.
    """
    if len(files) > MOST_FILES:
        raise ReleaseError(f"a release has at most {MOST_FILES} files, and this has {len(files)}")
    if wrong := [name for name in files if not _NAME.fullmatch(name)]:
        raise ReleaseError(f"{min(wrong)[:80]!r} is no file of a release")
    if (size := sum(map(len, files.values()))) > MOST_BYTES:
        raise ReleaseError(f"the release has {size} bytes, and one message holds {MOST_BYTES}; send its folder instead")


def pack(folder: Path, release: Release) -> dict[str, bytes]:
    """All files of a release that was read from a folder, by name.

    Raises:
        ReleaseError: a file cannot be read, or they are more than one message holds.
    """
    try:
        files = {name: (folder / name).read_bytes() for name in (MANIFEST, *release.manifest.files)}
    except OSError as error:
        raise ReleaseError(f"{folder}: cannot be read ({error.strerror})") from None
    check_parcel(files)
    return files


def unpack(files: Mapping[str, bytes], folder: Path) -> None:
    """Write checked files below a folder, durably; OSError where they cannot be written."""
    for name, data in files.items():
        (folder / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(folder / name, data)


def recipients(release: Release) -> tuple[str, ...]:
    """The parties whom a release concerns, in the plan's order: its lenders, and the platforms of the kinds it has."""
    plan, lenders = release.plan, set(release.manifest.lenders)
    return tuple(party.name for party in plan.parties if party.name in lenders or party.group in release.manifest.told)
