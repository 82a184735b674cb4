"""Where what can be computed again is kept: one folder of the user's, for all that Sealscore caches."""

from __future__ import annotations

from pathlib import Path

from platformdirs import user_cache_path


def cache_folder() -> Path:
    """The folder of the caches, which may not be there: $XDG_CACHE_HOME/sealscore, or the system's own place.

    On Linux that is ~/.cache/sealscore, on macOS ~/Library/Caches/sealscore.
    """
    return user_cache_path("sealscore", appauthor=False)
