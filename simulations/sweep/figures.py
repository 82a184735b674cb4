"""The figures of a sweep: each is drawn where the sweep has the axes for it.

A band or a bar goes from the lowest to the highest of a setting's seeds; the line or marker is their mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import polars as pl

from sealscore.compliance.pages.figures import Dot, Line, Panel, Rule, dot_figure, line_figure
from sealscore.compliance.pages.page import Html
from sealscore.compliance.pages.points import Named, point_figure
from sealscore.compliance.pages.svg import STYLES, Axis, Style, span
from sealscore.shared.text.numbers import LOST, fixed, percent, plural, short
from sealscore.simulations.sweep.results import Results, Spread, SweepSetting, along

EPSILON, ALPHA, LENDERS = "privacy.epsilon", "simulation.alpha", "lenders"
MOST_LINES, MOST_ROWS = 6, 14
_WIDTH = 760.0
# On a log scale of some powers of ten, about the width of a marker.
_COVERED = 0.05
# The whole run is black.
_COLOURED = tuple(style for style in STYLES if style.colour != "#000000")
_AUC = "AUC on persons held out (0.5 is guessing)"
_BASELINES = {
    "pooled_xgboost": "pooled XGBoost, no privacy",
    "pooled_additive": "pooled additive trees, no privacy",
    "pooled_logistic_bins": "pooled scorecard, no privacy",
    "no_noise": "no noise",
    "lender_alone": "a lender alone, no noise",
    "lender_alone_dp": "a lender alone, same epsilon",
    "platform_alone": "platforms alone, no noise",
    "fedavg_local_noise": "FedAvg, own noise",
}
_PHASES = {
    "bin": "bins",
    "train_tower": "tower",
    "signal_edges": "edges of the signal",
    "calibrate": "calibration",
    "evaluate": "evaluation",
}


@dataclass(frozen=True)
class Drawn:
    """A figure with its title and the sentence that tells how to read it."""

    title: str
    words: str
    drawing: Html


def figures_of(results: Results) -> dict[str, Drawn]:
    """The figures that a sweep has the axes for, by name."""
    found = {name: draw(results) for name, draw in FIGURES.items()}
    return {name: drawn for name, drawn in found.items() if drawn is not None}


def band_words(results: Results) -> str:
    """What bands and bars are."""
    if results.seeds == 1:
        return "One seed each: nothing tells how much of this is chance."
    return f"Mean of up to {plural(results.seeds, 'seed')}; bands and bars go from the lowest seed to the highest."


def _privacy(results: Results) -> Drawn | None:
    if not results.has(EPSILON):
        return None
    across = _log_axis("epsilon for a person (log scale; smaller protects more)", results.frame[EPSILON])
    return _quality(results, EPSILON, across, "Privacy against utility.", "AUC against epsilon")


def _parties(results: Results) -> Drawn | None:
    if not results.has(LENDERS):
        return None
    across = _log_axis("lenders that share the records out (log scale)", results.frame[LENDERS])
    return _quality(results, LENDERS, across, "AUC by number of lenders.", "AUC against the number of lenders")


def _skew(results: Results) -> Drawn | None:
    if not results.has(ALPHA):
        return None
    dealt = results.frame.filter(pl.col(ALPHA).is_not_null())
    kinds = dealt["simulation.partition"].unique().to_list() if "simulation.partition" in dealt.columns else []
    what = {"quantity": "sizes", "label-skew": "bad rates"}.get(kinds[0], "parts") if len(kinds) == 1 else "parts"
    label = f"alpha of the lenders' {what} (log scale; smaller is more unequal)"
    return _quality(results, ALPHA, _log_axis(label, results.frame[ALPHA]), "AUC by skew.", "AUC against skew")


def _quality(results: Results, across: str, axis: Axis, title: str, said: str) -> Drawn | None:
    """AUC over a key, a line for each setting of the other keys; the baselines beside it where it is one line."""
    series = results.series(across)
    if len(series) > MOST_LINES:
        return None
    lines = [
        _Series(setting.name or "this federation", along(setting, across, "auc"), style)
        for setting, style in zip(series, STYLES, strict=False)
    ]
    rules = []
    for column in results.columns("baseline.") if len(series) == 1 else ():
        points = along(series[0], across, column)
        name = _BASELINES.get(column.removeprefix("baseline."), column)
        if len(points) > 1 and _flat([spread for _, spread in points]):
            rules.append(Rule(name, y=points[0][1].mean))
        elif points:
            lines.append(_Series(name, points, STYLES[len(lines) % len(STYLES)]))
    ends = [end for line in lines for _, spread in line.points for end in (spread.low, spread.high)]
    up = Axis(_AUC, *span([*ends, *(rule.y for rule in rules if rule.y is not None)], 0.08), text=_three)
    return Drawn(title, band_words(results), line_figure(said, axis, up, _drawn(lines), rules, width=_WIDTH))


@dataclass(frozen=True)
class _Series:
    name: str
    points: list[tuple[float, Spread]]
    style: Style


def _drawn(series: Sequence[_Series]) -> list[Line]:
    """Each series as a line with its band, and as markers."""
    lines = []
    for one in series:
        x = [at for at, _ in one.points]
        y = [spread.mean for _, spread in one.points]
        low, high = [s.low for _, s in one.points], [s.high for _, s in one.points]
        lines.append(Line(one.name, x, y, one.style, low, high))
        lines.append(Line("", x, y, one.style, joined=False))
    return lines


def _comparison(results: Results) -> Drawn | None:
    """All settings side by side where words are compared: algorithms, optimizers, labelled points."""
    worded = [axis for axis in results.axes if not results.frame[axis].dtype.is_numeric()]
    settings = results.settings
    if not worded or len(settings) > MOST_ROWS:
        return None
    panels = [_panel(settings, "auc", "AUC, all test persons", lambda value: fixed(value, 4), _three, STYLES[0])]
    # The research engine sends nothing.
    if any(setting.spread("bytes_per_party") for setting in settings):
        panels.append(
            _panel(settings, "bytes_per_party", "MB, busiest party", _megabytes, _megabytes, STYLES[1], zero=True)
        )
    panels.append(_panel(settings, "rounds", "sums in all phases", _whole, _whole, STYLES[2], zero=True))
    words = f"{band_words(results)} A sum is one request to all parties and their answers."
    return Drawn("Settings compared: quality and cost.", words, dot_figure("AUC and cost by setting", panels, 1000))


def _cost(results: Results) -> Drawn | None:
    """AUC over bytes where settings differ in them, each by its name."""
    told = [(s.name, s.spread("auc"), s.spread("bytes_per_party")) for s in results.settings]
    points = [(name, size.mean / 1e6, auc) for name, auc, size in told if auc is not None and size is not None]
    sizes, ends = [size for _, size, _ in points], [end for _, _, auc in points for end in (auc.low, auc.high)]
    if not 2 <= len(points) <= len(STYLES) or max(sizes) < 1.1 * min(sizes):
        return None
    across = Axis(
        "MB to and from the busiest party in the whole run (log scale)", 0.85 * min(sizes), 1.2 * max(sizes), log=True
    )
    up = Axis(_AUC, *span(ends, 0.12), text=_three)
    named = [
        Named(name, size, auc.mean, auc.low, auc.high, style)
        for (name, size, auc), style in zip(points, STYLES, strict=False)
    ]
    words = f"{band_words(results)} Settings with nearly the same traffic are drawn side by side."
    return Drawn("What quality costs in traffic.", words, point_figure("AUC against bytes", across, up, named, 900))


def _fairness(results: Results) -> Drawn | None:
    """The lowest approval-rate ratio of each protected attribute by setting."""
    attributes = list(dict.fromkeys(name.split(": ")[0] for name in results.columns("fairness.", ".ratio")))
    settings = results.settings
    found = {
        name: [_lowest(setting, results.columns(f"{name}: ", ".ratio")) for setting in settings] for name in attributes
    }
    told = {name: spreads for name, spreads in found.items() if any(spreads)}
    if not told or not 2 <= len(settings) <= MOST_ROWS:
        return None
    ends = [end for spreads in told.values() for spread in spreads if spread for end in (spread.low, spread.high)]
    low, high = span([*ends, 0.8, 1.0], 0.04)
    panels = []
    for name, spreads in told.items():
        dots = [
            Dot(setting.name, spread.mean, fixed(spread.mean, 2), STYLES[0], spread.low, spread.high)
            if spread
            else Dot(setting.name, None, LOST)
            for setting, spread in zip(settings, spreads, strict=True)
        ]
        axis = Axis(f"{name.removeprefix('fairness.')}: lowest ratio", low, high, text=_two)
        panels.append(Panel(axis, dots, (0.8, "four fifths")))
    words = (
        "Of each protected attribute the lowest ratio of a band's approval rate to that of the band with the highest, "
        "among the bands that noise leaves to be told, from what the protocol releases: the mean over seeds, and its "
        "95 % interval for the exact figure of the same persons. The lowest of several noisy figures lies too low."
    )
    return Drawn("How the score treats groups.", words, dot_figure("Approval-rate ratios by setting", panels, 900))


def _lowest(setting: SweepSetting, columns: Sequence[str]) -> Spread | None:
    """The lowest of released ratios, with its interval; None where none has one."""
    found = [spread for column in columns if (spread := setting.released(column)) is not None]
    return min(found, key=lambda spread: spread.mean, default=None)


def _budget(results: Results) -> Drawn | None:
    """Epsilon of each phase by itself, over the plan's epsilon or side by side by setting."""
    columns = results.columns("budget.", ".alone")
    if not columns:
        return None
    words = (
        "Epsilon of each phase by itself, of the answers that were given. Figures of phases do not add up: privacy "
        "losses compose more slowly, and evaluation reads test persons only, all else training persons only."
    )
    if results.has(EPSILON) and len(series := results.series(EPSILON)) == 1:
        lines = [
            _Series(_phase(column), along(series[0], EPSILON, column), style)
            for column, style in zip(columns, _COLOURED, strict=False)
        ]
        claim = _Series("the whole run", along(series[0], EPSILON, "epsilon"), Style("#000000", marker="diamond"))
        across = _log_axis("epsilon of the plan (log scale)", results.frame[EPSILON])
        ends = [spread.mean for line in lines for _, spread in line.points]
        tops = [spread.mean for _, spread in claim.points]
        up = Axis("epsilon of a phase by itself (log scale)", 0.85 * min(ends), 1.15 * max(tops), log=True)
        shown = _drawn(_distinct([claim, *lines]))
        words += " Lines that would cover each other are drawn as one."
        return Drawn("Budget by phase.", words, line_figure("Epsilon by phase", across, up, shown, width=_WIDTH))
    settings = _different(results.settings, columns)
    if len(settings) > 4:
        return None
    tops = [spread.mean for setting in settings if (spread := setting.spread("epsilon")) is not None]
    panels = []
    for setting in settings:
        dots = []
        for column in [*columns, "epsilon"]:
            spread = setting.spread(column)
            name, strong = ("the whole run", True) if column == "epsilon" else (_phase(column), False)
            value = None if spread is None else spread.mean
            dots.append(Dot(name, value, "not in this plan" if value is None else fixed(value, 2), strong=strong))
        label = f"epsilon: {setting.name}" if len(settings) > 1 else "epsilon"
        panels.append(Panel(Axis(label, 0, 1.05 * max(tops)), dots))
    return Drawn("Budget by phase.", words, dot_figure("Epsilon by phase", panels, 900 if len(panels) > 1 else 620))


def _distinct(series: Sequence[_Series]) -> list[_Series]:
    """The series with those that lie on an earlier one, to the width of a line, told in its name instead."""
    kept: list[_Series] = []
    for one in series:
        found = next((at for at, other in enumerate(kept) if _covered(one, other) is not None), None)
        if found is None:
            kept.append(one)
        else:
            off = _covered(one, kept[found])
            below = f" ({percent(off)} below)" if off and off >= 0.005 else ""
            kept[found] = replace(kept[found], name=f"{kept[found].name}; {one.name}{below}")
    return kept


def _covered(one: _Series, other: _Series) -> float | None:
    """How far a series lies below another at most, as a share of it; None where they are apart, or it lies above."""
    if [x for x, _ in one.points] != [x for x, _ in other.points]:
        return None
    off = [1 - own.mean / its.mean for (_, own), (_, its) in zip(one.points, other.points, strict=True)]
    return max(off) if min(off) > -0.005 and max(off) < _COVERED else None


def _different(settings: Sequence[SweepSetting], columns: Sequence[str]) -> list[SweepSetting]:
    """The settings without those that spend as an earlier one does, to two digits; one alone has no name."""
    found: dict[tuple[str, ...], SweepSetting] = {}
    for setting in settings:
        spreads = (setting.spread(column) for column in columns)
        found.setdefault(tuple("" if s is None else f"{s.mean:.2f}" for s in spreads), setting)
    return list(found.values())


def _phase(column: str) -> str:
    kind, _, group = column.removeprefix("budget.").removesuffix(".alone").partition(":")
    return f"{_PHASES.get(kind, kind)}, {group}"


def _panel(
    settings: Sequence[SweepSetting],
    column: str,
    label: str,
    told: Callable[[float], str],
    tick: Callable[[float], str],
    style: Style,
    zero: bool = False,
) -> Panel:
    spreads = [setting.spread(column) for setting in settings]
    dots = [
        Dot(setting.name, None, "none")
        if spread is None
        else Dot(setting.name, spread.mean, told(spread.mean), style, spread.low, spread.high)
        for setting, spread in zip(settings, spreads, strict=True)
    ]
    ends = [end for spread in spreads if spread for end in (spread.low, spread.high)]
    low, high = span(ends, 0.08)
    return Panel(Axis(label, 0 if zero else low, 1.08 * max(ends) if zero else high, text=tick), dots)


def _log_axis(label: str, values: pl.Series) -> Axis:
    known = sorted({float(value) for value in values.drop_nulls()})
    return Axis(label, known[0] * 0.9, known[-1] * 1.1, text=short, log=True, values=known if len(known) < 9 else ())


def _flat(spreads: Sequence[Spread]) -> bool:
    """Whether a baseline has nothing to do with a key: its means differ by less than a line is wide."""
    means = [spread.mean for spread in spreads]
    return max(means) - min(means) < 1e-3


def _three(value: float) -> str:
    return fixed(value, 3)


def _two(value: float) -> str:
    return fixed(value, 2)


def _megabytes(value: float) -> str:
    return short(value / 1e6)


def _whole(value: float) -> str:
    return fixed(value, 0)


FIGURES: dict[str, Callable[[Results], Drawn | None]] = {
    "privacy": _privacy,
    "parties": _parties,
    "skew": _skew,
    "comparison": _comparison,
    "cost": _cost,
    "fairness": _fairness,
    "budget": _budget,
}
"""Of each figure its name and how it is drawn."""
