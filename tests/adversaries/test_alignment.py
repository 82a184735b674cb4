"""A lender and a server that try identifiers on a platform: one response in a run, whatever becomes of the node."""

from __future__ import annotations

import pytest
from vertical_builders import Wire, vertical_plan

from sealscore.shared.phases.kind import Kind

LENDER, PLATFORM = "lender-1", "video-1"


@pytest.mark.parametrize("method", ["exact", "private"])
def test_a_restart_gives_no_second_response(method: str):
    """Had the server the node killed after each, it could otherwise go through all that it can think of."""
    plan = vertical_plan(alignment__method=method)
    first = Wire(plan)
    request = first.give(Kind.ALIGN, LENDER, PLATFORM, 1)
    first.give(Kind.ALIGN, PLATFORM, LENDER, 2, request)
    again = Wire(plan, lifetimes=first.lifetimes)
    other = Wire(plan).give(Kind.ALIGN, LENDER, PLATFORM, 1)
    asked = [(request, 1), (request, 2), (other, 2), (other, 9)]
    codes = [again.code(Kind.ALIGN, PLATFORM, LENDER, 2, body, attempt=attempt) for body, attempt in asked]
    assert codes == ["out-of-order", *["attempts-spent"] * 3]
    # Another lender has a response of its own.
    theirs = again.give(Kind.ALIGN, "lender-2", PLATFORM, 1)
    assert again.give(Kind.ALIGN, PLATFORM, "lender-2", 2, theirs)
