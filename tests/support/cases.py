"""One test over many cases that tells of all that fail, where a test a case would cost more than its check."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


def check_each(check: Callable[..., None], cases: Iterable[tuple[Any, ...]]) -> None:
    """Call `check(*case)` for each case.

    Raises:
        AssertionError: some cases fail, or there are none; it names each that fails, with what it said.
    """
    cases, failed = list(cases), []
    assert cases, "there are no cases"
    for case in cases:
        try:
            check(*case)
        except AssertionError as error:
            failed.append(f"{case}: {error}")
    assert not failed, f"{len(failed)} of {len(cases)} fail:\n" + "\n".join(failed)
