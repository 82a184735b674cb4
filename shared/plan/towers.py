"""The towers of a plan: one for each group, and the fallback, in the order of their training.

What the fallback does in another way than the others is here, and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass

from sealscore.shared.plan.plan import FALLBACK, Plan


@dataclass(frozen=True)
class TowerPlan:
    """One tower: `name` is that of its phases, `group` whose parties train it.

    `signals` are the groups of platforms whose signals it reads beside the group's own features, `bins` the tower whose
    counts give its bins. One that `scores` is calibrated and evaluated: by the `bands` of these attributes, beside all
    test persons together. `part` is its share of a training person's budget in which the recipe has all that it does;
    `training` and `calibration` are those of a plan that is tuned by hand; `evaluation` is that of a test person's.
    """

    name: str
    group: str
    signals: tuple[str, ...]
    bins: str
    bands: tuple[str, ...]
    scores: bool
    part: float
    training: float
    calibration: float
    evaluation: float


def planned_tower(plan: Plan, name: str) -> TowerPlan:
    """The tower of that name; KeyError where the plan has none."""
    shares, signals = plan.privacy.shares, plan.platforms
    signal = shares.signal if signals and plan.signals_from is None else 0.0
    fallback, judged = (shares.fallback, plan.evaluation.fallback_share) if plan.model.fallback else (0.0, 0.0)
    if plan.model.fallback and name == FALLBACK:
        return TowerPlan(
            name,
            group=plan.lenders,
            signals=(),
            bins=plan.lenders,
            bands=(),
            scores=True,
            part=fallback,
            training=fallback * (1 - FALLBACK_CALIBRATION),
            calibration=fallback * (1.0 if plan.scores_from is not None else FALLBACK_CALIBRATION),
            evaluation=shares.evaluation * judged,
        )
    lends = plan.groups[name].role == "lender"
    return TowerPlan(
        name,
        group=name,
        signals=signals if lends else (),
        bins=name,
        bands=tuple(plan.evaluation.groups) if lends else (),
        scores=lends,
        part=(1 - signal - fallback) / len(plan.trained),
        training=(1 - shares.bins - shares.calibration - signal - fallback) / len(plan.trained),
        # Where nothing is trained, calibrating has all that there is.
        calibration=1 - fallback if plan.scores_from is not None else shares.calibration,
        evaluation=shares.evaluation * (1 - judged),
    )


FALLBACK_CALIBRATION = 0.1
"""The part of the fallback's share that its calibration has where a plan is tuned by hand."""


def towers(plan: Plan) -> tuple[TowerPlan, ...]:
    """All that the plan trains: those of the platforms' groups, the lenders', and the fallback where there is one.

    None under a plan of counts.
    """
    if plan.monitoring is not None:
        return ()
    fallback = (FALLBACK,) if plan.model.fallback else ()
    return tuple(planned_tower(plan, name) for name in (*plan.trained, *fallback))


def group_of(plan: Plan, tower: str) -> str:
    """Whose parties train a tower; KeyError where the plan has none of that name."""
    return planned_tower(plan, tower).group
