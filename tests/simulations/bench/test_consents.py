"""The bench of a platform's API: it measures a service that answers, with as many tokens kept as it says."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from small_release import crafted, small_plan, small_release
from vertical_builders import federation_of

from sealscore.simulations.bench.consents import measured


@pytest.mark.slow
def test_figures_are_of_requests_that_were_answered(tmp_path: Path):
    release = crafted(small_release(kinds=True), issued="2026-01-01", expires="2200-01-01")
    found = measured(release, federation_of(small_plan(), 200), tmp_path, requests=20, kept=50)
    assert all(value > 0 for value in found.values())
    assert {"consent_ms", "again_ms", "told_ms", "factors_ms", "withdrawal_ms", "consent_with_50_kept_ms"} < set(found)
    with sqlite3.connect(tmp_path / "serving.db") as database:
        counts = database.execute("SELECT COUNT(*), COUNT(withdrawn) FROM tokens").fetchone()
    # Twenty consents, twenty more beside fifty that were filled in; repetitions gave none, and withdrawals took all.
    assert counts == (90, 20)
