"""The glossary has each word once, and what it names in code is there."""

from __future__ import annotations

import re
from collections import Counter

from cases import check_each
from paths import ROOT

PAGE = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (?!word |---)(.+?) \| (.+?) \| (.+?) \|$", PAGE, re.MULTILINE)
HOUSES = ("shared", "compliance", "clients", "server", "simulations")
SOURCE = "\n".join(path.read_text(encoding="utf-8") for house in HOUSES for path in (ROOT / house).rglob("*.py"))


def names_what_there_is(word: str, code: str) -> None:
    names = re.findall(r"`([A-Za-z]\w+)(?:\.\w+)*`", code)
    assert names or "](" in code, "a word has its place in code or on a page"
    for name in names:
        known = rf"^\s*(class|def) {name}\b|^\s*{name}\b.*:"
        assert re.search(known, SOURCE, re.MULTILINE), f"no {name} in the programs"


def test_every_word_is_in_the_code():
    assert len(ROWS) > 60
    check_each(names_what_there_is, [(word, code) for word, _, code in ROWS])


def test_a_word_is_explained_once():
    words = Counter(word.strip() for cell, _, _ in ROWS for word in cell.split(","))
    # An event of accounting, and one that stands against an applicant.
    assert {word for word, count in words.items() if count > 1} <= {"event"}
