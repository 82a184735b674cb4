"""One federation of processes for all tests that kill parts of it, and one of operators: to start one takes half a
minute.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from consortium import Consortium, running_consortium
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


@pytest.fixture(scope="session")
def consortium() -> Iterator[Consortium]:
    """A server and two lenders that their operators have set up and started."""
    with running_consortium() as found:
        yield found
