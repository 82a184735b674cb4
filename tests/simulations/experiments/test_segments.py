"""Segments: whom a score ranks how well, and how far a federation is ahead of its lenders alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from rich.console import Console
from sklearn.metrics import roc_auc_score

from sealscore.simulations.data import creators
from sealscore.simulations.data.scenario import Scenario, resolve
from sealscore.simulations.experiments.console import segments_table
from sealscore.simulations.experiments.gains import over_seeds
from sealscore.simulations.experiments.job import run_job
from sealscore.simulations.experiments.runs import Run
from sealscore.simulations.experiments.segments import FEWEST, _best, _rows, auc

LENDERS = ("lender-1", "lender-2", "lender-3")


def facts(n: int) -> pl.DataFrame:
    place = np.arange(n)
    return pl.DataFrame(
        {
            "lender": [LENDERS[at % 3] for at in place],
            "vintage": ["2024-01" if at % 2 else "2024-02" for at in place],
            "product": ["starter"] * n,
            "platforms": place % 4,
            "thin_file": place % 5 == 0,
        }
    )


def test_a_segment_has_the_auc_of_its_own_loans_alone():
    random, n = np.random.default_rng(0), 600
    label = (random.random(n) < 0.3).astype(np.int8)
    pd = random.random(n) + 0.5 * label
    table = facts(n)
    rows = {(row["by"], row["name"]): row for row in _rows(table, label, {"federated": pd})}
    expected = {
        ("all", "all"): np.ones(n, dtype=bool),
        ("vintage", "2024-01"): (table["vintage"] == "2024-01").to_numpy(),
        ("lender", "lender-2"): (table["lender"] == "lender-2").to_numpy(),
        ("platforms", "3"): (table["platforms"] == 3).to_numpy(),
        ("file", "thin"): table["thin_file"].to_numpy(),
        ("thin file at", "lender-3"): (table["thin_file"] & (table["lender"] == "lender-3")).to_numpy(),
    }
    for key, mask in expected.items():
        assert rows[key]["loans"] == mask.sum()
        assert rows[key]["bad"] == label[mask].sum()
        assert rows[key]["auc"]["federated"] == pytest.approx(roc_auc_score(label[mask], pd[mask]))
    assert len(rows) == 1 + 2 + 1 + 3 + 4 + 2 + 3


def test_where_there_are_too_few_there_is_no_figure():
    label = np.zeros(100, dtype=np.int8)
    label[: FEWEST - 1] = 1
    assert auc(label, np.arange(100.0)) is None
    label[FEWEST - 1] = 1
    assert auc(label, -np.arange(100.0)) == 1.0
    assert auc(1 - label[: FEWEST + 5], np.arange(FEWEST + 5.0)) is None


def test_thin_files_have_a_best_lender_of_their_own():
    """One lender ranks full files well and thin ones badly, the other the other way round."""
    random, n = np.random.default_rng(1), 4000
    label = (random.random(n) < 0.3).astype(np.int8)
    thin = np.arange(n) % 4 == 0
    pds = {
        "lender-1": random.random(n) + np.where(thin, 0.1, 1.0) * label,
        "lender-2": random.random(n) + np.where(thin, 0.8, 0.2) * label,
    }
    found = _best(pds, label, thin)
    assert (found["lender"], found["thin_lender"]) == ("lender-1", "lender-2")
    assert found["all"] == pytest.approx(roc_auc_score(label, pds["lender-1"]))
    assert found["thin"] == pytest.approx(roc_auc_score(label[thin], pds["lender-2"][thin]))
    few = _best(pds, label, np.arange(n) < FEWEST)
    assert (few["lender"], few["thin_lender"], few["thin"]) == ("lender-1", None, None)


def run(federated: float, thin: float | None, best: str, alone: float) -> dict[str, object]:
    rows = [
        {"by": by, "name": name, "loans": 9, "bad": 3, "auc": dict.fromkeys(scores, value) | {"federated": value}}
        for by, name, value in (("all", "all", federated), ("file", "thin", thin), ("thin file at", "lender-1", None))
        for scores in [("lender_alone", "lender_alone_dp", "lender_alone_xgboost", "pooled_xgboost")]
    ]
    names = ("lender_alone", "lender_alone_dp", "lender_alone_xgboost")
    single = {"lender": best, "all": alone, "thin_lender": "lender-3", "thin": alone - 0.1}
    return {"rows": rows, "single": dict.fromkeys(names, single)}


def test_over_seeds_is_the_mean_and_the_lead_is_over_the_best_of_each_run():
    found = over_seeds([run(0.8, 0.7, "lender-1", 0.7), run(0.78, 0.72, "lender-2", 0.74)])
    assert found["rows"][0]["auc"]["federated"] == pytest.approx(0.79)
    assert found["single"]["lender_alone"]["lender"] == "lender-1, lender-2"
    assert found["single"]["lender_alone"]["thin_lender"] == "lender-3"
    assert found["gain"]["lender_alone"]["all"] == pytest.approx(0.79 - 0.72)
    assert found["gain"]["lender_alone"]["thin"] == pytest.approx(0.71 - 0.62)
    assert found["rows"][2]["auc"]["federated"] is None


def test_a_run_without_a_figure_leaves_the_mean_without_one():
    found = over_seeds([run(0.8, None, "lender-1", 0.7), run(0.78, 0.72, "lender-1", 0.74)])
    assert found["gain"]["lender_alone"]["thin"] is None
    console = Console(width=120, record=True)
    segments_table(console, found)
    said = console.export_text()
    assert "thin at lender-1" in said
    told = "over the best single lender alone: +0.0700 on all (lender-1), too few on thin files (lender-3)"
    assert told in said


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A whole run on a tiny world, with every baseline."""
    sizes = {f"parties__{place}__nominal_records": 800 for place in range(6)}
    scenario = Scenario.load(resolve("creators_small")).replace(
        simulation__creators=1500,
        simulation__creators_seed=3,
        alignment__method="exact",
        alignment__min_overlap=5,
        training__rounds=4,
        **sizes,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(creators, "_cache", lambda: tmp_path_factory.mktemp("worlds"))
        return run_job(scenario, runs=tmp_path_factory.mktemp("runs"))


@pytest.mark.slow
def test_a_run_on_the_world_leaves_its_segments(tiny_run: Run):
    found = tiny_run.oracle["segments"]
    rows = {(row["by"], row["name"]): row for row in found["rows"]}
    everybody = rows["all", "all"]
    assert everybody["auc"]["federated"] == pytest.approx(tiny_run.oracle["exact"]["auc"])
    assert everybody["auc"]["pooled_xgboost"] == pytest.approx(tiny_run.oracle["baselines"]["pooled_xgboost"])
    assert sum(row["loans"] for (by, _), row in rows.items() if by == "lender") == everybody["loans"]
    assert sum(row["loans"] for (by, _), row in rows.items() if by == "vintage") == everybody["loans"]
    assert min(name for by, name in rows if by == "vintage") == "2023-11"
    single = found["single"]["lender_alone"]
    assert single["lender"] in LENDERS
    assert single["thin_lender"] in LENDERS
    # The best lender cannot be worse than the mean lender.
    assert single["all"] >= tiny_run.oracle["baselines"]["lender_alone"]
    json.dumps(over_seeds([found]), allow_nan=False)


@pytest.mark.slow
def test_its_report_shows_them(tiny_run: Run, tmp_path: Path):
    from sealscore.compliance.run_report.run_report import write_report

    page = write_report(tiny_run.folder, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Where the federation helps" in page
    assert "Against the best single lender" in page
