"""Plans as a researcher holds them: drafted from tables of any kind, changed by short keys, refused in one message."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pandas as pd
import polars as pl
import pytest
from builders import PLAN, small_scenario

import sealscore as ss
from sealscore.clients.data import DataError
from sealscore.shared.plan.errors import PlanError
from sealscore.simulations.data.scenario import Scenario
from sealscore.simulations.draft.draft import Wishes
from sealscore.simulations.draft.making import checked_draft
from sealscore.simulations.experiments.runs import BadSetting
from sealscore.simulations.research.drafts import DraftedPlan


class TestWith:
    def test_short_keys_dotted_keys_and_counts(self, plan: DraftedPlan):
        changed = plan.with_(epsilon=0.5, seed=4, evaluation__table_cells=8, parties__lender=2)
        assert (changed.privacy.epsilon, changed.seed, changed.evaluation.table_cells) == (0.5, 4, 8)
        assert [party.nominal_records for party in changed.parties] == [750, 750]
        assert changed.hash != plan.hash
        assert plan.with_(simulation__partition="quantity", simulation__alpha=2.0).scenario.settings.alpha == 2.0
        # Settings are no part of the contract.
        assert plan.with_(simulation__partition="quantity", simulation__alpha=2.0).hash == plan.hash

    @pytest.mark.parametrize(
        ("name", "meant"), [("epsilom", "epsilon"), ("round", "rounds"), ("clip_norm", "privacy__clip_norm")]
    )
    def test_a_key_that_there_is_not_names_the_one_that_is(self, plan: DraftedPlan, name: str, meant: str):
        with pytest.raises(PlanError, match=f"did you mean '{meant}'"):
            plan.with_(**{name: 1})
        with pytest.raises(PlanError, match=f"did you mean '{meant}'"):
            ss.sweep(plan, **{name: [1, 2]})

    def test_it_holds_the_data_that_it_was_drafted_from(self, loans: pl.DataFrame):
        changed = ss.draft(loans, label="default").with_(epsilon=2.0).replace(seed=3)
        assert changed.scenario.dataset().frame.height == 1500

    def test_a_plan_without_data_can_be_changed_and_not_run(self, tmp_path: Path):
        bare = ss.plan(PLAN)
        assert bare.with_(epsilon=0.25).privacy.epsilon == 0.25
        for source in (bare, Scenario.load(small_scenario(tmp_path)).plan):
            with pytest.raises(PlanError, match="nothing of data"):
                ss.simulate(source)

    @pytest.mark.parametrize(
        "changes", [{"epsilon": -1.0}, {"nothing": 1}, {"parties__shop": 2}, {"simulation__no": 1}]
    )
    def test_that_is_refused(self, plan: DraftedPlan, changes: dict[str, object]):
        with pytest.raises(PlanError, match=next(iter(changes)).replace("__", r"\.")):
            plan.with_(**changes)

    def test_a_newer_version_says_what_to_do(self):
        with pytest.raises(PlanError, match=r"version = 2: .*install"):
            ss.plan({**PLAN, "version": 2})


class TestDraft:
    def test_frames_and_files_give_the_same_guesses(self, loans: pl.DataFrame, plan: DraftedPlan, tmp_path: Path):
        loans.write_parquet(tmp_path / "table.parquet")
        of_pandas = pd.DataFrame(loans.to_dict(as_series=False))
        for source in (tmp_path / "table.parquet", of_pandas, loans.to_dict(as_series=False), loans.lazy()):
            assert ss.draft(source, label="default", epsilon=8.0).hash == plan.hash
        assert "default is 1" in plan.text

    def test_it_is_what_the_command_writes(self, loans: pl.DataFrame, tmp_path: Path):
        loans.write_csv(tmp_path / "loans.csv")
        made = ss.draft(tmp_path / "loans.csv", label="default", output=tmp_path / "mine.toml")
        written = checked_draft([tmp_path / "loans.csv"], Wishes(label="default"), tmp_path / "mine.toml")
        assert (tmp_path / "mine.toml").read_text(encoding="utf-8") == made.text == written.text
        assert date.today().isoformat() in made.text
        assert ss.Plan.load(tmp_path / "mine.toml") == ss.plan(tmp_path / "mine.toml")
        with pytest.raises(BadSetting, match="there already"):
            ss.draft(tmp_path / "loans.csv", label="default", output=tmp_path / "mine.toml")

    def test_tables_by_name(self, loans: pl.DataFrame):
        numbered = loans.with_row_index("person")
        channel = numbered.select("person", views=pl.col("late").fill_null(0) * 3)
        found = ss.draft({"loans": numbered, "channel": channel}, id="person", label="default")
        assert found.platforms == ("channel",)

    @pytest.mark.parametrize("table", [[1, 2], 7, {"a": [1], "b": [1, 2]}])
    def test_that_is_no_table(self, table: object):
        with pytest.raises(DataError, match="table"):
            ss.draft(table)

    def test_a_label_of_many_numbers_is_refused_without_showing_any(self, loans: pl.DataFrame):
        with pytest.raises(PlanError, match="no outcome") as refused:
            ss.draft(loans, label="income")
        assert not any(str(value) in str(refused.value) for value in loans["income"])

    def test_nothing_is_written_where_it_fails(self, loans: pl.DataFrame, tmp_path: Path):
        loans.write_csv(tmp_path / "loans.csv")
        with pytest.raises(PlanError):
            ss.draft(tmp_path / "loans.csv", label="nothing", output=tmp_path / "mine.toml")
        with pytest.raises(BadSetting, match="cannot be written"):
            ss.draft(tmp_path / "loans.csv", label="default", output=tmp_path / "absent" / "mine.toml")
        assert [path.name for path in tmp_path.iterdir()] == ["loans.csv"]


def test_what_is_no_plan_is_refused_without_showing_it(loans: pl.DataFrame, tmp_path: Path):
    loans.write_csv(tmp_path / "loans.csv")
    for given in (loans, tmp_path / "loans.csv", None, 7):
        for read in (ss.simulate, ss.plan, ss.account):
            with pytest.raises(PlanError, match=r"plan; sealscore\.draft") as refused:
                read(given)
            assert str(loans["income"][0]) not in str(refused.value)
