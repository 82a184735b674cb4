"""The bench of the scorer: what it compares itself with answers, and its callers measure what they say."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import tomli_w
import xgboost

from sealscore.simulations.bench import serve
from sealscore.simulations.bench.serve.load import Load, burst


@pytest.fixture
def model(tmp_path: Path) -> Path:
    random = np.random.default_rng(1)
    columns = random.normal(size=(400, 2))
    rows = xgboost.DMatrix(columns, label=columns[:, 0] > 0, nthread=1)
    xgboost.train({"objective": "binary:logistic", "nthread": 1}, rows, 5).save_model(tmp_path / "plain.ubj")
    (tmp_path / "plain.toml").write_text(tomli_w.dumps({"names": ["a", "b"]}))
    return tmp_path / "plain.ubj"


@pytest.mark.slow
def test_the_plain_service_answers_and_is_measured(model: Path):
    command = [sys.executable, "-m", "sealscore.simulations.bench.serve.plain", str(model)]
    load = Load([{"a": 1.0, "b": None}, {"a": -1.0, "b": 0.5}], "credit-decision", "token")
    with serve._served(command, "{port}") as served:
        side = serve._Side(served, "/score", load.plain)
        side.alone.append(side.turn(1, 20))
        side.together.append(side.turn(4, 40))
        figures = side.figures()
        assert len(side.together[0].each) == 40
        assert 0 < figures["p50_ms"] <= figures["p99_ms"]
        assert figures["cpu_ms"] > 0
        # Its own path alone: another is no answer that counts.
        with pytest.raises(OSError, match="404"):
            burst(served.port, [load.plain("/none")], 1)
    with pytest.raises(OSError):  # noqa: PT011 - nobody listens
        burst(served.port, [load.plain("/score")], 1)
