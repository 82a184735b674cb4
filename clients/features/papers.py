"""Identity and business licence checks: rules with reasons, as pre-loan flags and as counts for the score.

A rule looks at one application, or at applications that came before it; what was filed on the same day or later is not
seen. Its outcome is a flag with a reason for the person who decides, never a decision. Numbers and names stay in the
lender's own table: a flag names the application and the rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import polars as pl

from sealscore.clients.features.raw.windows import AS_ASKED, added, theirs
from sealscore.shared.persons.identifiers import NORMAL_FORMS

Paper = Literal["identity", "licence"]
YOUNG_LICENCE_DAYS = 30
YOUNGEST = 18
# GB 32100-2015: the characters of a unified social credit code, and the weights of its check character (mod 31).
CREDIT_CODE = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_WEIGHTS = tuple(pow(3, place, 31) for place in range(17))


@dataclass(frozen=True)
class Check:
    """A rule: `fails` is an expression over the joined papers of an application (see `failed_checks`).

    One that is not `counted` raises a flag alone and enters no feature, for the reason in `outside`: it reads a column
    without a day, so whether it failed on the day of the application is not known; or it compares persons, so that one
    person's papers would move another's record, and no epsilon would hold.
    """

    code: str
    paper: Paper
    fails: pl.Expr
    en: str
    zh: str
    outside: str = ""

    @property
    def counted(self) -> bool:
        """Whether a feature counts it."""
        return not self.outside


def is_credit_code(number: str) -> bool:
    """Whether a text is a unified social credit code whose check character fits (GB 32100-2015, section 5)."""
    text = number.strip().upper()
    if len(text) != 18 or any(character not in CREDIT_CODE for character in text):
        return False
    total = sum(weight * CREDIT_CODE.index(character) for weight, character in zip(_WEIGHTS, text, strict=False))
    return CREDIT_CODE[-total % 31] == text[17]


_AS_OF = pl.col(AS_ASKED)


def _age() -> pl.Expr:
    born, day = pl.col("born"), _AS_OF
    before = (day.dt.month() * 100 + day.dt.day()) < (born.dt.month() * 100 + born.dt.day())
    return day.dt.year() - born.dt.year() - before.cast(pl.Int32)


def _name(column: str) -> pl.Expr:
    """A name without blanks and case, as two forms may write it."""
    return pl.col(column).str.normalize("NFKC").str.to_lowercase().str.replace_all(r"[\s·•]", "")


_VALID_ID, _AGE, _LICENSED = pl.col("id_is_valid"), pl.col("age_by_number"), pl.col("is_licensed")

CHECKS = (
    Check("ID01", "identity", ~_VALID_ID, "The identity number is not valid", "身份证号码无效"),
    Check("ID02", "identity", _name("name_on_id") != _name("name_on_account"),
          "The name on the identity card is not the name on the account", "身份证姓名与账户姓名不一致"),
    Check("ID03", "identity", pl.col("id_expires") < _AS_OF, "The identity card has expired", "身份证已过期"),
    Check("ID04", "identity", pl.col("id_issued") >= _AS_OF, "The identity card was issued after the application",
          "身份证签发日期晚于申请日期"),
    Check("ID05", "identity", _VALID_ID & ((_AGE - pl.col("age")).abs() > 1),
          "The age in the application is not that of the identity number", "申请年龄与身份证号码不符"),
    Check("ID06", "identity", _VALID_ID & (_AGE < YOUNGEST), "The identity number is that of a minor",
          "身份证号码显示为未成年人"),
    Check("ID07", "identity", pl.col("identity_used"), "Another applicant used this identity number before",
          "该身份证号码曾被其他申请人使用",
          outside="compares the identity number with those of other applicants' earlier applications"),
    Check("LC01", "licence", _LICENSED & ~pl.col("licence_is_valid"), "The licence number is not valid",
          "营业执照编号无效"),
    Check("LC02", "licence", _LICENSED & (pl.col("licence_status") != "active"), "The licence is not in force",
          "营业执照已吊销或失效", outside="reads what a register says when it is asked, not on the day of application"),
    Check("LC03", "licence", _LICENSED & (pl.col("licence_expires") < _AS_OF), "The licence has expired",
          "营业执照已过期"),
    Check("LC04", "licence", _LICENSED & (pl.col("licence_registered") >= _AS_OF),
          "The licence was registered after the application", "营业执照注册日期晚于申请日期"),
    Check("LC05", "licence",
          _LICENSED & ((_AS_OF - pl.col("licence_registered")).dt.total_days().is_between(1, YOUNG_LICENCE_DAYS)),
          "The licence was registered within a month before the application", "营业执照在申请前一个月内注册"),
    Check("LC06", "licence", pl.col("licence_used"), "Another applicant used this licence before",
          "该营业执照曾被其他申请人使用",
          outside="compares the licence number with those of other applicants' earlier applications"),
    Check("LC07", "licence", _LICENSED & (pl.col("licence_name").str.strip_chars().fill_null("") == ""),
          "The licence has no name", "营业执照缺少名称"),
)  # fmt: skip


NUMBERS: dict[Paper, str] = {"identity": "id_number", "licence": "licence_number"}
"""The numbers by which applicants are compared (ID07, LC06), by the paper that has each."""


REASONS = {
    check.code: {"paper": check.paper, "code": check.code, "reason_en": check.en, "reason_zh": check.zh}
    for check in CHECKS
}
"""What is told of an application that fails a check."""


def failed_checks(identity: pl.LazyFrame, applications: pl.LazyFrame, asked: pl.LazyFrame | None) -> pl.LazyFrame:
    """`at`, and of each application with papers whether it fails each of CHECKS, by its code.

    A check whose column is missing in an application does not fail there. The tables are the whole book, and are looked
    through for numbers that others used before. Where nobody is to be looked for (`windows`), `identity` has the papers
    of the one application, with its `age` and whether others used its numbers (`identity_used`, `licence_used`).
    """
    papers = identity if asked is None else _compared(identity, applications, asked)
    valid = papers.with_columns(
        _valid("id_number", lambda number: bool(NORMAL_FORMS["national-id"](number))).alias("id_is_valid"),
        _valid("licence_number", is_credit_code).alias("licence_is_valid"),
        pl.col("licence_number").is_not_null().alias("is_licensed"),
        pl.col("id_number").str.slice(6, 8).str.to_date("%Y%m%d", strict=False).alias("born"),
    )
    return valid.with_columns(age_by_number=_age()).select(
        "at", *(check.fails.fill_null(False).alias(check.code) for check in CHECKS)
    )


def paper_features(failed: pl.LazyFrame) -> pl.LazyFrame:
    """How many of the counted checks of each kind an application with papers fails, beside what it fails."""
    counted = {
        paper: [pl.col(check.code).cast(pl.Int64) for check in CHECKS if check.counted and check.paper == paper]
        for paper in NUMBERS
    }
    return failed.with_columns(added(fails).alias(f"{paper}_flags") for paper, fails in counted.items())


def filed_papers(identity: pl.LazyFrame, applications: pl.LazyFrame) -> pl.DataFrame:
    """Everybody's numbers, with whose they were said to be and since when: creator_id, applied_at, and NUMBERS."""
    owners = applications.select("application_id", "creator_id", "applied_at")
    filed = identity.select("application_id", *NUMBERS.values()).join(owners, on="application_id")
    return filed.select("creator_id", "applied_at", *NUMBERS.values()).collect()


def _compared(identity: pl.LazyFrame, applications: pl.LazyFrame, asked: pl.LazyFrame) -> pl.LazyFrame:
    """The papers of each application asked for, its age as declared, and whether others used its numbers before."""
    used = _used_in_book(filed_papers(identity, applications), identity, asked)
    return (
        theirs(identity, asked, "application_id")
        .join(applications.select("application_id", "age"), on="application_id")
        .join(used, on="application_id")
    )


def _used_in_book(filed: pl.DataFrame, identity: pl.LazyFrame, asked: pl.LazyFrame) -> pl.LazyFrame:
    """Whether others used the numbers before: also those whose applications are not asked about."""
    found = asked.join(identity.select("application_id", *NUMBERS.values()), on="application_id")
    for paper, number in NUMBERS.items():
        before = (pl.col("first_used") < pl.col("as_of")) & (pl.col("first_user") != pl.col("creator_id"))
        found = (
            found.join(_first_users(filed, number).lazy(), on=number, how="left")
            .with_columns((before | (pl.col("second_used") < pl.col("as_of"))).fill_null(False).alias(f"{paper}_used"))
            .drop("first_user", "first_used", "second_used")
        )
    return found.select("application_id", *(f"{paper}_used" for paper in NUMBERS))


def _first_users(filed: pl.DataFrame, number: str) -> pl.DataFrame:
    """For each number: who used it first and on which day, and the first day on which somebody else did."""
    firsts = filed.drop_nulls(number).group_by(number, "creator_id").agg(pl.col("applied_at").min().alias("used"))
    return (
        firsts.sort("used", "creator_id")
        .group_by(number, maintain_order=True)
        .agg(
            pl.col("creator_id").first().alias("first_user"),
            pl.col("used").first().alias("first_used"),
            pl.col("used").get(1, null_on_oob=True).alias("second_used"),
        )
    )


def _valid(column: str, valid: Callable[[str], bool]) -> pl.Expr:
    def found(numbers: pl.Series) -> pl.Series:
        said = [valid(number) if number is not None else False for number in numbers.to_list()]
        return pl.Series(said, dtype=pl.Boolean)

    return pl.col(column).map_batches(found, return_dtype=pl.Boolean)
