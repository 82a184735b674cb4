"""What was checked of a ledger, kind by kind, and the verdict in three states.

A check that had nothing to check did not pass: a ledger without plans was compared with none, and where nobody gave
anchors nothing says that this is the ledger that the party once had.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sealscore.compliance.verify.verification import Fault, Verification

_NUMBERS = re.compile(r"\d+(\.\d+)?")


class LedgerVerdict(Enum):
    """What may be said of a ledger, the best first."""

    VERIFIED = "verified"
    UNANCHORED = "verified-without-outside-anchors"
    FAILED = "not-verified"


class CheckOutcome(Enum):
    """What became of one check."""

    PASSED = "passed"
    FAILED = "failed"
    NOTHING = "nothing-to-check"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class CheckResult:
    """One kind of check: how many things it looked at, of which noun (see `NOUNS`), and its outcome."""

    fault: Fault
    outcome: CheckOutcome
    examined: int

    def as_json(self) -> dict[str, Any]:
        """For machines: plain data."""
        return {"check": self.fault.title, "outcome": self.outcome.value, "examined": self.examined}


def verdict_of(found: Verification) -> LedgerVerdict:
    """The verdict on one ledger."""
    if not found.ok:
        return LedgerVerdict.FAILED
    return LedgerVerdict.VERIFIED if found.anchored.given else LedgerVerdict.UNANCHORED


def worst_verdict(found: Iterable[Verification]) -> LedgerVerdict:
    """The verdict on several ledgers: that of the worst of them."""
    order = list(LedgerVerdict)
    return max((verdict_of(one) for one in found), key=order.index, default=LedgerVerdict.FAILED)


def checks_of(found: Verification) -> list[CheckResult]:
    """Every kind of check, in the order of their exit codes."""
    failed = {finding.fault for finding in found.findings}
    return [_check(fault, found, fault in failed) for fault in Fault]


def _check(fault: Fault, found: Verification, failed: bool) -> CheckResult:
    examined = _examined(fault, found)
    if failed:
        return CheckResult(fault, CheckOutcome.FAILED, examined)
    if not examined:
        return CheckResult(fault, CheckOutcome.NOTHING, 0)
    if fault is Fault.SOURCE and found.simulation:
        return CheckResult(fault, CheckOutcome.SKIPPED, examined)
    return CheckResult(fault, CheckOutcome.PASSED, examined)


def _examined(fault: Fault, found: Verification) -> int:
    state, entries = found.state, found.entries
    plans = list(state.plans.values()) if state else []
    releases = sum(len(plan.reservations) + len(plan.disclosures) for plan in plans)
    if fault is Fault.SIGNATURE:
        return entries if found.card else 0
    if fault is Fault.PLAN:
        return len(plans) + (len(state.serving.releases) if state else 0)
    if fault is Fault.SOURCE:
        return releases
    if fault is Fault.BUDGET:
        return sum(claim.ceiling is not None for claim in found.claims) if releases else 0
    if fault is Fault.ANCHOR:
        return found.anchored.given
    return entries


@dataclass(frozen=True)
class FindingGroup:
    """Findings that say the same of several entries: `entries` are their numbers as text, with ranges."""

    code: str
    fault: Fault
    what: str
    entries: str
    count: int


def grouped_findings(found: Verification) -> list[FindingGroup]:
    """The findings of a ledger, those of one code and one wording as one, in the order of their first entries."""
    groups: dict[tuple[str, str], list[int]] = {}
    for one in found.findings:
        groups.setdefault((one.code, _NUMBERS.sub("N", one.what)), []).append(one.seq)
    wording = {(one.code, _NUMBERS.sub("N", one.what)): one for one in reversed(found.findings)}
    return [
        FindingGroup(code, wording[code, alike].fault, wording[code, alike].what, _ranges(seqs), len(seqs))
        for (code, alike), seqs in groups.items()
    ]


def _ranges(seqs: list[int]) -> str:
    """Numbers as "3, 5 to 9"; a dash where a finding is of the whole file."""
    numbers = sorted({seq for seq in seqs if seq})
    if not numbers:
        return "-"
    found: list[list[int]] = []
    for seq in numbers:
        if found and seq == found[-1][-1] + 1:
            found[-1].append(seq)
        else:
            found.append([seq])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in found)
