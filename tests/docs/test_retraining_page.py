"""docs/retraining.md has the measured figures of the invented world as they are kept, and each code of a comparison."""

from __future__ import annotations

import re
from typing import Any

import typer
from paths import ROOT

from sealscore.clients.cli import app
from sealscore.clients.retraining.comparison import measured_in_the_world
from sealscore.clients.retraining.ranking import DRAWS, LEAST_BADS, LEAST_LOANS
from sealscore.simulations.scoring.approved_only import FEATURES, JUDGED, MODELS

TEXT = (ROOT / "docs" / "retraining.md").read_text(encoding="utf-8")
_PARTS = ("approved", "all applicants", "declined")


def spread(value: dict[str, float], digits: int) -> str:
    return f"{value['mean']:.{digits}f} ({value['sd']:.{digits}f})"


def test_the_table_is_what_was_measured():
    found = measured_in_the_world()
    rows = [
        [features, model]
        + [spread(found[features][model][who]["auc"], 4) for who in _PARTS]
        + [spread(found[features][model][who]["pd_over_rate"], 3) for who in _PARTS]
        for features in FEATURES
        for model in MODELS
    ]
    table = TEXT.split("<!-- figures of approved_only -->")[1].split("<!-- end -->")[0].strip().splitlines()[2:]
    assert [[cell.strip() for cell in line.strip("|").split("|")] for line in table] == rows
    assert set(_PARTS) == set(JUDGED)
    shares = [found["granted"], *(found["bad_rate"][who] for who in _PARTS[1::-1]), found["bad_rate"]["declined"]]
    words = " ".join(TEXT.split())
    said = re.search(
        r"Lenders grant ([\d.]+) % of applications; of all applicants ([\d.]+) % go bad, of the granted ([\d.]+) %, "
        r"of the declined ([\d.]+) %",
        words,
    )
    assert said
    for text, share in zip(said.groups(), shares, strict=True):
        assert abs(float(text) - 100 * share["mean"]) < 0.06
    assert f"{found['creators']:,} creators" in words


def test_every_code_and_command_is_explained():
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "clients" / "retraining").glob("*.py")]
    codes = {code for source in sources for code in re.findall(r'WatchError\(\s*"([a-z-]+)"', source)}
    section = (ROOT / "docs" / "errors.md").read_text("utf-8").split("\n## Retraining")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE)) == codes
    group: Any = typer.main.get_command(app)
    for name, command in (("watch", "propose"), ("release", "compare")):
        assert command in group.commands[name].commands
        assert f"sealscore-node {name} {command}" in TEXT
    assert f"fewer than {LEAST_LOANS} loans or {LEAST_BADS} of either outcome" in " ".join(TEXT.split())
    assert f"{DRAWS:,} bootstraps" in TEXT
