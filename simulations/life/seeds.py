"""The figures of several lives side by side, their mean and standard deviation, as the table of docs/life.md.

`python -m sealscore.simulations.life.seeds life-0 life-1 ... --page docs/life.md` writes it between its markers.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sealscore.shared.files import write_whole
from sealscore.shared.text.numbers import fixed, percent, plural
from sealscore.simulations.life.report import FIGURES, ORACLE, RECORD, changes

_ROWS: Mapping[str, tuple[str, bool]] = {
    "bad_rate_at_equal_approvals": ("bad rate at equal approvals, against the best lender alone", True),
    "thin_files_at_equal_bad_rate": ("thin files approved at equal bad rate, against the same", True),
    "beyond_capacity": ("share of loans beyond capacity, against no capacity band", True),
    "beyond_loans": ("number of loans beyond capacity, against the same", True),
    "approved": ("applications approved", False),
    "approved_no_band": ("applications approved, no capacity band", False),
    "approved_alone": ("applications approved, lender alone", False),
    "frauds_stopped": ("planted frauds without a loan", False),
    "frauds_stopped_excess": ("the same less the share of all applications, in points", True),
    "frauds_stopped_by_review": ("planted frauds stopped by a review for papers or traffic", False),
    "frauds_stopped_alone": ("planted frauds without a loan, lender alone", False),
    "frauds_stopped_excess_alone": ("the same less the share of all applications, in points, lender alone", True),
    "identity_reviewed": ("applications reviewed for papers or traffic", False),
    "early_rule_caught": ("bad loans warned of in time by lists of a fifth of the running loans", False),
    "early_rule_flagged": ("loans ever flagged by these lists", False),
    "early_score_caught": ("bad loans warned of in time by such lists of points alone", False),
    "early_score_flagged": ("loans ever flagged by those", False),
    "early_rule_ever_caught": ("bad loans warned of in time by the beginnings of the lists", False),
    "early_rule_ever_flagged": ("loans ever flagged by these", False),
    "early_score_ever_caught": ("bad loans warned of in time by the beginnings of lists of points alone", False),
    "early_score_ever_flagged": ("loans ever flagged by those", False),
    "early_ones": ("watch bits that are 1", False),
    "early_watched_bit_flagged": ("watched loans with a bit of 1, ever", False),
    "early_watched_bit_caught": ("bad watched loans warned of in time by a bit", False),
    "early_watched_rule_flagged": ("watched loans ever flagged by the lists", False),
    "early_watched_rule_caught": ("bad watched loans warned of in time by the lists", False),
}
_DAYS = {
    "days_median": "days to a decision, median",
    "days_90": "days to a decision, 90th percentile",
    "days_90_alone": "days to a decision, 90th percentile, lender alone",
    "early_rule_lead": "days from the first list to 30 days past due, median",
}
_AUCS = {
    "auc_old": "AUC of the first model on applications after the retraining",
    "auc_new": "AUC of the new model on the same",
}
_MARKED = re.compile(r"(<!-- figures of lives -->\n).*?(<!-- end -->)", re.DOTALL)


def figures_of(folder: Path) -> dict[str, float | None]:
    """What one life is judged by; OSError or ValueError where the folder holds none."""
    return changes(json.loads((folder / ORACLE / FIGURES).read_text(encoding="utf-8")))


def across(lives: Sequence[Mapping[str, float | None]], configs: Sequence[Mapping[str, Any]]) -> str:
    """The table of some lives, one row a figure: mean, and standard deviation where there are several.

    `configs` are those of the lives, in their order; they differ in nothing but the seed.
    """
    one, found = configs[0], sorted(config["seed"] for config in configs)
    run = len(found) > 1 and found == list(range(found[0], found[0] + len(found)))
    seeds = f"{found[0]} to {found[-1]}" if run else ", ".join(map(str, found))
    head = f"{plural(len(lives), 'life', 'lives')}, seed{'s' * (len(found) > 1)} {seeds}, "
    head += f"{one['creators']:,} creators, {one['months']} months"
    lines = [f"| {head} | mean | standard deviation |", "|---|---|---|"]
    for name, (words, sign) in _ROWS.items():
        mean, deviation = _moments([one[name] for one in lives])
        lines.append(f"| {words} | {percent(mean, 1, sign=sign)} | {percent(deviation, 1)} |")
    for name, words in _DAYS.items():
        mean, deviation = _moments([one[name] for one in lives])
        lines.append(f"| {words} | {fixed(mean, 1)} | {fixed(deviation, 1)} |")
    for name, words in _AUCS.items():
        mean, deviation = _moments([one[name] for one in lives])
        lines.append(f"| {words} | {fixed(mean, 3)} | {fixed(deviation, 3)} |")
    return "\n".join(lines) + "\n"


def _moments(values: Sequence[float | None]) -> tuple[float | None, float | None]:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None, None
    return statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or write it into a page."""
    parser = argparse.ArgumentParser(prog="python -m sealscore.simulations.life.seeds", description=__doc__)
    parser.add_argument("lives", nargs="+", type=Path, help="folders of lives that differ in nothing but the seed")
    parser.add_argument("--page", type=Path, help="a page with the markers of this table")
    given = parser.parse_args(arguments)
    configs = [json.loads((life / RECORD).read_text(encoding="utf-8"))["config"] for life in given.lives]
    if any({**one, "seed": 0} != {**configs[0], "seed": 0} for one in configs):
        parser.error("the lives differ in more than the seed; give those of one config")
    if len({one["seed"] for one in configs}) < len(configs):
        parser.error("two of the lives have one seed, so they are one life; give each seed once")
    found = across([figures_of(life) for life in given.lives], configs)
    if given.page is None:
        print(found, end="")
    else:
        text = given.page.read_text(encoding="utf-8")
        write_whole(given.page, _MARKED.sub(lambda marked: marked[1] + found + marked[2], text))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
