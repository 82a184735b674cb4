"""One federation of processes for all tests that kill parts of it: to start one takes half a minute."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from live import Live, live


@pytest.fixture(scope="session")
def running() -> Iterator[Live]:
    with live() as found:
        yield found


@pytest.fixture
def federation(running: Live) -> Live:
    """All of it runs and is connected, and nothing is left of what the test before had ordered."""
    running.ready()
    return running
