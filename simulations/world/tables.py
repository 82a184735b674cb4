"""The tables of the world: columns and types, the names that each platform gives them, and how they are written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

DAY = pl.Date()
TIME = pl.Datetime("us", "UTC")
TEXT, MONEY, COUNT, RATIO, FLAG = pl.String(), pl.Float64(), pl.Int64(), pl.Float32(), pl.Boolean()

CONSENTS = {
    "creator_id": TEXT,
    "purpose": TEXT,
    "recipient": TEXT,
    "given_at": DAY,
    "expires": DAY,
    "withdrawn_at": DAY,
}
VIDEO: dict[str, dict[str, pl.DataType]] = {
    "creators": {
        "creator_id": TEXT,
        "registered_at": DAY,
        "category": TEXT,
        "region": TEXT,
        "is_business": FLAG,
    },
    "videos": {
        "video_id": TEXT,
        "creator_id": TEXT,
        "published_at": TIME,
        "duration_s": RATIO,
        "views": COUNT,
        "likes": COUNT,
        "comments": COUNT,
        "shares": COUNT,
        "completion_rate": RATIO,
    },
    "comments": {"comment_id": TEXT, "video_id": TEXT, "creator_id": TEXT, "posted_at": TIME, "text": TEXT},
    "followers": {"creator_id": TEXT, "as_of": DAY, "followers": COUNT},
    "audience": {
        "creator_id": TEXT,
        "as_of": DAY,
        "top_region_share": RATIO,
        "top_age_share": RATIO,
        "active_fan_share": RATIO,
    },
    "orders": {
        "order_id": TEXT,
        "creator_id": TEXT,
        "ordered_at": TIME,
        "channel": TEXT,
        "amount": MONEY,
        "currency": TEXT,
        "refunded_at": TIME,
    },
    "consents": CONSENTS,
}
WALLET: dict[str, dict[str, pl.DataType]] = {
    "accounts": {"account_id": TEXT, "creator_id": TEXT, "opened_at": DAY, "region": TEXT, "residence": TEXT},
    "flows": {
        "account_id": TEXT,
        "month": DAY,
        "inflow": MONEY,
        "outflow": MONEY,
        "payers": COUNT,
        "refunds": MONEY,
        "balance_mean": MONEY,
        "currency": TEXT,
    },
    "bills": {"account_id": TEXT, "due_at": DAY, "paid_at": DAY, "amount": MONEY},
    "consents": CONSENTS,
}
LENDER: dict[str, dict[str, pl.DataType]] = {
    "applications": {
        "application_id": TEXT,
        "creator_id": TEXT,
        "product": TEXT,
        "applied_at": DAY,
        "amount": MONEY,
        "term_months": COUNT,
        "currency": TEXT,
        "declared_income": MONEY,
        "age": pl.Int16(),
        "gender": TEXT,
        "region": TEXT,
    },
    "bureau": {
        "creator_id": TEXT,
        "as_of": DAY,
        "score": pl.Int16(),
        "months_on_file": COUNT,
        "open_accounts": COUNT,
        "utilisation": MONEY,
        "late_24m": COUNT,
        "inquiries_6m": COUNT,
    },
    "repayments": {
        "application_id": TEXT,
        "due_at": DAY,
        "paid_at": DAY,
        "due_amount": MONEY,
        "paid_amount": MONEY,
    },
    "identity": {
        "application_id": TEXT,
        "id_number": TEXT,
        "name_on_id": TEXT,
        "name_on_account": TEXT,
        "id_issued": DAY,
        "id_expires": DAY,
        "licence_number": TEXT,
        "licence_name": TEXT,
        "licence_registered": DAY,
        "licence_expires": DAY,
        "licence_status": TEXT,
    },
    "decisions": {"application_id": TEXT, "decision": TEXT, "decided_at": DAY},
    "outcomes": {"application_id": TEXT, "bad": pl.Int8(), "closed_at": DAY},
    "consents": CONSENTS,
}
TABLES = {"video": VIDEO, "wallet": WALLET, "lender": LENDER}
"""Of each kind of party, the tables, and of each table the columns and their types."""

# The two video platforms call the same things by other names.
OWN_NAMES: dict[str, dict[str, dict[str, str]]] = {
    "video-1": {
        "creators": {"creator_id": "user_id", "registered_at": "register_date", "is_business": "business_account"},
        "videos": {
            "video_id": "photo_id",
            "creator_id": "author_id",
            "published_at": "upload_time",
            "duration_s": "duration",
            "views": "play_cnt",
            "likes": "like_cnt",
            "comments": "comment_cnt",
            "shares": "share_cnt",
            "completion_rate": "finish_rate",
        },
        "comments": {
            "video_id": "photo_id",
            "creator_id": "author_id",
            "posted_at": "comment_time",
            "text": "content",
        },
        "followers": {"creator_id": "user_id", "as_of": "snapshot_date", "followers": "fans_cnt"},
        "audience": {"creator_id": "user_id", "as_of": "snapshot_date"},
        "orders": {
            "creator_id": "seller_id",
            "ordered_at": "pay_time",
            "channel": "scene",
            "amount": "pay_amount",
            "refunded_at": "refund_time",
        },
        "consents": {"creator_id": "user_id"},
    },
    "video-2": {
        "creators": {"category": "vertical", "region": "province", "registered_at": "joined_on"},
        "videos": {
            "video_id": "item_id",
            "published_at": "created_at",
            "duration_s": "length_seconds",
            "views": "plays",
            "likes": "hearts",
            "comments": "replies",
            "shares": "forwards",
            "completion_rate": "watched_to_end",
        },
        "comments": {"comment_id": "reply_id", "video_id": "item_id", "posted_at": "created_at", "text": "body"},
        "followers": {"as_of": "week_of", "followers": "followers_total"},
        "audience": {"as_of": "month_of", "active_fan_share": "active_share"},
        "orders": {"ordered_at": "created_at", "channel": "source", "amount": "total", "refunded_at": "returned_at"},
    },
}


def kind_of(party: str) -> str:
    """The kind of a party of the world: "video", "wallet" or "lender"."""
    return "video" if party in OWN_NAMES else "wallet" if party == "wallet" else "lender"


def mapping(party: str, table: str) -> dict[str, str]:
    """Of each column's canonical name the name that the party gives it."""
    own = OWN_NAMES.get(party, {}).get(table, {})
    return {name: own.get(name, name) for name in TABLES[kind_of(party)][table]}


def write_table(folder: Path, party: str, table: str, frame: pl.DataFrame) -> int:
    """Write a table into the party's folder under the party's own names; its number of rows.

    Columns are cast to the declared types; one that is absent, or that the table does not declare, is an error.
    """
    schema = TABLES[kind_of(party)][table]
    if set(frame.columns) != set(schema):
        raise ValueError(f"{party}/{table} has columns {frame.columns}, declared are {list(schema)}")
    names = mapping(party, table)
    frame = frame.select(pl.col(name).cast(dtype).alias(names[name]) for name, dtype in schema.items())
    return write(folder / party / f"{table}.parquet", frame)


def write(path: Path, frame: pl.DataFrame) -> int:
    """Write a frame as Parquet; its number of rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(path, compression="zstd", compression_level=1, row_group_size=250_000)
    return frame.height


def text_ids(prefix: str, numbers: np.ndarray, width: int = 8) -> pl.Series:
    """Ids such as C00000017 from whole numbers [n]."""
    return prefix + pl.Series(numbers.astype(np.int64)).cast(pl.String).str.zfill(width)


def days(values: np.ndarray) -> pl.Series:
    """Days [n] (datetime64[D], NaT for none) as Date."""
    return pl.Series(values.astype("datetime64[D]"), dtype=pl.Date)


def times(values: np.ndarray) -> pl.Series:
    """Moments [n] (datetime64, NaT for none) as Datetime in UTC."""
    return pl.Series(values.astype("datetime64[us]")).dt.replace_time_zone("UTC")


def levels(names: tuple[str, ...], codes: np.ndarray) -> pl.Series:
    """The names at codes [n], as text."""
    return pl.Series(names, dtype=pl.String).gather(codes.astype(np.uint32))
