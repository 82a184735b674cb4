"""Loans as a stranger has them in a table."""

from __future__ import annotations

import numpy as np
import polars as pl

ROWS = 600


def stranger(rows: int = ROWS, seed: int = 0) -> pl.DataFrame:
    """Loans with numbers, words, missing cells, a day, a heavy tail, rare words and an outcome in words."""
    random = np.random.default_rng(seed)
    income = np.round(random.lognormal(3, 1.5, rows), 2)
    home = random.choice(["own", "rent", "parents"], rows).astype(object)
    home[:6] = ["castle", "tent", "boat", "cave", "tree", "van"]
    late = random.integers(0, 6, rows)
    bad = random.random(rows) < 1 / (1 + np.exp(1.5 - late + income / 60))
    return pl.DataFrame(
        {
            "loan_id": [f"L{row}" for row in range(rows)],
            "income": [None if row % 10 == 3 else value for row, value in enumerate(income)],
            "late": late,
            "home": home,
            "applied": [f"2024-{1 + row % 12:02d}-01" for row in range(rows)],
            "remark": [f"note {row} {row * 7}" for row in range(rows)],
            "branch": ["main"] * rows,
            "age": random.integers(18, 80, rows),
            "gender": random.choice(["f", "m"], rows),
            "status": np.where(bad, "charged off", "fully paid"),
        },
        strict=False,
    )
