"""What every test may use: the helpers in support/, one thread, hypothesis without deadlines, and two workers."""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Float sums must not depend on how work was split over threads. By environment: torch takes more than a second to
# import, and most tests do without it.
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from scheduling import Scheduling

# Modules of tests are imported by their path; the helpers must be findable for `from builders import ...`.
sys.path.insert(0, str(Path(__file__).parent / "support"))

# A first example pays for imports and caches; how long one takes says nothing here.
settings.register_profile("sealscore", deadline=None)
settings.load_profile("sealscore")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    from scheduling import Scheduling

    # By its number of tests, a file of five long tests would come last.
    config.option.loadscopereorder = False
    return Scheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        from scheduling import group_of

        items.sort(key=lambda item: group_of(item.nodeid) != "federations")


def pytest_collection_finish() -> None:
    # Modules and tests live to the end: to go through them at each collection of garbage costs half a second.
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _own_logs() -> Iterator[None]:
    """A log that one test has written to its error stream is not written to that stream, long closed, by the next."""
    yield
    for name in [name for name in logging.root.manager.loggerDict if name.split(".")[0] == "sealscore"]:
        log = logging.getLogger(name)
        log.handlers, log.propagate = [], True
        log.setLevel(logging.NOTSET)
