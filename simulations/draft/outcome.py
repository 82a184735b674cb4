"""Which column is the outcome, and how it writes a bad loan."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import polars as pl

from sealscore.clients.data.cells import MISSING, decimal, levels, numbers, texts
from sealscore.clients.setup.column_kinds import column_kind
from sealscore.shared.plan.errors import PlanError
from sealscore.simulations.draft.names import resolve, seems_good_label, seems_label

_BAD_WORDS = (
    "1 bad yes y true t default defaulted delinquent late overdue rejected b charged-off chargedoff 坏 违约 逾期 是"
)
_BAD = frozenset(_BAD_WORDS.split()) | {"charged off", "not paid", "past due"}
_GOOD_WORDS = "0 good no n false f paid repaid current approved g good 好 正常 否"
_GOOD = frozenset(_GOOD_WORDS.split()) | {"fully paid", "paid off"}

_MOST_WORDS = 50
"""Words of an outcome: a column with more values holds numbers or names, which are not shown."""


@dataclass(frozen=True)
class OutcomeLabel:
    """The outcome's column, its two words, how many rows have each, how many have neither, and why it was chosen."""

    column: str
    bad: str
    good: str
    bads: int
    goods: int
    others: int
    why: str

    @property
    def bad_rate(self) -> float:
        """Share of bad loans among those with an outcome."""
        return self.bads / (self.bads + self.goods)

    def outcomes(self, column: pl.Series) -> np.ndarray:
        """1 where a cell is bad, 0 where it is good, NaN elsewhere: float64 [n]."""
        values, unseen = levels(column, (self.good, self.bad))
        return np.where(unseen, np.nan, values)


def find_label(frame: pl.DataFrame, wanted: str | None, bad: str | None, good: str | None, source: str) -> OutcomeLabel:
    """The label of a table: the column that is named, or the only one that seems to be one.

    Raises:
        PlanError: no column or no word for bad follows from what is given; it says what there is.
    """
    if wanted is not None:
        name, why = resolve(wanted, frame.columns, "--label"), "named by --label"
    else:
        name, why = _guessed(frame, source), "its name, and two values"
    counts = Counter(_words(frame[name]))
    if len(counts) < 2:
        raise PlanError(source, [f"column {name!r} has one value only: a label has two"])
    if bad is None and len(counts) > _MOST_WORDS:
        what = f"column {name!r} has {len(counts):,} different values, so it is no outcome"
        raise PlanError(source, [f"{what}: name another, --label COLUMN, or say which value is bad, --bad VALUE"])
    if bad is None:
        bad = _bad_word(name, counts, source)
        why += f"; {bad!r} is bad by its meaning"
    bad = _given(bad, counts, "--bad", name)
    if good is not None:
        good = _given(good, counts, "--good", name)
    elif len(counts) == 2:
        good = next(word for word in counts if word != bad)
    else:
        shown = _shown(counts)
        raise PlanError(source, [f"column {name!r} has the values {shown}: say which is good, --good VALUE"])
    if good == bad:
        raise PlanError(source, [f"column {name!r}: --bad and --good are both {bad!r}"])
    known = counts[bad] + counts[good]
    return OutcomeLabel(name, bad, good, counts[bad], counts[good], frame.height - known, why)


def _guessed(frame: pl.DataFrame, source: str) -> str:
    fitting = [name for name in frame.columns if seems_label(name) and len(set(_words(frame[name]))) == 2]
    if len(fitting) == 1:
        return fitting[0]
    what = f"several columns may be the label: {', '.join(fitting)}" if fitting else "no column seems to be the label"
    raise PlanError(source, [f"{what}; say which, --label COLUMN (there are {', '.join(frame.columns)})"])


def _words(column: pl.Series) -> list[str]:
    if column_kind(column) == "numeric":
        return [decimal(value) for value in numbers(column)[0] if not np.isnan(value)]
    if column_kind(column) in ("none", "day"):
        return []
    return [cell for cell in texts(column).to_list() if cell is not None and cell.lower() not in MISSING]


def _bad_word(name: str, counts: Counter[str], source: str) -> str:
    bad = [word for word in counts if word.casefold() in _BAD]
    good = [word for word in counts if word.casefold() in _GOOD]
    if len(counts) == 2 and len(bad) == 1 and len(good) == 1:
        return good[0] if seems_good_label(name) and set(counts) <= {"0", "1", "yes", "no", "true", "false"} else bad[0]
    if len(counts) == 2 and len(bad) == 1 and not bad[0].isdigit():
        return bad[0]
    raise PlanError(source, [f"column {name!r} has the values {_shown(counts)}: say which is bad, --bad VALUE"])


def _given(word: str, counts: Counter[str], option: str, name: str) -> str:
    if word in counts:
        return word
    close = [known for known in counts if known.casefold() == word.casefold()]
    if len(close) != 1:
        raise PlanError(f"{option} {word}", [f"column {name!r} has no such value; it has {_shown(counts)}"])
    return close[0]


def _shown(counts: Counter[str]) -> str:
    told = [f"{word!r} ({count:,} rows)" for word, count in counts.most_common(8)]
    return ", ".join(told) + (f" and {len(counts) - 8} more" if len(counts) > 8 else "")
