"""The gallery: every figure is there, with the command and the sweep's file that made it."""

from __future__ import annotations

import re

import pytest
from paths import ROOT

from sealscore.compliance.run_figures.fairness import BandFigures
from sealscore.simulations.sweep.config import SweepFile, packaged
from sealscore.simulations.sweep.figures import FIGURES
from sealscore.simulations.sweep.row import FAIRNESS

DOCS = ROOT / "docs"
PAGE = (DOCS / "research.md").read_text(encoding="utf-8")
SECTIONS = re.findall(r"^### .*?(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)


def shown(text: str) -> list[tuple[str, str]]:
    """The sweep and the name of each figure in a text."""
    return re.findall(r"\(figures/(\w+)-(\w+)\.svg\)", text)


def test_figures_on_the_page_are_those_in_the_tree():
    found = {path.name for path in (DOCS / "figures").glob("uci_*.svg")}
    assert {f"{sweep}-{name}.svg" for sweep, name in shown(PAGE)} == found
    assert {name for _, name in shown(PAGE)} == set(FIGURES)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.splitlines()[0].strip("# "))
def test_every_figure_has_its_command_and_its_sweep(section: str):
    (sweep,) = {sweep for sweep, _ in shown(section)}
    assert sweep in packaged()
    assert f"sweep report runs/sweep-{sweep} --figures docs/figures`" in section
    assert f"({sweep}.toml)" not in section
    assert f"(../simulations/sweeps/{sweep}.toml)" in section
    assert f"`sealscore-sim sweep {sweep} && " in PAGE


def test_every_sweep_is_in_the_gallery():
    assert {sweep for sweep, _ in shown(PAGE)} == set(packaged())


def test_keys_of_the_file_and_columns_are_those_there_are():
    example = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    for key in SweepFile.model_fields:
        assert re.search(rf"\b{key}\b", example[1]), key
    for name in FAIRNESS:
        assert f"`{name}`" in PAGE
        assert name in BandFigures.__dataclass_fields__
