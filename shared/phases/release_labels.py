"""Release of labels: lenders tell platforms the noisy outcome of aligned training persons."""

from __future__ import annotations

from sealscore.shared.phases.kind import Kind, PairedKind


class ReleaseLabels(PairedKind):
    """One payload, and its receipt."""

    kind, title = Kind.LABELS, "Release noisy labels"
    gives = ("lender", "platform")
