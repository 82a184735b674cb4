"""`sealscore-sim score`: tables with and without a platform's columns, and what is wrong with one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner
from vertical_builders import federation_of, quiet_plan

from sealscore.clients.data import DataError, read_table
from sealscore.clients.scoring.scorer import Scorer
from sealscore.server.releases.making import make_release
from sealscore.shared.serving.release import Release
from sealscore.simulations.engine.federation import Federation
from sealscore.simulations.experiments.job import RELEASE, released
from sealscore.simulations.scoring.table_scores import score_table

ROWS = 60


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run, with its release."""
    folder = tmp_path_factory.mktemp("run")
    plan = quiet_plan(model__fallback=True)
    federation = Federation.of(plan, federation_of(plan))
    federation.run(folder)
    make_release(folder, folder / RELEASE, released(federation.plan))
    (folder / "oracle.json").write_text("{}", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def release(run: Path) -> Release:
    """Its release."""
    return Release.load(run / RELEASE)


def table(**changes: list[object]) -> pl.DataFrame:
    """Applicants with the columns of lenders and of both kinds of platforms; every third has no video columns."""
    random = np.random.default_rng(3)
    seen = [row % 3 != 0 for row in range(ROWS)]
    columns: dict[str, list[object]] = {
        "loan": [f"L{row}" for row in range(ROWS)],
        "income": random.uniform(0, 100, ROWS).round(2).tolist(),
        "late": random.integers(0, 12, ROWS).tolist(),
        "views": [
            round(float(value), 2) if at else None for value, at in zip(random.uniform(0, 100, ROWS), seen, strict=True)
        ],
        "shop": [None] * ROWS,
        "inflow": random.uniform(0, 100, ROWS).round(2).tolist(),
        "refunds": random.integers(0, 12, ROWS).tolist(),
        "remark": ["x"] * ROWS,
    }
    return pl.DataFrame(columns | changes)


def written(frame: pl.DataFrame, folder: Path, name: str = "table.csv") -> Path:
    """The table as a file."""
    path = folder / name
    if path.suffix == ".csv":
        frame.write_csv(path)
    else:
        frame.write_parquet(path)
    return path


@pytest.mark.parametrize("name", ["table.csv", "table.parquet"])
def test_each_row_is_what_the_scorer_says_of_it(release: Release, tmp_path: Path, name: str):
    frame = table()
    found = score_table(release, read_table(written(frame, tmp_path, name)))
    assert found.frame["loan"].to_list() == frame["loan"].to_list()
    assert found.extra == ("remark",)
    assert found.with_signal == {"video": ROWS - ROWS // 3, "wallet": ROWS}
    scorer = Scorer(release)
    for place, row in enumerate(frame.iter_rows(named=True)):
        levels = {}
        for group, names in (("video", ("views", "shop")), ("wallet", ("inflow", "refunds"))):
            values = {one: np.array([np.nan if row[one] is None else float(row[one])]) for one in names}
            if row[names[0]] is not None:
                levels[group] = release.content.towers[group].levels(values).tolist()
        expected = scorer.score({"income": row["income"], "late": float(row["late"])}, levels)
        got = found.frame.row(place, named=True)
        assert (got["pd"], got["points"], got["model"]) == (expected.pd, expected.points, expected.role)
        codes = [got[f"reason_{number}"] for number in range(1, 5) if got[f"reason_{number}"]]
        assert codes == [reason["code"] for reason in expected.reasons]


def test_without_platforms_columns_one_model_answers_for_all(release: Release, tmp_path: Path):
    plain = table().drop("views", "shop", "inflow", "refunds", "loan")
    found = score_table(release, read_table(written(plain, tmp_path)))
    assert found.with_signal == {"video": 0, "wallet": 0}
    assert found.frame["model"].unique().to_list() == [Scorer(release).role({})]
    assert found.frame["row"].to_list() == list(range(1, ROWS + 1))


def test_what_is_wrong_is_named_with_its_column_and_row(release: Release, tmp_path: Path):
    with pytest.raises(DataError, match="refunds"):
        score_table(release, read_table(written(table().drop("refunds"), tmp_path, "a.csv")))
    half: list[object] = [None if row == 4 else 1 for row in range(ROWS)]
    with pytest.raises(DataError, match=r"refunds.*line 6|line 6.*refunds"):
        score_table(release, read_table(written(table(refunds=half), tmp_path, "b.csv")))
    with pytest.raises(DataError, match="income"):
        score_table(release, read_table(written(table(income=[1e9] * ROWS), tmp_path, "c.csv")))


def test_by_the_command(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from sealscore.simulations.cli import app
    from sealscore.simulations.scoring import command

    monkeypatch.setattr(command, "console", command.Terminal(stderr=True))
    path = written(table(), tmp_path)
    printed = CliRunner().invoke(app, ["score", str(run), str(path)])
    assert printed.exit_code == 0, printed.output
    for name in ("scores.csv", "scores.parquet"):
        done = CliRunner().invoke(app, ["score", str(run), str(path), "-o", str(tmp_path / name)])
        assert done.exit_code == 0, done.output
    assert pl.read_csv(tmp_path / "scores.csv")["points"].equals(pl.read_parquet(tmp_path / "scores.parquet")["points"])
    assert CliRunner().invoke(app, ["score", str(run), str(path), "-o", "scores.xlsx"]).exit_code == 2
