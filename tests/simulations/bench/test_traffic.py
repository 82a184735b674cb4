"""The benchmark of bought traffic prints its figures for each platform and seed."""

from __future__ import annotations

import polars as pl
import pytest

from sealscore.simulations.bench import traffic
from sealscore.simulations.world.fits.detector import SEED

SEEDS = traffic.SEEDS


def test_it_gives_its_figures(monkeypatch):
    monkeypatch.setattr(traffic, "CREATORS", 1500)
    monkeypatch.setattr(traffic, "SEEDS", (3,))
    found = traffic.run()
    assert found.pop("creators") == 1500
    parts = ("auc", "buyers", "buyers_of_flagged", "flagged_of_buyers")
    least, mean, most = (found.pop(f"auc_{what}") for what in ("least", "mean", "most"))
    assert least < mean < most
    assert {least, most} == {found[f"auc_{party}_seed_3"] for party in ("video-1", "video-2")}
    assert SEED not in SEEDS
    assert set(found) == {f"{part}_{party}_seed_3" for part in parts for party in ("video-1", "video-2")}
    assert all(0 < value < 1 for value in found.values())
    assert found["auc_video-1_seed_3"] > 0.7


def test_figures_by_hand(tmp_path):
    """Two of three buyers score above all others, one has no score; one of two flagged buys."""
    scores, names = [0.7, 0.65, None, 0.5, 0.62, 0.4], list("abcdef")
    table = {"creator_id": names, "traffic_anomaly_180d": scores}
    pl.DataFrame(table).write_parquet(tmp_path / "features.parquet")
    pl.DataFrame({"creator_id": ["a", "e"]}).write_parquet(tmp_path / "flags.parquet")
    truth = pl.DataFrame({"creator_id": names, "buys_traffic": [True, True, True, False, False, False]})
    found = traffic._figures(tmp_path, truth)
    # The median is 0.62, as the score of e: a tie counts half.
    assert found["auc"] == pytest.approx((3 + 3 + 2.5) / 9)
    assert (found["buyers"], found["buyers_of_flagged"]) == (0.5, 0.5)
    assert found["flagged_of_buyers"] == pytest.approx(1 / 3)
