"""The features on the creator world: every party's table is read, and bought traffic and false papers are found."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from sealscore.clients.features import PartyMapping, Sentiment, Settings, build_table
from sealscore.clients.features.raw.raw import TABLES
from sealscore.simulations.world.build import build
from sealscore.simulations.world.config import load_config

KINDS = {"video": "short-video", "wallet": "wallet", "lender": "lender"}
CREATORS = 6000


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("world") / "world"
    return folder, build(load_config("default", creators=CREATORS, seed=11), folder)


@pytest.fixture(scope="module")
def tables(world, tmp_path_factory, sentiment: Sentiment) -> dict[str, pl.DataFrame]:
    """The features of every party, and what was flagged as PARTY.flags."""
    folder, manifest = world
    found = {}
    for party, held in manifest["parties"].items():
        kind = KINDS[held["kind"]]
        columns = {name: {"columns": table["columns"]} for name, table in held["tables"].items()}
        assert set(columns) == set(TABLES[kind])
        settings = Settings(mapping=PartyMapping.of(columns, kind), labelled=False, most_rejected=0)
        out = tmp_path_factory.mktemp("out") / party
        built = build_table(folder / party, kind, out, date(2030, 1, 1), settings, sentiment)
        found[party] = pl.read_parquet(built.table)
        if kind != "wallet":
            found[f"{party}.flags"] = pl.read_parquet(out / "flags.parquet")
    return found


@pytest.fixture(scope="module")
def truth(world) -> pl.DataFrame:
    return pl.read_parquet(world[0] / "truth" / "creators.parquet")


def test_every_party_has_its_table(tables):
    assert all(tables[party].height > CREATORS // 10 for party in tables if "." not in party)


@pytest.mark.parametrize("party", ["video-1", "video-2"])
def test_bought_traffic_is_found(tables, truth, party: str):
    """The figure to reach is 0.85, at the default share of buyers; rows without a score count as ordinary ones."""
    found = tables[party].join(truth.select("creator_id", "buys_traffic"), on="creator_id")
    scores = found["traffic_anomaly_180d"].fill_null(found["traffic_anomaly_180d"].median())
    assert 0.03 < found["buys_traffic"].mean() < 0.1
    assert roc_auc_score(found["buys_traffic"], scores) >= 0.85
    flagged = tables[f"{party}.flags"].join(truth, on="creator_id")["buys_traffic"]
    assert flagged.mean() > 0.6


def test_false_papers_that_show_are_flagged(tables, truth):
    lender = tables["lender-1"].join(truth, on="creator_id", suffix="_true")
    for paper in ("identity", "licence"):
        # The features lack the checks that look at a column without a day; the flags do not.
        of_paper = tables["lender-1.flags"].filter(pl.col("paper") == paper)["application_id"]
        flagged = pl.col("application_id").is_in(of_paper.to_list())
        assert lender.filter(pl.col(f"{paper}_flags") > 0).select(flagged.all()).item()
        shows = pl.col(f"false_{paper}") & pl.col("papers_show")
        assert lender.filter(shows).select(flagged.mean()).item() > 0.9
        assert lender.filter(~pl.col(f"false_{paper}")).select(flagged.mean()).item() < 0.05


def test_tone_follows_service(tables, truth):
    found = tables["video-1"].join(truth, on="creator_id").drop_nulls("sentiment_mean_90d")
    assert np.corrcoef(found["sentiment_mean_90d"], found["service"])[0, 1] > 0.1
    assert np.corrcoef(found["complaint_share_90d"], found["service"])[0, 1] < -0.1
