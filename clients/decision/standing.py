"""What becomes of a proposal: in force, declined, or waiting for a person, also over newer versions. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sealscore.clients.decision.evaluation import Proposal
from sealscore.clients.decision.policy.model import DecisionPolicy
from sealscore.clients.decision.register import DecisionState

LINE_FORM = 3
"""Form of the lines of decisions and reviews. A line without one is of form 1: its version alone never made the event
`score-shopping`, nothing was held for a person, and an approval by a person did not end with its score. Lines before
form 3 have no `recent`, and are not counted among a person's decisions.
"""
COUNTED = 3
"""The form from which on a person's decisions are counted."""
STANDING = ("state", "queue", "due", "valid_until", "basis")


def approved_until(policy: DecisionPolicy, today: date, score_until: str) -> str:
    """The last day of an approval: within the policy's days, and while its score is valid."""
    return str(min(date.fromisoformat(score_until), today + timedelta(days=policy.valid_days)))


def standing(
    policy: DecisionPolicy, content: Mapping[str, Any], proposal: Proposal, score_until: str
) -> dict[str, Any]:
    """State, queue, due day, last day and basis of a decision (`STANDING`), from the rest of what its line says."""
    today, queue, state = date.fromisoformat(content["day"]), proposal.queue, _state(policy, proposal)
    due_before: str | None = None
    if content.get("disputes") is not None:
        queue, state = policy.notice.queue, "waiting"
    elif state == "waiting" and proposal.kind == "decline-proposed":
        queue = policy.declines
    if held := content.get("held"):
        state, due_before = "waiting", held["due"]
        if held["queue"] in policy.queues:
            queue = held["queue"]
        queue = queue or policy.products[content["product"]].queue
    due = str(today + timedelta(days=policy.queues[queue].days)) if queue and state == "waiting" else None
    found = {
        "state": state,
        "queue": queue,
        # Sending an application again wins no time.
        "due": min(filter(None, (due, due_before)), default=None),
        "valid_until": approved_until(policy, today, score_until),
    }
    basis = policy.automatic_declines
    return found if state != "declined" or basis is None else found | {"basis": basis.source}


@dataclass
class LastVersion:
    """The last version of an application, as far as the next one depends on it.

    `first` and `home` are the state and the queue that its line says, `looked` whether anything but missing inputs sent
    it to a person.
    """

    decision: str
    first: DecisionState
    home: str | None
    looked: bool
    state: DecisionState
    queue: str | None
    due: str | None
    disputed: bool = False

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> LastVersion:
        """As its line says."""
        hits = (row[0] for row in content["rules"] if row[1] and row[4] in ("review", "decline"))
        looked = (
            bool(content.get("held"))
            or content.get("disputes") is not None
            or any(not hit.startswith("input.") for hit in hits)
        )
        state, queue = content["state"], content["queue"]
        return cls(content["decision_id"], state, queue, looked, state, queue, content["due"])

    def held(self) -> dict[str, Any] | None:
        """What the next version takes over, so that a person decides it, too; None where a program may.

        Somebody waits for a person, or was declined by one: another body of the application does not undo that. What
        only lacked inputs is decided when they are there.
        """
        by_person = self.state == "declined" and (self.first != "declined" or self.disputed)
        if not (self.state == "waiting" or by_person) or not (self.looked or self.disputed):
            return None
        return {"decision_id": self.decision, "queue": self.queue or self.home, "due": self.due}


def _state(policy: DecisionPolicy, proposal: Proposal) -> DecisionState:
    if proposal.kind in ("approve", "counter"):
        return "approved"
    if proposal.kind == "decline-proposed" and policy.automatic_declines is not None:
        return "declined"
    return "waiting"
