"""The one fixture of all adversaries."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from defences import Defences


@pytest.fixture
def defences() -> Defences:
    """Everything on; `defences.without(...)` turns defences off for a block."""
    return Defences()
