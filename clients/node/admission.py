"""Under which plans a node answers at all: everything that a node refuses for good, before the first request."""

from __future__ import annotations

from sealscore.shared.identity.identity import Identity
from sealscore.shared.monitoring.power import too_weak
from sealscore.shared.plan.hazards import hazards, simulated_only
from sealscore.shared.plan.plan import Plan
from sealscore.shared.randomness.streams import Source


class NotApproved(ValueError):
    """A plan that this party does not answer under; the message says why, and what would fix it."""


def admit(plan: Plan, party: str, identity: Identity, source: Source) -> None:
    """Check that a party with this identity, whose randomness comes from `source`, answers under the plan.

    Raises:
        NotApproved: the plan names no cards, is not one for this identity, has hazards, or a real node is asked for
            what protects nobody, or to count what its noise would hide.
    """
    if not plan.enrolled:
        raise NotApproved(f"plan {plan.name} names no cards: enrol the server and every party first")
    found = hazards(plan)
    if (card := plan.cards[party]).key != identity.card.key:
        found.append(f"the plan's card of {party!r} is {card.fingerprint}, not this node's")
    if not identity.simulation:
        found += simulated_only(plan) + too_weak(plan)
        if source != "system":
            found.append("a node with real keys draws from the system's generator, never from a seed")
    if found:
        raise NotApproved("; ".join(found))
