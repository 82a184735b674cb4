"""The signal of an earlier plan, used again: a platform agrees, and tells nothing of any person."""

from __future__ import annotations

from sealscore.shared.phases.kind import Kind, PairedKind


class ReuseSignal(PairedKind):
    """The platform says what the levels mean that it told under the earlier plan: a digest that is in the plan.

    Its rows move the lenders' sums through levels that lenders have already. So its ledger must count those sums, and
    a lender must know that it does: the platform notes this step as an exchange with the lenders, and a lender answers
    no sum that reads a level before all platforms have answered.
    """

    kind, title = Kind.REUSE, "Use the signal of the earlier plan"
    gives = ("platform", "lender")
