"""Runs in MLflow and TensorBoard: read back from real stores, whole or not at all, and refused before any work."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import NO_NOISE, small_scenario
from typer.testing import CliRunner

import sealscore as ss
from sealscore.simulations.cli import app
from sealscore.simulations.experiments import job
from sealscore.simulations.experiments.runs import BadSetting
from sealscore.simulations.extras import NoExtra
from sealscore.simulations.research.results import SimulatedRuns
from sealscore.simulations.tracking.tracked import Tracked, TrackingFailed
from sealscore.simulations.tracking.trackers import TRACKERS


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> ss.Plan:
    return ss.Plan.load(small_scenario(tmp_path_factory.mktemp("plan"), noise=NO_NOISE))


@pytest.fixture(scope="module")
def run(plan: ss.Plan, tmp_path_factory: pytest.TempPathFactory) -> SimulatedRuns:
    return ss.simulate(plan, engine="fast", runs=tmp_path_factory.mktemp("runs"))


def tracked(run: SimulatedRuns, name: str | None = None) -> Tracked:
    return Tracked.of(run._first, name)


def events(folder: Path) -> Iterator[Any]:
    """The events of a folder's event file: each is a length, its checksum, the bytes, theirs."""
    protocol = pytest.importorskip("tensorboardX.proto.event_pb2", reason="needs the extra tensorboard")
    (file,) = folder.iterdir()
    data = file.read_bytes()
    while data:
        (size,) = struct.unpack("<Q", data[:8])
        yield protocol.Event.FromString(data[12 : 12 + size])
        data = data[16 + size :]


class TestTracked:
    def test_it_has_settings_figures_and_series(self, run: SimulatedRuns):
        found = tracked(run)
        assert found.settings["training.rounds"] == run.plan.training.rounds
        assert found.settings["engine"] == "fast"
        assert found.figures["auc"] == run.metrics["auc"].mean
        rows = run.rounds.filter(run.rounds["gradient_norm"].is_not_null())
        told = [(step, value) for name, step, value in found.series if name.endswith("/gradient_norm")]
        assert told == list(zip(rows["round"].to_list(), rows["gradient_norm"].to_list(), strict=True))
        assert not any(":" in name for name, _, _ in found.series)


class TestRefused:
    @pytest.mark.parametrize(("name", "package"), [("mlflow", "mlflow"), ("tensorboard", "tensorboardX")])
    def test_a_package_that_is_not_installed(
        self, plan: ss.Plan, name: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setitem(sys.modules, package, None)
        monkeypatch.setattr(job, "run_job", lambda *_, **__: pytest.fail("work was done"))
        install = rf"pip install 'sealscore\[{name}\]'"
        with pytest.raises(NoExtra, match=install):
            ss.simulate(plan, track=name, runs=tmp_path)
        with pytest.raises(NoExtra, match=install):
            ss.sweep(plan, rounds=[1, 2], track=name, folder=tmp_path / "sweep")
        assert list(tmp_path.iterdir()) == []
        for command in (["run", "uci_vertical_eps2"], ["sweep", "uci_epsilon"]):
            done = CliRunner().invoke(app, [*command, "--track", name])
            assert isinstance(done.exception, NoExtra)

    def test_a_tool_that_there_is_not(self, plan: ss.Plan, tmp_path: Path):
        with pytest.raises(BadSetting, match=" or ".join(TRACKERS)):
            ss.simulate(plan, track="paper", runs=tmp_path)
        assert list(tmp_path.iterdir()) == []


class TestTensorBoard:
    @pytest.fixture(autouse=True)
    def _there(self):
        pytest.importorskip("tensorboardX", reason="needs the extra tensorboard")

    def test_event_files_hold_all_of_it(self, run: SimulatedRuns, tmp_path: Path):
        TRACKERS["tensorboard"](tmp_path).keep(tracked(run))
        found = [value for event in events(tmp_path / "tensorboard" / run.folder.name) for value in event.summary.value]
        scalars = [value for value in found if value.HasField("simple_value")]
        assert len(scalars) == len(tracked(run).series) + len(tracked(run).figures)
        (auc,) = [value.simple_value for value in scalars if value.tag == "final/auc"]
        assert auc == pytest.approx(run.metrics["auc"].mean)
        assert any(b"training.rounds" in value.metadata.plugin_data.content for value in found)

    def test_a_sweep_has_a_folder_a_run(self, plan: ss.Plan, tmp_path: Path):
        swept = ss.sweep(plan, rounds=[1, 2], judge="test", track="tensorboard", folder=tmp_path / "out")
        assert swept.frame.height == 2
        folders = sorted((tmp_path / "out/tensorboard").iterdir())
        assert len(folders) == 2
        assert all(len(list(events(folder))) > 5 for folder in folders)

    def test_a_folder_that_cannot_be_written(self, run: SimulatedRuns, tmp_path: Path):
        (tmp_path / "tensorboard").write_text("a file")
        with pytest.raises(TrackingFailed):
            TRACKERS["tensorboard"](tmp_path).keep(tracked(run))

    def test_ctrl_c_leaves_nothing(self, run: SimulatedRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        tracker = TRACKERS["tensorboard"](tmp_path)

        def stops(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(tracker, "_write", stops)
        with pytest.raises(KeyboardInterrupt):
            tracker.keep(tracked(run))
        assert list((tmp_path / "tensorboard").iterdir()) == []


class TestMlflow:
    @pytest.fixture
    def mlflow(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        mlflow = pytest.importorskip("mlflow", reason="needs the extra mlflow")
        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/store.db")
        monkeypatch.chdir(tmp_path)
        yield mlflow
        mlflow.set_tracking_uri(before)

    def test_the_store_holds_all_of_it(self, mlflow: Any, plan: ss.Plan, tmp_path: Path):
        run = ss.simulate(plan, engine="fast", track="mlflow", runs=tmp_path / "runs")
        client = mlflow.MlflowClient()
        (kept,) = client.search_runs([client.get_experiment_by_name(plan.name).experiment_id])
        assert kept.info.run_name == run.folder.name
        assert kept.info.status == "FINISHED"
        assert kept.data.metrics["auc"] == run.metrics["auc"].mean
        assert kept.data.params["training.rounds"] == str(plan.training.rounds)
        for name in {name for name, _, _ in tracked(run).series}:
            told = [(step, value) for key, step, value in tracked(run).series if key == name]
            history = client.get_metric_history(kept.info.run_id, name)
            assert sorted((one.step, one.value) for one in history) == told

    def test_a_run_that_is_not_taken_whole_is_marked(
        self, mlflow: Any, run: SimulatedRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        tracker = TRACKERS["mlflow"](tmp_path)

        def fails(*_: object, **__: object) -> None:
            raise mlflow.exceptions.MlflowException("no room")

        monkeypatch.setattr(tracker._client, "log_batch", fails)
        with pytest.raises(TrackingFailed, match="no room"):
            tracker.keep(tracked(run))
        (kept,) = mlflow.MlflowClient().search_runs(["1"])
        assert kept.info.status == "FAILED"

    def test_a_store_that_cannot_be_opened(self, mlflow: Any, tmp_path: Path):
        mlflow.set_tracking_uri("nothing://here")
        with pytest.raises(TrackingFailed, match="nothing://here"):
            TRACKERS["mlflow"](tmp_path)
