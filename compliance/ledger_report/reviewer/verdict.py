"""The verdict and the checks in words, for pages and the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from sealscore.compliance.verify.checks import CheckOutcome, CheckResult, LedgerVerdict, verdict_of, worst_verdict
from sealscore.compliance.verify.verification import Fault, Verification
from sealscore.shared.text.catalogue import tr, trn
from sealscore.shared.text.numbers import whole


def verdict_title(verdict: LedgerVerdict) -> str:
    """The verdict in a few words."""
    return {
        LedgerVerdict.VERIFIED: tr("Verified"),
        LedgerVerdict.UNANCHORED: tr("Verified without outside anchors"),
        LedgerVerdict.FAILED: tr("NOT verified"),
    }[verdict]


def verdict_line(found: Sequence[Verification]) -> str:
    """The verdict on all ledgers, with how many it is of."""
    many = len(found)
    counts = {verdict: sum(verdict_of(one) is verdict for one in found) for verdict in LedgerVerdict}
    worst = worst_verdict(found)
    title = verdict_title(worst)
    if worst is LedgerVerdict.FAILED:
        findings = sum(len(one.findings) + one.dropped for one in found)
        said = tr(
            "{failed} of {many} ledgers failed a check; findings: {findings}.",
            failed=counts[worst],
            many=many,
            findings=whole(findings),
        )
    elif worst is LedgerVerdict.UNANCHORED:
        said = tr(
            "No check of the files failed, but no anchor that somebody else keeps was given (ledgers without one: "
            "{bare} of {many}). An old copy, or a ledger that its own operator rewrote, would look the same.",
            bare=counts[worst],
            many=many,
        )
    else:
        said = trn(
            "No check failed, and anchors that others keep agree with the ledger.",
            "No check failed, and anchors that others keep agree with each of the {count} ledgers.",
            many,
        )
    return tr("{title}. {said}", title=title, said=said)


def check_title(fault: Fault) -> str:
    """What a check looks at."""
    return {
        Fault.UNREADABLE: tr("the file: every row is an entry"),
        Fault.CHAIN: tr("the chain: every entry follows the one before it and has the hash of what it says"),
        Fault.SIGNATURE: tr("signatures: every entry is signed by the key on the card of the ledger's party"),
        Fault.UNKNOWN_ENTRY: tr("kinds: every entry is of a kind that this program knows"),
        Fault.ORDER: tr("order: every entry is allowed in its place, by the rules that a node itself follows"),
        Fault.PLAN: tr("plans: noise, sensitivity, shares and cohorts are those of the approved plans"),
        Fault.SOURCE: tr("random sources: no release took its randomness from a seed"),
        Fault.BUDGET: tr("budgets: epsilon, recomputed, is within every ceiling that was in force at a release"),
        Fault.ANCHOR: tr("anchors: what others keep of this ledger is in it"),
    }[fault]


def outcome_words(check: CheckResult) -> str:
    """What became of a check, with how much it looked at."""
    if check.outcome is CheckOutcome.NOTHING:
        return tr("nothing to check")
    if check.outcome is CheckOutcome.SKIPPED:
        return tr("not checked: a simulation's seeds were let pass, as was asked")
    many = _examined_words(check)
    if check.outcome is CheckOutcome.FAILED:
        return tr("FAILED ({many})", many=many) if check.examined else tr("FAILED")
    return tr("passed ({many})", many=many)


def _examined_words(check: CheckResult) -> str:
    count, shown = check.examined, whole(check.examined)
    if check.fault is Fault.PLAN:
        return trn("{shown} plan or release", "{shown} plans and releases", count, shown=shown)
    if check.fault is Fault.SOURCE:
        return trn("{shown} entry of a release", "{shown} entries of releases", count, shown=shown)
    if check.fault is Fault.BUDGET:
        return trn("{shown} ceiling", "{shown} ceilings", count, shown=shown)
    if check.fault is Fault.ANCHOR:
        return trn("{shown} anchor", "{shown} anchors", count, shown=shown)
    return trn("{shown} entry", "{shown} entries", count, shown=shown)
