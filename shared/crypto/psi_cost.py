"""What a private alignment costs, for who plans one without the library that carries it out."""

from __future__ import annotations

SECONDS_AN_OPERATION = 1.1e-4
"""Of one core, for a curve operation: the mean of the three kinds, on the machine of docs/server.md."""


def operations(size: int, others: int) -> tuple[int, int]:
    """Curve operations of the lender and of the platform in the alignment of one pair of these padded sizes."""
    return 2 * size, size + others
