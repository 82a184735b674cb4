"""What all ledgers of a report say together of one person, over all plans."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from sealscore.compliance.figures.costs import against_platforms
from sealscore.compliance.figures.joint import JointClaim, labels_of, used_by
from sealscore.compliance.verify.account import Account
from sealscore.compliance.verify.budgets import bounded
from sealscore.compliance.verify.verification import Claim
from sealscore.shared.dp.events import Event
from sealscore.shared.ledger.budget_check import Used


@dataclass(frozen=True)
class Together:
    """Epsilon at `delta` of a person with records at all parties of the ledgers, over all of their plans.

    `platform` is the figure against a platform that has the noisy labels too, None where no plan releases any.
    """

    epsilon: float
    platform: float | None
    delta: float

    @classmethod
    def of(cls, accounts: Sequence[Account], claims: Sequence[Claim], joint: Sequence[JointClaim]) -> Together:
        """Compose everything: each plan as `sealscore.compliance.figures.joint` does, and plans with one another.

        `claims` are those of the accounts' data sets. One ledger, and one plan, have their figure already; else delta
        is the smallest of the ledgers' ceilings and the plans.
        """
        if len(accounts) == 1 and claims:
            return cls(claims[0].epsilon, against_platforms(accounts[0]), claims[0].delta)
        if len(joint) == 1:
            return cls(joint[0].epsilon, joint[0].against_platforms, joint[0].delta)
        delta = min([*(one.delta for one in claims), *(one.delta for one in joint)], default=1e-5)
        limit = max((one.ceiling for one in claims if one.ceiling is not None), default=None)
        used, labels = _composed(accounts, joint)
        platform = bounded(used, delta, limit, labels) if labels else None
        return cls(bounded(used, delta, limit), platform, delta)


def _composed(accounts: Sequence[Account], joint: Sequence[JointClaim]) -> tuple[list[Used], list[Event]]:
    """What was used of a person under every plan, and the noisy labels, each outcome and epsilon once."""
    alike = all(_one_column(account) for account in accounts)
    used: list[Used] = []
    labels: dict[tuple[str, float], Event] = {}
    for claim in joint:
        found = {account.party: account.state.plans.get(claim.plan.hash) for account in accounts}
        plans = [plan for plan in found.values() if plan is not None]
        used.append(used_by(plans) if alike else dataclasses.replace(used_by(plans), division=None))
        label = labels_of(claim.plan)
        if label is not None and claim.against_platforms is not None:
            labels[claim.plan.outcome.meaning, label.epsilon] = label
    return used, list(labels.values())


def _one_column(account: Account) -> bool:
    """Whether all plans in a ledger name persons by one column, so that what divides persons is one rule."""
    return len({division.column for plan in account.plans if (division := plan.division) is not None}) <= 1
