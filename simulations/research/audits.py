"""What a plan costs and whether an attack refutes it: what `sealscore.account` and `sealscore.audit` do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from sealscore.compliance.run_figures.epsilon import phase_costs
from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.files import write_whole
from sealscore.shared.plan.plan import Plan
from sealscore.simulations.audit.audited import Audit, Setting, audit_seeds
from sealscore.simulations.audit.faults import Break
from sealscore.simulations.audit.report import page, summary, verdict
from sealscore.simulations.audit.server import Attack
from sealscore.simulations.data.scenario import Scenario
from sealscore.simulations.experiments.runs import BadSetting
from sealscore.simulations.research.plan import ResearchPlan, scenario_of


@dataclass(frozen=True)
class PlanCost:
    """What a plan may cost a person, if every attempt in its budget is answered; before anything is run.

    `epsilon` is for a person at all parties at `delta`, `against_platforms` what a platform learns with its noisy
    labels; None where the plan has no noise, or no platforms. `phases` has a row a phase that releases sums: `phase`,
    `noise_multiplier`, `attempts`, `alone` (its epsilon by itself) and `total` (of all phases up to it).
    """

    epsilon: float | None
    delta: float
    label_epsilon: float | None
    against_platforms: float | None
    phases: pl.DataFrame


def cost_of(source: str | Path | Plan | Scenario) -> PlanCost:
    """See `sealscore.account`."""
    plan = _plan_of(source)
    privacy, mechanisms = plan.privacy, Mechanisms(plan)
    schema = {"phase": pl.String, "noise_multiplier": pl.Float64, "attempts": pl.Int64}
    schema |= {"alone": pl.Float64, "total": pl.Float64}
    if privacy.noise == "none":
        return PlanCost(None, privacy.delta, privacy.label_epsilon, None, pl.DataFrame(schema=schema))
    attempts = {phase.name: phase.attempts for phase in mechanisms.phases}
    rows = [
        (cost.phase.name, _noise(mechanisms, cost.phase), cost.answers, cost.alone, cost.total)
        for cost in phase_costs(mechanisms, lambda name: attempts[name])
    ]
    return PlanCost(
        mechanisms.claim(lambda phase: phase.attempts),
        privacy.delta,
        privacy.label_epsilon,
        mechanisms.platform_claim(lambda phase: phase.attempts) if plan.platforms else None,
        pl.DataFrame(rows, schema=schema, orient="row"),
    )


def _plan_of(source: str | Path | Plan | Scenario) -> Plan:
    if isinstance(source, Plan):
        return source
    return source.plan if isinstance(source, Scenario) else ResearchPlan.named(source)


def _noise(mechanisms: Mechanisms, phase: Any) -> float | None:
    event = mechanisms.event(phase).model_dump()
    found: float | None = event.get("noise_multiplier")
    return found


class AuditedSeeds:
    """Audits of one plan under several seeds: lower bounds on epsilon, held against the claim."""

    def __init__(self, audits: Sequence[Audit]) -> None:
        self.audits = tuple(audits)

    @property
    def claim(self) -> float:
        """Epsilon of the audited phase, as the plan claims it."""
        return self.audits[0].claim

    @property
    def bound(self) -> float:
        """The highest lower bound over seeds, each of which holds with the audit's confidence."""
        return max(audit.bound for audit in self.audits)

    @property
    def exceeded(self) -> bool:
        """Whether a bound refutes the claim."""
        return any(audit.exceeded for audit in self.audits)

    @cached_property
    def frame(self) -> pl.DataFrame:
        """A row a seed: `right` guesses, bounds `one_run` and `curve`, the larger `bound`, `claim`, `exceeded`."""
        names = ("seed", "right", "one_run", "curve", "bound", "claim", "exceeded", "reach")
        rows = [audit.as_dict() for audit in self.audits]
        return pl.DataFrame([{name: row[name] for name in names} for row in rows])

    @property
    def summary(self) -> dict[str, Any]:
        """All of it as one object, as `sealscore-sim audit --json` prints it."""
        return summary(self.audits)

    def report(self, output: str | Path) -> Path:
        """Write one page of HTML; returns where it is. OSError where it cannot be written."""
        write_whole(Path(output), page(self.audits))
        return Path(output)

    def __repr__(self) -> str:
        return (
            f"<audit of {self.audits[0].plan}: bound {self.bound:.3f}, claim {self.claim:.3f}; {verdict(self.audits)}>"
        )


def audited(
    source: str | Path | Plan | Scenario, seeds: int, attack: Attack | None, fault: str | None, **settings: Any
) -> AuditedSeeds:
    """See `sealscore.audit`."""
    scenario = scenario_of(source)
    if fault is not None:
        known = [one.value for one in Break]
        if fault not in known:
            raise BadSetting("fault", f"{fault!r}: there are {', '.join(known)}")
        settings["fault"] = Break(fault)
    return AuditedSeeds(audit_seeds(scenario, seeds, Setting.of(scenario.plan, **settings), attack=attack))
