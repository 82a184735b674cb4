"""The table of docs/research.md that a lender would ask for first: every segment, every score, leads that add up."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
from paths import ROOT

from sealscore.simulations.experiments.gains import SCORES, over_seeds

DOCS = ROOT / "docs"
PAGE = (DOCS / "research.md").read_text(encoding="utf-8")
WAYS = ("lender_alone", "lender_alone_dp", "lender_alone_xgboost")


@pytest.fixture(scope="module")
def written() -> dict[str, Any]:
    return runpy.run_path(str(DOCS / "research_page.py"))


def result(thin: float | None = 0.7) -> dict[str, Any]:
    """A result with invented figures, as the command prints it."""
    rows = [
        {"by": by, "name": name, "loans": 1234, "bad": 99, "auc": dict(zip(SCORES, figures, strict=True))}
        for by, name, figures in (
            ("all", "all", (0.8, 0.72, 0.71, 0.73, 0.82)),
            ("file", "thin", (thin, 0.64, 0.63, 0.62, 0.75)),
            ("thin file at", "lender-2", (None,) * 5),
        )
    ]
    single = {"lender": "lender-1", "all": 0.74, "thin_lender": "lender-3", "thin": 0.65}
    segments = over_seeds([{"rows": rows, "single": dict.fromkeys(WAYS, single)}])
    return {
        "plan": "creators_eps2",
        "seeds": [4],
        "epsilon": 1.85,
        "delta": 1e-5,
        "label_epsilon": 2.0,
        "segments": segments,
    }


def test_rows_leads_and_best_lenders(written: dict[str, Any]):
    said = written["tables"](result())
    assert "`creators_eps2`, one seed (4); epsilon 1.850 for a person at delta 1e-05, label epsilon 2" in said
    assert "| all | 1,234 | 0.8000 | 0.7200 | 0.7100 | 0.7300 | 0.8200 | +0.0700 |" in said
    assert "| file thin | 1,234 | 0.7000 | 0.6400 | 0.6300 | 0.6200 | 0.7500 | +0.0600 |" in said
    assert "| thin at lender-2 | 1,234 |" + " too few |" * 6 in said
    assert "| boosted trees, no noise | lender-1 | 0.7400 | +0.0600 | lender-3 | 0.6500 | +0.0500 |" in said
    assert "| lender-3 | 0.6500 | too few |" in written["tables"](result(thin=None))


def test_the_last_line_of_a_file_becomes_the_page(
    written: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    page, source = tmp_path / "research.md", tmp_path / "result.json"
    page.write_text(PAGE, encoding="utf-8")
    source.write_text("a line before it\n" + json.dumps(result()) + "\n", encoding="utf-8")
    monkeypatch.setitem(written["main"].__globals__, "PAGE", page)
    written["main"](str(source))
    text = page.read_text(encoding="utf-8")
    assert written["tables"](result()) in text
    assert written["refresh"](text, json.loads(source.read_text().splitlines()[-1])) == text
    assert PAGE.split("<!--")[0] == text.split("<!--")[0]
    assert PAGE.split("<!-- end -->")[1] == text.split("<!-- end -->")[1]


def test_a_result_without_segments_or_a_page_without_markers(written: dict[str, Any]):
    with pytest.raises(KeyError, match="segments"):
        written["refresh"](PAGE, {"seeds": [1]})
    with pytest.raises(ValueError, match="no place"):
        written["refresh"]("# A page\n", result())


def test_the_page_has_every_segment_and_every_score():
    shown = re.findall(r"^\| ([a-z][^|]*) \| [\d,]+ \|((?: [^|]+ \|){6})$", PAGE, re.MULTILINE)
    names = [name for name, _ in shown]
    for by in ("all", "vintage 20", "product traffic", "product starter", "platforms 0", "platforms 3"):
        assert any(name.startswith(by) for name in names), by
    for kind in ("", "thin at "):
        assert [name for name in names if name.startswith(f"{kind}lender")] == [
            f"{kind}lender-{at}" for at in (1, 2, 3)
        ]
    assert {"file thin", "file full"} <= set(names)
    assert f"| test loans | loans | {' | '.join(SCORES.values())} | ahead |" in PAGE
    for _, figures in shown:
        told = [cell.strip() for cell in figures.split("|")[:-1]]
        if "too few" not in told:
            ours, *alone, _, ahead = (float(cell) for cell in told)
            assert ahead == pytest.approx(ours - max(alone), abs=1.1e-4)
