"""What must hold at the end of a life: each answer replays, ledgers and logs verify, bits are within ceilings."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sealscore.clients.decision.policy.approved import ApprovedPolicies
from sealscore.clients.decision.replay import replay_decisions
from sealscore.clients.scoring.replay import replay
from sealscore.compliance.verify.verify import verify_ledger
from sealscore.simulations.life.parties.lenders import LifeLender
from sealscore.simulations.life.parties.opening import Opened
from sealscore.simulations.life.parties.platforms import LifePlatform


@dataclass(frozen=True)
class LifeCheck:
    """One check of one party: what was looked at, how many, and how many of them failed."""

    party: str
    what: str
    looked_at: int
    failed: int

    @property
    def good(self) -> bool:
        """Whether there was something to look at, and none of it failed."""
        return self.looked_at > 0 and self.failed == 0


@dataclass(frozen=True)
class TrainingBudget:
    """Epsilon and delta that a party's ledger claims for the training, recomputed from its entries."""

    epsilon: float
    delta: float


def check_lenders(lenders: Sequence[LifeLender]) -> list[LifeCheck]:
    """Each line of each log: the chain with the heads that the ledger keeps of it, scores and decisions."""
    found = []
    for lender in lenders:
        heads = [day.head for day in lender.ledger.state.serving.log_days]
        lines = list(lender.log.lines())
        found.append(LifeCheck(lender.name, "log", len(lines), len(lender.log.check(heads))))
        policies = ApprovedPolicies.of(lender.log).policies
        scores = replay(lines, {lender.release.hash: lender.release})
        decisions = replay_decisions(lines, policies, lender.log.keys)
        for what, replayed in (("scores", scores), ("decisions", decisions)):
            failed = len(replayed.differ) + len(replayed.unknown) + len(replayed.erased)
            found.append(LifeCheck(lender.name, what, replayed.same + failed, failed))
    return found


def check_ledgers(opened: Opened) -> tuple[list[LifeCheck], Mapping[str, TrainingBudget]]:
    """Each ledger as an auditor checks it, from its file alone; and what each claims of the training."""
    found, budgets = [], {}
    for name, path in opened.ledgers.items():
        verified = verify_ledger(path, simulation=True)
        found.append(LifeCheck(name, "ledger", verified.entries, len(verified.findings)))
        claim = next(claim for claim in verified.claims if claim.scope == "data-set")
        budgets[name] = TrainingBudget(claim.epsilon, claim.delta)
    return found, budgets


def check_bits(platform: LifePlatform, persons: Collection[str]) -> tuple[LifeCheck, dict[str, list[int]]]:
    """Bits of each person by kind, in each month and ever, against the ceilings; and the bits ever, by kind."""
    failed, ever = 0, dict[str, list[int]]()
    for person in sorted(persons):
        months: dict[tuple[str, str], int] = {}
        for told in platform.store.told_of(person):
            place = str(told["kind"]), str(told["month"])
            months[place] = months.get(place, 0) + int(str(told["bits"]))
        for kind in {kind for kind, _ in months}:
            of = [bits for (name, _), bits in months.items() if name == kind]
            limit = platform.limits[kind]
            failed += sum(bits > limit.month for bits in of) + (sum(of) > limit.life)
            ever.setdefault(kind, []).append(sum(of))
    return LifeCheck(platform.name, "bits", sum(map(len, ever.values())), failed), ever
