"""A model as an ONNX file: ONNX Runtime says what the model says, of good rows and of rows that are refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

import sealscore as ss
from sealscore.shared.model.bins import Binning, FeatureBins
from sealscore.shared.model.calibration import Calibration
from sealscore.shared.model.coding import Coding, Crosses
from sealscore.shared.model.score_model import ScoreModel
from sealscore.shared.model.weights import TowerWeights
from sealscore.shared.plan.plan import signal_name
from sealscore.shared.plan.schema import NumericFeature, TableSchema
from sealscore.simulations.cli import app
from sealscore.simulations.experiments.runs import BadSetting
from sealscore.simulations.exports import onnx_file
from sealscore.simulations.exports.onnx_file import ExportDiffers
from sealscore.simulations.exports.score_graph import score_graph
from sealscore.simulations.extras import NoExtra
from sealscore.simulations.research.results import SimulatedRuns


@pytest.fixture(scope="module")
def loans() -> pl.DataFrame:
    """Loans with a number beyond its bounds, whole numbers, blanks, words with rare ones, and a series."""
    random = np.random.default_rng(3)
    rows = 1200
    frame = pl.DataFrame({f"bill_{month}": random.lognormal(3, 1, rows).round(2) for month in range(1, 5)})
    frame = frame.with_columns(bill_1=frame["bill_2"] * 1.1, bill_3=frame["bill_2"] * 0.9)
    late = random.poisson(1.0, rows)
    odds = 0.8 * late - 2.0 + 0.01 * frame["bill_2"].to_numpy()
    return frame.with_columns(
        late=pl.Series([None if at % 17 == 0 else int(value) for at, value in enumerate(late)]),
        kind=pl.Series(random.choice(["car", "home", "tour", "boat"], rows, p=[0.5, 0.3, 0.195, 0.005])),
        default=pl.Series((random.uniform(size=rows) < 1 / (1 + np.exp(-odds))).astype(int)),
    )


@pytest.fixture(scope="module")
def run(loans: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> SimulatedRuns:
    plan = ss.draft(loans, label="default", epsilon=8.0)
    return ss.simulate(plan, engine="fast", runs=tmp_path_factory.mktemp("runs"))


def given(session: Any, frame: pl.DataFrame) -> dict[str, np.ndarray]:
    """A frame as the file's inputs."""
    found = {}
    for one in session.get_inputs():
        column = frame[one.name]
        text = one.type == "tensor(string)"
        found[one.name] = (
            column.fill_null("").to_numpy().astype(object)
            if text
            else column.cast(pl.Float64).fill_null(np.nan).to_numpy()
        )
    return found


@pytest.fixture(scope="module")
def session(run: SimulatedRuns, tmp_path_factory: pytest.TempPathFactory) -> Any:
    pytest.importorskip("onnx", reason="needs the extra onnx")
    runtime = pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    return runtime.InferenceSession(run.model.to_onnx(tmp_path_factory.mktemp("onnx") / "score.onnx"))


class TestWithRuntime:
    def test_its_scores_are_the_models(self, session: Any, run: SimulatedRuns, loans: pl.DataFrame):
        logit, pd, points = session.run(["logit", "pd", "points"], given(session, loans))
        own = run.model.score(loans)
        assert np.abs(pd - own["pd"].to_numpy()).max() <= 1.1e-6
        assert np.abs(points - own["points"].to_numpy()).max() <= 1
        assert (points == own["points"].to_numpy()).mean() > 0.99
        assert np.allclose(1 / (1 + np.exp(-logit)), pd, atol=1e-6)
        assert len(np.unique(points)) > 20

    def test_a_row_that_is_refused_has_no_score(self, session: Any, run: SimulatedRuns, loans: pl.DataFrame):
        bad = loans.head(4).with_columns(
            late=pl.Series([0.5, 1.0, 1.0, 1.0]),
            bill_1=pl.Series([1.0, None, 1.0, 1.0]),
            kind=pl.Series(["car", "car", "never seen", ""]),
        )
        _, pd, points = session.run(["logit", "pd", "points"], given(session, bad))
        # Half a payment, a blank where none may be, a word that counts as other, a blank word where none may be.
        assert np.isnan(pd).tolist() == [True, True, False, True]
        assert points.tolist()[:2] == [0, 0]
        refused = [row for row in range(4) if not _scores(run, bad.slice(row, 1))]
        assert refused == [0, 1, 3]

    def test_another_model_is_not_there(self, session: Any, run: SimulatedRuns, tmp_path: Path):
        with pytest.raises(BadSetting, match="champion"):
            run.model.to_onnx(tmp_path / "score.onnx", "fallback")

    def test_a_runtime_that_differs_gets_no_file(
        self, session: Any, run: SimulatedRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(onnx_file, "BOUND", -1.0)
        with pytest.raises(ExportDiffers):
            run.model.to_onnx(tmp_path / "score.onnx")
        assert list(tmp_path.iterdir()) == []

    def test_by_command(self, session: Any, run: SimulatedRuns, tmp_path: Path):
        file = tmp_path / "score.onnx"
        done = CliRunner().invoke(app, ["export", str(run.folder), "-o", str(file)])
        assert done.exit_code == 0
        assert file.stat().st_size > 1000


def _scores(run: SimulatedRuns, row: pl.DataFrame) -> bool:
    try:
        run.model.pd(row)
    except ValueError:
        return False
    return True


def test_a_package_that_is_not_installed(run: SimulatedRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for package in ("onnx", "onnxruntime"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(NoExtra, match=r"pip install 'sealscore\[onnx\]'"):
        run.model.to_onnx(tmp_path / "score.onnx")
    assert list(tmp_path.iterdir()) == []


def test_both_models_of_a_lender_and_a_platform(session: Any, loans: pl.DataFrame, tmp_path: Path):
    own = loans.select("late", "default", who=pl.int_range(pl.len())).head(500)
    channel = loans.select("bill_2", "kind", who=pl.int_range(pl.len())).head(450)
    plan = ss.draft({"loans": own, "channel": channel}, label="default", id="who", epsilon=8.0)
    run = ss.simulate(plan.with_(alignment__method="exact"), engine="fast", runs=tmp_path)
    for role, inputs in (("champion", ["late", signal_name("channel")]), ("fallback", ["late"])):
        # What is written was compared with the release's scores.
        runtime = type(session)(run.model.to_onnx(tmp_path / f"{role}.onnx", role))
        assert [one.name for one in runtime.get_inputs()] == inputs


def test_a_tower_with_a_network(session: Any):
    features = (NumericFeature(name="x", lower=0, upper=1), NumericFeature(name="y", lower=0, upper=9, missing=True))
    bins = Binning(
        tuple(FeatureBins(one, (0.3, 0.6), (1 / size,) * size) for one, size in zip(features, (3, 4), strict=True))
    )
    crosses = Crosses((("x", "y"),), 2, 0.5)
    width = Coding(bins, crosses).width
    numbers = np.random.default_rng(0).normal(size=TowerWeights.length(width, 3))
    model = ScoreModel(features, bins, TowerWeights(numbers, width, 3), Calibration(1.5, -0.5), {}, crosses)
    table = TableSchema(id="id", label="bad", features=features)
    runtime = type(session)(score_graph(model, table, "network", {}).SerializeToString())
    columns = {"x": np.array([0.1, 0.3, 0.9, 0.5]), "y": np.array([0.2, 0.61, np.nan, 0.31])}
    (pd,) = runtime.run(["pd"], columns)
    assert np.abs(pd - model.pd(columns)).max() <= 0.6e-6
