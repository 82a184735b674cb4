"""What a check of a ledger gives: findings, each of a kind with its own exit code, and the figures recomputed.

The kinds are listed from the bottom up: what cannot be read cannot be checked, what is not chained is not signed in
its place, and so on. Where several kinds are found, the exit code is that of the lowest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Literal

from sealscore.shared.identity.identity import Card
from sealscore.shared.ledger.chain import Head
from sealscore.shared.ledger.entries import Ceilings
from sealscore.shared.ledger.scoring_bits import ToldForScoring
from sealscore.shared.ledger.state import LedgerState

VERIFIED = 0


class Fault(Enum):
    """A kind of failure and its exit code."""

    UNREADABLE = 10
    CHAIN = 11
    SIGNATURE = 12
    UNKNOWN_ENTRY = 13
    ORDER = 14
    PLAN = 15
    SOURCE = 16
    BUDGET = 17
    ANCHOR = 18

    @property
    def title(self) -> str:
        """As in "unknown entry"."""
        return self.name.lower().replace("_", " ")


CODES: Mapping[str, Fault] = {
    "unreadable": Fault.UNREADABLE,
    "gap": Fault.CHAIN,
    "link": Fault.CHAIN,
    "hash": Fault.CHAIN,
    "signature": Fault.SIGNATURE,
    "unknown-entry": Fault.UNKNOWN_ENTRY,
    # As `sealscore.shared.ledger.state` gives them where an entry is not allowed after those before it.
    "opening": Fault.ORDER,
    "approval": Fault.ORDER,
    "not-approved": Fault.ORDER,
    "run": Fault.ORDER,
    "phase": Fault.ORDER,
    "order": Fault.ORDER,
    "attempts": Fault.ORDER,
    "reservation": Fault.ORDER,
    "answer": Fault.ORDER,
    "abort": Fault.ORDER,
    "disclosure": Fault.ORDER,
    "ending": Fault.ORDER,
    "release": Fault.ORDER,
    "identifier": Fault.PLAN,
    "card": Fault.PLAN,
    "group": Fault.PLAN,
    "round": Fault.PLAN,
    "event": Fault.PLAN,
    "own-noise": Fault.PLAN,
    "cohort": Fault.PLAN,
    "colluding": Fault.PLAN,
    "part": Fault.PLAN,
    "peer": Fault.PLAN,
    "disclosed": Fault.PLAN,
    "noise": Fault.PLAN,
    "tower": Fault.PLAN,
    "serving": Fault.PLAN,
    "source": Fault.SOURCE,
    "plan-budget": Fault.BUDGET,
    "purpose-budget": Fault.BUDGET,
    "data-set-budget": Fault.BUDGET,
    "label-budget": Fault.BUDGET,
    "signal-budget": Fault.BUDGET,
    "anchor": Fault.ANCHOR,
    "anchor-signature": Fault.ANCHOR,
    "anchor-unreadable": Fault.ANCHOR,
}
"""Every code of a finding, with the kind that it is of."""


@dataclass(frozen=True)
class Finding:
    """A check that failed: `code` is one of `CODES`, `seq` the entry that shows it (0 for the whole file)."""

    code: str
    seq: int
    what: str

    @property
    def fault(self) -> Fault:
        """The kind of failure."""
        return CODES[self.code]

    def __str__(self) -> str:
        return f"{self.code}: {f'entry {self.seq}: ' if self.seq else ''}{self.what}"


@dataclass(frozen=True)
class Claim:
    """Epsilon at `delta` of what counts as answered in one scope, recomputed from the entries.

    `epsilon` holds while at most the plans' `max_colluding` parties collude with the server, `epsilon_alone` if all
    others of every cohort do, so that this party's own noise is all that is left; each is infinite where nothing
    bounds it. `ceiling` is what the operator or the plan allows, None where it says nothing. `name` is the data set,
    the purpose's code or the plan's hash.
    """

    scope: Literal["data-set", "purpose", "plan"]
    name: str
    title: str
    epsilon: float
    epsilon_alone: float
    delta: float
    ceiling: float | None

    @property
    def within(self) -> bool:
        """Whether it is within its ceiling; one part in 10^9 over is the rounding of floats."""
        return self.ceiling is None or self.epsilon <= self.ceiling * (1 + 1e-9)


@dataclass(frozen=True)
class Anchored:
    """How far others confirm the party's ledger: anchors that agree with it, and the highest entry they name.

    What was appended after `up_to` could be cut off and nobody would know.
    """

    given: int = 0
    kept: int = 0
    up_to: int = 0


@dataclass(frozen=True)
class Verification:
    """What was found in one ledger.

    `entries` is how many could be read, `claims` the figures: data set first, then purposes and plans. They count
    what may have been released even where its entry is not allowed, and leave out only the `uncounted`: entries
    that cannot be read, or are under a plan that is not known. `label_epsilon` and `signal_bits` are upper bounds
    for one person over all disclosures of this ledger. `scoring` is what a platform can have told after training,
    which counts apart, to all lenders together, and `scoring_by_lender` to each. `others` are heads of other
    parties that it keeps: evidence for the check of their ledgers. `without_log` tells that the file is as a node
    writes it, and that its write-ahead log was not beside it: what a node had written there last would be missing.
    `warnings` are odd but prove nothing. `dropped` counts findings beyond the first of each code that are not
    listed.
    """

    path: Path
    party: str
    ledger: str
    card: Card | None
    data_set: str
    entries: int
    findings: tuple[Finding, ...]
    warnings: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()
    ceilings: Ceilings | None = None
    label_epsilon: float = 0.0
    signal_bits: int = 0
    scoring: ToldForScoring = field(default_factory=ToldForScoring)
    scoring_by_lender: Mapping[str, ToldForScoring] = field(default_factory=dict)
    anchored: Anchored = Anchored()
    others: tuple[Head, ...] = ()
    simulation: bool = False
    dropped: int = 0
    uncounted: int = 0
    without_log: bool = False
    state: LedgerState | None = field(default=None, repr=False, compare=False)

    @property
    def ok(self) -> bool:
        """Whether every check passed."""
        return not self.findings

    @property
    def exit_code(self) -> int:
        """0, or the code of the lowest kind of failure."""
        return min((finding.fault.value for finding in self.findings), default=VERIFIED)

    @property
    def claim(self) -> Claim | None:
        """The figure of the whole data set."""
        return next((claim for claim in self.claims if claim.scope == "data-set"), None)

    def as_json(self) -> dict[str, Any]:
        """For machines: plain data; a figure that nothing bounds is null."""
        return {
            "file": str(self.path),
            "party": self.party,
            "ledger": self.ledger,
            "fingerprint": self.card.fingerprint if self.card else None,
            "data_set": self.data_set,
            "entries": self.entries,
            "verified": self.ok,
            "exit_code": self.exit_code,
            "findings": [
                {"code": f.code, "fault": f.fault.title, "exit_code": f.fault.value, "seq": f.seq, "what": f.what}
                for f in self.findings
            ],
            "findings_not_listed": self.dropped,
            "warnings": list(self.warnings),
            "entries_not_in_figures": self.uncounted,
            "claims": [
                {
                    "scope": c.scope,
                    "name": c.name,
                    "title": c.title,
                    "epsilon": _number(c.epsilon),
                    "epsilon_if_all_others_collude": _number(c.epsilon_alone),
                    "delta": c.delta,
                    "ceiling": c.ceiling,
                    "within": c.within,
                }
                for c in self.claims
            ],
            "label_epsilon": self.label_epsilon,
            "signal_bits": self.signal_bits,
            "scoring": _told(self.scoring)
            | {"lenders": {lender: _told(told) for lender, told in self.scoring_by_lender.items()}},
            "anchors": {"given": self.anchored.given, "kept": self.anchored.kept, "up_to": self.anchored.up_to},
            "simulation": self.simulation,
            "without_log": self.without_log,
        }


def _told(told: ToldForScoring) -> dict[str, Any]:
    return {"bits": dict(told.bits), "days_charged": told.days, "corrections": told.corrections}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
