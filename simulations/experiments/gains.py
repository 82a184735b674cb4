"""What a federation gives over going alone: segments of several runs as one, and its lead over the best lender."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

FEDERATED, POOLED = "federated", "pooled_xgboost"
ALONE, ALONE_DP, ALONE_XGBOOST = "lender_alone", "lender_alone_dp", "lender_alone_xgboost"
SCORES = {
    FEDERATED: "federated",
    ALONE: "alone",
    ALONE_DP: "alone, private",
    ALONE_XGBOOST: "alone, trees",
    POOLED: "pooled trees",
}
"""What each score of a segment is called in tables."""
_JUDGED = (("all", "all"), ("file", "thin"))
_BY = {"lender": "", "thin file at": "thin at "}


def segment_name(row: Mapping[str, Any]) -> str:
    """What a row of segments is called in tables."""
    return "all" if row["by"] == "all" else f"{_BY.get(row['by'], row['by'] + ' ')}{row['name']}"


def over_seeds(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The segments of several runs as one, with mean figures; None where one of them has none.

    Beside `rows` and `single` (the best lenders of all runs, by name) it has `gain`: by way of going alone the mean
    of the federation's lead over the best single lender, on `all` and on `thin` files, each over the lender that is
    best there.
    """
    rows = [
        {**first, "auc": {name: _mean(run["rows"][at]["auc"][name] for run in found) for name in first["auc"]}}
        for at, first in enumerate(found[0]["rows"])
    ]
    single: dict[str, dict[str, Any]] = {
        name: {
            "lender": _listed(run["single"][name]["lender"] for run in found),
            "all": _mean(run["single"][name]["all"] for run in found),
            "thin_lender": _listed(run["single"][name]["thin_lender"] for run in found),
            "thin": _mean(run["single"][name]["thin"] for run in found),
        }
        for name in found[0]["single"]
    }
    ours = {row["name"]: row["auc"][FEDERATED] for row in rows if (row["by"], row["name"]) in _JUDGED}
    gain = {name: {key: _less(ours.get(key), best[key]) for key in ("all", "thin")} for name, best in single.items()}
    return {"rows": rows, "single": single, "gain": gain}


def _listed(lenders: Iterable[str | None]) -> str | None:
    """The lenders that there are, by name; None where there is none."""
    return ", ".join(sorted({lender for lender in lenders if lender is not None})) or None


def _mean(values: Iterable[float | None]) -> float | None:
    known = list(values)
    return None if None in known else float(np.mean(np.array(known, dtype=np.float64)))


def _less(left: float | None, right: float | None) -> float | None:
    return None if left is None or right is None else left - right
