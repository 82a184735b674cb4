"""Write sample outputs of pages again, from figures of a run and by the programs' own code.

    python docs/outputs_page.py                         `explain`, and the README's closing table laid out again
    python docs/outputs_page.py --result RESULT.json    the same with the figures of `sealscore-sim run --json`
    python docs/outputs_page.py --run RUN               what `sealscore-compliance verify` says of a run's ledgers

A sample stands in a block behind a marker with its command; what stands outside is left alone. A test compares the
pages with what this writes. The table's figures are those of a run of minutes, so without `--result` they are kept.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import re
from pathlib import Path
from typing import Any
from unittest.mock import patch

from rich.console import Console

from sealscore.simulations.experiments.console import METRICS, closing_table

ROOT = Path(__file__).resolve().parents[1]
MAIN = "sealscore-sim run uci_vertical_eps2"
VERIFY = "sealscore-compliance verify RUN/ledgers/*.db --anchors RUN/receipts.jsonl --simulation"
EXPLAIN = "sealscore-compliance explain --epsilon 2 --delta 1e-5"
PAGES = {
    EXPLAIN: (ROOT / "docs" / "compliance.md", ROOT / "docs" / "compliance.zh.md"),
    MAIN: (ROOT / "README.md", ROOT / "README.zh.md"),
    VERIFY: (ROOT / "docs" / "compliance.md", ROOT / "docs" / "compliance.zh.md"),
}
WIDTH, WIDE = 88, 120
_ROW = re.compile(r"^│ (.+?) +│ +(.*?) │ +(.*?) │ +(.*?) │ +(.*?) │$", re.MULTILINE)


def block(text: str, command: str) -> str:
    """The sample output of a command on a page.

    Raises:
        ValueError: the page has no marker of that command, or several.
    """
    found = re.findall(rf"<!-- output of: {re.escape(command)} -->\n```\n(.*?)\n```", text, re.DOTALL)
    if len(found) != 1:
        raise ValueError(f"{len(found)} samples of {command}; a page has one")
    return str(found[0])


def refresh(text: str, command: str, output: str) -> str:
    """The page with another sample output of a command."""
    return text.replace(f"```\n{block(text, command)}\n```", f"```\n{output}\n```")


def figures(table: str) -> dict[str, Any]:
    """The result that a closing table shows, as far as a table does."""
    title = re.search(r"(\S+): epsilon (\S+) for a person at delta (\S+), 1 seed", table)
    ended = re.search(r"^(\S+) s a run, (\S+) MB", table, re.MULTILINE)
    if title is None or ended is None:
        raise ValueError("no closing table of one seed")
    rows = {name: cells for name, *cells in _ROW.findall(table)}

    def exact(name: str) -> dict[str, Any]:
        return {metric: {"mean": float(cell), "sd": 0.0} for metric, cell in zip(METRICS, rows.pop(name), strict=True)}

    noisy, low, high = (float(one) for one in re.findall(r"[\d.]+", rows.pop("noisy, by the protocol")[0]))
    return {
        "plan": title[1], "epsilon": float(title[2]), "delta": float(title[3]), "seeds": [1], "warnings": [],
        **exact("exact"), "fallback": exact("fallback, without signals"),
        "auc_dp": {"mean": noisy}, "auc_dp_interval": [low, high],
        "baselines": {name: float(auc) for name, (auc, *_) in rows.items()},
        "seconds": float(ended[1]), "bytes_per_party": round(1e6 * float(ended[2])),
    }  # fmt: skip


def closing(result: dict[str, Any]) -> str:
    """The closing table of a result, as the program prints it."""
    console = Console(width=WIDTH, file=io.StringIO(), color_system=None)
    closing_table(console, result)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def printed(*words: str) -> str:
    """What `sealscore-compliance` prints for these words, on a terminal of WIDE columns."""
    from sealscore.compliance.cli import app

    terminal = patch.dict(os.environ, COLUMNS=str(WIDE))
    with terminal, contextlib.redirect_stdout(io.StringIO()) as said, contextlib.suppress(SystemExit):
        app(list(words))
    return "\n".join(line.rstrip() for line in said.getvalue().strip("\n").splitlines())


def explained() -> str:
    """What EXPLAIN prints."""
    return printed(*EXPLAIN.split()[1:])


def verified(run: Path) -> str:
    """What `sealscore-compliance verify` says of the first ledger of a run, and of a person at all of them."""
    ledgers = sorted(str(path) for path in (run / "ledgers").glob("*.db"))
    text = printed("verify", *ledgers, "--anchors", str(run / "receipts.jsonl"), "--simulation").replace(f"{run}/", "")
    # A ledger's lines begin at the edge of the screen; what is of all together comes last.
    first, *_, last = re.split(r"\n(?=\S)", text)
    return f"{first.rstrip()}\n\n{last[last.index('  a person at all') :].rstrip()}"


def main() -> None:
    """Write the samples for which there is something to write them from."""
    parser = argparse.ArgumentParser(prog="python docs/outputs_page.py", description=__doc__)
    parser.add_argument("--result", type=Path, help="a file whose last line is the JSON object of the main job")
    parser.add_argument("--run", type=Path, help="the folder of a run of synthetic_vertical_eps2")
    given = parser.parse_args()
    for page in PAGES[MAIN]:
        text = page.read_text(encoding="utf-8")
        result = figures(block(text, MAIN))
        if given.result:
            result = json.loads(given.result.read_text(encoding="utf-8").splitlines()[-1])
        page.write_text(refresh(text, MAIN, closing(result)), encoding="utf-8")
    for page in PAGES[EXPLAIN]:
        text = page.read_text(encoding="utf-8")
        page.write_text(refresh(text, EXPLAIN, explained()), encoding="utf-8")
    if given.run:
        for page in PAGES[VERIFY]:
            text = page.read_text(encoding="utf-8")
            page.write_text(refresh(text, VERIFY, verified(given.run)), encoding="utf-8")


if __name__ == "__main__":
    main()
