"""Write measured shares into docs/threat-model.md: `python docs/told_page.py DECODING WITHHOLDING...`.

DECODING is a file with what `python -m sealscore.simulations.scoring.decoding --json` prints, each WITHHOLDING one
with that of `python -m sealscore.simulations.scoring.withholding PLAN --json`. The page's own text stands outside
the markers and is left alone.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("threat-model.md")
TOLD, WITHHELD = "told together", "withheld"


def refresh(page: str, mark: str, tables: str) -> str:
    """The page with tables between the markers of that name; ValueError where it has no such place."""
    place = re.compile(rf"(<!-- {mark} -->\n).*?(<!-- end -->)", re.DOTALL)
    written, times = place.subn(lambda found: found[1] + tables + found[2], page)
    if times != 1:
        raise ValueError(f"the page has no place for {mark!r}")
    return written


def told_tables(result: Mapping[str, Any]) -> str:
    """What is named of whom, in Markdown."""
    lines = [
        f"{result['applicants']:,} test applicants, {result['candidates']:,} possible records.",
        "",
        "| told | by released shares | by persons |",
        "|---|--:|--:|",
    ]
    for way, shares in result["kinds"].items():
        lines.append(f"| {way} | {_percent(shares.get('released shares'))} | {_percent(shares['persons'])} |")
    for name in ("lowered", *(key for key in result if key.startswith("with ")), "pooled"):
        what = {"lowered": "what lowers it", "pooled": "lenders that pool"}.get(name, name)
        lines += ["", f"| {what} | by persons |", "|---|--:|"]
        lines += [f"| {way} | {_percent(share)} |" for way, share in result[name].items()]
    return "\n".join(lines) + "\n"


def withheld_tables(results: Iterable[Mapping[str, Any]]) -> str:
    """A table for each plan, in Markdown."""
    lines = []
    for result in results:
        cutoffs = ", ".join(f"{name} {points}" for name, points in result["cutoffs"].items())
        lines += [
            f"`{result['plan']}`, seed {result['seed']}; cut-offs in points: {cutoffs}; without a token answers "
            f"the {result['answers_without_signals']}; refitted on {result['refitted']['loans']:,} loans.",
            "",
            "| book | loans | approved | bad rate | mean PD |",
            "|---|--:|--:|--:|--:|",
        ]
        for name, one in result["books"].items():
            cells = (_interval(one[key]) for key in ("approved", "bad_rate", "mean_pd"))
            lines.append(f"| {name} | {one['loans']:,} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


def _interval(value: Mapping[str, float] | None) -> str:
    if value is None:
        return "none"
    return f"{100 * value['value']:.1f} % ({100 * value['low']:.1f} to {100 * value['high']:.1f})"


if __name__ == "__main__":
    decoding, *withholding = [json.loads(Path(name).read_text("utf-8")) for name in sys.argv[1:]]
    text = refresh(PAGE.read_text("utf-8"), TOLD, told_tables(decoding))
    PAGE.write_text(refresh(text, WITHHELD, withheld_tables(withholding)), "utf-8")
