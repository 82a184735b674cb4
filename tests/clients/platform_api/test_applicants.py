"""One creator's features over the platform's API: as by the table, within rights and limits, nothing quoted."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from platform_desk import Desk
from platform_http import BackEnd, served
from raw_tables import wallet_tables
from small_release import TODAY

from sealscore.clients.applicant.features import OneApplicant
from sealscore.clients.features import table_schema
from sealscore.clients.platform_api.app import FEATURES, MOST_ROWS_BODY
from sealscore.simulations.bench.features.applicant import rows_of

NAMES = ["inflow_3m", "refund_share_6m", "late_bill_share_180d"]
SECRET = "secret-person"


@pytest.fixture
def back_end(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BackEnd]:
    """A wallet whose release has features of the dictionary."""
    monkeypatch.setattr(desk.of, "table", lambda release: table_schema("wallet", NAMES))
    with served(desk, tmp_path) as found:
        yield found


def body(back_end: BackEnd, **changes: Any) -> dict[str, Any]:
    tables = rows_of(wallet_tables(), "wallet", "C00003")
    return {"release": back_end.release, "as_of": "2024-10-01", "tables": tables} | changes


def test_the_features_are_those_of_the_table(back_end: BackEnd):
    answer = back_end.post(FEATURES, body(back_end))
    assert answer.status_code == 200, answer.text
    asked = {key: value for key, value in body(back_end).items() if key != "release"}
    assert answer.json() == {"features": OneApplicant("wallet", names=NAMES).of(asked, TODAY).features, "flags": []}
    assert answer.json()["features"].keys() == set(NAMES)
    assert answer.json()["features"]["inflow_3m"] > 0


@pytest.mark.parametrize(
    "changes", [{"as_of": "2999-01-01"}, {"as_of": SECRET[:10]}, {"tables": {SECRET: [{SECRET: SECRET}]}}]
)
def test_rows_that_cannot_be_used_are_named_and_not_quoted(
    back_end: BackEnd, changes: dict[str, Any], caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG, logger="sealscore")
    answer = back_end.post(FEATURES, body(back_end, **changes))
    assert (answer.status_code, answer.json()["code"]) == (422, "rows")
    assert answer.json()["errors"]
    assert SECRET[:10] not in answer.text
    assert SECRET[:10] not in caplog.text


def test_a_body_has_a_limit_of_its_own(back_end: BackEnd):
    headers = {"content-type": "application/json"}
    answer = back_end.client.post(FEATURES, content=b" " * (MOST_ROWS_BODY + 1), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")
    assert back_end.post(FEATURES, {"release": back_end.release}).json()["code"] == "malformed"


def test_a_plan_with_columns_of_its_own_is_told_so(desk: Desk, tmp_path: Path):
    with served(desk, tmp_path) as plain:
        answer: httpx.Response = plain.post(FEATURES, body(plain))
        assert (answer.status_code, answer.json()["code"]) == (409, "other-features")
