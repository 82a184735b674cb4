"""A plan of counts as its operators carry it out: the commands and the file of docs/watching.md, over Flower."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from consortium import LOANS, NAMES, Consortium
from ledgers import state_of
from operators import PATIENCE, verify
from paths import ROOT

from sealscore.clients.monitoring.passages import passages
from sealscore.clients.watch.repayments import RepaymentTable

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="process lists as Linux has them"),
]
PAGE = (ROOT / "docs" / "watching.md").read_text(encoding="utf-8")


def commands() -> dict[str, list[list[str]]]:
    """The words of the page's walk, by program, in order."""
    (section,) = re.findall(r"### By command\n(.*?)```sh\n(.*?)```", PAGE, re.DOTALL)
    found: dict[str, list[list[str]]] = {}
    for line in section[1].splitlines():
        program, *words = line.split("#")[0].split()
        found.setdefault(program, []).append(words)
    return found


def plan_file() -> str:
    """The file of the page's walk."""
    (found,) = re.findall(r"```toml\n# counts-like\.toml\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def test_counts_are_planned_approved_and_run_by_the_commands_of_the_page(consortium: Consortium, tmp_path: Path):
    server, lenders, ledgers = consortium.server, consortium.lenders, consortium.ledgers()
    typed = commands()
    like, bundle = tmp_path / "counts-like.toml", tmp_path / "app.fab"
    like.write_text(plan_file(), encoding="utf-8")
    server.type("bundle", "-o", str(bundle))
    files = {like.name: str(like), bundle.name: str(bundle), "counts.json": str(server.home / "plans" / "counts.json")}
    new, sign, run = ([files.get(word, word) for word in words] for words in typed["sealscore-server"])
    show, approve = ([files.get(word, word) for word in words] for words in typed["sealscore-node"])
    server.type(*new)
    server.type(*sign)
    plan = consortium.plan("counts")
    assert [(party.name, party.nominal_records) for party in plan.parties] == [(name, LOANS) for name in NAMES]

    # What an operator reads before approving: what is counted, and what it can show.
    for said in consortium.each(lambda name: lenders[name].type(*show)).values():
        assert "2026-01 to 2026-03" in said
        assert "sector (food, fashion, other)" in said
        assert "in the way" not in said
    consortium.each(lambda name: lenders[name].type(*approve, "--yes"))

    said = server.type(*run, timeout=2 * PATIENCE)
    output = consortium.output(plan)
    text = (output / "watch.txt").read_text("utf-8")
    assert text.strip() in said.replace("\r", "")
    assert not (output / "model").exists()
    record = json.loads((output / "run.json").read_text("utf-8"))
    assert record["early"] == {}
    assert record["protection"]["sums"] == "masked"
    assert 0 < record["privacy"]["epsilon"] <= plan.privacy.epsilon

    # Each noisy cell is where the lenders' own tables put it, within what the noise allows.
    exact = exact_tables(lenders["lender-1"].home) + exact_tables(lenders["lender-2"].home)
    cells = np.array(record["monitoring"]["tables"]["sector"]["counts"])
    assert cells.shape == exact.shape == (3, 4, 3)
    off = np.abs(cells - exact)
    assert 0 < off.max() < 6 * record["monitoring"]["noise_std"]
    assert exact[:, 0].sum() == 2 * LOANS

    receipts = tmp_path / "receipts.jsonl"
    server.type("receipts", "export", "--output", str(receipts))
    for name, found in consortium.each(lambda name: verify(ledgers[name], receipts)).items():
        assert (found["party"], found["verified"], found["findings"]) == (name, True, [])
        state = state_of(ledgers[name]).plans[plan.hash]
        assert state.state == "settled"
        assert sum(state.charged["all"].values()) >= 1
        assert not state.charged["training"]
        assert not state.charged["test"]
    assert re.search(r"counts +│ done", server.type("runs"))


def exact_tables(home: Path) -> np.ndarray:
    """What a lender's own files say, by vintage, event and sector: int64 [3, 4, 3]."""
    paid = RepaymentTable(home / "repayments.csv", "loan", "month", "days_past_due").histories()
    loans = pl.read_csv(home / "loans.csv", infer_schema_length=0).select("id", "sector")
    found = np.zeros((3, 4, 3), dtype=np.int64)
    for row in loans.join(passages(paid), left_on="id", right_on="loan").iter_rows(named=True):
        sector = ("food", "fashion", "other").index(row["sector"])
        for place, event in enumerate(("opened", "days_30", "days_60", "days_90")):
            found[row["opened"] - 202601, place, sector] += row[event] is not None
    return found
