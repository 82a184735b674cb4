"""What `sealscore.simulate` gives: runs of one plan under several seeds, with their figures, model and report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from sealscore.shared.plan.plan import FALLBACK
from sealscore.simulations.experiments.console import METRICS, summary
from sealscore.simulations.experiments.runs import RUNS, BadSetting, Run, find_run
from sealscore.simulations.research.model import ResearchModel
from sealscore.simulations.research.plan import ResearchPlan
from sealscore.simulations.research.plots import RunPlots


class Metric:
    """A figure over seeds: `mean`, `sd` (sample deviation; 0 of one seed) and `values` by seed."""

    def __init__(self, mean: float, sd: float, values: Sequence[float]) -> None:
        self.mean, self.sd, self.values = mean, sd, tuple(values)

    def __float__(self) -> float:
        """The mean."""
        return self.mean

    def __repr__(self) -> str:
        return f"{self.mean:.4f} ± {self.sd:.4f}" if len(self.values) > 1 else f"{self.mean:.4f}"


class SimulatedRuns:
    """Runs of one plan that differ in nothing but the seed.

    `model`, `plot`, `report`, `folder`, `record` (what a server may know) and `oracle` (what only a simulation knows)
    are the first seed's; `seed(n)` gives another's.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = {int(run.record["plan"]["seed"]): run for run in runs}
        self._first = runs[0]

    @classmethod
    def found(cls, name: str | Path, runs: str | Path = RUNS) -> SimulatedRuns:
        """A run that is there: its folder, its name or the start of it under `runs`, or "last".

        Raises:
            NoSuchRun: there is none of that name, or more than one.
        """
        return cls([find_run(str(name), Path(runs))])

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the plan, in the order in which they ran."""
        return tuple(self._runs)

    def seed(self, seed: int) -> SimulatedRuns:
        """The run of one seed of the plan; BadSetting where it was not run."""
        if seed not in self._runs:
            raise BadSetting("seed", f"{seed!r} was not run; there are {', '.join(map(str, self._runs))}")
        return SimulatedRuns([self._runs[seed]])

    @property
    def folder(self) -> Path:
        """Where the first seed's run lies."""
        return self._first.folder

    @property
    def folders(self) -> dict[int, Path]:
        """Where each seed's run lies."""
        return {seed: run.folder for seed, run in self._runs.items()}

    @property
    def record(self) -> dict[str, Any]:
        """What the server of a real federation may know of the first seed's run: run.json."""
        return self._first.record

    @property
    def oracle(self) -> dict[str, Any]:
        """What only a simulation knows of the first seed's run: oracle.json."""
        return self._first.oracle

    @cached_property
    def summary(self) -> dict[str, Any]:
        """All figures as one object, as `sealscore-sim run --json` prints it."""
        return summary(list(self._runs.values()))

    @cached_property
    def metrics(self) -> Mapping[str, Metric]:
        """Exact figures on the pooled test rows: auc, ks, brier, ece.

        Of a plan with platforms also those of the fallback, as fallback.auc; and auc_dp, as the protocol released it
        from noisy tables, unless it is lost in noise.
        """
        told = self.summary
        found = {name: self._metric(told[name], [run.oracle["exact"][name] for run in self._each]) for name in METRICS}
        for name in METRICS if FALLBACK in told else ():
            values = [run.oracle[FALLBACK][name] for run in self._each]
            found[f"{FALLBACK}.{name}"] = self._metric(told[FALLBACK][name], values)
        if told["auc_dp"] is not None:
            values = [run.record["evaluation"]["all"]["auc"] for run in self._each]
            found["auc_dp"] = self._metric(told["auc_dp"], values)
        return found

    @property
    def baselines(self) -> Mapping[str, float]:
        """Exact AUC of each baseline that was asked for, mean over seeds."""
        found: dict[str, float] = self.summary["baselines"]
        return found

    @property
    def warnings(self) -> list[str]:
        """What a reader of the figures should know, with its code before it."""
        return [f"{warning['code']}: {warning['words']}" for warning in self.summary["warnings"]]

    @property
    def epsilon(self) -> float | None:
        """Epsilon for a person at the plan's delta, the largest over seeds; None without noise."""
        found: float | None = self.summary["epsilon"]
        return found

    @cached_property
    def rounds(self) -> pl.DataFrame:
        """A row a round of each seed, `seed` first: phase, round, norms of gradient and noise, seconds, bytes."""
        frames = []
        for seed, run in self._runs.items():
            rows = pl.read_parquet(run.folder / "rounds.parquet")
            frames.append(rows.select(pl.lit(seed, dtype=pl.Int64).alias("seed"), pl.all()))
        return pl.concat(frames, how="vertical_relaxed")

    @property
    def plan(self) -> ResearchPlan:
        """The plan that the first seed ran, with the cards of its simulated parties."""
        return ResearchPlan.named(self.folder / "plan.json")

    @cached_property
    def model(self) -> ResearchModel:
        """The first seed's model, as its release has it."""
        return ResearchModel.of_run(self.folder)

    @cached_property
    def plot(self) -> RunPlots:
        """Figures of the first seed's run, by matplotlib."""
        return RunPlots(self.folder)

    def report(self, output: str | Path | None = None) -> Path:
        """Write the first seed's report, one HTML file, by default into its folder; returns where it is.

        Raises:
            OSError: it cannot be written; nothing is left.
        """
        from sealscore.compliance.run_report.run_report import write_report

        return write_report(self.folder, None if output is None else Path(output))

    @property
    def _each(self) -> list[Run]:
        return list(self._runs.values())

    def _metric(self, told: Mapping[str, float], values: Sequence[float]) -> Metric:
        return Metric(told["mean"], told["sd"], values)

    def __repr__(self) -> str:
        plan, seeds = self.record["plan"]["name"], ", ".join(map(str, self.seeds))
        cost = "no noise" if self.epsilon is None else f"epsilon {self.epsilon:.3f}"
        return f"<runs of {plan}, seeds {seeds}: AUC {self.metrics['auc']!r}, {cost}>"
