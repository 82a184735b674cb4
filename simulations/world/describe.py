"""A world in figures: how often loans go bad, and how well anybody could tell, from its own tables and its truth.

The last needs the truth, so it is for those who judge a model: no score can rank better than the true PD does, but for
chance. What a set of facts tells is measured as the AUC of gradient boosting on it, fitted on other persons (5 folds).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from sealscore.simulations.world.build import TRUTH, WorldFolderError, read_manifest

FACTS: dict[str, tuple[str, ...]] = {
    "bureau: what it reports": ("reported", "thin_file"),
    "bureau: leverage, honesty": ("leverage", "honesty"),
    "channel: quality, stability, service, state": ("quality", "stability", "service", "state"),
    "wallet: state, cash": ("state", "cash"),
    "loan: instalment over turnover, term, product": ("instalment_share", "term", "traffic"),
    "all of these": (
        "reported",
        "thin_file",
        "leverage",
        "honesty",
        "quality",
        "stability",
        "service",
        "state",
        "cash",
        "instalment_share",
        "term",
        "traffic",
        "false_identity",
    ),
}
"""Sets of true facts, and the columns of `_facts` that they are."""
_FOLDS = 5


def describe(folder: Path) -> dict[str, Any]:
    """Figures of a world that was built.

    Raises:
        WorldFolderError: there is none in the folder, or it has no good and bad loans.
    """
    manifest = read_manifest(folder)
    facts = _facts(folder, manifest)
    granted = facts.filter("approved")
    if granted["bad"].n_unique() < 2:
        raise WorldFolderError(f"{folder}: loans of one outcome only, or none; there is nothing to tell apart")
    found: dict[str, Any] = {
        "creators": manifest["creators"],
        "applications": len(facts),
        "approved": len(granted),
        "vintages": facts["month"].n_unique(),
        "bad_rate": granted["bad"].mean(),
        "bad_rate_if_declined_were_granted": facts.filter(~pl.col("approved"))["bad"].mean(),
        "thin_share": facts["thin_file"].mean(),
        "by_lender_and_product": facts.group_by("lender", "product")
        .agg(
            applications=pl.len(),
            approval_rate=pl.col("approved").mean(),
            bad_rate=pl.col("bad").filter("approved").mean(),
            thin_share=pl.col("thin_file").mean(),
        )
        .sort("lender", "product")
        .to_dicts(),
        "on_platforms": _overlap(facts),
        "per_view": _per_view(folder, manifest),
        "auc": {name: _auc_of(granted, list(columns)) for name, columns in FACTS.items()},
    }
    if granted["pd"].null_count() == 0:
        found["auc"]["the true PD"] = _auc(granted["bad"], granted["pd"])
        thin = granted.filter("thin_file")
        found["auc"]["the true PD, thin files alone"] = _auc(thin["bad"], thin["pd"])
    return found


def _facts(folder: Path, manifest: dict[str, Any]) -> pl.DataFrame:
    """A row an application with what is true of it and of its creator."""
    creators = pl.read_parquet(folder / TRUTH / "creators.parquet")
    loans = pl.read_parquet(folder / TRUTH / "applications.parquet")
    lenders = [party for party, what in manifest["parties"].items() if what["kind"] == "lender"]
    asked = pl.concat([pl.read_parquet(folder / party / "applications.parquet") for party in lenders])
    joined = loans.join(creators, on="creator_id").join(
        asked.select("application_id", term=pl.col("term_months")), on="application_id"
    )
    return joined.rename({"bad_if_granted": "bad"}).with_columns(
        reported=pl.when("thin_file").then(None).otherwise("credit"), traffic=pl.col("product") == "traffic"
    )


def _per_view(folder: Path, manifest: dict[str, Any]) -> dict[str, float]:
    """Median likes and comments of all videos over their median views."""
    frames = []
    for party, what in manifest["parties"].items():
        if what["kind"] == "video":
            names = what["tables"]["videos"]["columns"]
            read = pl.scan_parquet(folder / party / "videos.parquet")
            frames.append(read.select(pl.col(names[name]).alias(name) for name in ("views", "likes", "comments")))
    medians = pl.concat(frames).select(pl.all().median()).collect().row(0, named=True)
    return {name: medians[name] / medians["views"] for name in ("likes", "comments")}


def _overlap(facts: pl.DataFrame) -> dict[str, float]:
    """The share of applications by the platforms on which the creator is."""
    counts = facts.group_by(pl.col("platforms").list.join(" + ").alias("where")).len().sort("where")
    return {where: count / len(facts) for where, count in counts.iter_rows()}


def _auc_of(facts: pl.DataFrame, columns: list[str]) -> float:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import GroupKFold, cross_val_predict

    x = facts.select(pl.col(columns).cast(pl.Float64)).to_numpy()
    model = HistGradientBoostingClassifier(max_iter=60, learning_rate=0.1, max_leaf_nodes=15, random_state=0)
    groups = facts["creator_id"].rank("dense").to_numpy()
    scores = cross_val_predict(
        model, x, facts["bad"].to_numpy(), groups=groups, cv=GroupKFold(_FOLDS), method="predict_proba"
    )
    return _auc(facts["bad"], pl.Series(np.asarray(scores)[:, 1]))


def _auc(bad: pl.Series, scores: pl.Series) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(bad.to_numpy(), scores.to_numpy()))
