"""The notebooks run as they stand, at a small size, and what they were committed with is light and of no machine."""

from __future__ import annotations

import json
import os
from pathlib import Path

import nbformat
import pytest
from cases import check_each
from nbclient import NotebookClient
from paths import ROOT

from sealscore.simulations.data.datasets import VARIABLE, data_folder, real_data_found

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
# What each runs at instead of the figures of its cell `parameters`.
SMALL = {
    "lender_and_platform": "CREATORS = 1_200",
    "own_table": "FILE, LABEL, ROWS, SEEDS = None, 'status', 1_500, 1",
    "privacy_against_utility": "EPSILONS, SEEDS, ROUNDS, CANARIES = [1, 4], 1, 4, 1_000",
    "quick_start": "ROWS, SEEDS = 1_500, 1",
}
MOST_BYTES = 100_000


def test_each_has_a_small_size():
    assert [path.stem for path in NOTEBOOKS] == list(SMALL)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_from_top_to_bottom(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    if path.stem == "privacy_against_utility" and not real_data_found("uci"):
        pytest.skip("the UCI set is not on this machine; set SEALSCORE_DATA")
    monkeypatch.setenv(VARIABLE, str(data_folder()))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    book = nbformat.read(path, as_version=4)
    (place,) = [at for at, cell in enumerate(book.cells) if "parameters" in cell.metadata.get("tags", ())]
    book.cells.insert(place + 1, nbformat.v4.new_code_cell(SMALL[path.stem]))
    shown = NotebookClient(
        book, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    figures = [part for cell in shown.cells for part in cell.get("outputs", ()) if "image/png" in part.get("data", {})]
    assert figures
    assert list((tmp_path / "runs").glob("*"))


def light(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    outputs = [part for cell in json.loads(text)["cells"] for part in cell.get("outputs", ())]
    assert outputs
    assert max(len(json.dumps(part)) for part in outputs) < MOST_BYTES
    assert not any(part["output_type"] == "error" or part.get("name") == "stderr" for part in outputs)
    for own in (str(ROOT), "/tmp/", "/home/", "/root/"):
        assert own not in text


def test_outputs_are_light_and_tell_nothing_of_a_machine():
    check_each(light, [(path,) for path in NOTEBOOKS])
