"""A lender's table of repayments for tests: months of 2026, one row a loan and month."""

from __future__ import annotations

import numpy as np
import polars as pl

from sealscore.shared.persons.records import Records

FIRST_MONTH, LAST_MONTH, MONTHS = "2026-01", "2026-03", 3


def repayment_rows(records: Records, seed: int = 0) -> pl.DataFrame:
    """Loans opened in three months and followed until June; those of the third sector go past due more often."""
    random = np.random.default_rng(seed)
    opened = random.integers(1, MONTHS + 1, len(records))
    stops = random.random(len(records)) < np.where(records.columns["sector"] == 2, 0.4, 0.1)
    rows = []
    for loan, first, stopped in zip(records.ids, opened.tolist(), stops.tolist(), strict=True):
        for month in range(first, 7):
            rows.append((loan, f"2026-{month:02d}", 30 * (month - first) if stopped else 0))
    return pl.DataFrame(rows, schema=["loan", "month", "days_past_due"], orient="row")
