"""Data sets by name and by path; what is said where one is absent or disagrees with a plan."""

from __future__ import annotations

import polars as pl
import pytest

from sealscore.clients.data import DataError
from sealscore.shared.plan.schema import CategoricalFeature, NumericFeature, TableSchema
from sealscore.simulations.data import datasets
from sealscore.simulations.data.scenario import Scenario, resolve

SCHEMA = TableSchema(
    id="loan",
    features=(
        NumericFeature(name="amount", lower=0, upper=100),
        CategoricalFeature(name="home", levels=("own", "rent"), missing=True),
    ),
)
ROWS = "loan,outcome,amount,home\n1,paid,5,own\n2,lost,7.5,\n3,paid,0,rent\n"

needs_uci = pytest.mark.skipif(not datasets.real_data_found("uci"), reason="the UCI file is not here (SEALSCORE_DATA)")
needs_belanche = pytest.mark.skipif(
    not datasets.real_data_found("belanche"), reason="the Belanche file is not here (SEALSCORE_DATA)"
)


@pytest.fixture
def no_data(monkeypatch, tmp_path):
    monkeypatch.setenv("SEALSCORE_DATA", str(tmp_path / "nothing"))
    return tmp_path / "nothing"


class TestFolder:
    def test_the_variable_names_it(self, no_data):
        assert datasets.data_folder() == no_data

    def test_the_default_is_beside_the_project(self, monkeypatch, tmp_path):
        monkeypatch.delenv("SEALSCORE_DATA", raising=False)
        (tmp_path / "shared" / "data").mkdir(parents=True)
        (tmp_path / "project").mkdir()
        monkeypatch.chdir(tmp_path / "project")
        assert datasets.data_folder() == (tmp_path / "shared" / "data").resolve()

    @pytest.mark.parametrize("name", ["uci", "belanche"])
    def test_an_absent_real_set_says_how_to_get_on(self, no_data, name):
        assert not datasets.real_data_found(name)
        with pytest.raises(DataError) as caught:
            datasets.load(name)
        message = str(caught.value)
        assert str(no_data / datasets.REAL[name]) in message
        assert "fix: set SEALSCORE_DATA to the folder that holds it" in message
        assert "'synthetic'" in message

    def test_the_invented_set_is_always_there(self, no_data):
        assert datasets.real_data_found("synthetic")
        found = datasets.load("synthetic", creators=200, seed=5)
        assert found.frame.height == 200

    def test_a_name_that_is_none(self):
        with pytest.raises(DataError, match="there is no data set 'uca'; fix: name one of uci, belanche, synthetic"):
            datasets.load("uca")


class TestTables:
    @pytest.mark.parametrize("kind", ["csv", "parquet"])
    def test_any_file_by_its_path(self, tmp_path, kind):
        (tmp_path / "loans.csv").write_text(ROWS)
        pl.read_csv(tmp_path / "loans.csv").write_parquet(tmp_path / "loans.parquet")
        found = datasets.load(f"loans.{kind}", base=tmp_path)
        assert (found.name, found.folder, found.frame.height) == ("loans", tmp_path, 3)

    def test_numbers_become_numbers_and_nothing_else_changes(self, tmp_path):
        (tmp_path / "loans.csv").write_text(ROWS)
        frame = datasets.load("loans.csv", base=tmp_path).frame
        typed = datasets.typed(frame, SCHEMA)
        assert typed.schema == {"loan": pl.String, "outcome": pl.String, "amount": pl.Float64, "home": pl.String}
        assert typed["amount"].to_list() == [5, 7.5, 0]
        spoilt = frame.with_columns(amount=pl.Series(["5", "x", ""]))
        assert datasets.typed(spoilt, SCHEMA)["amount"].to_list() == ["5", "x", ""]


class TestRealSets:
    @needs_belanche
    def test_belanche_agrees_with_its_plan(self):
        scenario = Scenario.load(resolve("belanche_eps3"))
        found = scenario.dataset()
        assert found.frame.height == 4454
        assert (found.frame["Status"] == "bad").sum() == 1254
        table = scenario.plan.groups["lender"].table
        assert [feature.name for feature in table.protected] == ["Age", "Marital"]
        assert {feature.name for feature in table.features} | {"rownames", "Status"} == set(found.frame.columns)

    @needs_uci
    def test_uci_has_its_rows_and_its_list_of_test_ids(self):
        found = datasets.load("uci")
        assert found.frame.height == 30_000
        assert (found.frame["default.payment.next.month"] == "1").sum() == 6636
        assert (found.folder / "uci_credit_default_test_ids.txt").is_file()

    @needs_belanche
    def test_a_disagreement_is_named_by_the_file_of_the_set(self):
        scenario = Scenario.load(resolve("belanche_eps3"))
        narrow = scenario.plan.replace(groups__lender__table__features__2__upper=60)
        with pytest.raises(
            DataError, match=r"belanche_credit\.csv, column 'Time', line \d+: a value is outside its bounds, 1 to 60"
        ):
            datasets.check_agreement(datasets.load("belanche"), narrow, tuple(narrow.groups))
