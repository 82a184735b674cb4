"""The README leads to every page, in both languages, and its short table is a part of the long one."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from page_commands import FENCE
from paths import ROOT

DOCS = ROOT / "docs"
LINK = re.compile(r"\]\(([^)\s]+)\)")
ENGLISH, CHINESE = (ROOT / name for name in ("README.md", "README.zh.md"))


def pages_linked(page: Path) -> set[Path]:
    """The files that a page leads to."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    return {(page.parent / link.partition("#")[0]).resolve() for link in LINK.findall(text) if "://" not in link}


def table(text: str) -> list[str]:
    """The rows of the table of measured figures."""
    found = re.search(r"^\| \| `uci_horizontal_eps1`.*?\n\n", text, re.MULTILINE | re.DOTALL)
    assert found
    return found[0].strip().splitlines()


def test_every_page_is_listed():
    linked = pages_linked(ENGLISH) | pages_linked(DOCS / "proofs" / "README.md")
    assert sorted(page.name for page in DOCS.rglob("*.md") if page not in linked) == []


def test_the_short_table_is_a_part_of_the_long_one():
    short, long = table(ENGLISH.read_text(encoding="utf-8")), table((DOCS / "research.md").read_text(encoding="utf-8"))
    assert len(short) <= 8
    assert [row for row in long if row in short] == short


def test_both_languages_have_the_same_blocks_figures_and_links():
    english, chinese = (page.read_text(encoding="utf-8") for page in (ENGLISH, CHINESE))
    blocks = [[found["body"] for found in FENCE.finditer(text)] for text in (english, chinese)]
    # The tree's words are translated; its folders are not.
    folders = [re.findall(r"^\w+/", blocks_of.pop(), re.MULTILINE) for blocks_of in blocks]
    assert blocks[0] == blocks[1]
    assert folders[0] == folders[1] != []
    links = [
        {link.replace("architecture.zh.svg", "architecture.svg") for link in LINK.findall(FENCE.sub("", text))}
        for text in (english, chinese)
    ]
    assert links[0] - {"README.zh.md"} == links[1] - {"README.md"}
    assert [row.split("|")[2:] for row in table(english)[2:]] == [row.split("|")[2:] for row in table(chinese)[2:]]


def test_the_chinese_pages_are_in_chinese():
    for page in (CHINESE, DOCS / "compliance.zh.md"):
        prose = re.sub(r"`[^`]*`|\([^)]*\)|<!--.*?-->", "", FENCE.sub("", page.read_text(encoding="utf-8")))
        paragraphs = [part for part in re.split(r"\n\n+", prose) if len(part) > 60]
        assert paragraphs
        assert [part for part in paragraphs if not re.search(r"[\u4e00-\u9fff]", part)] == []


def test_every_script_of_a_page_is_named_to_who_changes_one():
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert {path.name for path in DOCS.glob("*.py")} == set(re.findall(r"`docs/(\w+\.py)`", page))


def test_the_version_to_cite_is_this_one():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    cited = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {project['version']}\n" in cited
    assert f"\nlicense: {project['license']}\n" in cited
