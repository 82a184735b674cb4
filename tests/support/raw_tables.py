"""Small raw tables of each kind of party, drawn at random, for tests to spoil."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

TODAY = date(2024, 12, 1)
CHANNELS = 120
TEXTS = (
    "很好用 下次还买",
    "质量太差了 要求退款",
    "一般般吧",
    "love it, thank you",
    "it is broken and nobody answers",
    "спасибо",
)


def moments(random: np.random.Generator, n: int, first: str = "2024-01-01", days: float = 300) -> pl.Series:
    start = np.datetime64(first, "us")
    return pl.Series(start + (random.random(n) * days * 86400e6).astype("timedelta64[us]")).dt.replace_time_zone("UTC")


def ids(prefix: str, n: int) -> list[str]:
    return [f"{prefix}{at:05d}" for at in range(n)]


def video_tables(seed: int = 0, channels: int = CHANNELS) -> dict[str, pl.DataFrame]:
    """The tables of a short-video platform; every tenth channel buys views and followers in one week."""
    random = np.random.default_rng(seed)
    creators = pl.Series(ids("C", channels))
    who = random.integers(0, channels, 40 * channels)
    views = np.exp(random.normal(7, 1.2, len(who)))
    published = moments(random, len(who))
    day = published.dt.date().to_numpy().astype("datetime64[D]")
    burst = np.datetime64("2024-07-01") + np.arange(channels) % 20
    bought = (who % 10 == 0) & (day >= burst[who]) & (day < burst[who] + 8)
    rate, finished = random.normal(0, 0.25, len(who)), random.beta(7, 12, len(who))
    likes = views * 0.028 * np.exp(rate)
    total = views * np.where(bought, 7, 1)
    videos = pl.DataFrame(
        {
            "video_id": ids("V", len(who)),
            "creator_id": creators.gather(who),
            "published_at": published,
            "duration_s": random.uniform(5, 90, len(who)).astype(np.float32),
            "views": np.round(total).astype(np.int64),
            "likes": np.round(likes).astype(np.int64),
            "comments": np.round(likes / 8).astype(np.int64),
            "shares": np.round(likes / 9).astype(np.int64),
            "completion_rate": np.where(bought, finished / 3.5, finished).astype(np.float32),
        }
    )
    said = random.integers(0, len(who), 30 * channels)
    comments = pl.DataFrame(
        {
            "comment_id": ids("T", len(said)),
            "video_id": videos["video_id"].gather(said),
            "creator_id": videos["creator_id"].gather(said),
            "posted_at": moments(random, len(said)),
            "text": pl.Series(TEXTS).gather(random.integers(0, len(TEXTS), len(said))),
        }
    )
    weeks = np.datetime64("2024-01-01") + 7 * np.arange(44)
    grown = np.cumsum(random.normal(0.01, 0.01, (channels, 44)), axis=1)
    jumped = (weeks >= burst[:, None]) & (np.arange(channels)[:, None] % 10 == 0)
    followers = pl.DataFrame(
        {
            "creator_id": creators.gather(np.repeat(np.arange(channels), 44)),
            "as_of": np.tile(weeks, channels),
            "followers": np.round(3000 * np.exp(grown + 0.3 * jumped)).astype(np.int64).ravel(),
        }
    )
    months = np.array([f"2024-{month:02d}-01" for month in range(1, 11)], dtype="datetime64[D]")
    shares = random.uniform(0.1, 0.9, (3, 10 * channels)).astype(np.float32)
    audience = pl.DataFrame(
        {
            "creator_id": creators.gather(np.repeat(np.arange(channels), 10)),
            "as_of": np.tile(months, channels),
            "top_region_share": shares[0],
            "top_age_share": shares[1],
            "active_fan_share": shares[2],
        }
    )
    buyers = random.integers(0, channels, 20 * channels)
    ordered = moments(random, len(buyers))
    back = pl.Series(random.random(len(buyers)) < 0.1)
    orders = pl.DataFrame(
        {
            "order_id": ids("O", len(buyers)),
            "creator_id": creators.gather(buyers),
            "ordered_at": ordered,
            "channel": np.where(random.random(len(buyers)) < 0.4, "live", "shop"),
            "amount": np.round(random.lognormal(4, 1, len(buyers)), 2),
            "currency": "CNY",
        }
    ).with_columns(refunded_at=pl.when(back).then(pl.col("ordered_at") + pl.duration(days=5)))
    given = np.datetime64("2024-08-01") + random.integers(0, 90, channels)
    return {
        "creators": pl.DataFrame(
            {
                "creator_id": creators,
                "registered_at": np.datetime64("2022-01-01") + random.integers(0, 600, channels),
                "category": pl.Series(("beauty", "food", "robots")).gather(random.integers(0, 3, channels)),
                "region": "east",
                "is_business": random.random(channels) < 0.5,
            }
        ),
        "videos": videos,
        "comments": comments,
        "followers": followers,
        "audience": audience,
        "orders": orders,
        "consents": consents(creators, given, "lender-1"),
    }


def consents(creators: pl.Series, given: np.ndarray, recipient: str) -> pl.DataFrame:
    return pl.DataFrame(
        {"creator_id": creators, "purpose": "credit-scoring", "recipient": recipient, "given_at": given}
    ).with_columns(expires=pl.lit(None, dtype=pl.Date), withdrawn_at=pl.lit(None, dtype=pl.Date))


def wallet_tables(seed: int = 0, creators: int = 40) -> dict[str, pl.DataFrame]:
    random = np.random.default_rng(seed)
    owners, accounts = pl.Series(ids("C", creators)), pl.Series(ids("W", creators))
    months = np.array([f"2024-{month:02d}-01" for month in range(1, 11)], dtype="datetime64[D]")
    n = 10 * creators
    inflow = np.round(random.lognormal(8, 1, n), 2)
    due = np.datetime64("2024-02-01") + random.integers(0, 240, 6 * creators)
    late = random.integers(-5, 8, len(due))
    return {
        "accounts": pl.DataFrame(
            {
                "account_id": accounts,
                "creator_id": owners,
                "opened_at": np.datetime64("2020-01-01") + random.integers(0, 1200, creators),
                "region": "south",
                "residence": np.where(random.random(creators) < 0.7, "urban", "rural"),
            }
        ),
        "flows": pl.DataFrame(
            {
                "account_id": accounts.gather(np.repeat(np.arange(creators), 10)),
                "month": np.tile(months, creators),
                "inflow": inflow,
                "outflow": np.round(inflow * random.uniform(0.6, 1.3, n), 2),
                "payers": random.poisson(30, n),
                "refunds": np.round(inflow * random.beta(1, 20, n), 2),
                "balance_mean": np.round(inflow * random.uniform(0.1, 2, n), 2),
                "currency": "CNY",
            }
        ),
        "bills": pl.DataFrame(
            {
                "account_id": accounts.gather(random.integers(0, creators, len(due))),
                "due_at": due,
                "paid_at": pl.Series(due + late),
                "amount": 100.0,
            }
        ),
        "consents": consents(owners, np.datetime64("2024-08-01") + random.integers(0, 90, creators), "lender-1"),
    }


def identity_number(random: np.random.Generator, birthday: str) -> str:
    """A number that passes its check character and belongs to nobody: its area code is not in use."""
    body = "999999" + birthday + f"{random.integers(0, 1000):03d}"
    total = sum(2 ** (17 - place) % 11 * int(digit) for place, digit in enumerate(body))
    return body + "10X98765432"[total % 11]


def lender_tables(seed: int = 0, loans: int = 60) -> dict[str, pl.DataFrame]:
    random = np.random.default_rng(seed)
    applications, creators = pl.Series(ids("A", loans)), pl.Series(ids("C", 40)).gather(np.arange(loans) % 40)
    applied = np.datetime64("2023-01-01") + random.integers(0, 500, loans)
    decided = applied + 1
    born = pl.Series([f"{year}0101" for year in range(1985, 2005)]).gather(np.arange(loans) % 20)
    age = applied.astype("datetime64[Y]").astype(int) + 1970 - born.str.slice(0, 4).cast(pl.Int64).to_numpy()
    late = random.integers(-5, 40, (loans, 3))
    due = (decided[:, None] + 30 * np.arange(1, 4)).ravel()
    people = pl.Series(ids("C", 40))
    reports = np.datetime64("2022-06-01") + random.integers(0, 700, 80)
    return {
        "applications": pl.DataFrame(
            {
                "application_id": applications,
                "creator_id": creators,
                "product": np.where(np.arange(loans) % 3 == 0, "starter", "traffic"),
                "applied_at": applied,
                "amount": np.round(random.lognormal(9, 0.5, loans), -2),
                "term_months": 6,
                "currency": "CNY",
                "declared_income": np.round(random.lognormal(8.5, 0.5, loans)),
                "age": age.astype(np.int16),
                "gender": np.where(random.random(loans) < 0.5, "female", "male"),
                "region": "east",
            }
        ),
        "bureau": pl.DataFrame(
            {
                "creator_id": people.gather(np.arange(80) % 40),
                "as_of": reports,
                "score": random.integers(500, 800, 80).astype(np.int16),
                "months_on_file": random.integers(1, 200, 80),
                "open_accounts": random.poisson(3, 80),
                "utilisation": random.beta(2, 4, 80),
                "late_24m": random.poisson(0.5, 80),
                "inquiries_6m": random.poisson(1, 80),
            }
        ).unique(["creator_id", "as_of"], maintain_order=True),
        "repayments": pl.DataFrame(
            {
                "application_id": applications.gather(np.repeat(np.arange(loans), 3)),
                "due_at": due,
                "paid_at": due + np.maximum(late, 0).ravel(),
                "due_amount": 1000.0,
                "paid_amount": 1000.0,
            }
        ),
        "identity": pl.DataFrame(
            {
                "application_id": applications,
                "id_number": [identity_number(np.random.default_rng(at % 40), born[at % 20]) for at in range(loans)],
                "name_on_id": creators,
                "name_on_account": creators,
                "id_issued": np.full(loans, np.datetime64("2015-01-01")),
                "id_expires": np.full(loans, np.datetime64("2035-01-01")),
                "licence_number": pl.Series([None] * loans, dtype=pl.String),
                "licence_name": pl.Series([None] * loans, dtype=pl.String),
                "licence_registered": pl.Series([None] * loans, dtype=pl.Date),
                "licence_expires": pl.Series([None] * loans, dtype=pl.Date),
                "licence_status": "none",
            }
        ),
        "decisions": pl.DataFrame({"application_id": applications, "decision": "approved", "decided_at": decided}),
        "outcomes": pl.DataFrame(
            {
                "application_id": applications,
                "bad": (random.random(loans) < 0.3).astype(np.int8),
                "closed_at": applied + 400,
            }
        ),
        "consents": consents(people, np.full(40, np.datetime64("2023-01-01")), "video-1"),
    }


TABLES = {"short-video": video_tables, "wallet": wallet_tables, "lender": lender_tables}


def lay_tables(folder: Path, kind: str, **changed: pl.DataFrame) -> Path:
    """Write the tables of a kind of party into a folder, some of them replaced."""
    folder.mkdir(exist_ok=True)
    for name, frame in (TABLES[kind]() | changed).items():
        frame.write_parquet(folder / f"{name}.parquet")
    return folder
