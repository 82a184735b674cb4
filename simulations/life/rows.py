"""What a life leaves behind: rows of tables, and the words in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sealscore.simulations.life.config import FIRST_MONTH

Row = dict[str, Any]
TOKEN, CEILING, WITHHELD, WITHDRAWN = "token", "ceiling", "withheld", "withdrawn"
"""What became of a platform's token: it was made, a ceiling was reached, or there was no consent, or none any more."""


@dataclass
class Played:
    """What happened up to the `last` day, as rows of tables: of parties' own view, and of what only the oracle knows.

    `loans` and `repayments` hold whole paths, also what comes after the last day: outcomes.py cuts them. `retraining`
    is what came of that, where there was one.
    """

    last: date = FIRST_MONTH
    applications: list[Row] = field(default_factory=list)
    scores: list[Row] = field(default_factory=list)
    decisions: list[Row] = field(default_factory=list)
    loans: list[Row] = field(default_factory=list)
    repayments: list[Row] = field(default_factory=list)
    withdrawals: list[Row] = field(default_factory=list)
    warnings: list[Row] = field(default_factory=list)
    bits: list[Row] = field(default_factory=list)
    oracle: list[Row] = field(default_factory=list)
    watch: dict[str, int] = field(default_factory=dict)
    retraining: dict[str, Any] | None = None
