"""What tests of a watch use: a platform and a lender after training."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_release import Pair, small_release


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    """A lender with its log on the disk."""
    return Pair(small_release(), folder=tmp_path)
