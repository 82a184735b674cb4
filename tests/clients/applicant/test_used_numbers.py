"""The index of used numbers answers as the whole book does, built at once or one application at a time."""

from __future__ import annotations

import sqlite3
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealscore.clients.applicant.errors import UsedNumbersError
from sealscore.clients.applicant.used_numbers import KEY_BYTES, UsedNumbers
from sealscore.clients.features.build import raised
from sealscore.clients.features.papers import failed_checks, filed_papers
from sealscore.clients.features.raw.raw import TABLES

KEY = bytes(KEY_BYTES)
FIRST = date(2024, 1, 1)
IDENTITY = TABLES["lender"]["identity"].columns
FILED = {"creator_id": pl.String(), "applied_at": pl.Date(), "id_number": pl.String(), "licence_number": pl.String()}
# Few of each, so that numbers, persons and days meet; a number of both papers; blank and empty ones.
NUMBER = st.sampled_from([None, "", "1", "2", " 1"])
BOOK = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3), NUMBER, NUMBER), min_size=1, max_size=14)


def frames(book: list[tuple]) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Identity and applications of a book."""
    papers = [
        dict.fromkeys(IDENTITY) | {"application_id": str(at), "id_number": one, "licence_number": two}
        for at, (_, _, one, two) in enumerate(book)
    ]
    filed = [
        {"application_id": str(at), "creator_id": person, "applied_at": FIRST + timedelta(days=day), "age": 30}
        for at, (person, day, _, _) in enumerate(book)
    ]
    return pl.LazyFrame(papers, schema=IDENTITY), pl.LazyFrame(filed)


@settings(max_examples=150, deadline=None)
@given(book=BOOK, order=st.randoms(use_true_random=False))
def test_one_by_one_as_at_once_as_the_whole_book(book: list[tuple], order):
    identity, applications = frames(book)
    asked = applications.select("application_id", "creator_id", as_of="applied_at").with_row_index("at")
    found = asked.join(failed_checks(identity, applications, asked), on="at")
    flags = raised(found, "lender").filter(pl.col("code").is_in(["ID07", "LC06"])).collect()
    at_once, one_by_one = UsedNumbers(KEY), UsedNumbers(KEY)
    at_once.build(filed_papers(identity, applications))
    one_by_one.build(pl.DataFrame(schema=FILED))
    shuffled = [*book, *book[:3]]
    order.shuffle(shuffled)
    for person, day, one, two in shuffled:
        one_by_one.add(person, FIRST + timedelta(days=day), {"identity": one, "licence": two})
    whole = set(flags.select("application_id", "code").rows())
    for numbers in (at_once, one_by_one):
        found = set()
        for at, (person, day, one, two) in enumerate(book):
            papers = {"identity": one, "licence": two}
            used = numbers.used_by_others(person, FIRST + timedelta(days=day), papers)
            found |= {(str(at), code) for paper, code in (("identity", "ID07"), ("licence", "LC06")) if used[paper]}
        assert found == whole
        assert len(numbers) == len(at_once)


def test_the_file_has_neither_numbers_nor_names_and_is_its_owners(tmp_path: Path):
    path = tmp_path / "numbers.db"
    numbers = UsedNumbers(KEY, path)
    numbers.build(pl.DataFrame([("creator-1", FIRST, "999999199001010020", None)], schema=FILED, orient="row"))
    numbers.add("creator-2", FIRST, {"identity": None, "licence": "91350100M000100Y43"})
    held = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert not any(word in held for word in (b"creator-", b"999999199001010020", b"91350100M000100Y43"))
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}
    numbers.close()


def test_what_was_built_before_is_replaced_and_kept_over_a_restart(tmp_path: Path):
    path = tmp_path / "numbers.db"
    numbers = UsedNumbers(KEY, path)
    numbers.build(pl.DataFrame([("a", FIRST, "1", None)], schema=FILED, orient="row"))
    numbers.build(pl.DataFrame([("b", FIRST, "2", None)], schema=FILED, orient="row"))
    numbers.close()
    again = UsedNumbers(KEY, path)
    day = FIRST + timedelta(days=1)
    assert again.used_by_others("c", day, {"identity": "1"}) == {"identity": False}
    assert again.used_by_others("c", day, {"identity": "2"}) == {"identity": True}
    assert again.used_by_others("c", day, {"licence": "2"}) == {"licence": False}
    again.close()


def test_an_index_that_cannot_answer_says_so(tmp_path: Path):
    path = tmp_path / "numbers.db"
    numbers = UsedNumbers(KEY, path)
    for ask in (numbers.used_by_others, numbers.add):
        with pytest.raises(UsedNumbersError, match="applicant index"):
            ask("a", FIRST, {"identity": "1"})
    numbers.build(pl.DataFrame(schema=FILED))
    numbers.close()
    with pytest.raises(UsedNumbersError, match="another key"):
        UsedNumbers(b"x" * KEY_BYTES, path)
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(UsedNumbersError, match="build it again"):
        UsedNumbers(KEY, path)


def test_a_question_looks_at_few_rows_however_many_share_a_number():
    """A number that thousands share, as a word for "none" does, costs no more than one that two share."""
    numbers = UsedNumbers(KEY)
    many = [(f"p{at}", FIRST, "shared", None) for at in range(3000)]
    numbers.build(pl.DataFrame(many, schema=FILED, orient="row"))
    steps = []
    numbers._database.set_progress_handler(lambda: steps.append(1), 10)
    assert numbers.used_by_others("p7", FIRST + timedelta(days=1), {"identity": "shared"}) == {"identity": True}
    assert numbers.used_by_others("p7", FIRST, {"identity": "shared"}) == {"identity": False}
    assert len(steps) < 50
    plan = numbers._database.execute(
        "EXPLAIN QUERY PLAN SELECT person FROM uses WHERE number = ? AND day < ? ORDER BY day LIMIT 2", (b"", 0)
    ).fetchall()
    assert "SEARCH" in plan[0][-1]
    assert len(plan) == 1
    with pytest.raises(sqlite3.IntegrityError):
        numbers._database.execute("INSERT INTO uses SELECT * FROM uses LIMIT 1")
