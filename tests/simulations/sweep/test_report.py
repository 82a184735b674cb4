"""The report of a sweep draws what the sweep has the axes for, and nothing else."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from sealscore.simulations.sweep.figures import FIGURES, figures_of
from sealscore.simulations.sweep.report import write_figures, write_report
from sealscore.simulations.sweep.results import Results, along, shown
from sealscore.simulations.sweep.store import RECORD, TABLE, SweepFolderError, tidy

Made = Callable[..., Path]


@pytest.fixture
def made(tmp_path: Path, rows: Callable[[Sequence[dict[str, Any]]], list[dict[str, Any]]]) -> Made:
    """A sweep's folder with rows that have these columns."""

    def make(changes: Sequence[dict[str, Any]], keys: Sequence[str], **record: Any) -> Path:
        tidy(rows(changes)).write_parquet(tmp_path / TABLE)
        told = {"name": "mine", "title": "A <sweep>", "keys": list(keys), "runs": len(changes), "declaration": None}
        (tmp_path / RECORD).write_text(json.dumps({**told, "file": 'plan = "<tiny>"', **record}))
        return tmp_path

    return make


def epsilons(**more: Any) -> list[dict[str, Any]]:
    return [
        {
            "privacy.epsilon": epsilon,
            "epsilon": 0.95 * epsilon,
            "seed": seed,
            "auc": 0.7 + 0.01 * epsilon + 0.001 * seed,
            "baseline.pooled_xgboost": 0.79,
            "baseline.lender_alone_dp": 0.6 + 0.02 * epsilon,
            "budget.bin:lender.alone": 0.1 * epsilon,
            "budget.calibrate:lender.alone": 0.1 * epsilon,
            "budget.train_tower:lender.alone": 0.93 * epsilon,
            "budget.evaluate:lender.alone": 0.6 * epsilon,
            "fairness.SEX: 1.ratio": 0.9,
            "fairness.SEX: 1.ratio.low": 0.85,
            "fairness.SEX: 1.ratio.high": 0.95,
            "fairness.SEX: 2.ratio": None,
            "fairness.AGE: old.ratio": None,
            **more,
        }
        for epsilon in (0.5, 1.0, 2.0)
        for seed in (1, 2)
    ]


def algorithms() -> list[dict[str, Any]]:
    return [
        {
            "label": label,
            "training.algorithm": kind,
            "training.local.steps": steps,
            "bytes_per_party": size,
        }
        for label, kind, steps, size in (("one step", "dp-sgd", None, 900_000), ("local", "fedavg", 10, 100_000))
        for _ in (1, 2)
    ]


def drawn(folder: Path) -> dict[str, str]:
    """The words of each figure."""
    found = {}
    for name, one in figures_of(Results.read(folder)).items():
        root = ET.fromstring(str(one.drawing))
        assert "nan" not in str(one.drawing)
        found[name] = " | ".join(text for node in root.iter() if (text := node.text))
    return found


def test_epsilon_gives_privacy_fairness_and_budget(made: Made):
    said = drawn(made(epsilons(), ["privacy.epsilon"]))
    assert set(said) == {"privacy", "fairness", "budget"}
    for words in (
        "epsilon for a person",
        "persons held out",
        "pooled XGBoost",
        "a lender alone",
        "this federation",
    ):
        assert words in said["privacy"]
    assert "SEX" in said["fairness"]
    assert "AGE" not in said["fairness"]
    shown = said["budget"].split(" | ")
    assert "the whole run; tower, lender (2\N{NO-BREAK SPACE}% below)" in shown
    assert "bins, lender; calibration, lender" in shown
    assert "evaluation, lender" in shown


def test_words_give_a_comparison_and_its_cost(made: Made):
    said = drawn(made(algorithms(), ["training.algorithm", "training.local.steps"]))
    assert set(said) == {"comparison", "cost"}
    for words in ("one step", "local", "MB, busiest party", "sums in all phases"):
        assert words in said["comparison"]
    assert "one step" in said["cost"]


def test_parties_and_skew_with_a_line_for_each_algorithm(made: Made):
    changes = [
        {
            **row,
            "parties.lender": count,
            "lenders": count,
            "simulation.alpha": 0.5 * count,
            "simulation.partition": "label-skew",
        }
        for row in algorithms()
        for count in (2, 4)
    ]
    folder = made(changes, ["parties.lender", "simulation.alpha", "training.algorithm", "training.local.steps"])
    said = drawn(folder)
    assert {"parties", "skew"} <= set(said)
    assert "lenders that share the records out" in said["parties"]
    assert "alpha of the lenders' bad rates" in said["skew"]
    for words in ("one step", "local"):
        assert words in said["parties"]
        assert words in said["skew"]


def test_the_same_settings_over_seeds_alone_give_no_figure_of_axes(made: Made):
    folder = made([{"seed": seed} for seed in (1, 2, 3)], [])
    assert drawn(folder) == {}
    (setting,) = Results.read(folder).settings
    spread = setting.spread("auc")
    assert spread is not None
    assert (spread.mean, spread.low, spread.high, spread.seeds) == (pytest.approx(0.701), 0.7, 0.702, 3)
    assert setting.spread("auc_dp") is None


def test_too_many_lines_are_not_drawn(made: Made):
    changes = [{**row, "training.rounds": rounds} for row in epsilons() for rounds in range(1, 9)]
    assert "privacy" not in drawn(made(changes, ["privacy.epsilon", "training.rounds"]))


def test_lines_are_means_over_seeds(made: Made):
    results = Results.read(made(epsilons(), ["privacy.epsilon"]))
    (series,) = results.series("privacy.epsilon")
    points = along(series, "privacy.epsilon", "auc")
    assert [at for at, _ in points] == [0.5, 1.0, 2.0]
    assert [spread.mean for _, spread in points] == pytest.approx([0.7065, 0.7115, 0.7215])
    assert [spread.high - spread.low for _, spread in points] == pytest.approx([0.001] * 3)
    assert results.axes == ("privacy.epsilon",)


def test_names_of_settings():
    assert shown("privacy.epsilon", 0.5) == "epsilon 0.5"
    assert shown("parties.lender", 1) == "1 lender"
    assert shown("parties.lender", 5) == "5 lenders"
    assert shown("training.algorithm", "fedavg") == "fedavg"
    assert shown("training.local.steps", None) == "steps none"
    assert shown("model.grid_cells", 64) == "grid cells 64"


def test_the_page_is_whole_and_escapes_what_the_file_says(made: Made, tmp_path: Path):
    folder = made(epsilons(), ["privacy.epsilon"], runs=9, declaration="All of it is invented.")
    text = write_report(folder).read_text(encoding="utf-8")
    assert "A &lt;sweep&gt;" in text
    assert "&lt;tiny&gt;" in text
    assert "<tiny>" not in text
    assert "All of it is invented." in text
    assert "6 runs of 9 planned" in text
    assert text.count("<svg") == 3
    assert not re.search(r"<script|src=|href=\"http", text)
    assert write_report(folder, tmp_path / "again.html").read_text(encoding="utf-8") == text


def test_figures_as_files_of_their_own(made: Made, tmp_path: Path):
    paths = write_figures(made(epsilons(), ["privacy.epsilon"]), tmp_path / "figures")
    assert [path.name for path in paths] == ["mine-privacy.svg", "mine-fairness.svg", "mine-budget.svg"]
    for path in paths:
        assert ET.fromstring(path.read_text(encoding="utf-8")).tag == "{http://www.w3.org/2000/svg}svg"


def test_a_folder_without_rows(tmp_path: Path):
    with pytest.raises(SweepFolderError):
        write_report(tmp_path)
    assert set(FIGURES) == {"privacy", "parties", "skew", "comparison", "cost", "fairness", "budget"}
