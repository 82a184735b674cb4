"""A party's own data: columns under names of its own, and consents from a table of their own."""

from __future__ import annotations

import sqlite3
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from sealscore.clients.data import DataError, check_table
from sealscore.clients.data.column_mapping import ColumnMapping
from sealscore.clients.data.consents import ConsentTable
from sealscore.clients.data.persons import Persons
from sealscore.clients.data.sources.sql import SqlSource
from sealscore.shared.plan.schema import TableSchema

SCHEMA = TableSchema.model_validate(
    {
        "id": "id",
        "person": "person",
        "label": "bad",
        "consent": "consent",
        "features": [{"name": "income", "lower": 0, "upper": 1000, "scale": 20}],
    }
)
LOANS = "id,person,bad,income\nA1,C1,0,10\nA2,C2,1,20\nA3, C3 ,0,30\n"
CONSENTS = """\
who,to,why,since,last,ended
C1,federation,,,,
C1,video-1,credit-scoring,2026-01-01,2031-03-31,
C2,federation,,,,2026-05-01
C3,federation,,,2026-12-31 23:59:59,
"""
DAYS = {"given": "since", "expires": "last", "withdrawn": "ended"}


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def table_of(path: Path, purpose: str | None = "why", **days: str | None) -> ConsentTable:
    return ConsentTable(path, "who", "to", purpose, DAYS | days)


def problems(error: pytest.ExceptionInfo[DataError]) -> list[str]:
    return [str(problem) for problem in error.value.problems]


class TestColumns:
    def test_own_names_become_the_plans(self, tmp_path: Path):
        path = write(tmp_path, "loans.csv", LOANS.replace("income", "MONTHLY").replace("person", "KUNDE") + "")
        own = ColumnMapping(path, {"income": "MONTHLY", "person": "KUNDE", "elsewhere": "OTHER"})
        table = own.read(SCHEMA, True, "exact")
        assert table.header == ("id", "person", "bad", "income")
        assert table.frame["income"].to_list() == ["10", "20", "30"]
        assert own.folder == tmp_path

    def test_names_may_be_exchanged(self, tmp_path: Path):
        path = write(tmp_path, "loans.csv", "person,id,bad,income\nA1,C1,0,10\n")
        table = ColumnMapping(path, {"id": "person", "person": "id"}).read(SCHEMA, True, "exact")
        assert (table.frame["id"].to_list(), table.frame["person"].to_list()) == (["A1"], ["C1"])

    @pytest.mark.parametrize("columns", [{"income": "bad"}, {"income": "x", "bad": "x"}])
    def test_one_column_is_not_two_of_the_plan(self, tmp_path: Path, columns: dict[str, str]):
        with pytest.raises(DataError, match=r"one column stands for two of the plan; fix: .*\[data\.columns\]"):
            ColumnMapping(write(tmp_path, "loans.csv", LOANS), columns).read(SCHEMA, True, "exact")

    def test_a_platform_needs_no_label(self, tmp_path: Path):
        path = write(tmp_path, "loans.csv", LOANS)
        assert "bad" not in ColumnMapping(path).read(SCHEMA, False, "exact").frame.columns

    def test_a_database_has_no_folder(self):
        assert ColumnMapping(SqlSource("sqlite:///x.db", "loans")).folder is None

    def test_a_database_is_read_under_own_names(self, tmp_path: Path):
        with sqlite3.connect(tmp_path / "x.db") as database:
            database.execute("CREATE TABLE loans (id TEXT, person TEXT, bad INTEGER, MONTHLY REAL)")
            database.execute("INSERT INTO loans VALUES ('A1', 'C1', 1, 12.5)")
        database.close()
        own = ColumnMapping(SqlSource(f"sqlite:///{tmp_path}/x.db", "loans"), {"income": "MONTHLY"})
        assert own.read(SCHEMA, True, "exact").frame["income"].to_list() == ["12.5"]


class TestPersons:
    def own(self, tmp_path: Path, column: str, columns: dict[str, str] | None = None) -> ColumnMapping:
        path = write(tmp_path, "loans.csv", LOANS)
        return ColumnMapping(path, columns or {}, persons=Persons(column, "exact", columns or {}))

    def test_are_named_as_in_the_data_set(self, tmp_path: Path):
        assert self.own(tmp_path, "person").read(SCHEMA, True, "exact").frame.height == 3
        mapped = self.own(tmp_path, "person", {"who": "person"})
        renamed = SCHEMA.model_copy(update={"person": "who"})
        assert mapped.read(renamed, True, "exact").frame["who"].to_list() == ["C1", "C2", " C3 "]

    @pytest.mark.parametrize("schema", [SCHEMA, SCHEMA.model_copy(update={"person": None})])
    def test_by_another_column_they_are_not_read(self, tmp_path: Path, schema: TableSchema):
        with pytest.raises(DataError, match="the plan names persons by"):
            self.own(tmp_path, "bad").read(schema, True, "exact")

    def test_a_map_does_not_make_them_others(self, tmp_path: Path):
        with pytest.raises(DataError, match="which is the own column 'id'"):
            self.own(tmp_path, "person", {"person": "id", "id": "person"}).read(SCHEMA, True, "exact")

    def test_in_another_form_they_are_not_read(self, tmp_path: Path):
        with pytest.raises(DataError, match="in the normal form 'creator-id'"):
            self.own(tmp_path, "person").read(SCHEMA, True, "creator-id")


class TestConsentsOfATable:
    def cells(self, tmp_path: Path, text: str = CONSENTS) -> dict[str, str]:
        return table_of(write(tmp_path, "consents.csv", text)).cells("exact")

    def test_are_those_of_each_person(self, tmp_path: Path):
        assert self.cells(tmp_path) == {
            "C1": "federation; video-1 for credit-scoring from 2026-01-01 until 2031-03-31",
            "C2": "federation withdrawn 2026-05-01",
            "C3": "federation until 2026-12-31",
        }

    def test_stand_beside_the_records(self, tmp_path: Path):
        consents = table_of(write(tmp_path, "consents.csv", CONSENTS))
        table = ColumnMapping(write(tmp_path, "loans.csv", LOANS), {}, consents).read(SCHEMA, True, "creator-id")
        assert table.header == ("id", "person", "bad", "income", "consent")
        assert table.frame["consent"].to_list() == [
            "federation; video-1 for credit-scoring from 2026-01-01 until 2031-03-31",
            "federation withdrawn 2026-05-01",
            "federation until 2026-12-31",
        ]

    def test_replace_a_column_of_the_data(self, tmp_path: Path):
        path = write(tmp_path, "loans.csv", "id,person,bad,income,consent\nA1,C9,0,10,federation\n")
        consents = table_of(write(tmp_path, "consents.csv", CONSENTS))
        assert ColumnMapping(path, {}, consents).read(SCHEMA, True, "exact").frame["consent"].to_list() == [""]

    def test_a_person_of_the_data_who_is_not_in_it_has_given_none(self, tmp_path: Path):
        consents = table_of(write(tmp_path, "consents.csv", "who,to,why,since,last,ended\n"))
        table = ColumnMapping(write(tmp_path, "loans.csv", LOANS), {}, consents).read(SCHEMA, True, "exact")
        assert table.frame["consent"].to_list() == ["", "", ""]

    def test_persons_meet_in_their_normal_form(self, tmp_path: Path):
        consents = table_of(write(tmp_path, "consents.csv", CONSENTS.replace("C1", " c1 ")))
        own = ColumnMapping(write(tmp_path, "loans.csv", LOANS), {}, consents)
        assert own.read(SCHEMA, True, "creator-id").frame["consent"][0].startswith("federation; video-1")
        assert own.read(SCHEMA, True, "exact").frame["consent"][0] == ""

    def test_numbers_are_persons_too(self, tmp_path: Path):
        """A table of whole numbers and one of floats name the same persons."""
        loans = pl.DataFrame({"id": [0, 2], "person": [3, 7], "bad": [0, 1], "income": [1.0, 2.0]})
        loans.write_parquet(tmp_path / "loans.parquet")
        rows = {"who": [3.0, 7.0], "to": ["federation", "federation"], "last": [None, date(2031, 3, 31)]}
        pl.DataFrame(rows).write_parquet(tmp_path / "consents.parquet")
        consents = ConsentTable(tmp_path / "consents.parquet", "who", "to", None, {"expires": "last"})
        table = ColumnMapping(tmp_path / "loans.parquet", {}, consents).read(SCHEMA, True, "exact")
        assert table.frame["consent"].to_list() == ["federation", "federation until 2031-03-31"]

    def test_are_never_passed_over(self, tmp_path: Path):
        """A plan without a consent column would use everybody, also whoever has withdrawn in the table."""
        plain = SCHEMA.model_copy(update={"consent": None})
        own = ColumnMapping(
            write(tmp_path, "loans.csv", LOANS), {}, table_of(write(tmp_path, "consents.csv", CONSENTS))
        )
        assert own.schema(plain).consent == "consent"
        assert own.read(plain, True, "exact").frame["consent"][1] == "federation withdrawn 2026-05-01"

    def test_whose_person_column_is_missing_wait_for_the_check(self, tmp_path: Path):
        path = write(tmp_path, "loans.csv", "id,bad,income\nA1,0,10\n")
        consents = table_of(write(tmp_path, "consents.csv", CONSENTS))
        assert "consent" not in ColumnMapping(path, {}, consents).read(SCHEMA, True, "exact").header


class TestConsentsOfAColumn:
    ROWS = "id,person,bad,income,may,consent\nA1,C1,0,10,federation,x\nA2,C2,1,20,,y\n"

    @pytest.mark.parametrize("named", [None, "consent", "income2"])
    def test_are_read_where_the_operator_says_whatever_the_plan_names(self, tmp_path: Path, named: str | None):
        own = ColumnMapping(write(tmp_path, "loans.csv", self.ROWS), {"consent": "bad", "income2": "bad"}, None, "may")
        schema = SCHEMA.model_copy(update={"consent": named})
        told = own.schema(schema)
        assert own.read(schema, True, "exact").frame[told.consent].to_list() == ["federation", None]

    def test_a_feature_of_that_name_is_another_column(self, tmp_path: Path):
        data = SCHEMA.model_dump(mode="json", exclude_none=True)
        data.pop("consent", None)
        data["features"][0]["name"] = "consent"
        schema = TableSchema.model_validate(data)
        own = ColumnMapping(write(tmp_path, "loans.csv", self.ROWS), {"consent": "income"}, None, "may")
        assert own.schema(schema).consent == "consent_"
        found = own.read(schema, True, "exact").frame
        assert (found["consent"].to_list(), found["consent_"].to_list()) == (["10", "20"], ["federation", None])

    def test_a_table_without_them_is_not_read_as_if_all_had_consented(self, tmp_path: Path):
        own = ColumnMapping(write(tmp_path, "loans.csv", LOANS), {}, None, "may")
        plain = SCHEMA.model_copy(update={"consent": None})
        with pytest.raises(DataError, match=r"column 'consent': the column is missing; fix: .*consent_column"):
            check_table(
                own.read(plain, True, "exact"), own.schema(plain), label_required=True, max_records_per_person=1
            )

    def test_a_plan_cannot_have_the_column_as_a_feature(self, tmp_path: Path):
        own = ColumnMapping(write(tmp_path, "loans.csv", self.ROWS), {"income": "may"}, None, "may")
        with pytest.raises(DataError, match="one column stands for two"):
            own.read(SCHEMA, True, "exact")


class TestFaults:
    @pytest.mark.parametrize(
        ("row", "what"),
        [
            ("C4,,,,,", "a row names one recipient"),
            ("C4,The Bank,,,,", "a consent begins with the name of a party, or with federation"),
            ("C4,video-1; lender-1,,,2020-01-01,", "a row names one recipient"),
            ("C4,video-1 until 2099-01-01,,,,", "a row names one recipient"),
            ("C4,video-1,credit scoring,,,", "the last word of a consent has no value"),
            ("C4,video-1,,31.03.2027,,", "a day is not written 2027-03-31"),
            ("C4,video-1,,2027-03-311,,", "a day is not written 2027-03-31"),
            ("C4,video-1,,,,yes", "a day is not written 2027-03-31"),
        ],
    )
    def test_a_row_that_is_no_consent_is_named_by_its_line(self, tmp_path: Path, row: str, what: str):
        with pytest.raises(DataError) as caught:
            table_of(write(tmp_path, "consents.csv", f"{CONSENTS}{row}\n")).cells("exact")
        (problem,) = problems(caught)
        assert problem.startswith("consents.csv, line 6: ")
        assert what in problem
        assert problem.endswith("fix: fix the row, or leave it out")
        assert "C4" not in problem

    def test_many_rows_of_a_kind_are_one_problem(self, tmp_path: Path):
        with pytest.raises(DataError) as caught:
            table_of(write(tmp_path, "consents.csv", CONSENTS + "C4,,,,,\n" * 30)).cells("exact")
        (problem,) = problems(caught)
        assert "lines 6, 7, 8, 9, 10 and 25 more" in problem

    def test_a_missing_column_is_named(self, tmp_path: Path):
        with pytest.raises(DataError) as caught:
            table_of(write(tmp_path, "consents.csv", CONSENTS.replace("ended", "end"))).cells("exact")
        assert problems(caught) == [
            "consents.csv, column 'ended': the column is missing; fix: name the columns of the consents under "
            "[data.consents]"
        ]

    def test_a_column_of_another_type_is_named(self, tmp_path: Path):
        pl.DataFrame({"who": [[1]], "to": ["federation"]}).write_parquet(tmp_path / "consents.parquet")
        with pytest.raises(DataError, match=r"consents\.parquet, column 'who'"):
            ConsentTable(tmp_path / "consents.parquet", "who", "to", None, {}).cells("exact")

    def test_a_table_that_is_not_there(self, tmp_path: Path):
        with pytest.raises(DataError, match="there is no such file"):
            table_of(tmp_path / "consents.csv").cells("exact")
