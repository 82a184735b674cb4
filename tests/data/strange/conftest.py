"""The corpus as a module, the plan it is read under, and a PostgreSQL server."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from postgres_fixtures import password_file, postgres

from sealscore.shared.plan.plan import Plan

# Modules of tests are imported by their path; this folder must be findable for `corpus`.
sys.path.insert(0, str(Path(__file__).parent))

import corpus

__all__ = ["password_file", "postgres"]


@pytest.fixture(scope="session")
def plan() -> Plan:
    return Plan.loads(corpus.PLAN)
