"""Disclosure of groups: platforms tell lenders the bands of test persons' protected attributes."""

from __future__ import annotations

from sealscore.shared.phases.kind import Kind, PairedKind


class DiscloseGroups(PairedKind):
    """One payload, and its receipt; of training persons nothing is told."""

    kind, title = Kind.GROUPS, "Disclose groups of test persons"
    gives = ("platform", "lender")
