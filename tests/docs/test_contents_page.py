"""Every long page of docs/ begins with a list of its sections, and it is the one that its headings give."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from cases import check_each
from paths import ROOT

SCRIPT = runpy.run_path(str(ROOT / "docs" / "contents_page.py"))


def is_as_written(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert SCRIPT["refresh"](page) == text, "write it again: python docs/contents_page.py"


def test_every_long_page_has_its_contents():
    check_each(is_as_written, [(page,) for page in sorted((ROOT / "docs").rglob("*.md"))])


def test_a_new_section_makes_the_list_stale(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("# A page\n\nIts first words.\n\n## One\n" + "words\n" * 160)
    page.write_text(SCRIPT["refresh"](page))
    assert "Contents: [One](#one)\n" in page.read_text()
    assert SCRIPT["refresh"](page) == page.read_text()
    page.write_text(page.read_text() + "\n## Two, and `more`\n")
    assert "[One](#one) · [Two, and `more`](#two-and-more)" in SCRIPT["refresh"](page)


def test_a_page_without_sections_is_refused(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("words\n" * 160)
    with pytest.raises(ValueError, match=r"page\.md"):
        SCRIPT["refresh"](page)
