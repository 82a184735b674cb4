"""Write what watches found into docs/audit.md: `python docs/neighbours_page.py RESULTS`, `-` for the standard input.

RESULTS has on each line what one `sealscore-sim neighbours PLAN --json` ended with. The page's own text stands outside
the markers and is left alone.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("audit.md")
KINDS = {
    "bin": "bins",
    "train_tower": "training",
    "signal_edges": "edges",
    "calibrate": "calibration",
    "evaluate": "evaluation",
}
_MARKED = re.compile(r"(<!-- what one person moves -->\n).*?(<!-- end -->)", re.DOTALL)


def refresh(page: str, results: Iterable[Mapping[str, Any]]) -> str:
    """The page with the table of these results between the markers.

    Raises:
        ValueError: the page has no markers.
    """
    written, times = _MARKED.subn(lambda found: found[1] + table(results) + found[2], page)
    if times != 1:
        raise ValueError("the page has no place for the table")
    return written


def table(results: Iterable[Mapping[str, Any]]) -> str:
    """A row a plan: how much was looked at, the largest move of each kind of sum, and findings; in Markdown."""
    lines = [
        f"| plan | persons | left out | sums each | {' | '.join(KINDS.values())} | findings |",
        "|---|" + "--:|" * (len(KINDS) + 4),
        *(_row(result) for result in results),
    ]
    return "\n".join(lines) + "\n"


def _row(result: Mapping[str, Any]) -> str:
    share: dict[str, float] = {}
    for phase in result["phases"]:
        kind = phase["phase"].partition(":")[0]
        share[kind] = max(share.get(kind, 0.0), phase["share"])
    moves = " | ".join(f"{share[kind]:.0%}" if kind in share else "-" for kind in KINDS)
    left_out = f"{result['neighbours']} and {result['halves']} halves"
    name = f"`{result['plan']}`" + (", all features" if result["all_features"] else "")
    return f"| {name} | {result['persons']:,} | {left_out} | {result['sums']} | {moves} | {len(result['findings'])} |"


def main(source: str) -> None:
    """Read results from a file or the standard input, and rewrite the page."""
    text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    results = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    PAGE.write_text(refresh(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
