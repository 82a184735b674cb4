"""Figures of a run by matplotlib, of the same curves as its report's: made from what the protocol released."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from sealscore.compliance.run_figures.curves import Curve
from sealscore.compliance.run_figures.findings import Findings
from sealscore.compliance.run_figures.record import RunFolder
from sealscore.compliance.run_report.quality_sections import with_interval
from sealscore.simulations.experiments.runs import BadSetting
from sealscore.simulations.extras import optional

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as MplFigure

_GUIDE, _DOTTED = "0.6", ":"
MOST_NAMES = 10
"""Bins of a figure that are named."""


class RunPlots:
    """Figures of one run. Each method gives a `matplotlib.figure.Figure`, or draws into the `ax` that it is given.

    Bands are 95 % intervals for the exact curve of the same test persons: they hold the noise of the protocol.

    Raises:
        NoExtra: matplotlib is not installed (`pip install 'sealscore[notebooks]'`).
        NotARun: the folder holds no whole run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def _found(self) -> Findings:
        return Findings.of(RunFolder.load(self._folder))

    def roc(self, ax: Axes | None = None) -> MplFigure:
        """Share of bad loans refused by share of good loans refused."""
        figure, axes = _axes(ax, "good loans refused", "bad loans refused")
        axes.plot([0, 1], [0, 1], color=_GUIDE, linestyle=_DOTTED)
        exact = self._found.exact.get("auc")
        known = "" if exact is None else f"; exact {exact:.3f}"
        _banded(axes, self._found.curves.roc(), f"AUC by the protocol\n{with_interval(self._found.figures.auc)}{known}")
        axes.legend(loc="lower right", fontsize="small")
        return figure

    def calibration(self, ax: Axes | None = None) -> MplFigure:
        """Observed bad rate by predicted PD, in tenths of the test persons that noise leaves anything of."""
        figure, axes = _axes(ax, "predicted probability of default", "observed bad rate")
        curve = self._found.curves.calibration_points()
        most = max(0.2, *curve.x.tolist(), *curve.high.tolist())
        axes.plot([0, most], [0, most], color=_GUIDE, linestyle=_DOTTED)
        ends = np.abs(np.vstack([curve.low, curve.high]) - curve.y)
        axes.errorbar(curve.x, curve.y, yerr=ends, fmt="o")
        return figure

    def scores(self, ax: Axes | None = None) -> MplFigure:
        """Share of the good and of the bad loans by score points."""
        figure, axes = _axes(ax, "score points (higher is safer)", "share of good, of bad loans")
        for name, curve in zip(("good loans", "bad loans"), self._found.curves.density(), strict=True):
            axes.step(curve.x, curve.y, where="post", label=name)
            axes.fill_between(curve.x, curve.low, curve.high, step="post", alpha=0.2)
        axes.legend()
        return figure

    def privacy(self, ax: Axes | None = None) -> MplFigure:
        """Epsilon for a person by noisy sums answered."""
        figure, axes = _axes(ax, "noisy sums answered", "epsilon so far")
        moments = self._found.moments
        axes.plot([moment.answers for moment in moments], [moment.epsilon for moment in moments], marker=".")
        return figure

    def training(self, ax: Axes | None = None) -> MplFigure:
        """Norms of the mean gradient and of the noise that is known to be in it, by round, phase after phase."""
        figure, axes = _axes(ax, "round, phase after phase", "norm of the mean gradient")
        rows = self._found.run.rounds.filter(pl.col("gradient_norm").is_not_null())
        before = 0
        for name, phase in rows.group_by("phase", maintain_order=True):
            at = phase["round"] + before
            before += phase.height
            (line,) = axes.plot(at, phase["gradient_norm"], marker=".", label=f"{name[0]}")
            axes.plot(at, phase["noise_norm"], color=line.get_color(), linestyle="--", marker="_")
        if not rows.is_empty():
            axes.set_yscale("log")
            axes.plot([], [], color=_GUIDE, linestyle="--", label="the noise in it")
            _legend_below(axes)
        return figure

    def bins(self, feature: str, ax: Axes | None = None) -> MplFigure:
        """Score points of each bin of a feature against the average applicant, as the scorecard has them.

        Raises:
            BadSetting: the model has no such feature.
        """
        effects = {effect.feature: effect for effect in self._found.effects[self._found.run.plan.lenders]}
        if feature not in effects:
            raise BadSetting("feature", f"{feature!r} is not in the score; there are {', '.join(sorted(effects))}")
        figure, axes = _axes(ax, "", "score points against the average")
        effect = effects[feature]
        axes.bar(range(len(effect.bins)), effect.points)
        # Of many bins some are named: names that overlap are none.
        named = range(0, len(effect.bins), -(-len(effect.bins) // MOST_NAMES))
        axes.set_xticks(named, [effect.bins[place] for place in named], rotation=45, ha="right", fontsize="small")
        axes.set_title(feature)
        return figure


def _axes(ax: Axes | None, x: str, y: str) -> tuple[MplFigure, Axes]:
    """The axes to draw into, and their figure, which no global state of pyplot holds."""
    if ax is None:
        made: Any = optional("matplotlib.figure").Figure(figsize=(6, 4.5), layout="constrained")
        ax = made.subplots()
    axes: Any = ax
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return axes.figure, axes


def _legend_below(axes: Axes) -> None:
    """A legend of many entries, where it hides no curve."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2, fontsize="small")


def _banded(axes: Axes, curve: Curve, label: str) -> None:
    axes.plot(curve.x, curve.y, label=label)
    axes.fill_between(curve.x, curve.low, curve.high, alpha=0.2)
