"""Bad tables: every fault is found, at once, with its file, column, row and fix."""

from __future__ import annotations

import hashlib

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealscore.clients.data import DataError, Nominal, Table, check_table, columns_of, read_table
from sealscore.clients.data.checks import keep
from sealscore.shared.plan.schema import TableSchema


@pytest.fixture
def schema(plan):
    return plan.groups["lender"].table


@pytest.fixture
def problems(csv, schema, good):
    """The problems of lender.csv with some cells replaced, as lines."""

    def find(cells=None, lines=good, most=1, nominal=None):
        path = csv(cells, lines)
        table = read_table(path, columns_of(schema))
        with pytest.raises(DataError) as caught:
            check_table(table, schema, label_required=True, max_records_per_person=most, nominal=nominal)
        for problem in caught.value.problems:
            assert not problem.found or problem.found not in f"{problem} {problem!r} {caught.value}"
        lines = [problem.shown for problem in caught.value.problems]
        assert all(line.startswith("lender.csv") and "; fix: " in line for line in lines)
        return lines

    return find


def check(frame: pl.DataFrame, schema: TableSchema, **changes):
    settings = {"label_required": True, "max_records_per_person": 1} | changes
    return check_table(Table.of(frame, "memory"), schema, **settings)


class TestGood:
    def test_values_arrive_as_they_stand(self, csv, schema):
        path = csv({(2, "limit"): "", (3, "home"): "NA", (4, "late"): "2.0"})
        checked = check_table(
            read_table(path, columns_of(schema)), schema, label_required=True, max_records_per_person=1
        )
        records = checked.records
        assert records.ids[:2] == ("L000", "L001")
        assert records.person[:2] == ("P000", "P001")
        np.testing.assert_array_equal(records.columns["limit"][:3], [np.nan, 100.5, 201.0])
        np.testing.assert_array_equal(records.columns["home"][:4], [0, np.nan, 0, 1])
        assert records.columns["late"][2] == 2
        np.testing.assert_array_equal(records.label[:4], [0, 0, 0, 1])
        assert records.label.dtype == np.int8
        assert checked.dates[0] == np.datetime64("2024-01-15")
        assert not records.test.any()

    def test_csv_and_parquet_give_the_same_records(self, csv, schema, tmp_path):
        path = csv()
        pl.read_csv(path).write_parquet(tmp_path / "lender.parquet")
        both = [
            check_table(read_table(p, columns_of(schema)), schema, label_required=True, max_records_per_person=1)
            for p in (path, tmp_path / "lender.parquet")
        ]
        assert both[0].records.ids == both[1].records.ids
        for name, values in both[0].records.columns.items():
            np.testing.assert_array_equal(values, both[1].records.columns[name])
        np.testing.assert_array_equal(both[0].records.label, both[1].records.label)
        np.testing.assert_array_equal(both[0].dates, both[1].dates)

    def test_labels_in_words(self, csv, schema, good):
        words = schema.model_copy(update={"label_bad": "bad", "label_good": "good"})
        cells = {(n, "bad"): "bad" if n % 3 else "good" for n in range(2, len(good) + 1)}
        checked = check_table(
            read_table(csv(cells), columns_of(schema)), words, label_required=True, max_records_per_person=1
        )
        np.testing.assert_array_equal(checked.records.label, [int(n % 3 > 0) for n in range(2, len(good) + 1)])

    def test_where_no_label_is_required_none_is_read(self, csv, schema):
        table = read_table(csv({(2, "bad"): "perhaps"}), columns_of(schema, label=False))
        checked = check_table(table, schema, label_required=False, max_records_per_person=1)
        assert checked.records.label is None

    def test_derived_features_are_computed(self):
        schema = TableSchema.model_validate(
            {
                "id": "i",
                "label": "y",
                "features": [{"name": "a", "lower": 0, "upper": 9}, {"name": "b", "lower": 0, "upper": 9}],
                "derived": [{"name": "m", "lower": 0, "upper": 5, "formula": {"op": "max", "of": ["a", "b"]}}],
            }
        )
        frame = pl.DataFrame({"i": [1, 2], "y": [0, 1], "a": [1, 8], "b": [3, 2]})
        np.testing.assert_array_equal(check(frame, schema).records.columns["m"], [3, 5])


class TestColumns:
    def test_missing_with_a_close_name(self, problems, good):
        lines = problems(lines=(good[0].replace("limit", "Limitt").replace("late", "overdue"), *good[1:]))
        assert lines == [
            "lender.csv, column 'limit': the column is missing: there is 'Limitt', which could be renamed; "
            "fix: add it, name your own column of it under [data.columns], or use a plan whose schema fits the table",
            "lender.csv, column 'late': the column is missing; "
            "fix: add it, name your own column of it under [data.columns], or use a plan whose schema fits the table",
        ]

    def test_another_separator(self, problems, good):
        (line,) = problems(lines=tuple(line.replace(",", ";") for line in good))
        assert line.startswith("lender.csv, column 'loan': all columns but one are missing from the header")
        assert line.endswith("fix: separate cells by commas")

    def test_text_in_a_numeric_column(self, problems):
        (line,) = problems({(n, "limit"): "high" for n in range(4, 12)})
        assert line == (
            "lender.csv, column 'limit', lines 4, 5, 6, 7, 8 and 3 more: text where a number is needed; "
            "fix: write a plain number such as 1234.5, or leave the cell empty"
        )

    def test_a_type_that_holds_no_numbers(self, csv, schema):
        frame = pl.read_csv(csv()).with_columns(limit=pl.lit([1]), day=pl.lit(3), home=pl.date(2024, 1, 1))
        with pytest.raises(DataError) as caught:
            check(frame, schema)
        columns = [problem.column for problem in caught.value.problems]
        assert columns == ["day", "limit", "home"]
        assert "List" in str(caught.value)

    def test_an_empty_table(self, problems, good):
        (line,) = problems(lines=good[:1])
        assert line == "lender.csv: the table has no rows; fix: export the table again, with its rows"


class TestValues:
    def test_outside_bounds(self, problems):
        lines = problems({(5, "limit"): "5000.5", (9, "limit"): "-101", (7, "late"): "10", (8, "age"): "inf"})
        assert lines == [
            "lender.csv, column 'limit', lines 5, 9: a value is outside its bounds, -100 to 5000: '5000.5' or '-101'; "
            "fix: correct the value or its unit, or use a plan with wider bounds",
            "lender.csv, column 'late', line 7: a value is outside its bounds, 0 to 9: '10'; "
            "fix: correct the value or its unit, or use a plan with wider bounds",
            "lender.csv, column 'age', line 8: a value is outside its bounds, 18 to 100: 'inf'; "
            "fix: correct the value or its unit, or use a plan with wider bounds",
        ]

    def test_bounds_themselves_are_inside(self, csv, schema):
        path = csv({(2, "limit"): "5000", (3, "limit"): "-100"})
        table = read_table(path, columns_of(schema))
        checked = check_table(table, schema, label_required=True, max_records_per_person=1)
        assert list(checked.records.columns["limit"][:2]) == [5000, -100]

    def test_broken_numbers_where_whole_ones_are_needed(self, problems):
        (line,) = problems({(6, "late"): "2.5"})
        assert line == (
            "lender.csv, column 'late', line 6: a value is no whole number: '2.5'; "
            "fix: write a whole number, or use a plan with integer = false for it"
        )

    def test_unseen_category(self, problems):
        (line,) = problems({(3, "home"): "castle", (5, "home"): "tent", (8, "home"): "castle"})
        assert line == (
            "lender.csv, column 'home', lines 3, 5, 8: a value is none of its levels, 'rent', 'own': "
            "'castle' or 'tent'; fix: correct the value, or use a plan that lists it as a level"
        )

    def test_missing_where_it_is_not_allowed(self, problems):
        (line,) = problems({(3, "late"): "", (4, "limit"): "", (5, "home"): "", (6, "late"): "NA"})
        assert line.startswith("lender.csv, column 'late', lines 3, 6: a value is missing; fix: ")
        assert "missing = true" in line

    def test_days_that_are_none(self, problems):
        lines = problems({(3, "day"): "31.12.2024", (4, "day"): ""})
        assert lines[0].startswith("lender.csv, column 'day', line 3: no day of the calendar; fix: ")
        assert lines[1].startswith("lender.csv, column 'day', line 4: the day is missing; fix: ")

    def test_rows_of_parquet_are_counted_from_one(self, csv, schema, tmp_path):
        pl.read_csv(csv({(3, "late"): "77"})).write_parquet(tmp_path / "lender.parquet")
        with pytest.raises(
            DataError, match=r"lender\.parquet, column 'late', row 2: a value is outside its bounds, 0 to 9; fix"
        ):
            check_table(read_table(tmp_path / "lender.parquet"), schema, label_required=True, max_records_per_person=1)


class TestIds:
    def test_duplicates_are_named_by_line_and_never_by_id(self, problems):
        (line,) = problems({(5, "loan"): "L000", (9, "loan"): "L000", (7, "loan"): "L004"})
        assert line.startswith(
            "lender.csv, column 'loan', lines 2, 5, 6, 7, 9: the same id more than once (3 too many)"
        )
        assert "L00" not in line

    def test_blank_ids_and_persons(self, problems):
        lines = problems({(5, "loan"): " ", (6, "loan"): "", (7, "person"): ""})
        assert lines[0] == (
            "lender.csv, column 'loan', lines 5, 6: the id is blank; fix: fill it in, or leave the record out"
        )
        assert lines[1].startswith("lender.csv, column 'person', line 7: the person is blank; fix: ")

    def test_no_message_shows_an_id(self, problems):
        lines = problems({(5, "loan"): "L000", (5, "late"): "99", (6, "home"): "x", (7, "bad"): "2", (8, "person"): ""})
        assert len(lines) == 5
        assert not any(text in line for line in lines for text in ("L0", "P0"))


class TestLabels:
    def test_other_words_than_declared(self, problems):
        (line,) = problems({(3, "bad"): "2", (4, "bad"): "default"})
        assert line == (
            "lender.csv, column 'bad', lines 3, 4: the label is neither '0' (good) nor '1' (bad): '2' or 'default'; "
            "fix: write the outcome so, or set label_good and label_bad in the plan's schema"
        )

    def test_missing(self, problems):
        (line,) = problems({(4, "bad"): ""})
        assert line.startswith("lender.csv, column 'bad', line 4: the label is missing; fix: ")

    @pytest.mark.parametrize(("value", "absent"), [("0", "bad"), ("1", "good")])
    def test_no_bad_or_no_good_loans(self, problems, good, value, absent):
        (line,) = problems({(n, "bad"): value for n in range(2, len(good) + 1)})
        assert line.startswith(f"lender.csv, column 'bad': the table has no {absent} loan (none of 40 rows is ")
        assert f"fix label_{absent}" in line


class TestAllAtOnce:
    def test_everything_is_found_in_one_go(self, problems, good):
        lines = problems(
            {
                (2, "loan"): "",
                (3, "late"): "x",
                (4, "late"): "11",
                (5, "home"): "cave",
                (6, "bad"): "9",
                (7, "day"): "?",
            },
            lines=(good[0].replace("age", "years"), *good[1:]),
        )
        said = ("column 'age': the column is missing", "id is blank", "text where", "outside", "levels", "label", "day")
        for words in said:
            assert any(words in line for line in lines)
        assert len(lines) == len(said)

    def test_the_message_holds_twenty_lines_and_the_count(self):
        schema = TableSchema.model_validate(
            {"id": "i", "features": [{"name": f"x{n}", "lower": 0, "upper": 1} for n in range(30)]}
        )
        frame = pl.DataFrame({"i": [1]} | {f"x{n}": [2.0] for n in range(30)})
        with pytest.raises(DataError) as caught:
            check(frame, schema, label_required=False)
        lines = str(caught.value).splitlines()
        assert len(caught.value.problems) == 30
        assert len(lines) == 21
        assert lines[-1] == "and 10 more problems of 30"


class TestCounts:
    def test_more_than_twice_the_nominal_count(self, problems):
        (line,) = problems(nominal=Nominal(19, "parties.0.nominal_records"))
        assert line.startswith("lender.csv: 40 records are more than twice the plan's parties.0.nominal_records = 19;")
        assert "raised to about 40" in line

    def test_twice_is_allowed(self, csv, schema):
        nominal = Nominal(20, "parties.0.nominal_records")
        table = read_table(csv(), columns_of(schema))
        checked = check_table(table, schema, label_required=True, max_records_per_person=1, nominal=nominal)
        assert len(checked.records) == 40


PEOPLE = st.lists(st.integers(0, 6).map(str), min_size=1, max_size=30)


class TestPerPerson:
    @given(PEOPLE, st.integers(1, 3))
    def test_the_smallest_digests_of_each_person_stay(self, persons, most):
        ids = [f"id{row}" for row in range(len(persons))]
        kept = keep(ids, persons, most)
        assert list(kept) == sorted(kept)
        for person in set(persons):
            own = sorted(
                (row for row, other in enumerate(persons) if other == person),
                key=lambda row: hashlib.sha256(ids[row].encode()).digest(),
            )
            assert {row for row in kept if persons[row] == person} == set(own[:most])

    @given(PEOPLE, st.integers(1, 3), st.data())
    def test_a_person_more_or_less_changes_nothing_for_the_others(self, persons, most, data):
        gone = data.draw(st.sampled_from(persons))
        rows = [(f"id{row}", person) for row, person in enumerate(persons)]
        rest = [row for row in rows if row[1] != gone]

        def chosen(table):
            return {table[row] for row in keep([i for i, _ in table], [p for _, p in table], most)}

        assert chosen(rest) == {row for row in chosen(rows) if row[1] != gone}

    def test_the_cap_comes_before_the_counts(self, csv, schema, good):
        cells = {(n, "person"): "P001" for n in range(2, len(good) + 1)}
        table = read_table(csv(cells), columns_of(schema))
        with pytest.raises(DataError, match="none of 1 rows"):
            check_table(table, schema, label_required=True, max_records_per_person=1)
        records = check_table(table, schema, label_required=True, max_records_per_person=25).records
        assert len(records) == 25
        assert set(records.person) == {"P001"}


class TestValuesThatCount:
    """`clip` and `other`: a value beyond what a plan lists counts as the nearest thing that it does list."""

    @pytest.fixture
    def lenient(self, plan):
        changes = {"groups__lender__table__features__0__clip": True, "groups__lender__table__features__2__other": "own"}
        return plan.replace(**changes).groups["lender"].table

    def test_as_the_bound_and_as_the_other_level(self, csv, lenient):
        path = csv(
            {(2, "limit"): "1e9", (3, "limit"): "-inf", (4, "limit"): "", (5, "home"): "castle", (6, "home"): ""}
        )
        table = read_table(path, columns_of(lenient))
        columns = check_table(table, lenient, label_required=True, max_records_per_person=1).records.columns
        assert list(columns["limit"][:2]) == [5000, -100]
        assert np.isnan(columns["limit"][2])
        assert columns["home"][3] == 1
        assert np.isnan(columns["home"][4])

    def test_text_is_still_no_number(self, csv, lenient):
        table = read_table(csv({(2, "limit"): "high"}), columns_of(lenient))
        with pytest.raises(DataError) as caught:
            check_table(table, lenient, label_required=True, max_records_per_person=1)
        assert [problem.column for problem in caught.value.problems] == ["limit"]
