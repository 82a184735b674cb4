"""The files of a run's folder, by name, without what carries a run out: torch takes a second or two to import."""

from __future__ import annotations

from pathlib import Path

from sealscore.server.setup.server_dir import ServerDir
from sealscore.shared.serving.release import Release

PROGRESS, RECEIPTS = "progress.jsonl", "receipts.jsonl"
WATCH = "watch.txt"
FAILURE, PUBLISHED, JOURNAL = "failure.json", "published.json", "journal.db"


def release_said(server_dir: ServerDir, release: Release) -> Path:
    """Where it is left what the parties said to a release: in the folder of its plan's run."""
    return server_dir.run_folder(release.plan) / f"published-{release.hash[:12]}.json"
