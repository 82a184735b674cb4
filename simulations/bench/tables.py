"""Reading a CSV of a million rows: CPU and memory a row, against polars alone on the same file in the same run.

Polars alone takes whatever the file holds; the difference is what it costs to know that no record is lost.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl

from sealscore.clients.data import read_source

ROWS, NUMBERS, TURNS = 1_000_000, 10, 5


def run(rows: int = ROWS, turns: int = TURNS) -> dict[str, Any]:
    """CPU seconds of both, the median of some turns each, and their ratio."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        columns = _write(path, rows)
        ways: dict[str, Callable[[], int]] = {
            "polars": lambda: _polars(path, columns),
            "reader": lambda: read_source(path, columns).frame.height,
        }
        spent: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(turns):
            for name, read in ways.items():
                before = time.process_time()
                if read() != rows:
                    raise RuntimeError(f"{name} read another number of rows")
                spent[name].append(time.process_time() - before)
    cpu = {name: median(times) for name, times in spent.items()}
    return {
        "rows": rows,
        "polars_cpu_s": cpu["polars"],
        "reader_cpu_s": cpu["reader"],
        "ratio": cpu["reader"] / cpu["polars"],
    }


def _write(path: Path, rows: int) -> list[str]:
    random = np.random.default_rng(1)
    frame = pl.DataFrame(
        {
            "loan": [f"application-{row}" for row in range(rows)],
            "person": [f"creator-{row // 2}" for row in range(rows)],
        }
        | {f"x{at}": random.normal(size=rows) * 100 for at in range(NUMBERS)}
    )
    frame.write_csv(path)
    return frame.columns


def _polars(path: Path, columns: list[str]) -> int:
    return pl.scan_csv(path, infer_schema=False).select(columns).collect(engine="streaming").height
