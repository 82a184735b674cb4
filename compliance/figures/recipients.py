"""Who can learn what of one person, recipient by recipient, the one who can learn most first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sealscore.compliance.figures.joint import JointClaim
from sealscore.compliance.figures.together import Together
from sealscore.compliance.told.rows import READERS, DisclosureRow, bits_received
from sealscore.shared.plan.plan import Plan


@dataclass(frozen=True)
class Recipient:
    """Parties that can learn alike of one person: epsilon of the sums at `delta`, with labels where they have them.

    `bits` are those of training by kind, without noise, which epsilon does not cover. `names` is `READERS` alone for
    whoever sees results and is no party: the server, and whom the model is shown to. `labels` tells whether they have
    noisy labels, by a ledger here or, where `assumed`, by the plan alone, since no lender's ledger was given.
    """

    names: tuple[str, ...]
    role: str
    epsilon: float
    delta: float
    bits: tuple[tuple[str, int], ...]
    labels: bool
    assumed: bool

    @property
    def total(self) -> int:
        """Bits of all kinds."""
        return sum(bits for _, bits in self.bits)

    @property
    def factor(self) -> float:
        """By how much odds can move at most; infinite where nothing bounds them."""
        return math.exp(self.epsilon) if self.epsilon < 700 else math.inf


def recipients(
    plans: Sequence[Plan], joint: Sequence[JointClaim], together: Together, rows: Sequence[DisclosureRow]
) -> list[Recipient]:
    """Every recipient that a plan or a ledger names, those who can learn alike as one, by what they can learn."""
    labelled = {one.recipient for one in rows if one.kind == "labels" and one.fresh != 0}
    assumed = {
        party.name
        for claim in joint
        if claim.against_platforms is not None and not set(claim.parties) & _lenders(claim.plan)
        for group in claim.plan.platforms
        for party in claim.plan.members(group)
    } - labelled
    # Labels that only ledgers of others record count as the plans have them.
    unseen = [
        one.against_platforms
        for one in joint
        if one.against_platforms is not None and set(one.missing) & _lenders(one.plan)
    ]
    against = max([together.epsilon, *unseen, *([] if together.platform is None else [together.platform])])
    received = bits_received(rows, "training")
    roles = {party.name: plan.groups[party.group].role for plan in plans for party in plan.parties}
    named = dict.fromkeys([*roles, *(one.recipient for one in rows if one.recipient != READERS)])
    found: dict[tuple[str, float, tuple[tuple[str, int], ...], bool, bool], list[str]] = {}
    for name in named:
        has = name in labelled or name in assumed
        bits = tuple(received.get(name, {}).items())
        key = (roles.get(name, ""), against if has else together.epsilon, bits, has, name in assumed)
        found.setdefault(key, []).append(name)
    shown = [
        Recipient(tuple(names), role, epsilon, together.delta, bits, has, guessed)
        for (role, epsilon, bits, has, guessed), names in found.items()
    ]
    shown.append(Recipient((READERS,), "", together.epsilon, together.delta, (), False, False))
    return sorted(shown, key=lambda one: (-one.epsilon, -one.total, one.names))


def _lenders(plan: Plan) -> set[str]:
    return {party.name for party in plan.members(plan.lenders)}
