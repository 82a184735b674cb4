"""What tests of a platform's API use: a platform after training, and its desk."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from platform_desk import Desk
from small_release import Pair, watched_release


@pytest.fixture
def pair() -> Pair:
    """A wallet that tells a band, reasons and the watch bit beside the level, and a lender."""
    return Pair(watched_release())


@pytest.fixture
def desk(pair: Pair) -> Iterator[Desk]:
    """The wallet's desk, which has read all that it needs."""
    made = Desk(pair)
    yield made
    made.close()
