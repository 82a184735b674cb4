"""What every test may use: the helpers in support/, one thread, and hypothesis without deadlines."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

# Float sums must not depend on how work was split over threads. By environment: torch takes more than a second to
# import, and most tests do without it.
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import pytest
from hypothesis import settings

# Modules of tests are imported by their path; the helpers must be findable for `from builders import ...`.
sys.path.insert(0, str(Path(__file__).parent / "support"))

# A first example pays for imports and caches; how long one takes says nothing here.
settings.register_profile("sealscore", deadline=None)
settings.load_profile("sealscore")


@pytest.fixture(autouse=True)
def _own_logs() -> Iterator[None]:
    """A log that one test has written to its error stream is not written to that stream, long closed, by the next."""
    yield
    for name in [name for name in logging.root.manager.loggerDict if name.split(".")[0] == "sealscore"]:
        log = logging.getLogger(name)
        log.handlers, log.propagate = [], True
        log.setLevel(logging.NOTSET)
