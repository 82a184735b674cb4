"""A party that answers as if it had no records: what is answered where its work on those that it has fails.

A server that sees a failure reads whatever the failure depends on, exactly and without a charge. So an answer that was
charged is always given; over no records it is made of noise and fills alone, and looks like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

import numpy as np

from sealscore.shared.dp.mechanisms import Mechanism
from sealscore.shared.persons.records import Records

Answer = TypeVar("Answer")


class HoldsRecords(Protocol):
    """A lender or a platform, or what stands in its place."""

    @property
    def records(self) -> Records:
        """The records that it goes on with."""
        ...

    def replace(self, records: Records) -> None:
        """Go on with other records."""
        ...


@contextmanager
def without_records(role: HoldsRecords) -> Iterator[None]:
    """While the context lasts the role has no records."""
    kept = role.records
    role.replace(kept.take(np.zeros(0, dtype=np.int64)))
    try:
        yield
    finally:
        role.replace(kept)


def attempted(
    role: HoldsRecords,
    work: Callable[[], Answer],
    failed: Callable[[Exception], None],
    passed: tuple[type[Exception], ...] = (),
) -> Answer:
    """What the work gives; over no records, and `failed` is told why, where it fails on those of the role.

    Raises:
        Exception: one of `passed`; or the first one, where the work fails without records, too.
    """
    try:
        return work()
    except passed:
        raise
    except Exception as error:
        fault = error
    try:
        with without_records(role):
            found = work()
    except Exception:
        raise fault from None
    failed(fault)
    return found


def bounded(vector: np.ndarray, mechanism: Mechanism) -> np.ndarray:
    """The vector int64 [length] of a phase's work; ValueError where it is none, or beyond the phase's public bound."""
    most = mechanism.shape.bound if mechanism.own_noise_only else mechanism.bound
    if vector.shape != (mechanism.length,) or vector.dtype != np.int64:
        raise ValueError(f"expected int64 [{mechanism.length}], got {vector.dtype} {vector.shape}")
    if vector.size and not -most <= int(vector.min()) <= int(vector.max()) <= most:
        raise ValueError("the vector exceeds the public bound of its phase")
    return vector
