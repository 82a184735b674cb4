"""A plan of counts for tests, and invented loans of its lenders."""

from __future__ import annotations

from typing import Any

import numpy as np
from builders import LENDERS

from sealscore.shared.persons.records import Records
from sealscore.shared.plan.monitoring import EVERYBODY, OPENED, PASSAGES
from sealscore.shared.plan.plan import Plan

MONTHS = [100 * (2025 + place // 12) + place % 12 + 1 for place in range(24)]
_MONTH: dict[str, Any] = {"lower": 190001, "upper": 299912, "integer": True, "missing": True}
SECTORS = ["food", "fashion", "other"]


def counts_plan(columns: int = 1, **changes: Any) -> Plan:
    """Three lenders count the loans of 24 months by the sector and, with more `columns`, by copies of it."""
    names = [f"sector_{place}" for place in range(columns)]
    features = [{"name": name, "kind": "categorical", "levels": SECTORS} for name in names]
    features += [{"name": name, **_MONTH} for name in (OPENED, *PASSAGES)]
    data: dict[str, Any] = {
        "name": "counts",
        "purpose": "a plan of counts for tests",
        "purpose_code": "monitoring",
        "seed": 7,
        "outcome": {"definition": "first days past due", "window_days": 365, "cutoff": "2026-12-31"},
        "privacy": {"epsilon": 1.0, "delta": 1e-5, "max_records_per_person": 2},
        "evaluation": EVERYBODY.model_dump(mode="json"),
        "monitoring": {
            "first_month": "2025-01",
            "last_month": "2026-12",
            "originations": True,
            "by": {name: [] for name in names},
            "reference_months": 6,
        },
        "groups": {
            "lender": {
                "role": "lender",
                "min_parties": 2,
                "max_colluding": 0,
                "table": {"id": "loan", "person": "person", "features": features},
            }
        },
        "parties": [{"name": name, "group": "lender", "nominal_records": 40_000} for name in LENDERS],
    }
    plan = Plan.parse(data)
    return plan.replace(**changes) if changes else plan


def loans(plan: Plan, n: int, seed: int = 0, persons: int | None = None) -> Records:
    """So many invented loans: opened in some month, and some of them later 30, 60 and 90 days past due."""
    random = np.random.default_rng(seed)
    opened = random.integers(0, 24, n)
    columns = {OPENED: np.array(MONTHS, dtype=np.float64)[opened]}
    passed, still = opened.copy(), np.ones(n, dtype=bool)
    for name in PASSAGES:
        passed, still = passed + random.integers(1, 4, n), still & (random.random(n) < 0.5)
        month = np.array([MONTHS[place] if place < 24 else np.nan for place in passed])
        columns[name] = np.where(still, month, np.nan)
    for name in plan.counted.by:
        columns[name] = random.integers(0, len(SECTORS), n).astype(np.float64)
    ids = tuple(f"loan-{seed}-{place}" for place in range(n))
    of = tuple(f"person-{place % (persons or n)}" for place in range(n))
    return Records(plan.groups["lender"].table, ids, of, columns, None, np.zeros(n, dtype=bool))
