"""The scorer answers whatever fits its description, or nearly does, as that description says."""

from __future__ import annotations

import pytest
from deciding_home import approved, loan
from policies import INPUTS, lenient
from schema_cases import check_described
from scorer_home import ScorerProcess, now


@pytest.mark.slow
@pytest.mark.parametrize("examples", [20, pytest.param(60, marks=pytest.mark.long)])
def test_no_request_that_fits_or_nearly_fits_the_description_meets_a_fault(scorer: ScorerProcess, examples: int):
    approved(scorer.home, lenient())
    header = scorer.home.caller()
    with scorer.client(headers=header) as client:
        described = client.get("/openapi.json").json()
        waits = client.post("/v1/decisions", json=loan(inputs=INPUTS | {"identity_verified": False})).json()
    known = {"decision_id": waits["decision_id"], "as_of": str(now()), "person": "p1", "tokens": []}
    answered = check_described(described, scorer.place, header, examples=examples, known=known)
    assert set(answered) == {
        "POST /v1/scores",
        "POST /v1/scores:batch",
        "POST /v1/replay/{score_id}",
        "POST /v1/features",
        "POST /v1/decisions",
        "GET /v1/decisions/{decision_id}",
        "POST /v1/decisions/{decision_id}/review",
        "GET /v1/decisions/{decision_id}/notice",
        "POST /v1/decisions/{decision_id}/dispute",
        "GET /v1/reviews",
        "POST /v1/loans",
        "POST /v1/loans:close",
        "GET /healthz",
        "GET /readyz",
        "GET /metrics",
        "GET /openapi.json",
    }
    for path in (
        "GET /readyz",
        "POST /v1/decisions",
        "GET /v1/decisions/{decision_id}",
        "GET /v1/reviews",
        "POST /v1/loans",
    ):
        assert answered[path], path
    assert scorer.end() == 0
    assert " ERROR " not in scorer.said()
