"""`sealscore-sim world` as a user meets it, its figures, and its page."""

from __future__ import annotations

import hashlib
import json
import re
import runpy
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import pytest
from paths import ROOT

from sealscore.simulations import cli
from sealscore.simulations.world import describe
from sealscore.simulations.world.build import read_manifest
from sealscore.simulations.world.figures import FIGURES
from sealscore.simulations.world.fits import detector, tone

PAGE = (ROOT / "docs" / "world.md").read_text(encoding="utf-8")
Call = Callable[..., tuple[int, str]]


@pytest.fixture
def sim(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Call the program in this process: its exit code and what it said."""
    monkeypatch.setenv("COLUMNS", "240")

    def call(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["sealscore-sim", "world", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        out, err = capsys.readouterr()
        return int(stopped.value.code or 0), " ".join((out + err).split())

    return call


def test_build_takes_creators_and_seed_from_the_command(sim: Call, tmp_path: Path):
    code, said = sim("build", "small", "-o", tmp_path / "w", "--creators", 150, "--seed", 5)
    assert code == 0
    assert "150 creators, seed 5" in said
    assert "invented data" in said
    manifest = read_manifest(tmp_path / "w")
    assert (manifest["creators"], manifest["seed"]) == (150, 5)


def test_bad_input_is_told_with_exit_code_2(sim: Call, tmp_path: Path):
    (tmp_path / "file").write_text("x")
    bad = tmp_path / "w.toml"
    bad.write_text("[channel]\nviral_rate = 2.0\n")
    for arguments, expected in [
        (("build", bad, "-o", tmp_path / "w"), "channel.viral_rate = 2.0: input should be less than 1"),
        (("build", "nowhere", "-o", tmp_path / "w"), "no such file; give a TOML file or one of default, small"),
        (("build", "small", "-o", tmp_path), "is not empty; name a new folder"),
        (("build", "small", "-o", tmp_path / "file"), "is not empty; name a new folder"),
        (("build", "small", "-o", tmp_path / "w", "--creators", 5), "creators = 5"),
        (("describe", tmp_path), "no such file; `sealscore-sim world build` makes a world"),
        (("figures", tmp_path, "-o", tmp_path / "f"), "no such file"),
    ]:
        code, said = sim(*arguments)
        assert code == cli.BAD_INPUT, arguments
        assert re.sub(r"[│ ]+", " ", expected) in re.sub(r"[│ ]+", " ", said)
    assert not (tmp_path / "w").exists()


def test_describe_gives_figures_as_text_and_as_json(sim: Call, world: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(describe, "FACTS", {"cash": ("cash",)})
    code, said = sim("describe", world, "--json")
    assert code == 0
    found = json.loads(said)
    assert found["vintages"] == 18
    assert len(found["by_lender_and_product"]) == 6
    code, said = sim("describe", world)
    assert code == 0
    assert "the true PD" in said
    assert f"{found['auc']['the true PD']:.3f}" in said


def test_figures_are_drawings_of_their_own(sim: Call, world: Path, tmp_path: Path):
    code, _ = sim("figures", world, "-o", tmp_path / "figures")
    assert code == 0
    paths = sorted((tmp_path / "figures").iterdir())
    assert [path.name for path in paths] == sorted(f"world-{name}.svg" for name in FIGURES)
    for path in paths:
        root = ET.fromstring(path.read_text(encoding="utf-8"))
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert "nan" not in path.read_text(encoding="utf-8")


def test_every_figure_is_on_the_page_and_in_the_tree():
    assert set(re.findall(r"\(figures/world-(\w+)\.svg\)", PAGE)) == set(FIGURES)
    assert {path.name for path in (ROOT / "docs" / "figures").glob("world-*.svg")} == {
        f"world-{n}.svg" for n in FIGURES
    }


def test_the_knobs_on_the_page_are_those_of_the_config():
    generator = runpy.run_path(str(ROOT / "docs" / "world_page.py"))
    assert generator["refresh"](PAGE) == PAGE, "run: python docs/world_page.py"
    assert set(re.findall(r"<!-- knobs of (\w+) -->", PAGE)) == {model.__name__ for model in generator["MODELS"]}
    spoilt = PAGE.replace("| `likes_per_view` | 0.028 |", "| `likes_per_view` | 0.03 |")
    assert spoilt != PAGE
    assert generator["refresh"](spoilt) == PAGE


@pytest.mark.parametrize(("command", "module"), [("detector", detector), ("tone", tone)])
def test_a_fit_says_whether_it_is_the_shipped_one(
    sim: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, module: ModuleType
):
    path = tmp_path / f"{command}.npz"
    shipped = files("sealscore.clients.features").joinpath(path.name).read_bytes()
    for content, same in ((shipped, True), (b"another", False)):
        monkeypatch.setattr(module, "fit", lambda content=content: content)
        code, said = sim(command, "-o", path)
        assert code == 0
        assert path.read_bytes() == content
        assert hashlib.sha256(content).hexdigest() in said
        assert ("as shipped" in said) == same
