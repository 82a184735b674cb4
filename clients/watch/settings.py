"""What a lender decides about its watch, and what a watch needs of a release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sealscore.clients.watch.errors import WatchError
from sealscore.clients.watch.months import closing_month
from sealscore.shared.serving.release import CHAMPION, FALLBACK, Release

Family = Literal["population", "calibration", "repayment", "operations", "fairness"]
Reference = Literal["release", "months"]
OWNER = "risk officer"


@dataclass(frozen=True)
class WatchSettings:
    """`bad_days` past due make a loan bad. `reference` says what the bins of features are compared with: the release's
    own shares, or those of the first `reference_months`, with which all rates are compared. Cells of fewer than `floor`
    cases are not shown. `owners` has who looks after a family's alerts.
    """

    bad_days: int = 90
    reference: Reference = "release"
    reference_months: int = 3
    floor: int = 10
    owners: Mapping[str, str] = field(default_factory=dict)

    def owner(self, family: str) -> str:
        """Who looks after alerts of a family."""
        return self.owners.get(family, OWNER)


@dataclass(frozen=True)
class WatchedRelease:
    """What a watch needs of a release: its window in days, and the released shares [bins] of each feature by role.

    Features are in the order of the bins that lines keep.
    """

    release: str
    window: int
    shares: Mapping[str, Mapping[str, tuple[float, ...]]]

    def closes(self, start: int) -> int:
        """The month in which the window of all loans of a month is over."""
        return closing_month(start, self.window)

    @classmethod
    def of(cls, release: Release, reference: Reference = "release") -> WatchedRelease:
        """That of a release.

        Raises:
            WatchError: its own shares are the reference, and a feature has none.
        """
        content = release.content
        models = {CHAMPION: content.model} | ({FALLBACK: content.fallback} if content.fallback else {})
        shares = dict[str, dict[str, tuple[float, ...]]]()
        for role, model in models.items():
            shares[role] = {}
            for part in model.binning.features:
                if reference == "release" and (len(part.reference) != part.size or min(part.reference) <= 0):
                    what = f"{role}, {part.feature.name}: the release has no shares of its bins"
                    raise WatchError("shares", f'{what}; write reference = "months" under [watch] in node.toml')
                shares[role][part.feature.name] = part.reference or (1.0,) * part.size
        return cls(release.hash, release.plan.outcome.window_days, shares)
