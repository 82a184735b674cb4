"""The scorer answers whatever fits its description, or nearly does, as that description says."""

from __future__ import annotations

import pytest
from schema_cases import check_described
from scorer_home import ScorerProcess


@pytest.mark.slow
@pytest.mark.parametrize("examples", [20, pytest.param(60, marks=pytest.mark.long)])
def test_no_request_that_fits_or_nearly_fits_the_description_meets_a_fault(scorer: ScorerProcess, examples: int):
    header = scorer.home.caller()
    with scorer.client(headers=header) as client:
        described = client.get("/openapi.json").json()
    answered = check_described(described, scorer.place, header, examples)
    assert set(answered) == {
        "POST /v1/scores",
        "POST /v1/scores:batch",
        "POST /v1/replay/{score_id}",
        "POST /v1/features",
        "GET /healthz",
        "GET /readyz",
        "GET /metrics",
        "GET /openapi.json",
    }
    assert answered["GET /readyz"]
    assert scorer.end() == 0
    assert " ERROR " not in scorer.said()
