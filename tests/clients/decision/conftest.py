"""What tests of decisions use: a platform and a lender after training, in memory."""

from __future__ import annotations

import pytest
from small_release import Pair, small_release


@pytest.fixture
def pair() -> Pair:
    """A wallet that tells a band and reasons beside the level, and a lender."""
    return Pair(small_release(kinds=True))
