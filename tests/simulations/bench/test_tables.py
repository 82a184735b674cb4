"""The benchmark of reading tables says what it measured."""

from __future__ import annotations

from sealscore.simulations.bench.tables import run


def test_figures_are_of_the_rows_that_were_read() -> None:
    found = run(rows=2000, turns=1)
    assert found["rows"] == 2000
    for kind in ("plain", "quoted"):
        assert found[f"{kind}_ratio"] == found[f"{kind}_reader_cpu_s"] / found[f"{kind}_polars_cpu_s"] > 0
