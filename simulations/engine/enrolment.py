"""Enrolment in a simulation: the launcher makes everybody's identity from the plan's seed, and all trust all."""

from __future__ import annotations

from sealscore.shared.identity.identity import Identity
from sealscore.shared.plan.plan import SERVER, Plan


def identities(plan: Plan) -> dict[str, Identity]:
    """The simulated identities of the server and all parties of a plan, by name: they protect nobody."""
    found = {SERVER: Identity.simulated(plan.seed, SERVER, "server")}
    for party in plan.parties:
        found[party.name] = Identity.simulated(plan.seed, party.name, plan.groups[party.group].role)
    return found


def enrolled(plan: Plan) -> Plan:
    """The plan with the cards of simulated identities; one that has cards already stays as it is."""
    if plan.enrolled:
        return plan
    cards = {name: identity.card.text for name, identity in identities(plan).items()}
    data = plan.model_dump(mode="json")
    data["server_card"] = cards[SERVER]
    data["parties"] = [party | {"card": cards[party["name"]]} for party in data["parties"]]
    return Plan.parse(data, plan.name)
