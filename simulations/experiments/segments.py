"""Where a federation helps: exact figures of its score by segment, beside what each lender reaches alone.

Outside the protocol: only a simulation holds all records, knows every applicant's segment, and can train each lender
alone. Segments are those of test loans.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import polars as pl
from sklearn.metrics import roc_auc_score

from sealscore.shared.model.score_model import ScoreModel
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.plan import Plan
from sealscore.simulations.experiments.baselines import (
    alone,
    alone_model,
    alone_xgboost_pd,
    pooled_xgboost_pd,
    without_noise,
)
from sealscore.simulations.experiments.gains import ALONE, ALONE_DP, ALONE_XGBOOST, FEDERATED, POOLED
from sealscore.simulations.experiments.oracle import Oracle, pooled_labels

FEWEST = 10
"""Bad loans, and good ones, below which a segment has no AUC."""
BY = {
    "vintage": "month of the application",
    "product": "product",
    "lender": "lender",
    "platforms": "platforms that know the applicant and may be asked",
    "file": "file at the bureau",
}

Tell = Callable[[str], None]


def segments(
    plan: Plan,
    oracle: Oracle,
    model: ScoreModel,
    scored: Iterable[Records],
    facts: pl.DataFrame,
    tell: Tell = lambda what: None,
) -> dict[str, Any]:
    """Exact AUC of the federation's score, of lenders alone and of pooled trees, by segment of the test loans.

    `facts` has `application_id`, `lender`, `vintage`, `product`, `platforms` and `thin_file`. Alone is each lender's
    own model, on its own columns and records; on a segment with loans of several lenders each loan is scored by its
    own lender's model.

    Returns:
        `rows`: for each segment `by`, `name`, `loans`, `bad` and `auc` (name of the score to figure, None where there
        are fewer than FEWEST bad or good loans), "all" and "thin files" of each lender among them. `single`: for each
        way of going alone the best single lender's model, judged on all lenders' test loans: `lender` and its AUC
        `all`, and, chosen apart, `thin_lender` and its AUC `thin` on thin files; None where there is no figure.
    """
    parts = [part.test_part() for part in scored]
    table = pl.DataFrame({"application_id": [name for part in parts for name in part.ids]})
    table = table.join(facts, on="application_id", how="left", maintain_order="left")
    label, thin = pooled_labels(parts), table["thin_file"].to_numpy().astype(bool)
    scores = {FEDERATED: np.concatenate([model.pd(part.columns) for part in parts])}
    lenders = [party.name for party in plan.members(plan.lenders)]
    owner = table["lender"].to_numpy()
    single = {}
    for name, pds in _alone(plan, oracle, lenders, tell).items():
        scores[name] = np.select([owner == lender for lender in lenders], [pds[lender] for lender in lenders])
        single[name] = _best(pds, label, thin)
    tell("segments: pooled trees")
    scores[POOLED] = pooled_xgboost_pd(plan, oracle)
    return {"rows": _rows(table, label, scores), "single": single}


def _alone(plan: Plan, oracle: Oracle, lenders: list[str], tell: Tell) -> dict[str, dict[str, np.ndarray]]:
    """PDs of all lenders' test loans by each way of going alone and each lender."""
    found: dict[str, dict[str, np.ndarray]] = {ALONE: {}, ALONE_DP: {}, ALONE_XGBOOST: {}}
    for lender in lenders:
        tell(f"segments: {lender} alone")
        by_itself = alone(plan, lender)
        for name, variant in ((ALONE, without_noise(by_itself)), (ALONE_DP, by_itself)):
            model = alone_model(variant, oracle)
            found[name][lender] = np.concatenate([model.pd(part.columns) for part in oracle.test])
        found[ALONE_XGBOOST][lender] = alone_xgboost_pd(by_itself, oracle)
    return found


def _best(pds: Mapping[str, np.ndarray], label: np.ndarray, thin: np.ndarray) -> dict[str, Any]:
    """Whose model ranks all lenders' loans best, and whose their thin files: often not the same lender's."""
    on_all, on_all_auc = _highest({lender: auc(label, pd) for lender, pd in pds.items()})
    on_thin, on_thin_auc = _highest({lender: auc(label[thin], pd[thin]) for lender, pd in pds.items()})
    return {"lender": on_all, "all": on_all_auc, "thin_lender": on_thin, "thin": on_thin_auc}


def _highest(found: Mapping[str, float | None]) -> tuple[str | None, float | None]:
    """The lender with the highest figure, and the figure; both None where there is none."""
    known = {lender: value for lender, value in found.items() if value is not None}
    if not known:
        return None, None
    best = max(known, key=lambda lender: known[lender])
    return best, known[best]


def auc(label: np.ndarray, pd: np.ndarray) -> float | None:
    """Exact AUC of PDs [n] against labels [n]; None where there are too few of either outcome to tell."""
    bad = int(label.sum())
    return float(roc_auc_score(label, pd)) if min(bad, len(label) - bad) >= FEWEST else None


def _rows(table: pl.DataFrame, label: np.ndarray, scores: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    thin = table["thin_file"].to_numpy().astype(bool)
    named = table.with_columns(
        pl.when("thin_file").then(pl.lit("thin")).otherwise(pl.lit("full")).alias("file"),
        pl.col("platforms").cast(pl.String),
    )
    masks = {("all", "all"): np.ones(len(label), dtype=bool)}
    for by in BY:
        masks |= {(by, str(name)): (named[by] == name).to_numpy() for name in named[by].unique().sort()}
    masks |= {
        ("thin file at", str(name)): thin & (named["lender"] == name).to_numpy()
        for name in named["lender"].unique().sort()
    }
    return [
        {
            "by": by,
            "name": name,
            "loans": int(mask.sum()),
            "bad": int(label[mask].sum()),
            "auc": {score: auc(label[mask], pd[mask]) for score, pd in scores.items()},
        }
        for (by, name), mask in masks.items()
    ]
