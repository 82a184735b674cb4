"""Alignment: a lender and a platform find the persons that both know."""

from __future__ import annotations

from sealscore.shared.phases.kind import Kind, PairedKind


class Align(PairedKind):
    """Request, response, handles, and their receipt."""

    kind, title = Kind.ALIGN, "Align persons"
    gives = ("lender", "platform", "lender", "platform")
