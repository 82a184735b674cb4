"""docs/watching.md has every measure, command, key and code of a watch; docs/errors.md has its codes, and no other."""

from __future__ import annotations

import re
from typing import Any

import typer
from paths import ROOT
from watched_lives import FIRST, RELEASE, InventedLife

from sealscore.clients.cli import app
from sealscore.clients.setup.config import RepaymentsSection, WatchSection
from sealscore.clients.watch.measures import watched_measures
from sealscore.clients.watch.noise.nulls import LEAST
from sealscore.clients.watch.noise.thresholds import CHANCE, HORIZON, LIVES
from sealscore.clients.watch.repayments import _WORDS
from sealscore.clients.watch.settings import WatchSettings

TEXT = (ROOT / "docs" / "watching.md").read_text(encoding="utf-8")
SOURCES = [
    path.read_text(encoding="utf-8") for path in (ROOT / "clients" / "watch").rglob("*.py")
]  # fmt: skip


def rows(text: str) -> set[str]:
    return set(re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE))


def test_every_command_is_on_the_page():
    group: Any = typer.main.get_command(app)
    for name in group.commands["watch"].commands:
        assert f"sealscore-node watch {name}" in TEXT


def test_every_measure_has_its_row():
    book = InventedLife(months=4, size=40, groups=("north",)).book()
    patterns = {
        re.escape(name).replace("ROLE", r"\w+").replace("FEATURE", r"[\w.]+").replace("GROUP", r"\w+")
        .replace(r"A\.to\.B", r".+\.to\..+")
        for name in re.findall(r"^\| `([A-Za-z.]+)` \|", TEXT, re.MULTILINE)
    }  # fmt: skip
    found = watched_measures(book, RELEASE, WatchSettings(), FIRST + 3)
    assert len(found) > 12
    assert [one.name for one in found if not any(re.fullmatch(pattern, one.name) for pattern in patterns)] == []


def test_every_key_is_on_the_page():
    for section in (RepaymentsSection, WatchSection):
        for key in section.model_fields.keys() - {"password_file"}:
            assert re.search(rf"\b{key}\b", TEXT), key


def test_every_code_is_explained_and_no_other():
    codes = {code for source in SOURCES for code in re.findall(r'WatchError\("([a-z-]+)"', source)}
    assert len(codes) > 8
    section = (ROOT / "docs" / "errors.md").read_text("utf-8").split("\n## Watching")[1].split("\n## ")[0]
    assert rows(section) == codes
    table = TEXT.split("## The table of repayments")[1].split("\n## ")[0]
    assert rows(table) == {*_WORDS, "repayment", "columns"}


def test_the_numbers_of_the_page_are_those_of_the_code():
    assert f"fewer than {LEAST} cases" in TEXT
    assert f"{LIVES:,} invented lives of {HORIZON} months" in TEXT
    assert f"is {100 * CHANCE:.0f} %" in TEXT
