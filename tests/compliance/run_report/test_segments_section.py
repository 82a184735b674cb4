"""The section on where the federation helps: what a simulation knows of segments, and nothing where it knows none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sealscore.compliance.run_figures.record import RunFolder
from sealscore.compliance.run_report.run_report import run_report

SCORES = ("federated", "lender_alone", "lender_alone_dp", "lender_alone_xgboost", "pooled_xgboost")
SEGMENTS = {
    "rows": [
        {"by": by, "name": name, "loans": loans, "bad": 321, "auc": dict(zip(SCORES, figures, strict=True))}
        for by, name, loans, figures in (
            ("all", "all", 4321, (0.7654, 0.7123, 0.7001, 0.7234, 0.7890)),
            ("vintage", "2024-01", 1000, (0.7555, 0.7111, 0.7000, 0.7222, 0.7888)),
            ("platforms", "2", 1200, (0.7777, 0.7011, 0.7000, 0.7222, 0.7888)),
            ("file", "thin", 1100, (0.7432, 0.6543, 0.6501, 0.6602, 0.7700)),
            ("thin file at", "lender-1", 12, (None, None, None, None, None)),
        )
    ],
    "single": {
        "lender_alone": {"lender": "lender-9", "all": 0.7154, "thin_lender": "lender-7", "thin": 0.6632},
        "lender_alone_xgboost": {"lender": "lender-8", "all": 0.7254, "thin_lender": None, "thin": None},
    },
}


@pytest.fixture
def page(vertical: Path, tmp_path: Path, read: Callable[[str], Any]) -> Any:
    folder = Path(shutil.copytree(vertical, tmp_path / "run"))
    known = json.loads((folder / "oracle.json").read_text())
    (folder / "oracle.json").write_text(json.dumps(known | {"segments": SEGMENTS}))
    return read(run_report(RunFolder.load(folder)))


def test_every_segment_stands_with_its_lead(page: Any):
    assert "Where the federation helps" in page.text
    for said in ("platforms that know: 2", "applied 2024-01", "thin file", "4,321", "+0.0531", "+0.0889", "+0.0766"):
        assert said in page.text
    assert "lender-1, thin file" in page.text
    assert "too few" in page.text


def test_the_best_single_lender_is_named_with_what_it_lacks(page: Any):
    assert "lender-9" in page.text
    assert "lender-7" in page.text
    assert "+0.0500" in page.text
    assert "+0.0800" in page.text
    assert "+0.0400" in page.text


def test_without_segments_there_is_no_section(vertical: Path, read: Callable[[str], Any]):
    assert "Where the federation helps" not in read(run_report(RunFolder.load(vertical))).text
