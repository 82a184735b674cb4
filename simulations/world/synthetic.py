"""The world in small, as one table: creators, their loans, channels and wallets, without raw tables behind them.

It is the data set 'synthetic', for machines without real data and for jobs of seconds. Nothing here was measured on
anybody. Creators are drawn from a few latent qualities, the columns are noisy views of these, and the default rate is
set to 20 %. What a model reaches on this set says that the software works, and nothing about lending. Only two ratios
are taken from real data: likes and comments per view have the medians of a public collection of trending videos (2.8 %
and 0.35 %).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from sealscore.shared.plan.schema import CategoricalFeature, NumericFeature, TableSchema
from sealscore.simulations.world.people.latent import sigmoid
from sealscore.simulations.world.seeding import generator
from sealscore.simulations.world.tables import text_ids

DEFAULT_CREATORS = 24_000
DEFAULT_RATE = 0.20
FIRST_DAY = date(2024, 1, 1)


def _number(
    name: str, lower: float, upper: float, scale: float | None = None, *, integer: bool = False, missing: bool = False
) -> NumericFeature:
    return NumericFeature(name=name, lower=lower, upper=upper, scale=scale, integer=integer, missing=missing)


LENDER_TABLE = TableSchema(
    id="application_id",
    person="creator_id",
    label="defaulted",
    date="applied",
    features=(
        _number("bureau_score", 300, 850, integer=True, missing=True),
        _number("months_on_file", 0, 600, 24, integer=True),
        _number("open_accounts", 0, 100, 5, integer=True),
        _number("utilisation", 0, 2, missing=True),
        _number("late_24m", 0, 24, integer=True),
        _number("inquiries_6m", 0, 50, 5, integer=True),
        _number("monthly_income", 0, 2_000_000, 4000, missing=True),
        _number("net_worth", -2_000_000, 20_000_000, 10_000),
        _number("loan_amount", 500, 1_000_000, 10_000),
        CategoricalFeature(name="term_months", levels=("3", "6", "12", "24"), ordered=True),
        CategoricalFeature(name="employment", levels=("self-employed", "employed", "student", "other"), missing=True),
        CategoricalFeature(name="region", levels=("coast", "inland", "north", "west")),
        NumericFeature(name="age", lower=18, upper=100, integer=True, protected=True),
        CategoricalFeature(name="gender", levels=("female", "male", "other"), protected=True),
    ),
)

PLATFORM_TABLE = TableSchema(
    id="creator_id",
    features=(
        _number("followers", 0, 100_000_000, 1000, integer=True),
        _number("views_30d", 0, 5_000_000_000, 10_000, integer=True),
        _number("likes_30d", 0, 500_000_000, 300, integer=True),
        _number("comments_30d", 0, 100_000_000, 50, integer=True),
        _number("sentiment_mean", -1, 1, missing=True),
        _number("posts_30d", 0, 1000, 10, integer=True),
        _number("posting_gap_days", 0, 30, 2),
        _number("live_hours_30d", 0, 720, 5),
        _number("turnover_30d", 0, 500_000_000, 5000),
        _number("turnover_change", -1, 20, 1, missing=True),
        _number("refund_share", 0, 1, missing=True),
        _number("months_active", 0, 240, 12, integer=True),
        CategoricalFeature(name="category", levels=("beauty", "fashion", "food", "home", "learning", "other")),
    ),
)

WALLET_TABLE = TableSchema(
    id="account_id",
    person="creator_id",
    features=(
        _number("inflow_30d", 0, 500_000_000, 4000),
        _number("inflow_months", 0, 12, integer=True),
        _number("payers_30d", 0, 10_000_000, 20, integer=True),
        _number("refunds_30d", 0, 100_000_000, 200),
        _number("balance_mean", 0, 100_000_000, 2000),
        _number("late_bills_12m", 0, 60, 3, integer=True),
        _number("months_open", 0, 240, 12, integer=True),
        CategoricalFeature(name="residence", levels=("urban", "rural"), protected=True),
    ),
)
TABLES = (LENDER_TABLE, PLATFORM_TABLE, WALLET_TABLE)


@dataclass(frozen=True)
class _Drawn:
    """The columns of the creators and of their first loans, [n] each, as they stand before values are hidden."""

    columns: dict[str, np.ndarray]
    hidden: dict[str, np.ndarray]
    discipline: np.ndarray
    craft: np.ndarray


def generate(creators: int = DEFAULT_CREATORS, seed: int = 0) -> pl.DataFrame:
    """One row a creator: the columns of all `TABLES`. Invented.

    Three latent qualities of a creator drive everything: `discipline` in money, `craft` at the channel, and `reach`
    (size). Default depends on the first two and on the loan against the income, so bureau, channel and wallet each
    know a part.
    """
    return _frame(_draw(creators, seed).hidden, TABLES)


def further_loans(number: int, creators: int = DEFAULT_CREATORS, seed: int = 0) -> pl.DataFrame:
    """The loan with that number (from 2) of each creator of `generate`, taken elsewhere: the columns of LENDER_TABLE.

    Amount, term, day, enquiries and outcome are its own; the rest is what the bureau and the person show any lender.
    """
    if number < 2:
        raise ValueError("the first loan of each creator is in `generate`")
    drawn, random = _draw(creators, seed), generator(seed, f"synthetic loans {number}")
    columns = dict(drawn.hidden)
    income = drawn.columns["monthly_income"]
    columns["application_id"] = _ids(f"A{number}-", np.arange(creators))
    columns["applied"] = np.datetime64(FIRST_DAY, "D") + random.integers(0, 366, creators)
    columns["loan_amount"] = np.round(income * random.lognormal(0.6, 0.6, creators), -2)
    columns["term_months"] = _terms(random, creators)
    columns["inquiries_6m"] = columns["inquiries_6m"] + random.poisson(0.6, creators)
    columns["defaulted"] = _outcomes(random, drawn.discipline, drawn.craft, columns["loan_amount"], income)
    return _frame(columns, (LENDER_TABLE,))


def _draw(creators: int, seed: int) -> _Drawn:
    random = generator(seed, "synthetic creators")
    craft, reach, own = random.standard_normal((3, creators))
    discipline = 0.35 * craft + np.sqrt(1 - 0.35**2) * own
    columns: dict[str, np.ndarray] = {
        "application_id": _ids("A", np.arange(creators)),
        "creator_id": _ids("C", random.permutation(creators)),
        "applied": np.datetime64(FIRST_DAY, "D") + random.integers(0, 366, creators),
        **_person(random, creators),
        **_channel(random, craft, reach),
    }
    columns |= _bureau(random, discipline, columns["age"], columns["turnover_30d"])
    columns["defaulted"] = _outcomes(random, discipline, craft, columns["loan_amount"], columns["monthly_income"])
    hidden = dict(columns)
    _hide(random, hidden)
    hidden |= _wallet(generator(seed, "synthetic wallets"), discipline, craft, columns["turnover_30d"])
    return _Drawn(columns, hidden, discipline, craft)


def _ids(prefix: str, numbers: np.ndarray) -> np.ndarray:
    return text_ids(prefix, numbers).to_numpy()


def _person(random: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    return {
        "age": np.round(18 + random.gamma(3.0, 5.0, n)),
        "gender": random.choice(["female", "male", "other"], n, p=[0.55, 0.43, 0.02]),
        "region": random.choice(["coast", "inland", "north", "west"], n, p=[0.45, 0.25, 0.18, 0.12]),
        "employment": random.choice(["self-employed", "employed", "student", "other"], n, p=[0.58, 0.27, 0.09, 0.06]),
        "term_months": _terms(random, n),
        "category": random.choice(
            ["beauty", "fashion", "food", "home", "learning", "other"], n, p=[0.2, 0.22, 0.2, 0.12, 0.1, 0.16]
        ),
    }


def _terms(random: np.random.Generator, n: int) -> np.ndarray:
    return random.choice(["3", "6", "12", "24"], n, p=[0.2, 0.3, 0.35, 0.15])


def _channel(random: np.random.Generator, craft: np.ndarray, reach: np.ndarray) -> dict[str, np.ndarray]:
    n = len(craft)
    noise = random.standard_normal((8, n))
    views = np.exp(9.5 + 1.7 * reach + 0.4 * craft + 0.5 * noise[0])
    posts = random.poisson(np.exp(2.4 + 0.35 * craft + 0.3 * noise[1]))
    turnover = np.exp(8.2 + 1.1 * reach + 0.6 * craft + 0.8 * noise[2]) * (random.random(n) < 0.85)
    return {
        "followers": np.round(np.exp(7.5 + 1.6 * reach + 0.5 * noise[3])),
        "views_30d": np.round(views),
        "likes_30d": random.poisson(views * 0.028 * np.exp(0.3 * craft + 0.4 * noise[4])),
        "comments_30d": random.poisson(views * 0.0035 * np.exp(0.2 * craft + 0.5 * noise[5])),
        "sentiment_mean": np.tanh(0.25 + 0.3 * craft + 0.35 * noise[6]),
        "posts_30d": posts,
        "posting_gap_days": 30 / (1 + posts) * random.gamma(4.0, 0.25, n),
        "live_hours_30d": random.gamma(0.8, 12 * np.exp(0.3 * craft), n) * (random.random(n) < 0.7),
        "turnover_30d": np.round(turnover, 2),
        "turnover_change": np.expm1(0.12 * craft + 0.3 * random.standard_t(4, n)),
        "refund_share": random.beta(1.5 * np.exp(-0.45 * craft), 18.0),
        "months_active": np.round(random.gamma(2.0, 10 * np.exp(0.15 * noise[7] + 0.15 * craft), n)),
    }


def _bureau(
    random: np.random.Generator, discipline: np.ndarray, age: np.ndarray, turnover: np.ndarray
) -> dict[str, np.ndarray]:
    n = len(discipline)
    noise = random.standard_normal((6, n))
    income = np.round(np.exp(8.5 + 0.6 * noise[0] + 0.15 * discipline) + 0.12 * turnover, 2)
    accounts = random.poisson(np.exp(1.0 + 0.6 * noise[1]))
    return {
        "bureau_score": np.round(640 + 62 * (0.8 * discipline + 0.6 * noise[2])),
        "months_on_file": np.round((age - 17) * 12 * random.beta(1.2, 3.0, n)),
        "open_accounts": accounts,
        "utilisation": np.where(accounts > 0, np.exp(-1.1 - 0.5 * discipline + 0.6 * noise[3]), np.nan),
        "late_24m": random.poisson(np.exp(-1.0 - 0.9 * discipline + 0.5 * noise[4])),
        "inquiries_6m": random.poisson(np.exp(0.2 - 0.35 * discipline + 0.5 * noise[5])),
        "monthly_income": income,
        "net_worth": np.round(income * (6 * random.standard_t(3, n) + 5 + 5 * discipline)),
        "loan_amount": np.round(income * random.lognormal(0.6, 0.6, n), -2),
    }


def _wallet(
    random: np.random.Generator, discipline: np.ndarray, craft: np.ndarray, turnover: np.ndarray
) -> dict[str, np.ndarray]:
    n = len(craft)
    noise = random.standard_normal((4, n))
    inflow = np.round(turnover * random.beta(6.0, 2.0, n) + np.exp(7.0 + 0.8 * noise[0] + 0.2 * discipline), 2)
    refunds = np.round(inflow * random.beta(1.5 * np.exp(-0.4 * craft), 20.0), 2)
    return {
        "account_id": _ids("W", random.permutation(n)),
        "inflow_30d": inflow,
        "inflow_months": random.binomial(12, sigmoid(1.2 + 0.5 * craft + 0.3 * discipline)),
        "payers_30d": random.poisson(inflow / 120 * np.exp(0.4 * noise[1])),
        "refunds_30d": refunds,
        "balance_mean": np.round(inflow * np.exp(-0.8 + 0.5 * discipline + 0.6 * noise[2]), 2),
        "late_bills_12m": random.poisson(np.exp(-0.6 - 0.7 * discipline + 0.5 * noise[3])),
        "months_open": np.round(random.gamma(2.5, 14.0, n)),
        "residence": random.choice(["urban", "rural"], n, p=[0.68, 0.32]),
    }


def _outcomes(
    random: np.random.Generator, discipline: np.ndarray, craft: np.ndarray, amount: np.ndarray, income: np.ndarray
) -> np.ndarray:
    """1 where a loan of each creator defaults, int64 [n]."""
    burden = np.log(np.maximum(amount, 1) / (1 + income))
    burden = (burden - burden.mean()) / burden.std()
    risk = -0.95 * discipline - 0.75 * craft + 0.35 * burden + 0.3 * np.maximum(0, -craft - discipline)
    return (random.random(len(risk)) < _rate(risk, DEFAULT_RATE)).astype(np.int64)


def _rate(risk: np.ndarray, target: float) -> np.ndarray:
    """Probabilities sigmoid(risk + b), float64 [n], with b such that their mean is the target."""
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        if sigmoid(risk + middle).mean() < target:
            low = middle
        else:
            high = middle
    return sigmoid(risk + low)


def _hide(random: np.random.Generator, columns: dict[str, np.ndarray]) -> None:
    """Take values away: no bureau score on thin files, no sentiment on quiet channels, no refunds without a shop."""
    n = len(columns["age"])
    thin = columns["months_on_file"] < 9
    columns["bureau_score"] = np.where(thin | (random.random(n) < 0.05), np.nan, columns["bureau_score"])
    columns["monthly_income"] = np.where(random.random(n) < 0.04, np.nan, columns["monthly_income"])
    columns["employment"] = np.where(random.random(n) < 0.03, "", columns["employment"])
    columns["sentiment_mean"] = np.where(columns["comments_30d"] < 5, np.nan, columns["sentiment_mean"])
    for name in ("turnover_change", "refund_share"):
        columns[name] = np.where(columns["turnover_30d"] == 0, np.nan, columns[name])


def _frame(columns: dict[str, np.ndarray], tables: tuple[TableSchema, ...]) -> pl.DataFrame:
    """The columns in the order of the tables, numbers within their bounds, whole numbers as integers."""
    special = [name for t in tables for name in (t.id, t.person, t.date, t.label) if name]
    series = [pl.Series(name, columns[name]) for name in dict.fromkeys(special)]
    for feature in (feature for table in tables for feature in table.features):
        values = columns[feature.name]
        if isinstance(feature, CategoricalFeature):
            series.append(pl.Series(feature.name, [value or None for value in values.tolist()], dtype=pl.String))
            continue
        bounded = pl.Series(feature.name, np.clip(values.astype(np.float64), feature.lower, feature.upper))
        bounded = bounded.fill_nan(None)
        series.append(bounded.cast(pl.Int64) if feature.integer else bounded)
    return pl.DataFrame(series)
