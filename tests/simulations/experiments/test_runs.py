"""Run folders: whole or not there, and found by name."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from sealscore.simulations.experiments.runs import NewRun, NoSuchRun, Run, all_runs, find_run


def fill(folder: Path, started: str = "2026-01-01T00:00:00Z", **record: Any) -> None:
    (folder / "run.json").write_text(json.dumps({"started": started, **record}))
    (folder / "oracle.json").write_text(json.dumps({"exact": {}}))


def make(runs: Path, name: str, started: str = "2026-01-01T00:00:00Z") -> Path:
    (runs / name).mkdir(parents=True)
    fill(runs / name, started)
    return runs / name


class TestNewRun:
    def test_gets_its_name_when_it_is_whole(self, tmp_path: Path):
        with NewRun("plan-seed1", tmp_path) as new:
            assert all_runs(tmp_path) == []
            fill(new.folder)
            assert all_runs(tmp_path) == []
            run = new.finish()
        assert run.folder.parent == tmp_path
        assert run.folder.name.startswith("plan-seed1-")
        assert [found.folder for found in all_runs(tmp_path)] == [run.folder]
        assert [path.name for path in tmp_path.iterdir()] == [run.folder.name]

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
    def test_is_gone_when_it_does_not_become_whole(self, tmp_path: Path, error: type[BaseException]):
        def half() -> None:
            with NewRun("plan-seed1", tmp_path) as new:
                fill(new.folder)
                (new.folder / "model").mkdir()
                (new.folder / "model" / "card.json").write_text("{}")
                raise error

        with pytest.raises(error):
            half()
        assert list(tmp_path.iterdir()) == []

    def test_is_gone_when_nobody_finished_it(self, tmp_path: Path):
        with NewRun("plan-seed1", tmp_path) as new:
            fill(new.folder)
        assert list(tmp_path.iterdir()) == []

    def test_one_that_was_killed_does_not_look_like_a_run(self, tmp_path: Path):
        new = NewRun("plan-seed1", tmp_path).__enter__()
        fill(new.folder)
        assert new.folder.is_dir()
        assert all_runs(tmp_path) == []
        with pytest.raises(NoSuchRun):
            find_run("plan-seed1", tmp_path)
        with pytest.raises(NoSuchRun):
            find_run("last", tmp_path)

    def test_two_of_one_name_in_one_second(self, tmp_path: Path):
        folders = []
        for _ in range(3):
            with NewRun("plan-seed1", tmp_path) as new:
                fill(new.folder)
                folders.append(new.finish().folder)
        assert len({folder.name for folder in folders}) == 3
        assert len(all_runs(tmp_path)) == 3


class TestFinding:
    def test_the_start_of_a_name_is_enough_where_it_is_clear(self, tmp_path: Path):
        first, second = make(tmp_path, "alpha-seed1"), make(tmp_path, "beta-seed1")
        assert find_run("a", tmp_path).folder == first
        assert find_run("beta", tmp_path).folder == second

    def test_a_whole_name_wins_over_one_that_it_starts(self, tmp_path: Path):
        first = make(tmp_path, "alpha-seed1")
        make(tmp_path, "alpha-seed10")
        assert find_run("alpha-seed1", tmp_path).folder == first

    def test_more_than_one(self, tmp_path: Path):
        for name in ("alpha-seed1", "alpha-seed2"):
            make(tmp_path, name)
        with pytest.raises(NoSuchRun, match=r"2 runs under .* match 'alpha'; `sealscore-sim list` shows them all"):
            find_run("alpha", tmp_path)

    def test_none(self, tmp_path: Path):
        make(tmp_path, "alpha-seed1")
        with pytest.raises(NoSuchRun, match=r"no run under .* match 'gamma'"):
            find_run("gamma", tmp_path)
        with pytest.raises(NoSuchRun):
            find_run("last", tmp_path / "nowhere")

    def test_last_is_the_newest_and_all_are_in_order(self, tmp_path: Path):
        make(tmp_path, "b", "2026-03-01T00:00:00Z")
        make(tmp_path, "a", "2026-05-01T00:00:00Z")
        make(tmp_path, "c", "2026-01-01T00:00:00Z")
        assert [run.folder.name for run in all_runs(tmp_path)] == ["c", "b", "a"]
        assert find_run("last", tmp_path).folder.name == "a"

    def test_a_folder_elsewhere_by_its_path(self, tmp_path: Path):
        folder = make(tmp_path / "other", "alpha")
        assert find_run(str(folder), tmp_path / "runs").folder == folder

    @pytest.mark.parametrize("absent", ["run.json", "oracle.json"])
    def test_folders_that_are_no_runs_are_passed_over(self, tmp_path: Path, absent: str):
        make(tmp_path, "good")
        bad = make(tmp_path, "bad")
        os.remove(bad / absent)
        (tmp_path / "empty").mkdir()
        (tmp_path / "a file").write_text("")
        cut = make(tmp_path, "cut")
        (cut / "run.json").write_text('{"started": ')
        assert [run.folder.name for run in all_runs(tmp_path)] == ["good"]

    @pytest.mark.parametrize("absent", ["run.json", "oracle.json"])
    def test_a_path_to_a_folder_that_is_no_run(self, tmp_path: Path, absent: str):
        bad = make(tmp_path, "bad")
        os.remove(bad / absent)
        with pytest.raises(NoSuchRun, match="bad"):
            find_run(str(bad), tmp_path)

    def test_nothing_there_at_all(self, tmp_path: Path):
        assert all_runs(tmp_path / "nowhere") == []

    def test_a_run_is_read_with_both_records(self, tmp_path: Path):
        folder = make(tmp_path, "alpha")
        assert Run.load(folder).record["started"] == "2026-01-01T00:00:00Z"
        assert Run.load(folder).oracle == {"exact": {}}
