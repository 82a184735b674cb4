"""All that a compliance report computes before it writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sealscore.compliance.figures.costs import Cost, CostMoment, against_platforms, costs, moments
from sealscore.compliance.figures.joint import JointClaim, joint_claims
from sealscore.compliance.figures.recipients import Recipient, recipients
from sealscore.compliance.figures.together import Together
from sealscore.compliance.run_figures.findings import Findings
from sealscore.compliance.run_figures.record import RunFolder
from sealscore.compliance.told.rows import DisclosureRow, told_rows
from sealscore.compliance.verify.account import Account
from sealscore.compliance.verify.anchoring import Anchor
from sealscore.compliance.verify.checks import LedgerVerdict, worst_verdict
from sealscore.compliance.verify.verification import Verification
from sealscore.compliance.verify.verify import verify_ledger
from sealscore.shared.ledger.chain import read_anchors
from sealscore.shared.ledger.entries import Disclose, Refuse, Reserve
from sealscore.shared.ledger.state import LedgerState
from sealscore.shared.plan.plan import Plan


@dataclass(frozen=True)
class PartyReview:
    """One ledger: what its check found, what it has cost, and how that grew.

    `platform` is epsilon against a platform that has the noisy labels too, None where no labels were sent.
    """

    account: Account
    verification: Verification
    costs: list[Cost]
    moments: list[CostMoment]
    platform: float | None

    @property
    def whole(self) -> Cost | None:
        """The cost of the whole data set; None where the ledger's opening cannot be read."""
        return next((cost for cost in self.costs if cost.claim.scope == "data-set"), None)

    @property
    def released(self) -> bool:
        """Whether anything was answered."""
        return any(isinstance(line.entry, Reserve | Disclose) for line in self.account.lines)

    @property
    def unrecorded(self) -> int:
        """How many reserved answers count as given without a record of it."""
        return sum(one.left for plan in self.account.plans for one in plan.reservations.values())

    @property
    def refused(self) -> int:
        """How many requests were refused."""
        return sum(1 for _ in self.account.of(Refuse))


@dataclass(frozen=True)
class LedgerReview:
    """The ledgers of a report, and the run beside them where one is given.

    `told` is what parties told one another, `recipients` who can learn how much, the worst first.
    """

    parties: list[PartyReview]
    joint: list[JointClaim]
    together: Together
    told: list[DisclosureRow]
    recipients: list[Recipient]
    run: Findings | None
    simulation: bool

    @classmethod
    def of(cls, ledgers: Sequence[Path], run: Path | None, anchors: Sequence[Path], simulation: bool) -> LedgerReview:
        """Read and compute everything.

        Raises:
            AnchorError: a file of anchors cannot be read.
            NotARun: the run's folder has no whole run.
        """
        given = [anchor for file in anchors for anchor in read_anchors(file)]
        parties = [_reviewed(ledger, given, simulation) for ledger in ledgers]
        joint = joint_claims(party.verification for party in parties)
        claims = [claim for party in parties if (claim := party.verification.claim) is not None]
        accounts = [party.account for party in parties]
        together, told = Together.of(accounts, claims, joint), told_rows(accounts)
        known = recipients([one.plan for one in joint], joint, together, told)
        found = Findings.of(RunFolder.load(run)) if run else None
        return cls(parties, joint, together, told, known, found, simulation)

    @property
    def plans(self) -> list[Plan]:
        """The plans of all ledgers, each once."""
        found = {plan.plan.hash: plan.plan for party in self.parties for plan in party.account.plans}
        return list(found.values())

    @property
    def missing(self) -> list[str]:
        """Parties that a plan here names and whose ledgers were not given."""
        return sorted({name for claim in self.joint for name in claim.missing})

    @property
    def verdict(self) -> LedgerVerdict:
        """The verdict on all ledgers: that of the worst."""
        return worst_verdict(party.verification for party in self.parties)

    @property
    def ok(self) -> bool:
        """Whether every check of every ledger passes."""
        return all(party.verification.ok for party in self.parties)


def _reviewed(path: Path, anchors: Sequence[Anchor], simulation: bool) -> PartyReview:
    verification = verify_ledger(path, anchors, simulation=simulation)
    account = Account.read(path, verification.state or LedgerState())
    return PartyReview(
        account=account,
        verification=verification,
        costs=costs(account, verification.claims),
        moments=moments(account),
        platform=against_platforms(account),
    )
