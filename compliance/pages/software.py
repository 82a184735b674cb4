"""Which software made a report."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def own_version() -> str:
    """The installed version of Sealscore, or that it runs from source."""
    try:
        return version("sealscore")
    except PackageNotFoundError:
        return "run from source, not installed"
