"""What tests of the watch use: a wallet that tells the watch bit, and a lender, in memory."""

from __future__ import annotations

import pytest
from small_release import Pair, watched_release


@pytest.fixture
def pair() -> Pair:
    """A pair after training; the batch has eight places."""
    return Pair(watched_release(batch_places=8))
