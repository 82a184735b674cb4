"""Every code of a problem document stands in its table, and no other."""

from __future__ import annotations

import re

from paths import ROOT

from sealscore.clients.serve.faults import _DECISIONS, _TITLES

MADE = re.compile(r'HttpProblem\(\s*(\d+),\s*"([a-z-]+)"')


def test_codes_are_those_that_the_services_give():
    text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    table = text.split("## Problem documents\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| `")]
    shown = {code for codes, _ in rows for code in re.findall(r"`([a-z-]+)`", codes)}
    sources = [*(ROOT / "clients" / "http").glob("*.py"), *(ROOT / "clients" / "serve").glob("*.py")]
    made = {(int(status), code) for path in sources for status, code in MADE.findall(path.read_text("utf-8"))}
    assert {(401, "unauthenticated"), (503, "log")} <= made
    made |= {(status, code) for code, (status, _, _) in _DECISIONS.items()}
    assert shown == {code for _, code in made} | set(_TITLES)
    for codes, statuses in rows:
        told = {int(status) for status in re.findall(r"\d+", statuses)}
        found = {status for status, code in made if f"`{code}`" in codes}
        assert found <= told
