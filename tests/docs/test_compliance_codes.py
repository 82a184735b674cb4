"""The table of exit codes of `sealscore-compliance` is that of the code."""

from __future__ import annotations

import re
import tomllib

from paths import ROOT

from sealscore.compliance.verify.verification import CODES, VERIFIED, Fault
from sealscore.shared.text.terminal import BAD_INPUT, INTERRUPTED


def table() -> dict[int, list[str]]:
    """The cells of each row by its code."""
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    section = page.split("## Exit codes of `sealscore-compliance`")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (\d+) \|(.*)\|$", section, re.MULTILINE)
    return {int(code): [cell.strip() for cell in cells.split(" | ")] for code, cells in rows}


def test_every_exit_code_is_explained_and_no_other():
    known = {VERIFIED, BAD_INPUT, INTERRUPTED} | {fault.value for fault in Fault}
    assert set(table()) == known


def test_every_kind_has_its_title_and_its_finding_codes():
    rows = table()
    for fault in Fault:
        title, codes = rows[fault.value][:2]
        assert title == fault.title
        assert set(re.findall(r"`([a-z-]+)`", codes)) == {code for code, kind in CODES.items() if kind is fault}


def test_the_command_is_installed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"]["sealscore-compliance"] == "sealscore.compliance.cli:main"
