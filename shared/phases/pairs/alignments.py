"""Which pairs a plan aligns privately, and of what size: what it costs follows from these alone."""

from __future__ import annotations

from typing import NamedTuple

from sealscore.shared.crypto.alignment import padded_size
from sealscore.shared.phases.kind import Kind
from sealscore.shared.phases.order import Phase, phases
from sealscore.shared.plan.plan import Plan


class AlignedSizes(NamedTuple):
    """A pair, and the entries to which each side fills up its persons."""

    lender: str
    platform: str
    size: int
    others: int


def alignments(plan: Plan, phase: Phase) -> list[AlignedSizes]:
    """The pairs of one phase; none where it aligns nobody, or in clear as a simulation may."""
    if phase.kind != Kind.ALIGN or plan.alignment.method != "private":
        return []
    sizes = {party.name: padded_size(party.nominal_records) for party in plan.parties}
    pairs = [(one.name, two.name) for one in plan.members(plan.lenders) for two in plan.members(phase.group)]
    return [AlignedSizes(one, two, sizes[one], sizes[two]) for one, two in pairs]


def alignments_of(plan: Plan, party: str) -> list[AlignedSizes]:
    """All pairs of a plan to which a party belongs."""
    found = [pair for phase in phases(plan) for pair in alignments(plan, phase)]
    return [pair for pair in found if party in (pair.lender, pair.platform)]
