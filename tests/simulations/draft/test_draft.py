"""From a stranger's table to a plan that runs, and what it guesses on the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from strange_loans import ROWS, stranger
from typer.testing import CliRunner

from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.hazards import simulated_only
from sealscore.shared.plan.schema import CategoricalFeature, NumericFeature, TableSchema
from sealscore.simulations.cli import app
from sealscore.simulations.data.scenario import Scenario
from sealscore.simulations.draft.draft import Draft
from sealscore.simulations.engine.federation import load_parties
from sealscore.simulations.experiments.job import run_job

Drafted = Callable[..., tuple[Draft, Scenario]]


def lender_table(scenario: Scenario) -> TableSchema:
    return scenario.plan.groups["lender"].table


class TestColumns:
    def test_each_kind_of_column(self, draft_of: Drafted):
        _, scenario = draft_of(stranger())
        features = {feature.name: feature for feature in lender_table(scenario).features}
        assert set(features) == {"income", "late", "home", "age", "gender"}
        income, late, home = features["income"], features["late"], features["home"]
        assert isinstance(income, NumericFeature)
        assert (income.missing, income.clip, income.integer) == (True, True, False)
        assert income.scale is not None
        assert isinstance(late, NumericFeature)
        assert (late.missing, late.integer, late.scale) == (False, True, None)
        assert late.lower <= 0 < 5 <= late.upper
        assert isinstance(home, CategoricalFeature)
        assert home.levels == ("own", "parents", "rent", "other")
        assert home.other == "other"
        assert {name for name, feature in features.items() if feature.protected} == {"age", "gender"}
        assert set(scenario.plan.evaluation.groups) == {"age", "gender"}

    def test_bounds_lie_beyond_the_values_and_on_no_value(self, draft_of: Drafted):
        frame = stranger().with_columns(pl.Series("debt", np.linspace(-37.4, 81.9, ROWS)))
        _, scenario = draft_of(frame)
        debt = lender_table(scenario).feature("debt")
        assert isinstance(debt, NumericFeature)
        assert -60 < debt.lower < -37.4
        assert 81.9 < debt.upper < 110

    def test_numbers_that_end_at_zero_have_it_as_a_bound(self, draft_of: Drafted):
        _, scenario = draft_of(stranger())
        assert lender_table(scenario).feature("income").lower == 0

    def test_a_column_that_tells_the_outcome_is_left_out(self, draft_of: Drafted):
        frame = stranger().with_columns((pl.col("status") == "charged off").cast(pl.Int8).alias("collected"))
        found, scenario = draft_of(frame)
        assert "collected" not in {feature.name for feature in lender_table(scenario).features}
        assert any(value == "collected" for side in found.sides for value in [c.name for c in side.columns])

    def test_columns_with_strange_names_and_words(self, draft_of: Drafted):
        words = np.array(['quoted "word"', "back\\slash", "其他", "a, b"])[np.arange(ROWS) % 4]
        _, scenario = draft_of(stranger().with_columns(pl.Series("it's \\ = 列", words)))
        assert set(lender_table(scenario).feature("it's \\ = 列").levels) == set(words)  # type: ignore[union-attr]
        scenario.dataset()


class TestLabel:
    def test_words_say_which_is_bad(self, draft_of: Drafted):
        _, scenario = draft_of(stranger())
        table = lender_table(scenario)
        assert (table.label, table.label_bad, table.label_good) == ("status", "charged off", "fully paid")
        assert scenario.plan.outcome.bad_rate == pytest.approx((stranger()["status"] == "charged off").mean(), abs=0.01)

    def test_the_beginning_of_a_name_is_enough(self, draft_of: Drafted):
        frame = stranger().with_columns(pl.lit("x").alias("state")).rename({"status": "default.payment.next.month"})
        _, scenario = draft_of(frame, label="default")
        assert lender_table(scenario).label == "default.payment.next.month"

    def test_a_column_of_good_loans_is_turned_round(self, draft_of: Drafted):
        frame = stranger().with_columns((pl.col("status") == "fully paid").cast(pl.Int8).alias("repaid")).drop("status")
        _, scenario = draft_of(frame, label="repaid")
        assert lender_table(scenario).label_bad == "0"

    def test_codes_that_say_nothing_are_asked_for(self, draft_of: Drafted):
        frame = stranger().with_columns(pl.when(pl.col("status") == "charged off").then(2).otherwise(1).alias("status"))
        with pytest.raises(PlanError, match="--bad"):
            draft_of(frame)
        _, scenario = draft_of(frame, bad="2")
        assert (lender_table(scenario).label_bad, lender_table(scenario).label_good) == ("2", "1")

    def test_rows_without_an_outcome_are_left_out(self, draft_of: Drafted):
        frame = stranger()
        status = [("current", None)[row % 2] if row < 40 else word for row, word in enumerate(frame["status"])]
        with pytest.raises(PlanError, match="--good"):
            draft_of(frame.with_columns(pl.Series("status", status)), label="status", bad="charged off")
        found, scenario = draft_of(
            frame.with_columns(pl.Series("status", status)), label="status", bad="Charged Off", good="fully paid"
        )
        assert found.records == ROWS - 40
        assert scenario.dataset().frame.height == ROWS - 40

    def test_without_a_column_that_seems_one_it_is_asked_for(self, draft_of: Drafted):
        with pytest.raises(PlanError, match="--label"):
            draft_of(stranger().rename({"status": "w"}))


class TestIdentifiers:
    def test_rows_are_numbered_where_nothing_names_them(self, draft_of: Drafted):
        _, scenario = draft_of(stranger().drop("loan_id"))
        records = load_parties(scenario)
        assert sum(len(part) for part in records.values()) == ROWS
        assert len({person for part in records.values() for person in part.person}) == ROWS

    def test_persons_with_several_rows(self, draft_of: Drafted):
        frame = stranger().with_columns(pl.Series("customer_id", [f"C{row // 2}" for row in range(ROWS)]))
        found, scenario = draft_of(frame)
        assert lender_table(scenario).person == "customer_id"
        assert found.dropped == ROWS // 2
        assert sum(len(part) for part in load_parties(scenario).values()) == ROWS // 2


class TestParties:
    def test_lenders_share_the_rows(self, draft_of: Drafted):
        _, scenario = draft_of(stranger(), lenders=4)
        assert [party.nominal_records for party in scenario.plan.parties] == [150] * 4
        assert scenario.plan.privacy.max_parties_per_person == 1

    def test_columns_at_a_platform(self, draft_of: Drafted):
        _, scenario = draft_of(stranger(), platform="la*, gender")
        plan = scenario.plan
        assert {f.name for f in plan.groups["platform"].table.features} == {"late", "gender"}
        assert {f.name for f in plan.groups["lender"].table.features} == {"income", "home", "age"}
        assert plan.privacy.label_epsilon == 2
        assert [party.name for party in plan.parties] == ["lender-1", "platform"]

    def test_a_table_each(self, draft_of: Drafted):
        """Two lenders and a platform that knows half of the persons, none of whom is at both lenders."""
        both = stranger()
        loans = both.drop("late")
        found, scenario = draft_of(
            {"north": loans[: ROWS // 2], "south": loans[ROWS // 2 :], "video": both.select("loan_id", "late")[::2]}
        )
        assert scenario.settings.dataset == "north.csv"
        assert scenario.settings.tables == {"lender-1": "north.csv", "lender-2": "south.csv", "video": "video.csv"}
        assert found.spread == 1
        assert {name: len(part) for name, part in load_parties(scenario).items()} == {
            "lender-1": ROWS // 2,
            "lender-2": ROWS // 2,
            "video": ROWS // 2,
        }

    def test_a_person_at_both_lenders_is_counted_twice(self, draft_of: Drafted):
        found, scenario = draft_of({"north": stranger(), "south": stranger(seed=1)})
        assert found.spread == scenario.plan.privacy.max_parties_per_person == 2


class TestPrivacy:
    def test_delta_is_below_one_in_all_persons(self, draft_of: Drafted):
        _, scenario = draft_of(stranger())
        assert scenario.plan.privacy.delta < 1 / ROWS

    def test_a_real_node_refuses_it(self, draft_of: Drafted):
        _, scenario = draft_of(stranger())
        told = " ".join(simulated_only(scenario.plan))
        assert "read_from_data" in told
        assert "placeholder" in told


class TestRuns:
    @pytest.mark.parametrize("platform", [None, "late, gender"])
    def test_what_is_drafted_runs(self, draft_of: Drafted, platform: str | None, tmp_path: Path):
        _, scenario = draft_of(stranger(), platform=platform, epsilon=8.0)
        assert scenario.plan.training.auto
        run = run_job(scenario, baselines=False, runs=tmp_path / "runs")
        assert 0 < run.oracle["exact"]["auc"] <= 1

    def test_by_the_command_line_from_a_spreadsheets_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.chdir(tmp_path)
        text = stranger().rename({"home": "住房", "status": "违约"}).write_csv(separator=";")
        Path("借款.csv").write_bytes(text.encode("gbk"))
        done = CliRunner().invoke(app, ["draft", "借款.csv", "--label", "违约"])
        assert done.exit_code == 0, done.output
        scenario = Scenario.load(Path("借款.toml"))
        assert scenario.dataset().frame.height == ROWS
        assert scenario.settings.dataset == "借款.csv"
        again = CliRunner().invoke(app, ["draft", "借款.csv", "--label", "违约"])
        assert again.exit_code == 2
        before = Path("借款.toml").read_text("utf-8")
        again_with = ["draft", "借款.csv", "--label", "违约", "--force", "--epsilon"]
        with monkeypatch.context() as patch:
            patch.setattr(Scenario, "dataset", lambda self: 1 / 0)
            assert CliRunner().invoke(app, [*again_with, "3"]).exit_code
        # A draft that cannot be used takes nobody's file away.
        assert Path("借款.toml").read_text("utf-8") == before
        assert CliRunner().invoke(app, [*again_with, "3"]).exit_code == 0
        assert Scenario.load(Path("借款.toml")).plan.privacy.epsilon == 3
        assert sorted(path.name for path in Path().iterdir()) == ["借款.csv", "借款.toml"]
