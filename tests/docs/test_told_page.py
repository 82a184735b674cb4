"""The tables of what is decoded and of who withholds, as the page has them."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

PAGE = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "told_page.py"))


def test_each_share_stands_in_its_table():
    shares = {"kinds": {"signal": {"persons": 0.1117, "released shares": 0.1073}}, "lowered": {"2 levels": 0.043}}
    result = {"applicants": 6000, "candidates": 10, **shares, "with PAY_6": {"signal": 0.144}, "pooled": {"two": 0.2}}
    tables = PAGE["told_tables"](result)
    rows = [line for line in tables.splitlines() if "%" in line]
    assert [row.count("%") for row in rows] == [2, 1, 1, 1]
    assert "10.7 % | 11.2 %" in rows[0]


def test_a_book_without_approvals_has_no_bad_rate():
    nothing = {"loans": 5, "approved": {"value": 0.0, "low": 0.0, "high": 0.0}, "bad_rate": None, "mean_pd": None}
    result = {"plan": "p", "seed": 1, "cutoffs": {"champion": 540, "fallback": 541}, "answers_without_signals": "x"}
    tables = PAGE["withheld_tables"]([{**result, "refitted": {"loans": 3}, "books": {"one": nothing}}])
    assert "| one | 5 | 0.0 % (0.0 to 0.0) | none | none |" in tables


def test_only_what_stands_between_the_markers_is_written():
    page = "a\n<!-- withheld -->\nold\n<!-- end -->\nb\n"
    assert PAGE["refresh"](page, "withheld", "new\n") == "a\n<!-- withheld -->\nnew\n<!-- end -->\nb\n"
    with pytest.raises(ValueError, match="no place"):
        PAGE["refresh"](page, "told together", "new\n")
