"""Requests drawn from the service's own description, good and bad: none of them meets a fault of the service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from scorer_home import ScorerProcess, new_home

CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ScorerProcess, dict[str, str], Any]]:
    home = new_home(tmp_path_factory.mktemp("schema") / "home")
    header, scorer = home.caller(), ScorerProcess(home).ready()
    with scorer.client(headers=header) as client:
        described = client.get("/openapi.json").json()
    yield scorer, header, described
    assert scorer.end() == 0
    assert " ERROR " not in scorer.said()


@pytest.mark.slow
def test_no_request_that_fits_or_nearly_fits_the_description_meets_a_fault(
    served: tuple[ScorerProcess, dict[str, str], Any],
):
    scorer, header, described = served
    schema, counts = schemathesis.openapi.from_dict(described), {}

    for found in schema.get_all_operations():
        operation = found.ok()
        counts[operation.label] = 0

        @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
        def each(case: Any) -> None:
            counts[case.operation.label] += 1
            case.call_and_validate(base_url=scorer.place, headers=header, checks=CHECKS)

        # What has no body has nothing that could be wrong in it.
        wrong = [schemathesis.GenerationMode.NEGATIVE] if operation.body else []
        for mode in [schemathesis.GenerationMode.POSITIVE, *wrong]:
            given(case=operation.as_strategy(generation_mode=mode))(each)()
    assert set(counts) == {
        "POST /v1/scores",
        "POST /v1/scores:batch",
        "POST /v1/replay/{score_id}",
        "POST /v1/features",
        "GET /healthz",
        "GET /readyz",
        "GET /metrics",
        "GET /openapi.json",
    }
    assert counts["POST /v1/scores"] > 60
