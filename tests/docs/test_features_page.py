"""docs/features.md is in step with the dictionary, the raw tables and the checks."""

from __future__ import annotations

import re
import runpy
import tomllib
from pathlib import Path

from clients.features import PartyMapping, entries

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "features.md").read_text(encoding="utf-8")
generator = runpy.run_path(str(DOCS / "features_page.py"))


def test_the_page_is_what_the_generator_writes():
    assert generator["refresh"](PAGE) == PAGE, "run: python docs/features_page.py"


def test_every_feature_has_a_row_of_its_own():
    rows = re.findall(r"^\| (\w\w\d\d) \| `(\w+)`", PAGE, re.MULTILINE)
    assert rows == [(found.code, found.name) for kind in generator["KINDS"] for found in entries(kind)]


def test_a_changed_entry_changes_the_page():
    spoilt = PAGE.replace("`followers`", "`fans`")
    assert spoilt != PAGE
    assert generator["refresh"](spoilt) == PAGE


def test_the_mapping_on_the_page_is_one():
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    mapping = PartyMapping.of(tomllib.loads(text), "short-video")
    assert mapping.table("videos").file == "works.parquet"
    assert mapping.table("videos").column("published_at").epoch == "ms"
