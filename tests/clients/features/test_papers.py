"""Checks of identity and licence, one by one."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from sealscore.clients.features.build import raised
from sealscore.clients.features.papers import CHECKS, CREDIT_CODE, failed_checks, is_credit_code, paper_features
from sealscore.clients.features.raw.raw import TABLES

AS_OF = date(2024, 7, 1)
# Of an area code that is not in use; the check character is computed.
GOOD_ID = "99999919900101002"
GOOD_CODE = "91350100M000100Y43"  # the example of GB 32100-2015


def _identity(body: str) -> str:
    total = sum(2 ** (17 - place) % 11 * int(digit) for place, digit in enumerate(body))
    return body + "10X98765432"[total % 11]


GOOD = {
    "application_id": "x",
    "id_number": _identity(GOOD_ID),
    "name_on_id": "name one",
    "name_on_account": "NAME  ONE",
    "id_issued": date(2016, 1, 1),
    "id_expires": date(2036, 1, 1),
    "licence_number": GOOD_CODE,
    "licence_name": "a shop",
    "licence_registered": date(2020, 1, 1),
    "licence_expires": date(2040, 1, 1),
    "licence_status": "active",
}
APPLICATION = {"application_id": "x", "creator_id": "a", "applied_at": AS_OF, "age": 34}
SCHEMA = {name: dtype for name, dtype in TABLES["lender"]["identity"].columns.items() if name in GOOD}


def checked(papers: list[dict], applications: list[dict]) -> pl.LazyFrame:
    identity = pl.LazyFrame(papers, schema=SCHEMA)
    filed = pl.LazyFrame(applications)
    asked = filed.select("application_id", "creator_id", pl.col("applied_at").alias("as_of")).with_row_index("at")
    return asked.join(paper_features(failed_checks(identity, filed, asked)), on="at")


def flagged(papers: list[dict], applications: list[dict]) -> pl.DataFrame:
    return raised(checked(papers, applications), "lender").collect()


def counted(papers: list[dict], applications: list[dict]) -> list[tuple]:
    return checked(papers, applications).select("application_id", "identity_flags", "licence_flags").collect().rows()


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({}, None),
        ({"id_number": GOOD["id_number"][:-1] + "?"}, "ID01"),
        ({"id_number": None}, "ID01"),
        ({"name_on_account": "name two"}, "ID02"),
        ({"id_expires": date(2024, 6, 30)}, "ID03"),
        ({"id_issued": AS_OF}, "ID04"),
        ({"id_number": _identity("99999919800101002")}, "ID05"),
        ({"licence_number": GOOD_CODE[:-1] + "4"}, "LC01"),
        ({"licence_status": "revoked"}, "LC02"),
        ({"licence_expires": date(2024, 6, 30)}, "LC03"),
        ({"licence_registered": AS_OF}, "LC04"),
        ({"licence_registered": date(2024, 6, 15)}, "LC05"),
        ({"licence_name": " "}, "LC07"),
        ({"licence_number": None, "licence_name": None, "licence_status": "none"}, None),
        ({"id_expires": None, "name_on_account": None}, None),
    ],
)
def test_one_fault_raises_one_flag(changed, code):
    assert flagged([GOOD | changed], [APPLICATION])["code"].to_list() == ([code] if code else [])


def test_a_minor():
    young = {"id_number": _identity("99999920100101002")}
    assert flagged([GOOD | young], [APPLICATION | {"age": 14}])["code"].to_list() == ["ID06"]


def test_papers_that_somebody_used_before():
    other = {"application_id": "y", "creator_id": "b"}
    papers = [GOOD, GOOD | {"application_id": "y"}]
    earlier = [APPLICATION, APPLICATION | other | {"applied_at": date(2024, 1, 1)}]
    found = flagged(papers, earlier)
    assert found.select("application_id", "code").rows() == [("x", "ID07"), ("x", "LC06")]
    same_day = [APPLICATION, APPLICATION | other]
    assert flagged(papers, same_day).is_empty()
    own = [APPLICATION, APPLICATION | {"application_id": "y", "applied_at": date(2024, 1, 1)}]
    assert flagged(papers, own).is_empty()
    others = [APPLICATION, *(APPLICATION | {"application_id": n, "creator_id": n} for n in ("y", "z"))]
    others[1]["applied_at"], others[2]["applied_at"] = date(2024, 1, 1), date(2024, 2, 1)
    three = flagged([*papers, GOOD | {"application_id": "z"}], others)
    assert sorted(set(three["application_id"])) == ["x", "z"]


def test_flags_count_as_features():
    papers = [GOOD | {"licence_name": "", "id_number": "1"}]
    applications = [APPLICATION, APPLICATION | {"application_id": "y", "creator_id": "b"}]
    assert counted(papers, applications) == [("x", 1, 1)]
    flags = flagged(papers, applications)
    assert flags.columns == ["application_id", "paper", "code", "reason_en", "reason_zh"]


def test_a_number_that_another_used_is_a_flag_and_no_feature():
    """What another person filed moves no record that counts."""
    papers = [GOOD, GOOD | {"application_id": "y"}]
    earlier = APPLICATION | {"application_id": "y", "creator_id": "b", "applied_at": date(2024, 1, 1)}
    flags = flagged(papers, [APPLICATION, earlier])
    assert sorted(flags["code"]) == ["ID07", "LC06"]
    assert sorted(counted(papers, [APPLICATION, earlier])) == [("x", 0, 0), ("y", 0, 0)]
    assert {check.code for check in CHECKS if not check.counted} == {"ID07", "LC02", "LC06"}


def test_a_status_without_a_day_is_a_flag_and_no_feature():
    """A register that is asked later may tell of what came after the application."""
    found = {}
    for status in ("active", "revoked"):
        papers = [GOOD | {"licence_status": status}]
        found[status] = counted(papers, [APPLICATION])
        assert flagged(papers, [APPLICATION])["code"].to_list() == (["LC02"] if status == "revoked" else [])
    assert found["revoked"] == found["active"] == [("x", 0, 0)]


def test_credit_codes():
    assert is_credit_code(GOOD_CODE)
    wrong = [GOOD_CODE[:-1] + character for character in CREDIT_CODE if character != GOOD_CODE[-1]]
    assert not any(is_credit_code(number) for number in [*wrong, "", GOOD_CODE[:-1], GOOD_CODE + "1", "I" * 18])


def test_codes_are_distinct_and_explained():
    assert len({check.code for check in CHECKS}) == len(CHECKS)
    assert all(check.en and check.zh for check in CHECKS)
