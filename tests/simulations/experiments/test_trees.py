"""Trees are chosen on training rows alone, and what was chosen once is not sought again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sealscore.simulations.experiments import trees
from sealscore.simulations.experiments.oracle import figures

Rows = tuple[np.ndarray, np.ndarray]


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(trees, "MOST_TREES", 40)


@pytest.fixture(scope="module")
def rows() -> Rows:
    """Two columns whose product tells the outcome, and neither alone."""
    random = np.random.default_rng(0)
    matrix = random.normal(size=(800, 2))
    label = (matrix[:, 0] * matrix[:, 1] + 0.3 * random.normal(size=800) > 0).astype(np.int8)
    return matrix, label


def test_only_trees_of_several_cuts_combine_columns(rows: Rows):
    (matrix, label), half = rows, 400
    auc = {
        name: figures(label[half:], trees.tuned_pd(matrix[:half], label[:half], matrix[half:], choices, 1))["auc"]
        for name, choices in (("any", trees.ANY[:4]), ("additive", trees.ADDITIVE))
    }
    assert auc["any"] > 0.8 > auc["additive"] + 0.1


def test_what_was_chosen_is_kept_by_data_and_seed(rows: Rows):
    (matrix, label), told = rows, []

    def pd(seed: int, labels: np.ndarray = label) -> np.ndarray:
        told.clear()
        return trees.tuned_pd(matrix, labels, matrix, trees.ADDITIVE, seed, lambda done, total: told.append(done))

    first = pd(1)
    assert told == [0, 1, 2]
    assert np.array_equal(pd(1), first)
    assert told == []
    pd(2)
    assert told
    pd(1, 1 - label)
    assert told


def test_a_spoilt_file_is_passed_over(rows: Rows, tmp_path: Path):
    matrix, label = rows
    first = trees.tuned_pd(matrix, label, matrix, trees.ADDITIVE, 1)
    (kept,) = (tmp_path / "sealscore" / "trees").iterdir()
    for content in (b"{}", b"not json", b'{"depth": 9, "leaf": 1.0, "trees": 3}'):
        kept.write_bytes(content)
        assert np.array_equal(trees.tuned_pd(matrix, label, matrix, trees.ADDITIVE, 1), first)
