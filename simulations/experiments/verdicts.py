"""What exact figures say against a run, once it and its baselines are there: only a simulation can know it."""

from __future__ import annotations

from collections.abc import Mapping

from sealscore.shared.phases.cautions import Caution

ALONE_MARGIN = 0.003
"""AUC by which two trainings of one plan differ anyway."""

NOISE_MARGIN = 0.03
"""AUC that noise may cost before it is worth a word."""

FORM_MARGIN = 0.02
"""AUC that the protocol without noise may lie below the best additive model before it counts as underfitted."""


def verdicts(auc: float, baselines: Mapping[str, float], fallback: float | None = None) -> list[Caution]:
    """What to say of an exact AUC beside those of baselines that were run; others are not asked for.

    `fallback` is the AUC of the plan's fallback, if it has one.
    """
    found = []
    alone = baselines.get("lender_alone_dp")
    if fallback is not None and alone is not None and fallback < alone - ALONE_MARGIN:
        found.append(
            Caution(
                "fallback-worse-than-lender-alone-dp",
                f"the fallback's AUC {fallback:.4f} is below the {alone:.4f} of a lender alone under the whole budget: "
                "whoever has no signals is scored worse than without the federation; privacy.shares.fallback gives the "
                "fallback more of the budget",
            )
        )
    for name, who in (("lender_alone_dp", "a lender alone"), ("platform_alone_dp", "the platforms alone")):
        if name in baselines and auc < baselines[name] - ALONE_MARGIN:
            found.append(
                Caution(
                    f"worse-than-{name.replace('_', '-')}",
                    f"AUC {auc:.4f} is below the {baselines[name]:.4f} of {who} under the same budget: this "
                    "federation gains nothing",
                )
            )
    still = baselines.get("no_noise")
    if still is not None and auc < still - NOISE_MARGIN:
        found.append(
            Caution(
                "costly-noise",
                f"noise costs {still - auc:.4f} of AUC ({still:.4f} without): more records or a larger epsilon would "
                "help",
            )
        )
    best = baselines.get("pooled_additive")
    if still is not None and best is not None and still < best - FORM_MARGIN:
        found.append(
            Caution(
                "underfitted",
                f"without noise the protocol reaches AUC {still:.4f}, and the best additive model {best:.4f}: training "
                "is cut short, or its bins are too coarse",
            )
        )
    return found
