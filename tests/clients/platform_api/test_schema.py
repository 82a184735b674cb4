"""A platform's API answers whatever fits its description, or nearly does, as that description says."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from platform_desk import Desk
from platform_http import served
from schema_cases import check_described
from small_release import known_at

from sealscore.clients.http.binding import Binding
from sealscore.clients.platform_api.app import ROUTES


@pytest.mark.slow
def test_no_request_that_fits_or_nearly_fits_the_description_meets_a_fault(
    desk: Desk, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    with served(desk, tmp_path, binding=Binding(port=0)) as back_end:
        described = back_end.client.get("/openapi.json").json()
        known = {"person": known_at()[0], "lender": "lender-1", "release": back_end.release, "kinds": ["capacity"]}
        headers = {"authorization": back_end.client.headers["authorization"]}
        answered = check_described(described, back_end.place, headers, examples=30, known=known)
    assert set(answered) == {f"{route.method} {route.path}" for route in ROUTES}
    # Each of them was answered well, too: what an answer is was checked. Raw rows and keys of tokens are not drawn by
    # chance.
    rare = {"POST /v1/features", "POST /v1/watches"}
    assert all(count for path, count in answered.items() if path not in rare)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
