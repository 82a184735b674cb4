"""The phases of a plan in the order in which they run: every node refuses any other order."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from shared.plan import Plan


class Kind(Enum):
    """What a phase does; a function of that name stands in the coordinator and one at the party."""

    BIN = "bin"
    TRAIN = "train_tower"
    CALIBRATE = "calibrate"
    EVALUATE = "evaluate"


@dataclass(frozen=True)
class Phase:
    """One phase of one group: `rounds` sums, for which up to `attempts` answers a party are in the budget.

    `steps` counts the mechanism's invocations in one answer (above 1 where a party takes local steps). `test` tells
    whose records it reads: test persons' or training persons', never both.
    """

    kind: Kind
    group: str
    rounds: int
    attempts: int
    steps: int = 1

    @property
    def name(self) -> str:
        """The phase's name in messages, ledgers and reports: `train_tower:lender`."""
        return f"{self.kind.value}:{self.group}"

    @property
    def test(self) -> bool:
        """True where the phase reads test persons' records."""
        return self.kind is Kind.EVALUATE


def phases(plan: Plan) -> tuple[Phase, ...]:
    """All phases of the plan, in order."""
    from shared.privacy.budget import spare_attempts

    def phase(kind: Kind, group: str, rounds: int = 1, steps: int = 1) -> Phase:
        spare = spare_attempts(rounds, plan.privacy.spare_attempts)
        return Phase(kind, group, rounds, rounds + spare, steps)

    local = plan.training.local
    lenders = plan.lenders
    return (
        phase(Kind.BIN, lenders),
        phase(Kind.TRAIN, lenders, plan.training.rounds, local.steps if local else 1),
        phase(Kind.CALIBRATE, lenders),
        phase(Kind.EVALUATE, lenders),
    )
