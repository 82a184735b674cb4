"""The section on how good a score is: ranking, separation, calibration and the distribution of scores."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sealscore.compliance.pages.figures import Label, Line, Rule, line_figure
from sealscore.compliance.pages.page import Column, Html, figure, figures, join, paragraph, table
from sealscore.compliance.pages.svg import SOFT, STYLES, Axis, Style
from sealscore.compliance.run_figures.curves import Curve
from sealscore.compliance.run_figures.findings import Findings
from sealscore.shared.model.released.table_figures import Figure, TableFigures
from sealscore.shared.model.score_model import points
from sealscore.shared.text.numbers import LOST, between, fixed, percent, share, whole

GOOD, BAD = STYLES[0], STYLES[1]
GUIDE, PLAIN = Style(SOFT, "3 4"), Style("#000000")
_METRICS = {"auc": "AUC", "ks": "KS", "brier": "Brier score", "ece": "calibration error"}
# The tails beyond these shares of either kind of loans are left out of the pictures.
_TAIL = 0.004


def quality(found: Findings) -> Html:
    """How good the score is, from the noisy table of all test persons."""
    if found.figures.auc is None:
        said = paragraph(f"Ranking is {LOST}: what this plan releases tells nothing of the score's AUC.")
        return join([said, *_figures_tables(found)])
    intro = paragraph(
        "All four figures are made from tables that the protocol released: noisy counts of test persons by score and "
        "outcome. Intervals and bands, each at 95 %, are about the exact figure of the same persons: they hold the "
        "known noise, and not the chance of who became a test person."
    )
    return join([intro, figures(_roc(found), _ks(found), _calibration(found), _scores(found)), *_figures_tables(found)])


def _shares(label: str) -> Axis:
    return Axis(label, 0, 1, percent, values=(0, 0.2, 0.4, 0.6, 0.8, 1))


def _line(curve: Curve, style: Style, step: bool = False, joined: bool = True) -> Line:
    values = (part.tolist() for part in (curve.x, curve.y, curve.low, curve.high))
    x, y, low, high = values
    return Line("", x, y, style, low, high, step, joined)


def _roc(found: Findings) -> Html:
    drawn = line_figure(
        "ROC curve",
        _shares("good loans refused"),
        _shares("bad loans refused"),
        [Line("", [0, 1], [0, 1], GUIDE), _line(found.curves.roc(), GOOD)],
        labels=[
            Label(f"AUC {with_interval(found.figures.auc)}", 0.5, 0.28, GOOD.colour, right=20),
            Label("guessing", 0.3, 0.3, SOFT, right=8, up=-12),
        ],
    )
    words = "As the cut-off moves, how many bad loans are caught for the good ones that are lost."
    return figure(drawn, "Ranking (ROC).", words)


def _points_axis(found: Findings) -> Axis:
    """The points between which nearly all loans lie."""
    curves = found.curves.cumulative()
    low = min(curve.x[max(0, int(np.searchsorted(curve.y, _TAIL)) - 1)] for curve in curves)
    high = max(curve.x[min(len(curve.x) - 1, int(np.searchsorted(curve.y, 1 - _TAIL)) + 1)] for curve in curves)
    return Axis("score points (higher is safer)", float(low), float(high), whole)


def _ks(found: Findings) -> Html:
    good, bad = found.curves.cumulative()
    best = int((bad.y - good.y).argmax())
    at, low, high = float(good.x[best]), float(good.y[best]), float(bad.y[best])
    axis = _points_axis(found)
    drawn = line_figure(
        "KS: cumulative shares of good and bad loans",
        axis,
        _shares("loans with at most so many points"),
        [_line(bad, BAD), _line(good, GOOD), Line("", [at, at], [low, high], PLAIN)],
        labels=[
            Label(f"KS {with_interval(found.figures.ks)}", axis.low, 0.9, right=8),
            Label("bad loans", _where(bad, 0.55), 0.55, BAD.colour, "end", right=-10),
            Label("good loans", _where(good, 0.25), 0.25, GOOD.colour, right=12),
        ],
    )
    words = "The share of bad and of good loans up to a score; KS is the largest distance between the two."
    return figure(drawn, "Separation (KS).", words)


def _where(curve: Curve, level: float) -> float:
    """The x at which a rising curve reaches a level."""
    return float(np.interp(level, curve.y, curve.x))


def _calibration(found: Findings) -> Html:
    curve = found.curves.calibration_points()
    most = min(1.0, float(np.ceil(10 * max(0.2, curve.x.max(initial=0.0), curve.high.max(initial=0.0))) / 10))
    drawn = line_figure(
        "Calibration",
        Axis("predicted probability of default", 0, most, percent),
        Axis("observed bad rate", 0, most, percent),
        [Line("", [0, most], [0, most], GUIDE), _line(curve, GOOD, joined=False)],
        labels=[Label("dotted: as predicted", most, most * 0.07, SOFT, "end", right=-4)],
    )
    words = "Each dot is about a tenth of the test persons; on the dotted line, what was predicted came true."
    return figure(drawn, "Calibration.", words)


def _scores(found: Findings) -> Html:
    good, bad = found.curves.density()
    axis = _points_axis(found)
    most = float(max(good.high.max(), bad.high.max())) * 1.15
    labels = [_peak("good loans", good, bad, GOOD), _peak("bad loans", bad, good, BAD)]
    cut = float(points(np.array(found.cut.pd)))
    drawn = line_figure(
        "Score distribution",
        axis,
        Axis("share of good, of bad loans", 0, most, percent),
        [_line(good, GOOD, step=True), _line(bad, BAD, step=True)],
        [Rule(f"cut-off: {approved(found)} approved", x=cut)],
        labels,
    )
    words = (
        f"The cut-off approves {whole(cut)} points and more, a PD of at most {percent(found.cut.pd, 1)}. The outermost "
        "steps hold all scores beyond them."
    )
    return figure(drawn, "Who gets which score.", words)


def _peak(name: str, curve: Curve, other: Curve, style: Style) -> Label:
    """The name of a density, where it stands out most from the other."""
    top = int((curve.high - other.high)[:-1].argmax())
    middle, high = float(curve.x[top] + curve.x[top + 1]) / 2, float(curve.high[top])
    return Label(name, middle, high, style.colour, "middle", up=5)


def with_interval(figure: Figure | None, digits: int = 3) -> str:
    """A figure and its interval, or that it is lost in noise."""
    return LOST if figure is None else between(figure.value, figure.low, figure.high, digits)


def approved(found: Findings) -> str:
    """The share that the cut-off approves, with its interval as the noisy tables tell it."""
    rate = found.approved
    if rate is None:
        return LOST
    low, high = (percent(share(end)) for end in (rate.low, rate.high))
    return f"{percent(share(rate.value))} ({low} to {high})"


def _figures_tables(found: Findings) -> list[Html]:
    made = [_figures_table(found.figures, found.exact, "All test persons")]
    if found.fallback is not None:
        title = "The fallback, which reads no signal: all test persons"
        made.append(_figures_table(found.fallback, found.fallback_exact, title))
    return made


def _figures_table(figures: TableFigures, known_exactly: Mapping[str, float], title: str) -> Html:
    rate, records = figures.bad_rate, figures.records
    exact = [fixed(known_exactly.get(name), 4) for name in _METRICS]
    entries = [
        (label, with_interval(getattr(figures, name), 4), known)
        for (name, label), known in zip(_METRICS.items(), exact, strict=True)
    ]
    entries.append(("bad rate", with_interval(rate, 4), ""))
    entries.append(("test records", between(records.value, records.low, records.high, 0), ""))
    columns = ["figure", Column("by the protocol, with its 95 % interval", number=True)]
    if not known_exactly:
        return table(columns, [entry[:2] for entry in entries], title)
    return table([*columns, Column("exact (simulation only)", number=True)], entries, title)
