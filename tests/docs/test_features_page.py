"""docs/features.md is in step with the dictionary, the raw tables and the checks."""

from __future__ import annotations

import re
import runpy
import tomllib

from paths import ROOT

from sealscore.clients.features import PartyMapping, entries
from sealscore.clients.features.raw.raw import TABLES

DOCS = ROOT / "docs"
PAGE = (DOCS / "features.md").read_text(encoding="utf-8")
generator = runpy.run_path(str(DOCS / "features_page.py"))


def test_the_page_is_what_the_generator_writes():
    assert generator["refresh"](PAGE) == PAGE, "run: python docs/features_page.py"


def test_every_feature_has_a_row_of_its_own():
    rows = re.findall(r"^\| (\w\w\d\d) \| `(\w+)`", PAGE, re.MULTILINE)
    assert rows == [(found.code, found.name) for kind in generator["KINDS"] for found in entries(kind)]


def test_every_undated_column_is_named_with_how_to_export_it():
    (written,) = re.findall(r"<!-- undated -->\n(.*?)<!-- end -->", PAGE, re.DOTALL)
    rows = [line.split(" | ") for line in written.splitlines()[2:]]
    named = {
        (kind.strip("| "), table.strip("`"), column)
        for kind, table, columns, _ in rows
        for column in re.findall(r"`(\w+)`", columns)
    }
    assert named == {
        (kind, name, column)
        for kind in generator["KINDS"]
        for name, table in TABLES[kind].items()
        for column in table.undated
    }
    assert all(table.undated.keys() <= table.columns.keys() for kind in TABLES.values() for table in kind.values())
    assert {("lender", "identity", "licence_status"), ("wallet", "accounts", "residence")} <= named
    assert {("short-video", "creators", column) for column in ("category", "is_business")} <= named


def test_a_changed_entry_changes_the_page():
    spoilt = PAGE.replace("`followers`", "`fans`")
    assert spoilt != PAGE
    assert generator["refresh"](spoilt) == PAGE


def test_the_mapping_on_the_page_is_one():
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    mapping = PartyMapping.of(tomllib.loads(text), "short-video")
    assert mapping.table("videos").file == "works.parquet"
    assert mapping.table("videos").column("published_at").epoch == "ms"
