"""Champion and challenger on the applications that both scored, as plain data: what a report shows and JSON holds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy.stats import spearmanr

from sealscore.clients.retraining.both_scored import BothReader
from sealscore.clients.retraining.ranking import FIGURES, LEAST_BADS, LEAST_LOANS, PairFigure, enough, judged_pair
from sealscore.clients.scoring.service import cutoff
from sealscore.clients.watch.errors import WatchError
from sealscore.clients.watch.months import month_text
from sealscore.clients.watch.noise.statistics import psi, smoothed
from sealscore.clients.watch.portfolio import outcomes
from sealscore.clients.watch.report.cells import count_cell, hidden, rate_cell
from sealscore.clients.watch.run import WatchedLog
from sealscore.shared.plan.plan import Plan
from sealscore.shared.serving.release import Release

LARGER_IS_BETTER = ("auc", "ks")
SWAPS = ("approved by both", "swapped in", "swapped out", "declined by both")
_BAND = 20
SIMULATED = "approved_only.json"
"""Written by `python -m sealscore.simulations.scoring.approved_only --write`."""


@dataclass(frozen=True)
class Compared:
    """Two releases, and what was read of the log."""

    champion: Release
    challenger: Release
    reader: BothReader
    watched: WatchedLog

    def __post_init__(self) -> None:
        one, other = (release.plan.outcome for release in (self.champion, self.challenger))
        if (one.meaning, one.window_days) != (other.meaning, other.window_days):
            what = "the plans of the two releases mean different outcomes, so their PDs cannot be compared"
            raise WatchError("outcome", f"{what}; compare releases of one outcome")


def comparison(of: Compared) -> dict[str, Any]:
    """The report: points of both, swaps at each one's own cut-off, figures of closed windows, and who was trained on.

    Raises:
        WatchError: no application was scored by both.
    """
    floor, month = of.watched.settings.floor, of.watched.last
    answers = _with_approvals(of, of.reader.rows)
    if answers.is_empty():
        what = "no application was scored by both releases"
        fix = "sealscore-node release use CHALLENGER --shadow, and score under it for a time"
        raise WatchError("nothing", f"{what}; {fix}")
    last = answers.unique("application", keep="last", maintain_order=True)
    closed = _closed(of, answers)
    return {
        "form": 1,
        "champion": _release(of.champion),
        "challenger": _release(of.challenger),
        "until": month_text(month),
        "window_days": of.watched.release.window,
        "bad_days": of.watched.settings.bad_days,
        "floor": floor,
        "least": {"loans": LEAST_LOANS, "bads": LEAST_BADS},
        "scored": {
            "applications": count_cell(last.height, floor),
            "answers_without_the_other": count_cell(of.reader.alone, floor),
            "offered": count_cell(int(last["offered"].sum() or 0), floor),
            "loans": count_cell(len(of.reader.loans), floor),
            "closed_loans": count_cell(closed.height, floor),
        },
        "points": _points(last, floor),
        "swaps": _swaps(last, closed, floor),
        "outcomes": _outcomes(closed, floor),
        "segments": _segments(last, closed, floor),
        "trained_on": [_trained_on(name, release.plan) for name, release in _both(of).items()],
        "labels": _labels(last, closed, floor),
        "simulated": measured_in_the_world(),
    }


def measured_in_the_world() -> dict[str, Any]:
    """What labels of approved loans alone do to a model in the invented world: measured figures with their command."""
    found: dict[str, Any] = json.loads(Path(__file__).with_name(SIMULATED).read_text("utf-8"))
    return found


def _both(of: Compared) -> dict[str, Release]:
    return {"champion": of.champion, "challenger": of.challenger}


def _release(release: Release) -> dict[str, Any]:
    cutoffs = {role: cutoff(release, role) for role in ("champion", "fallback")}
    return {"name": release.manifest.name, "hash": release.hash, "plan": release.plan.name, "cutoffs": cutoffs}


def _with_approvals(of: Compared, answers: pl.DataFrame) -> pl.DataFrame:
    """With whether each release's own cut-off lets an application through; null where a release has none."""
    for place, release in enumerate((of.champion, of.challenger), 1):
        cutoffs = {role: cutoff(release, role) for role in ("champion", "fallback")}
        least = pl.col(f"role_{place}").replace_strict(cutoffs, default=None, return_dtype=pl.Int64)
        answers = answers.with_columns((pl.col(f"points_{place}") >= least).alias(f"approved_{place}"))
    return answers


def _closed(of: Compared, answers: pl.DataFrame) -> pl.DataFrame:
    """Loans whose window is closed, with the answers on which their decisions were made."""
    book, settings = of.watched.book, of.watched.settings
    found = outcomes(book.loans, book.repayments, of.watched.last, of.watched.release.window, settings.bad_days)
    names = {"loan": [*of.reader.loans], "score": [*of.reader.loans.values()]}
    of_score = pl.DataFrame(names, schema={"loan": pl.String, "score": pl.String})
    return found.select("loan", "bad").join(of_score, on="loan").join(answers, on="score").sort("loan")


def _points(last: pl.DataFrame, floor: int) -> dict[str, Any]:
    if last.height < floor:
        return {"bands": [], "rank_correlation": None, "psi": None, "moved": None}
    one, other = (last[f"points_{place}"].to_numpy() for place in (1, 2))
    low = int(min(one.min(), other.min())) // _BAND * _BAND
    edges = np.arange(low, int(max(one.max(), other.max())) + 2 * _BAND, _BAND)
    counts = [np.histogram(points, edges)[0] for points in (one, other)]
    constant = (one == one[0]).all() or (other == other[0]).all()
    moved = np.quantile(other - one, [0.05, 0.5, 0.95])
    few = [hidden(part.tolist(), floor) for part in counts]
    return {
        "bands": [
            {
                "from": int(edges[place]),
                "champion": None if few[0][place] else int(counts[0][place]),
                "challenger": None if few[1][place] else int(counts[1][place]),
            }
            for place in range(len(edges) - 1)
        ],
        "rank_correlation": None if constant else float(spearmanr(one, other).statistic),
        "psi": float(psi(counts[1], smoothed(counts[0]))),
        "moved": {"low": float(moved[0]), "middle": float(moved[1]), "high": float(moved[2])},
    }


def _swaps(last: pl.DataFrame, closed: pl.DataFrame, floor: int) -> list[dict[str, Any]] | None:
    """Applications by what each release's own cut-off says, and bad rates of those that became loans.

    None where a release has no cut-off.
    """
    judged, bads = (rows.drop_nulls(["approved_1", "approved_2"]) for rows in (last, closed))
    if judged.is_empty():
        return None
    cells = {}
    for name, (one, other) in zip(SWAPS, ((True, True), (False, True), (True, False), (False, False)), strict=True):
        which = (pl.col("approved_1") == one) & (pl.col("approved_2") == other)
        cells[name] = judged.filter(which), bads.filter(which)
    few = hidden([rows.height for rows, _ in cells.values()], floor)
    few_loans = hidden([loans.height for _, loans in cells.values()], floor)
    return [
        {
            "swap": name,
            "applications": None if few[place] and rows.height else rows.height,
            "share": None if few[place] and rows.height else rows.height / judged.height,
            "loans": rate_cell(0, 0, floor) if few_loans[place] else _bads(loans, floor),
        }
        for place, (name, (rows, loans)) in enumerate(cells.items())
    ]


def _bads(loans: pl.DataFrame, floor: int) -> dict[str, Any]:
    return rate_cell(int(loans["bad"].sum()), loans.height, floor)


def _outcomes(closed: pl.DataFrame, floor: int) -> dict[str, Any]:
    """Figures of both on the same loans, and the challenger's less the champion's; None where there are too few."""
    bad = closed["bad"].cast(pl.Float64).to_numpy()
    if not enough(bad) or len(bad) < floor:
        return {"loans": None, "bad_rate": None, "mean_pd": None, "figures": None}
    pds = (closed[f"pd_{place}"].to_numpy() for place in (1, 2))
    found = judged_pair(closed["person"].to_list(), bad, *pds)
    return {
        "loans": closed.height,
        "bad_rate": float(bad.mean()),
        "mean_pd": {name: float(closed[f"pd_{place}"].to_numpy().mean()) for place, name in _NAMES},
        "figures": {name: _figures(name, *found[name]) for name in FIGURES},
    }


_NAMES = ((1, "champion"), (2, "challenger"))


def _figures(name: str, one: PairFigure, other: PairFigure, difference: PairFigure) -> dict[str, Any]:
    better = (difference.value > 0) == (name in LARGER_IS_BETTER)
    says = ("challenger" if better else "champion") if difference.away else "lost in noise"
    found = {"champion": one.plain(), "challenger": other.plain(), "difference": difference.plain()}
    return {**found, "better": says}


def _segments(last: pl.DataFrame, closed: pl.DataFrame, floor: int) -> list[dict[str, Any]]:
    """The same by product, by which of the champion's models answered, and by whether a platform's signal was used."""
    found: list[dict[str, Any]] = []
    for by, column in (("product", "product"), ("model", "role_1"), ("signal", "signal")):
        parts = last.with_columns(part=pl.col(column).cast(pl.String)).partition_by("part", as_dict=True)
        names = sorted(str(name) for (name,) in parts)
        loans = {name: closed.filter(pl.col(column).cast(pl.String) == name) for name in names}
        few = hidden([parts[name,].height for name in names], floor)
        few_loans = hidden([loans[name].height for name in names], floor)
        for place, name in enumerate(names):
            rows = parts[name,]
            shown = {"applications": rows.height, "approved": {key: _share(rows, f"approved_{n}") for n, key in _NAMES}}
            nothing = {"applications": None, "approved": dict.fromkeys(key for _, key in _NAMES)}
            outcome = _outcomes(loans[name].clear() if few_loans[place] else loans[name], floor)
            found.append({"by": by, "part": name, **(nothing if few[place] else shown), "outcomes": outcome})
    return found


def _share(rows: pl.DataFrame, column: str) -> float | None:
    known = rows[column].drop_nulls()
    return None if known.is_empty() else float(known.to_numpy().mean())


def _trained_on(name: str, plan: Plan) -> dict[str, Any]:
    """On whom a model was trained, as its plan says; of its own data each lender knows more."""
    lenders: Sequence[Any] = plan.members(plan.lenders)
    trains = "everything" if plan.signals_from is None else "the lenders' score"
    if plan.scores_from is not None:
        trains = f"nothing; weights of plan {plan.scores_from.plan[:12]}"
    return {
        "model": name,
        "plan": plan.name,
        "trains": trains,
        "lenders": {party.name: party.nominal_records for party in lenders},
        "outcome": plan.outcome.definition,
        "window_days": plan.outcome.window_days,
        "cutoff": str(plan.outcome.cutoff),
    }


def _labels(last: pl.DataFrame, closed: pl.DataFrame, floor: int) -> dict[str, Any]:
    """How many of those that both scored have an outcome at all, and of how many swapped in nothing is known."""
    swapped = last.filter(~pl.col("approved_1") & pl.col("approved_2"))
    known: Mapping[str, int] = {
        "applications": last.height,
        "with_outcome": closed.unique("application").height,
        "swapped_in": swapped.height,
        "swapped_in_with_outcome": closed.filter(~pl.col("approved_1") & pl.col("approved_2")).height,
    }
    return {name: count_cell(count, floor) for name, count in known.items()}
