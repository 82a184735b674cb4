"""Write what a run found into docs/research.md: `python docs/research_page.py RESULT`, `-` for the standard input.

RESULT is what `sealscore-sim run creators_eps2 --seeds N --json` ends with: one JSON object on the last line. Its
segments become the tables of "What the federation gives each lender"; the page's own text stands outside the markers
and is left alone.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sealscore.simulations.experiments.gains import ALONE, ALONE_DP, ALONE_XGBOOST, FEDERATED, SCORES, segment_name

PAGE = Path(__file__).with_name("research.md")
_MARKED = re.compile(r"(<!-- what the federation gives -->\n).*?(<!-- end -->)", re.DOTALL)
_WAYS = {
    ALONE: "its own tower, no noise",
    ALONE_DP: "its own tower, at the plan's epsilon",
    ALONE_XGBOOST: "boosted trees, no noise",
}
_FEW = "too few"


def refresh(page: str, result: Mapping[str, Any]) -> str:
    """The page with the tables of a result between the markers.

    Raises:
        KeyError: the result has no segments; only plans on the creator world with all baselines have.
        ValueError: the page has no markers.
    """
    written, times = _MARKED.subn(lambda found: found[1] + tables(result) + found[2], page)
    if times != 1:
        raise ValueError("the page has no place for the tables")
    return written


def tables(result: Mapping[str, Any]) -> str:
    """What was run, AUC by segment, and the lead over the best single lender, in Markdown."""
    seeds, found = result["seeds"], result["segments"]
    run = f"`{result['plan']}`, " + (f"mean of {len(seeds)} seeds" if len(seeds) > 1 else f"one seed ({seeds[0]})")
    epsilon = "no noise" if result["epsilon"] is None else f"epsilon {result['epsilon']:.3f} for a person"
    lines = [
        f"{run}; {epsilon} at delta {result['delta']:g}, label epsilon {result['label_epsilon']:g}. The last column is "
        "how far the federated score is ahead of the best of the three ways of going alone.",
        "",
        f"| test loans | loans | {' | '.join(SCORES.values())} | ahead |",
        "|---|" + "--:|" * (len(SCORES) + 2),
        *(_row(row) for row in found["rows"]),
        "",
        "| how a lender goes alone | best on all loans | AUC | federated ahead | best on thin files | AUC | federated "
        "ahead |",
        "|---|---|--:|--:|---|--:|--:|",
        *(_lead(name, best, found["gain"][name]) for name, best in found["single"].items()),
    ]
    return "\n".join(lines) + "\n"


def _row(row: Mapping[str, Any]) -> str:
    auc = row["auc"]
    alone = [auc[way] for way in _WAYS if auc[way] is not None]
    ahead = None if auc[FEDERATED] is None or not alone else auc[FEDERATED] - max(alone)
    cells = [segment_name(row), f"{row['loans']:,}", *(_auc(auc[score]) for score in SCORES), _signed(ahead)]
    return f"| {' | '.join(cells)} |"


def _lead(name: str, best: Mapping[str, Any], gain: Mapping[str, float | None]) -> str:
    cells = [_WAYS[name], best["lender"], _auc(best["all"]), _signed(gain["all"])]
    cells += [best["thin_lender"], _auc(best["thin"]), _signed(gain["thin"])]
    return f"| {' | '.join(cell or _FEW for cell in cells)} |"


def _auc(value: float | None) -> str:
    return _FEW if value is None else f"{value:.4f}"


def _signed(value: float | None) -> str:
    return _FEW if value is None else f"{value:+.4f}"


def main(source: str) -> None:
    """Read a result and write the page."""
    text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    result = json.loads(text.strip().splitlines()[-1])
    PAGE.write_text(refresh(PAGE.read_text(encoding="utf-8"), result), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(sys.argv[1])
