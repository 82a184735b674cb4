"""Bought traffic found in the creator world: the anomaly score of each short-video platform against the planted truth.

Default worlds of a smaller size are built for a few seeds, none of them that on which the detector was fitted, and read
by the platforms' own code. A creator without a score counts as an ordinary one, by the median score.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn.metrics import roc_auc_score

from sealscore.clients.features import Sentiment
from sealscore.simulations.world.build import TRUTH, build
from sealscore.simulations.world.config import load_config
from sealscore.simulations.world.party_features import party_features

CREATORS, SEEDS = 20_000, (1, 2, 3, 4, 5)
_SCORE = "traffic_anomaly_180d"


def run() -> dict[str, Any]:
    """AUC, share of buyers, share of buyers among the flagged, and share of buyers flagged, by platform and seed.

    Then the mean, the least and the largest AUC of all of them.
    """
    sentiment = Sentiment.shipped()
    found: dict[str, Any] = {}
    for seed in SEEDS:
        # The true PDs are no part of this, and take most of the time.
        config = load_config("default", creators=CREATORS, seed=seed)
        config = config.model_copy(update={"lending": config.lending.model_copy(update={"pd_rollouts": 0})})
        with tempfile.TemporaryDirectory() as name:
            raw = Path(name) / "raw"
            manifest = build(config, raw)
            truth = pl.read_parquet(raw / TRUTH / "creators.parquet", columns=["creator_id", "buys_traffic"])
            for party, held in manifest["parties"].items():
                if held["kind"] == "video":
                    out = Path(name) / party
                    party_features(raw, manifest, party, out, sentiment)
                    figures = _figures(out, truth)
                    found |= {f"{what}_{party}_seed_{seed}": value for what, value in figures.items()}
    aucs = [value for what, value in found.items() if what.startswith("auc_")]
    summary = {"auc_mean": sum(aucs) / len(aucs), "auc_least": min(aucs), "auc_most": max(aucs)}
    return {**found, **summary, "creators": CREATORS}


def _figures(out: Path, truth: pl.DataFrame) -> dict[str, float]:
    table = pl.read_parquet(out / "features.parquet").join(truth, on="creator_id")
    flagged = pl.read_parquet(out / "flags.parquet").select("creator_id").with_columns(flagged=True)
    table = table.join(flagged, on="creator_id", how="left")
    buys = table["buys_traffic"].to_numpy()
    scores = table[_SCORE].fill_null(table[_SCORE].median())
    both = int(np.sum(buys & table["flagged"].fill_null(False).to_numpy()))
    return {
        "auc": float(roc_auc_score(buys, scores)),
        "buyers": float(np.mean(buys)),
        "buyers_of_flagged": both / flagged.height,
        "flagged_of_buyers": both / int(np.sum(buys)),
    }
