"""The raw tables that a party holds: columns, types and what a row may say. A party with other names maps them.

A value that a rule calls bad rejects its row. Rules look at one row; repeated keys are sought by `tables`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

import polars as pl

from sealscore.clients.data.cells import IDENTIFIER_MEND, INEXACT, NO_IDENTIFIER, names_nobody
from sealscore.clients.features.dictionary.dictionary import PERSON, Kind

DAY, TIME = pl.Date(), pl.Datetime("us", "UTC")
TEXT, MONEY, COUNT, RATIO, FLAG = pl.String(), pl.Float64(), pl.Int64(), pl.Float32(), pl.Boolean()
CLOCK_BEGINS = date(2000, 1, 1)
LONGEST_TEXT = 10_000
# Replacement and control characters, Chinese in UTF-8 that was read as a Western code page (three such letters for each
# character), and what such text becomes when it is read as GBK.
_WESTERN = "\u0080-\u00bf" + bytes(range(0x80, 0xA0)).decode("cp1252", "ignore")
BROKEN_TEXT = rf"[\x{{FFFD}}\x00-\x08\x0E-\x1F\x7F-\x9F]|(?:[à-ï][{_WESTERN}]{{2}}){{2}}|锟斤拷"


@dataclass(frozen=True)
class RawTable:
    """A table: its columns with their types, those that may be blank, and the columns that name a row.

    A key is compared within one person (by `creator_id` where the table has it). An `owner` says whose the rows of
    other tables are that name its key: there each key must belong to one person.

    `past` are moments that have happened already, so none of them may lie in the future. `undated` are columns that
    the features, or a flag, read as the table holds them, though no other column says since when: how each has to be
    exported. Of a table whose rows count `together`, a person of whom one row is at fault has none.
    """

    columns: dict[str, pl.DataType]
    key: tuple[str, ...]
    blank: frozenset[str] = frozenset()
    past: tuple[str, ...] = ()
    undated: Mapping[str, str] = field(default_factory=dict)
    owner: bool = False
    together: bool = False


@dataclass(frozen=True)
class TableRule:
    """What makes a row bad: an expression over canonical columns, its class, and the fix."""

    column: str
    bad: pl.Expr
    value: str
    fix: str


_CONSENTS = RawTable(
    {"creator_id": TEXT, "purpose": TEXT, "recipient": TEXT, "given_at": DAY, "expires": DAY, "withdrawn_at": DAY},
    key=(),
    blank=frozenset({"expires", "withdrawn_at"}),
    past=("given_at", "withdrawn_at"),
    # What cannot be read may be a withdrawal of what the others give.
    together=True,
)

TABLES: dict[Kind, dict[str, RawTable]] = {
    "short-video": {
        "creators": RawTable(
            {"creator_id": TEXT, "registered_at": DAY, "category": TEXT, "region": TEXT, "is_business": FLAG},
            key=("creator_id",),
            blank=frozenset({"registered_at", "category", "region", "is_business"}),
            past=("registered_at",),
            undated=dict.fromkeys(("category", "is_business"), "as on the as-of day, or as at registration"),
        ),
        "videos": RawTable(
            {"video_id": TEXT, "creator_id": TEXT, "published_at": TIME, "duration_s": RATIO, "views": COUNT}
            | {"likes": COUNT, "comments": COUNT, "shares": COUNT, "completion_rate": RATIO},
            key=("video_id",),
            blank=frozenset({"duration_s", "completion_rate"}),
            past=("published_at",),
            undated=dict.fromkeys(
                ("views", "likes", "comments", "shares", "completion_rate"), "as counted by the as-of day"
            ),
        ),
        "comments": RawTable(
            {"comment_id": TEXT, "video_id": TEXT, "creator_id": TEXT, "posted_at": TIME, "text": TEXT},
            key=("comment_id",),
            past=("posted_at",),
            undated={"text": "as first posted"},
        ),
        "followers": RawTable(
            {"creator_id": TEXT, "as_of": DAY, "followers": COUNT}, key=("creator_id", "as_of"), past=("as_of",)
        ),
        "audience": RawTable(
            {"creator_id": TEXT, "as_of": DAY}
            | {"top_region_share": RATIO, "top_age_share": RATIO, "active_fan_share": RATIO},
            key=("creator_id", "as_of"),
            blank=frozenset({"top_region_share", "top_age_share", "active_fan_share"}),
            past=("as_of",),
        ),
        "orders": RawTable(
            {"order_id": TEXT, "creator_id": TEXT, "ordered_at": TIME, "channel": TEXT, "amount": MONEY}
            | {"currency": TEXT, "refunded_at": TIME},
            key=("order_id",),
            blank=frozenset({"refunded_at"}),
            past=("ordered_at", "refunded_at"),
        ),
        "consents": _CONSENTS,
    },
    "wallet": {
        "accounts": RawTable(
            {"account_id": TEXT, "creator_id": TEXT, "opened_at": DAY, "region": TEXT, "residence": TEXT},
            key=("account_id",),
            blank=frozenset({"region", "residence"}),
            past=("opened_at",),
            undated={"residence": "as on the as-of day, or as at opening"},
            owner=True,
        ),
        "flows": RawTable(
            {"account_id": TEXT, "month": DAY, "inflow": MONEY, "outflow": MONEY, "payers": COUNT, "refunds": MONEY}
            | {"balance_mean": MONEY, "currency": TEXT},
            key=("account_id", "month"),
            past=("month",),
        ),
        "bills": RawTable(
            {"account_id": TEXT, "due_at": DAY, "paid_at": DAY, "amount": MONEY},
            key=(),
            blank=frozenset({"paid_at"}),
            past=("paid_at",),
            undated={"due_at": "as first agreed, not as postponed since"},
        ),
        "consents": _CONSENTS,
    },
    "lender": {
        "applications": RawTable(
            {"application_id": TEXT, "creator_id": TEXT, "product": TEXT, "applied_at": DAY, "amount": MONEY}
            | {"term_months": COUNT, "currency": TEXT, "declared_income": MONEY, "age": COUNT, "gender": TEXT}
            | {"region": TEXT},
            key=("application_id",),
            blank=frozenset({"declared_income", "age", "gender", "region"}),
            past=("applied_at",),
            owner=True,
            undated=dict.fromkeys(
                ("product", "amount", "term_months", "declared_income", "age", "gender"),
                "as in the application, before any offer or correction",
            ),
        ),
        "bureau": RawTable(
            {"creator_id": TEXT, "as_of": DAY, "score": COUNT, "months_on_file": COUNT, "open_accounts": COUNT}
            | {"utilisation": MONEY, "late_24m": COUNT, "inquiries_6m": COUNT},
            key=("creator_id", "as_of"),
            blank=frozenset({"score", "months_on_file", "open_accounts", "utilisation", "late_24m", "inquiries_6m"}),
            past=("as_of",),
        ),
        "repayments": RawTable(
            {"application_id": TEXT, "due_at": DAY, "paid_at": DAY, "due_amount": MONEY, "paid_amount": MONEY},
            key=("application_id", "due_at"),
            blank=frozenset({"paid_at", "paid_amount"}),
            past=("paid_at",),
            undated={"due_at": "as first agreed, not as postponed since"},
        ),
        "identity": RawTable(
            {"application_id": TEXT, "id_number": TEXT, "name_on_id": TEXT, "name_on_account": TEXT, "id_issued": DAY}
            | {"id_expires": DAY, "licence_number": TEXT, "licence_name": TEXT, "licence_registered": DAY}
            | {"licence_expires": DAY, "licence_status": TEXT},
            key=("application_id",),
            # A blank or odd paper is what the checks of `papers` are for, so no row is rejected for it.
            blank=frozenset({"id_number", "name_on_id", "name_on_account", "id_issued", "id_expires"})
            | {"licence_number", "licence_name", "licence_registered", "licence_expires", "licence_status"},
            undated=dict.fromkeys(
                (
                    *("id_number", "name_on_id", "name_on_account", "id_issued", "id_expires"),
                    *("licence_number", "licence_name", "licence_registered", "licence_expires"),
                ),
                "as filed with the application",
            )
            # A register is asked when it is asked, so what it says is a flag for the officer and no feature.
            | {"licence_status": "as last looked up: a flag (LC02) and no feature"},
        ),
        "decisions": RawTable(
            {"application_id": TEXT, "decision": TEXT, "decided_at": DAY}, key=("application_id",), past=("decided_at",)
        ),
        "outcomes": RawTable(
            {"application_id": TEXT, "bad": COUNT, "closed_at": DAY},
            key=("application_id",),
            blank=frozenset({"closed_at"}),
        ),
        "consents": _CONSENTS,
    },
}
"""Of each kind of party, its tables."""

_NAMED = ("creator_id", "application_id", "account_id", "video_id")
PARENTS: dict[Kind, tuple[tuple[str, str, str], ...]] = {
    "short-video": (
        *((table, "creator_id", "creators") for table in ("videos", "followers", "audience", "orders", "consents")),
        ("comments", "video_id", "videos"),
    ),
    "wallet": (
        ("flows", "account_id", "accounts"),
        ("bills", "account_id", "accounts"),
        ("consents", "creator_id", "accounts"),
    ),
    "lender": (
        *((table, "application_id", "applications") for table in ("repayments", "identity", "decisions", "outcomes")),
        ("bureau", "creator_id", "applications"),
        ("consents", "creator_id", "applications"),
    ),
}
"""Of each kind of party the tables that name rows of another: table, column, and the table that has it."""

_LEVELS = {
    ("orders", "channel"): ("shop", "live"),
    ("applications", "product"): ("traffic", "starter"),
    ("decisions", "decision"): ("approved", "declined"),
}
_NOT_NEGATIVE = (
    *("views", "likes", "comments", "shares", "duration_s", "followers", "amount", "inflow", "outflow", "payers"),
    *("refunds", "declared_income", "age", "months_on_file", "open_accounts", "utilisation", "late_24m"),
    *("inquiries_6m", "due_amount", "paid_amount"),
)
_SHARES = ("completion_rate", "top_region_share", "top_age_share", "active_fan_share")
# (table, earlier, later, what is wrong)
_ORDER = (
    ("orders", "ordered_at", "refunded_at", "it was refunded before it was ordered"),
    ("consents", "given_at", "withdrawn_at", "it was withdrawn before it was given"),
    ("consents", "given_at", "expires", "it expires before it was given"),
)


def rules(name: str, table: RawTable, today: date, currencies: Collection[str]) -> list[TableRule]:
    """What makes a row of that table bad on that day; blank values are sought by `tables`."""
    found = [*_clock(table, today)]
    for column, dtype in table.columns.items():
        value = pl.col(column)
        if dtype == TEXT and column in (*_NAMED, *table.key):
            found.append(TableRule(column, value.str.contains(INEXACT), NO_IDENTIFIER, IDENTIFIER_MEND))
            nobody, fix = names_nobody(value, of_persons=column == PERSON), "fill it in, or leave the row out"
            found.append(TableRule(column, nobody, "a word for nobody in place of an identifier", fix))
        if column in _NOT_NEGATIVE:
            fix = "give counts and amounts from 0; a refund has a column of its own"
            found.append(TableRule(column, value < 0, "it is negative", fix))
        if column in _SHARES:
            found.append(TableRule(column, ~value.is_between(0, 1), "it is no share", "give a number from 0 to 1"))
        if dtype == MONEY:
            found.append(TableRule(column, ~value.is_finite(), "it is no finite number", "give the amount"))
        if column == "currency":
            known = ", ".join(sorted(currencies))
            fix = f"give amounts in {known}, or a rate for the currency"
            found.append(TableRule(column, ~value.is_in(list(currencies)), "the currency is not known", fix))
        if levels := _LEVELS.get((name, column)):
            fix = f"write one of {', '.join(levels)}, or map the platform's own words"
            found.append(TableRule(column, ~value.is_in(list(levels)), "it is none of its levels", fix))
    if name == "videos":
        fix = "export views and likes of the same moment"
        found.append(TableRule("likes", pl.col("likes") > pl.col("views"), "more likes than views", fix))
    if name == "comments":
        text = pl.col("text")
        fix = "export the table again as UTF-8, with the encoding that it is kept in"
        found.append(TableRule("text", text.str.contains(BROKEN_TEXT), "the text's encoding is broken", fix))
        long = text.str.len_chars() > LONGEST_TEXT
        found.append(TableRule("text", long, f"more than {LONGEST_TEXT:,} characters", "leave out what is no comment"))
    if name == "applications":
        found.append(TableRule("term_months", pl.col("term_months") < 1, "no month at all", "give the term in months"))
    if name == "flows":
        fix = "give a month's sums once, under its first day, as 2024-05-01"
        found.append(TableRule("month", pl.col("month").dt.day() != 1, "it is not the first of a month", fix))
    if name == "outcomes":
        found.append(TableRule("bad", ~pl.col("bad").is_in([0, 1]), "neither 0 nor 1", "write 1 for bad, 0 for good"))
    for of, earlier, later, fault in _ORDER:
        if of == name:
            found.append(TableRule(later, pl.col(later) < pl.col(earlier), fault, "fix the clock of the export"))
    return found


def _clock(table: RawTable, today: date) -> list[TableRule]:
    """Moments of a clock that runs ahead, or was never set. Days are in UTC, so tomorrow may have begun elsewhere."""
    tomorrow = today + timedelta(days=1)
    found = []
    for column in table.past:
        day = pl.col(column).cast(pl.Date)
        fix = "fix the clock or the time zone of the export; moments are in UTC"
        found.append(TableRule(column, day > tomorrow, f"it lies in the future, after {tomorrow}", fix))
        found.append(
            TableRule(column, day < CLOCK_BEGINS, f"it lies before {CLOCK_BEGINS}, as of a clock never set", fix)
        )
    return found
