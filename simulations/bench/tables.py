"""Reading a CSV of a million rows: CPU against polars alone on the same file in the same run, with quotes and without.

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
    """CPU seconds of both, the median of some turns each, and their ratio: of a file without quotes (`plain`), and of
    one with a quoted cell in each row (`quoted`)."""
    found: dict[str, Any] = {"rows": rows}
    for kind, text in (("plain", "said {0} twice"), ("quoted", 'said "{0}", twice')):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "table.csv"
            columns = _write(path, rows, text)
            cpu = _cpu(path, columns, rows, turns)
        found |= {f"{kind}_{way}_cpu_s": seconds for way, seconds in cpu.items()}
        found[f"{kind}_ratio"] = cpu["reader"] / cpu["polars"]
    return found


def _cpu(path: Path, columns: list[str], rows: int, turns: int) -> dict[str, float]:
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
    return {name: median(times) for name, times in spent.items()}


def _write(path: Path, rows: int, text: str) -> list[str]:
    """A table of loans as parties have them; `text` is what its last column says of each row."""
    random = np.random.default_rng(1)
    days = np.datetime64("2024-01-01", "D") + random.integers(0, 700, rows)
    frame = pl.DataFrame(
        {
            "loan": [f"application-{row}" for row in range(rows)],
            "person": [f"creator-{row // 2}" for row in range(rows)],
            "bad": random.integers(0, 2, rows),
            "day": days,
        }
        | {f"x{at}": random.normal(size=rows) * 100 for at in range(NUMBERS)}
        | {"note": [text.format(row) for row in range(rows)]}
    )
    frame.write_csv(path)
    return frame.columns


def _polars(path: Path, columns: list[str]) -> int:
    return pl.scan_csv(path, infer_schema=False).select(columns).collect(engine="streaming").height
