"""The sections on what a score is compared with, and on what moves it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sealscore.compliance.pages.figures import Dot, Panel, dot_figure, meter_figure, strip_figure
from sealscore.compliance.pages.page import Column, Html, element, figure, join, paragraph, table
from sealscore.compliance.pages.svg import STYLES, Axis, Style, span
from sealscore.compliance.run_figures.bin_table import bin_table
from sealscore.compliance.run_figures.findings import Findings
from sealscore.compliance.run_figures.scorecard import REASONS, FeatureEffect
from sealscore.shared.plan.features import tower_crosses
from sealscore.shared.plan.plan import Plan
from sealscore.shared.plan.towers import planned_tower
from sealscore.shared.text.numbers import fixed, percent, whole

_OWN = Style("#000000", marker="diamond")
# Name, what it is, and whether it is private.
_BASELINES = {
    "pooled_xgboost": ("pooled XGBoost", "boosted trees on all records in one place", False),
    "pooled_logistic_bins": ("pooled scorecard", "logistic regression on ten bins a column, all records", False),
    "no_noise": ("this protocol, no noise", "the same plan without noise, on true labels", False),
    "lender_alone": ("lender alone", "each lender on its own records (mean over lenders)", False),
    "lender_alone_dp": ("lender alone, private", "the same at the plan's epsilon", True),
    "platform_alone": ("platform alone", "the platforms' towers by themselves (mean over kinds)", False),
    "platform_alone_dp": ("platform alone, private", "this run's platform towers by themselves", True),
    "fedavg_local_noise": ("FedAvg, own noise", "averaged models, each party adding all of the noise", True),
}


def baselines(found: Findings) -> Html:
    """The run beside its baselines, where a simulation knows them."""
    if not found.baselines:
        return paragraph(
            "How each party would fare alone, or all records in one place, can be known only where all records lie in "
            "one hand: in a simulation. The record of this run has no such figures."
        )
    words = (
        "Dots are exact figures on the test persons. Filled: private, at the plan's epsilon. Hollow: without noise. "
        "Diamonds: this run, exactly, and as the protocol released it with its 95 % interval; its fallback, exactly."
    )
    return join([figure(_dots(found), "This run and what it is compared with.", words, wide=True), _table(found)])


def _dots(found: Findings) -> Html:
    dots = []
    for name, value in found.baselines.items():
        label, _, private = _named(name)
        dots.append((value, Dot(label, value, fixed(value, 4), Style(STYLES[0].colour, hollow=not private))))
    if "auc" in found.exact:
        value = found.exact["auc"]
        dots.append((value, Dot("this run, exact", value, fixed(value, 4), _OWN, strong=True)))
    if "auc" in found.fallback_exact:
        value = found.fallback_exact["auc"]
        dots.append((value, Dot("its fallback, exact", value, fixed(value, 4), _OWN, strong=True)))
    if (auc := found.figures.auc) is not None:
        dot = Dot("this run, by the protocol", auc.value, fixed(auc.value, 4), _OWN, auc.low, auc.high, strong=True)
        dots.append((auc.value, dot))
    ordered = [dot for _, dot in sorted(dots, key=lambda pair: -pair[0])]
    ends = [end for dot in ordered for end in (dot.value, dot.low, dot.high) if end is not None]
    axis = Axis(
        "AUC on the test persons (0.5 is guessing, 1 is perfect)", *span(ends, 0.06), text=lambda value: fixed(value, 2)
    )
    return dot_figure("Baselines by AUC", [Panel(axis, ordered)])


def _table(found: Findings) -> Html:
    exact = found.exact.get("auc")
    rows = []
    for name, value in sorted(found.baselines.items(), key=lambda pair: -pair[1]):
        label, what, private = _named(name)
        ahead = "" if exact is None else fixed(exact - value, 4, sign=True)
        rows.append((label, what, "yes" if private else "no", fixed(value, 4), ahead))
    columns = ["baseline", "what it is", "private", Column("AUC", number=True)]
    return table([*columns, Column("this run's exact AUC less it", number=True)], rows, "Baselines (simulation only)")


def _named(name: str) -> tuple[str, str, bool]:
    return _BASELINES.get(name, (name, "", False))


def scorecard(found: Findings) -> Html:
    """What moves the score: the features of each tower, largest first."""
    plan = found.run.plan
    parts = [
        paragraph(
            "How many score points a feature moves an applicant away from the average one, up or down; 20 points "
            "double the odds of repayment. All of it follows from the published model and the released share of each "
            "bin (feature by feature, as joint shares are not released). In the charts by bin each bar is a bin, from "
            "the lowest values to the highest; up is safer, and each chart has its own scale. An applicant gets at "
            f"most {REASONS} reason codes: the features that lower the score most. The last two columns say how often "
            "a feature is the first of them, and one of them."
        )
    ]
    for tower, effects in found.effects.items():
        parts += [element("h3", _titled(plan, tower)), _effects_table(effects), _crosses(plan, tower)]
    return join([*parts, _card(found)])


def _card(found: Findings) -> Html:
    """The lenders' score as a card, bin by bin, to be opened by who wants it."""
    run = found.run
    outcomes_by_bin = (run.oracle or {}).get("bins")
    card = bin_table(run.model, outcomes_by_bin)
    told: dict[str, Callable[[dict[str, Any]], str]] = {
        "feature": lambda row: row["feature"],
        "bin": lambda row: row["bin"],
        "share": lambda row: "" if row["share"] is None else percent(row["share"], 1),
    }
    outcomes: dict[str, Callable[[dict[str, Any]], str]] = {
        "bad rate": lambda row: "" if row["bad_rate"] is None else percent(row["bad_rate"], 1),
        "WOE": lambda row: "" if row["woe"] is None else fixed(row["woe"], 2, sign=True),
        "IV": lambda row: "" if row["iv"] is None else fixed(row["iv"], 3),
    }
    points: dict[str, Callable[[dict[str, Any]], str]] = {
        "points": lambda row: whole(row["points"]),
        "contribution": lambda row: "" if row["contribution"] is None else fixed(row["contribution"], 3, sign=True),
    }
    words = (
        "Points are added to the base points, those of the average applicant; the contribution is to the log odds of "
        "default. The protocol releases no outcomes by bin."
    )
    if outcomes_by_bin is not None:
        told |= {f"{name} (simulation only)": cell for name, cell in outcomes.items()}
        words += " Bad rates, weights of evidence and information values are a simulation's own, of training records."
    told |= points
    rows = [tuple(cell(row) for cell in told.values()) for row in card.iter_rows(named=True)]
    columns = [name if name in ("feature", "bin") else Column(name, number=True) for name in told]
    said = paragraph(words)
    return element(
        "details", element("summary", "The lenders' score as a card, bin by bin"), said, table(columns, rows)
    )


def _titled(plan: Plan, tower: str) -> str:
    planned = planned_tower(plan, tower)
    if not planned.scores:
        return f"The tower of the platforms ({tower})"
    return "The lenders' score" if planned.group == tower else f"The lenders' score without signals ({tower})"


def _effects_table(effects: tuple[FeatureEffect, ...]) -> Html:
    most = max(effect.size for effect in effects)
    rows = [
        (
            effect.feature,
            meter_figure(f"Mean size {fixed(effect.size, 1)}", effect.size, most, fixed(effect.size, 1)),
            strip_figure(f"Points of each bin of {effect.feature}", effect.points),
            _bin(effect, effect.riskiest),
            _bin(effect, effect.safest),
            percent(effect.first),
            percent(effect.named),
        )
        for effect in effects
    ]
    columns = [
        "feature",
        "mean size in points",
        "points by bin",
        "riskiest bin: points (share)",
        "safest bin: points (share)",
    ]
    return table([*columns, Column("first reason", number=True), Column("among reasons", number=True)], rows)


def _bin(effect: FeatureEffect, index: int) -> str:
    return f"{effect.bins[index]}: {fixed(effect.points[index], 0, sign=True)} ({percent(effect.shares[index])})"


def _crosses(plan: Plan, tower: str) -> Html:
    pairs = "; ".join(f"{left} and {right}" for left, right in tower_crosses(plan, tower))
    said = f"Products of features in this tower, counted half for each of the two: {pairs}."
    return paragraph(said, class_="note") if pairs else Html("")
