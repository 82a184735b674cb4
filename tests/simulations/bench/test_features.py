"""The benchmark of features times what it says, and its figures are those of the small run."""

from __future__ import annotations

import polars as pl

from sealscore.simulations.bench import features


def test_it_gives_its_figures(monkeypatch):
    for name, value in (("CHANNELS", 300), ("VIDEOS", 12_000), ("COMMENTS", 2_000), ("TURNS", 1)):
        monkeypatch.setattr(features, name, value)
    for name, value in (("BOOKS", (200, 400)), ("APPLICANTS", 3), ("TURNS", 1)):
        monkeypatch.setattr(features.applicant, name, value)
    found = features.run()
    assert found["applicant_cpu_ms_400"] > found["applicant_index_cpu_ms_400"] > 0
    assert found["applicant_growth"] == found["applicant_cpu_ms_400"] / found["applicant_cpu_ms_200"]
    assert found["video_rows_per_s"] > 0
    assert found["comments_per_s"] > 0
    assert (found["videos"], found["comments"], found["channels"]) == (12_000, 2_000, 300)
    assert 0.8 < found["chinese_accuracy"] < 1
    assert found["english_accuracy"] == "unmeasured"


def test_its_tables_have_no_faults(tmp_path):
    features.draw(tmp_path, 50, 500, 100)
    for name, table in features.TABLES["short-video"].items():
        frame = features._read(tmp_path, name).collect()
        assert frame.schema == table.columns
        assert frame.height == pl.read_parquet(tmp_path / f"{name}.parquet").height
