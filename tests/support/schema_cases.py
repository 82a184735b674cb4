"""Requests drawn from a service's own description, good and bad: none meets a fault, each answer is as described."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance]


def check_described(
    described: dict[str, Any],
    place: str,
    headers: dict[str, str],
    examples: int,
    known: Mapping[str, Any] | None = None,
) -> dict[str, int]:
    """Send so many requests for each operation that fit its description, and as many that do not where it has a body.

    Every second request that fits gets what is `known` in place of what was drawn, in body and path: names that a
    description cannot give, so that not all are refused. Gives the number of requests that were answered with 200 by
    operation.
    """
    counts = dict[str, int]()
    for found in schemathesis.openapi.from_dict(described).get_all_operations():
        operation = found.ok()

        def answered(case: Any) -> bool:
            return bool(case.call_and_validate(base_url=place, headers=headers, checks=CHECKS).status_code == 200)

        counts[operation.label] = _drawn(operation, schemathesis.GenerationMode.POSITIVE, examples, answered, known)
        # What has no body has nothing that could be wrong in it.
        if operation.body:
            _drawn(operation, schemathesis.GenerationMode.NEGATIVE, examples, answered)
    return counts


def _drawn(
    operation: Any,
    mode: schemathesis.GenerationMode,
    examples: int,
    answered: Callable[[Any], bool],
    known: Mapping[str, Any] | None = None,
) -> int:
    """Draw and send so many cases; gives how many were answered with 200."""
    results = list[bool]()

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    @given(case=operation.as_strategy(generation_mode=mode))
    def each(case: Any) -> None:
        if known and len(results) % 2 and isinstance(case.body, dict):
            case.body |= {name: value for name, value in known.items() if name in case.body}
        if known and len(results) % 2 and case.path_parameters:
            case.path_parameters |= {name: value for name, value in known.items() if name in case.path_parameters}
        results.append(answered(case))

    each()
    return sum(results)
