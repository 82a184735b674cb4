"""What must hold at the end of a life: each answer replays, ledgers and logs verify, bits are within ceilings."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from sealscore.clients.decision.policy.approved import ApprovedPolicies
from sealscore.clients.decision.replay import replay_decisions
from sealscore.clients.scoring.replay import replay
from sealscore.clients.scoring.storage.kept_levels import KeptLevels
from sealscore.compliance.verify.verify import verify_ledger
from sealscore.shared.ledger.entries import TellLimit
from sealscore.simulations.life.parties.lenders import LifeLender
from sealscore.simulations.life.parties.opening import RETRAINING, Opened
from sealscore.simulations.life.parties.platforms import LifePlatform
from sealscore.simulations.life.rows import Row

# What a scorer says of a token that was withdrawn; where its serving key is destroyed, it can open it no more.
_GONE = ("withdrawn", "expired")


@dataclass(frozen=True)
class LifeCheck:
    """One check of one party: what was looked at, how many, how many of them failed, and the least that there is."""

    party: str
    what: str
    looked_at: int
    failed: int
    least: int = 1

    @property
    def good(self) -> bool:
        """Whether all that there is was looked at, and none of it failed."""
        return self.looked_at >= self.least and self.failed == 0

    @property
    def said(self) -> str:
        """The check in words, for a life that fails by it."""
        missing = f", of {self.least} or more" if self.looked_at < self.least else ""
        return f"{self.party}: {self.what}: looked at {self.looked_at}{missing}; {self.failed} failed"


@dataclass(frozen=True)
class TrainingBudget:
    """Epsilon and delta that a party's ledger claims for its data set, recomputed from its entries; and epsilon of each
    plan by itself, by its hash.
    """

    epsilon: float
    delta: float
    plans: Mapping[str, float]


def check_lenders(lenders: Sequence[LifeLender], applications: Mapping[str, int]) -> list[LifeCheck]:
    """Each line of each log: the chain with the heads that the ledger keeps of it, scores and decisions.

    `applications` counts those of each lender: so many scores and decisions must be there.
    """
    found = []
    for lender in lenders:
        heads = [day.head for day in lender.ledger.state.serving.log_days]
        lines = list(lender.log.lines())
        found.append(LifeCheck(lender.name, "log", len(lines), len(lender.log.check(heads))))
        policies = ApprovedPolicies.of(lender.log).policies
        scores = replay(lines, lender.releases)
        decisions = replay_decisions(lines, policies, lender.log.keys)
        for what, replayed in (("scores", scores), ("decisions", decisions)):
            failed = len(replayed.differ) + len(replayed.unknown) + len(replayed.erased)
            least = applications.get(lender.name, 0)
            found.append(LifeCheck(lender.name, what, replayed.same + failed, failed, least))
    return found


def check_ledgers(opened: Opened) -> tuple[list[LifeCheck], Mapping[str, TrainingBudget]]:
    """Each ledger as an auditor checks it, from its file alone; and what each claims of the training."""
    found, budgets = [], {}
    for name, path in opened.ledgers.items():
        verified = verify_ledger(path, simulation=True)
        found.append(LifeCheck(name, "ledger", verified.entries, len(verified.findings)))
        claim = next(claim for claim in verified.claims if claim.scope == "data-set")
        plans = {one.name: one.epsilon for one in verified.claims if one.scope == "plan"}
        budgets[name] = TrainingBudget(claim.epsilon, claim.delta, plans)
    return found, budgets


def check_withdrawn(
    platforms: Mapping[str, LifePlatform],
    lenders: Sequence[LifeLender],
    withdrawals: Sequence[Row],
    person_of: Mapping[str, str],
    last: date,
) -> list[LifeCheck]:
    """Of each withdrawal, at the lender: its token is used no more, and neither level nor watch bit of it is kept.

    `person_of` gives the person (in normal form) of an application.
    """
    found = []
    for lender in lenders:
        own = [row for row in withdrawals if row["lender"] == lender.name]
        kept = KeptLevels(lender.log_file, lender.naming)
        watched = {(bit.person, bit.platform) for bit in lender.log.watch_bits(last)}
        failed = 0
        for row in own:
            platform, person = platforms[row["platform"]], person_of[row["application_id"]]
            meaning = platform.release.manifest.told[platform.group].meaning
            level = kept.of(platform.name, meaning, RETRAINING, [person])
            bit = (lender.log.keys.person(person), platform.name) in watched
            failed += bool(level) or bit or row["status"] not in _GONE
        found.append(LifeCheck(lender.name, "withdrawals", len(own), failed, len(own)))
    return found


def check_bits(
    platform: LifePlatform, persons: Collection[str], told_of: Collection[str]
) -> tuple[LifeCheck, dict[str, list[int]]]:
    """Bits of each person by kind, in each month and ever, against the ceilings; and the bits ever, by kind.

    `told_of` are those for whom the platform made a token: of each of them something must be in its store, and where
    nobody consents there is nothing to look at.
    """
    failed, ever = 0, dict[str, list[int]]()
    limits: dict[str, TellLimit] = {str(kind): limit for kind, limit in platform.limits.items()}
    for person in sorted(persons):
        months: dict[tuple[str, str], int] = {}
        for told in platform.store.told_of(person):
            place = str(told["kind"]), str(told["month"])
            months[place] = months.get(place, 0) + int(str(told["bits"]))
        for kind in {kind for kind, _ in months}:
            of = [bits for (name, _), bits in months.items() if name == kind]
            limit = limits[kind]
            failed += sum(bits > limit.month for bits in of) + (sum(of) > limit.life)
            ever.setdefault(kind, []).append(sum(of))
    looked_at = sum(map(len, ever.values()))
    return LifeCheck(platform.name, "bits", looked_at, failed, len(set(told_of))), ever
