"""The table of what one person moves, as the command's results make it."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest
from paths import ROOT

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def written() -> dict[str, Any]:
    return runpy.run_path(str(DOCS / "neighbours_page.py"))


RESULT = {
    "plan": "some_plan",
    "all_features": True,
    "persons": 12345,
    "neighbours": 6,
    "halves": 2,
    "sums": 78,
    "phases": [
        {"phase": "bin:lender", "share": 0.5},
        {"phase": "bin:wallet", "share": 1.0},
        {"phase": "train_tower:lender", "share": 0.999},
        {"phase": "evaluate:lender", "share": 2.5},
    ],
    "findings": [{"what": "sum"}],
}
ROW = "| `some_plan`, all features | 12,345 | 6 and 2 halves | 78 | 100% | 100% | - | - | 250% | 1 |"


def test_a_row_a_plan(written: dict[str, Any]):
    assert ROW in written["table"]([RESULT]).splitlines()


def test_results_become_the_table_of_the_page(written: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    page = tmp_path / "audit.md"
    page.write_text("Before.\n<!-- what one person moves -->\nold\n<!-- end -->\nAfter.\n", encoding="utf-8")
    source = tmp_path / "results"
    source.write_text(f"{json.dumps(RESULT)}\n{json.dumps(RESULT | {'plan': 'another'})}\n", encoding="utf-8")
    monkeypatch.setitem(written["main"].__globals__, "PAGE", page)
    written["main"](str(source))
    said = page.read_text(encoding="utf-8")
    assert said.startswith("Before.\n<!-- what one person moves -->\n| plan |")
    assert ROW in said
    assert "`another`" in said
    assert "old" not in said
    with pytest.raises(ValueError, match="no place"):
        written["refresh"]("a page without markers", [RESULT])


def test_the_page_has_a_row_for_plans_that_ship():
    """What stands on the page came from the command: every row is of a plan, and of none is there a finding."""
    page = (DOCS / "audit.md").read_text(encoding="utf-8")
    rows = page.partition("<!-- what one person moves -->")[2].partition("<!-- end -->")[0].splitlines()[3:]
    assert len(rows) >= 3
    assert all(row.startswith("| `") and row.endswith("| 0 |") for row in rows)
