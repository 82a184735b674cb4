"""Disclosure of the signal: platforms tell lenders the level of each aligned person."""

from __future__ import annotations

from sealscore.shared.phases.kind import Kind, PairedKind


class DiscloseSignal(PairedKind):
    """One payload, and its receipt; levels are cut from the tower's logits by the released edges."""

    kind, title = Kind.SIGNAL, "Disclose the signal"
    gives = ("platform", "lender")
    parts = frozenset({"bins", "tower", "edges"})
