"""How many bad loans of a life could be warned of in time at all, by what its lenders know: a ceiling for early.py.

Boosted trees learn what a lender's own columns and the instalments paid so far say of a loan in which nothing is open
past its day. They learn on the loans of whole worlds of other seeds, some 34,000 each, without noise. A logistic
regression adds what federation tells: points, watch bits, the capacity band and the flag; it is fitted on other lives.
Both are judged on a life that neither has seen. No lender has so much to learn from, and cuts are where the flagged
share is exactly what is asked, by what is known afterwards: so a rule of a lender cannot be expected to do better.
Beside it stands the PD that the world itself gives an application, which nobody can know.

`python -m sealscore.simulations.life.events.ceiling life-0 life-1 ...` judges each of the lives by the others.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from sealscore.clients.features import Sentiment
from sealscore.simulations.life.config import LifeConfig
from sealscore.simulations.life.events.warnings import LIST_DAY
from sealscore.simulations.life.market import draw_filed, living_agents, ungranted
from sealscore.simulations.life.outcomes import BAD_KNOWN
from sealscore.simulations.world.build import write_world
from sealscore.simulations.world.config import WorldConfig
from sealscore.simulations.world.parties.lender import application_ids
from sealscore.simulations.world.party_features import party_features
from sealscore.simulations.world.people.agents import Agents, draw_agents
from sealscore.simulations.world.people.lending import Loans, draw_loans
from sealscore.simulations.world.people.repayment import PERIOD_DAYS, WINDOW

SHARE = 0.2
WORLDS, CREATORS = (301, 302, 303), 50_000
_ID = "application_id"
_COLUMNS = (
    "amount", "term_months", "declared_income", "instalment_to_income", "bureau_score", "months_on_file",
    "open_accounts", "utilisation", "late_24m", "inquiries_6m", "identity_flags", "licence_flags", "starter",
)  # fmt: skip
_PAID = ("fell_due", "left", "paid_late", "worst_late", "last_late")
_TREES = {"objective": "binary:logistic", "eta": 0.1, "max_depth": 5, "min_child_weight": 20, "subsample": 0.8}
_ROUNDS = 250


def own_columns(agents: Agents, loans: Loans, lenders: Sequence[str]) -> pl.DataFrame:
    """What lenders' own tables have of the applications of a world, by their own feature code, a row each."""
    with tempfile.TemporaryDirectory(prefix="sealscore-ceiling-") as folder:
        raw, sentiment = Path(folder), Sentiment.shipped()
        manifest = write_world(agents, loans, raw, lambda what: None)
        built = [party_features(raw, manifest, one, raw / one, sentiment, labelled=False).table for one in lenders]
        found = pl.concat([pl.read_parquet(table) for table in built])
    return found.with_columns(starter=pl.col("product") == "starter").select(_ID, *_COLUMNS)


def world_rows(seed: int, creators: int = CREATORS) -> pl.DataFrame:
    """A row for each granted loan of a world and each period before which nothing of it was open: what is known then,
    and whether it turns `bad`.
    """
    agents = draw_agents(
        WorldConfig.model_validate({"creators": creators, "seed": seed, "lending": {"pd_rollouts": 0}})
    )
    loans = draw_loans(agents)
    own = own_columns(agents, loans, [one.name for one in agents.config.lending.lenders])
    at = np.flatnonzero(loans.approved)
    paid, term, due = loans.paid_in[at], loans.term[at], np.arange(1, loans.paid_in.shape[1] + 1)
    ids, parts = application_ids(agents, loans).gather(at.astype(np.uint32)), []
    for periods in range(WINDOW):
        owed = (due <= periods) & (due <= term[:, None])
        late = np.where(owed, paid - due, 0)
        known = {
            _ID: ids,
            "bad": loans.bad[at],
            "fell_due": np.full(len(at), periods),
            "left": term - periods,
            "paid_late": (late > 0).sum(axis=1),
            "worst_late": late.max(axis=1),
            "last_late": late[:, periods - 1] if periods else np.zeros(len(at), dtype=np.int64),
        }
        runs = (term > periods) & ~(owed & (paid > periods)).any(axis=1)
        parts.append(pl.DataFrame(known).filter(runs))
    return pl.concat(parts).join(own, on=_ID)


def life_rows(folder: Path) -> pl.DataFrame:
    """A row for each loan of a life and day of a list on which it runs and nothing of it is open past its day.

    `bad` is null where that is not known by the life's last day. Beside what a lender knows it has `true_pd`.
    """
    record = json.loads((folder / "life.json").read_text("utf-8"))
    last = date.fromisoformat(record["happened"]["last_day"])
    tables = ("loans", "repayments", "scores", "watch", "withdrawals")
    read = {name: pl.read_parquet(folder / f"{name}.parquet") for name in tables}
    gone = read["withdrawals"].group_by(_ID).agg(pl.col("day").min().alias("withdrawn_at"))
    truth = pl.read_parquet(folder / "oracle" / "applications.parquet").select(_ID, "true_pd")
    loans = read["loans"].join(read["scores"].drop("lender", "day"), on=_ID)
    loans = loans.join(gone, on=_ID, how="left").join(truth, on=_ID, how="left")
    first = loans["started_at"].min()
    assert isinstance(first, date)
    days = pl.date_range(first.replace(day=LIST_DAY), last, "1mo", eager=True)
    rows = pl.concat([_on(day, loans, read["repayments"], read["watch"]) for day in days])
    known = pl.col("applied_at") + BAD_KNOWN <= last
    agents, _ = living_agents(config := LifeConfig.model_validate(record["config"]))
    applications = ungranted(draw_filed(config, agents))
    own = own_columns(agents, applications, [agents.config.lending.lenders[0].name])
    rows = rows.with_columns(pl.when(known).then("bad").alias("bad"), life=pl.lit(folder.name))
    return rows.drop("term_months").join(own, on=_ID).sort(_ID, "day")


def _on(day: date, loans: pl.DataFrame, repayments: pl.DataFrame, bits: pl.DataFrame) -> pl.DataFrame:
    running = loans.filter(pl.col("started_at") <= day)
    due = repayments.join(running.select(_ID), on=_ID).filter(pl.col("due_at") < day)
    late = (pl.col("paid_at") - pl.col("due_at")).dt.total_days() // PERIOD_DAYS
    paid = due.group_by(_ID).agg(
        pl.len().cast(pl.Int64).alias("fell_due"),
        (pl.col("paid_at") <= day).fill_null(False).not_().sum().cast(pl.Int64).alias("open"),
        (late > 0).sum().cast(pl.Int64).alias("paid_late"),
        late.max().alias("worst_late"),
        late.sort_by("number").last().alias("last_late"),
    )
    told = bits.filter(pl.col("day") <= day).sort("day").group_by(_ID).agg(pl.col("value").last().alias("bit"))
    found = running.join(paid, on=_ID, how="left").join(told, on=_ID, how="left")
    found = found.with_columns(pl.col("fell_due", "open", "paid_late", "worst_late", "last_late").fill_null(0))
    scored = pl.col("withdrawn_at").is_null() | (pl.col("withdrawn_at") > day)
    return found.filter((pl.col("fell_due") < pl.col("term_months")) & (pl.col("open") == 0)).with_columns(
        day=pl.lit(day),
        left=pl.col("term_months") - pl.col("fell_due"),
        points=pl.when(scored).then("points"),
    )


def _once(rows: pl.DataFrame, *keys: str) -> np.ndarray:
    """Weights by which a loan counts once, however many rows it has: float64 [n]."""
    return 1 / rows.select(pl.len().over(*keys)).to_series().cast(pl.Float64).to_numpy()


def _matrix(rows: pl.DataFrame) -> np.ndarray:
    return rows.select(*_COLUMNS, *_PAID).cast(pl.Float64).fill_null(np.nan).to_numpy()


def learned(worlds: Sequence[pl.DataFrame]) -> Any:
    """Trees of a lender's own columns and of what was paid, by the loans of some worlds."""
    import xgboost

    rows = pl.concat([one.with_columns(world=pl.lit(place)) for place, one in enumerate(worlds)])
    matrix = xgboost.DMatrix(
        _matrix(rows), label=rows["bad"].cast(pl.Float64).to_numpy(), weight=_once(rows, "world", _ID), nthread=1
    )
    return xgboost.train({**_TREES, "nthread": 1, "seed": 1}, matrix, _ROUNDS)


def own_logits(model: Any, rows: pl.DataFrame) -> np.ndarray:
    """What the trees say of rows of a life, float64 [n]: the higher the worse."""
    import xgboost

    return np.asarray(model.predict(xgboost.DMatrix(_matrix(rows), nthread=1), output_margin=True), dtype=np.float64)


def told(rows: pl.DataFrame) -> np.ndarray:
    """What a lender knows beside its own columns, and the logits `own` of these, float64 [n, d]."""
    points = pl.col("points").cast(pl.Float64)
    return rows.select(
        "own",
        points=points.fill_null(points.median()) / 40,
        unscored=points.is_null(),
        one=(pl.col("bit") == 1).fill_null(False),
        zero=(pl.col("bit") == 0).fill_null(False),
        levels="levels",
        capacity=pl.col("capacity_above").cast(pl.Float64).fill_null(0).log1p() / 10,
        flag="flag",
        late=pl.col("paid_late") > 0,
        periods=pl.col("fell_due") / 10,
    ).cast(pl.Float64).to_numpy()  # fmt: skip


def everything(training: pl.DataFrame, judged: pl.DataFrame) -> np.ndarray:
    """Own logits and what is told, weighed by other lives: float64 [judged]."""
    from sklearn.linear_model import LogisticRegression

    known = training.drop_nulls("bad")
    fitted = LogisticRegression(max_iter=2000).fit(told(known), known["bad"].to_numpy(), _once(known, "life", _ID))
    return np.asarray(fitted.decision_function(told(judged)), dtype=np.float64)


@dataclass(frozen=True)
class Caught:
    """Of loans whose outcome is known: the share ever flagged, and the share of the bad ones flagged in time."""

    flagged: float
    caught: float


def ever(rows: pl.DataFrame, worse: np.ndarray, share: float = SHARE) -> Caught:
    """Loans whose worst row is among so many of all loans, ever: the cut is known afterwards alone.

    A row has nothing open past its day, so a loan is 30 days past due 30 days later at the soonest, and a flag of one
    that turns bad is in time.
    """
    worst = rows.with_columns(worse=pl.Series(worse)).group_by(_ID).agg(pl.col("worse").max(), pl.col("bad").first())
    worst = worst.drop_nulls("bad").sort("worse", descending=True)
    return _caught(worst["bad"].to_numpy(), np.arange(worst.height) < share * worst.height)


def listed(rows: pl.DataFrame, worse: np.ndarray, share: float = SHARE) -> Caught:
    """Loans that are among so many of a lender's running ones on some day of a list."""
    place = pl.col("worse").rank("ordinal", descending=True).over("lender", "day")
    ranked = rows.with_columns(worse=pl.Series(worse)).with_columns(
        on=place <= share * pl.len().over("lender", "day")
    )  # fmt: skip
    loans = ranked.group_by(_ID).agg(pl.col("on").any(), pl.col("bad").first()).drop_nulls("bad")
    return _caught(loans["bad"].to_numpy(), loans["on"].to_numpy())


def _caught(bad: np.ndarray, flagged: np.ndarray) -> Caught:
    bad = bad.astype(bool)
    return Caught(float(flagged.mean()), float(flagged[bad].mean()))


def ceilings(lives: Sequence[Path], worlds: Sequence[int]) -> dict[str, dict[str, dict[str, Caught]]]:
    """For each life and each way to rank both ceilings: "ever", and "listed"."""
    model = learned([world_rows(seed) for seed in worlds])
    rows = {}
    for life in lives:
        found = life_rows(life)
        rows[life.name] = found.with_columns(own=pl.Series(own_logits(model, found)))
    result = {}
    for name, judged in rows.items():
        others = pl.concat([one for other, one in rows.items() if other != name])
        points = judged["points"].cast(pl.Float64)
        ways: Mapping[str, np.ndarray] = {
            "points": -points.fill_null(points.median()).to_numpy(),
            "own columns and payments": judged["own"].to_numpy(),
            "everything a lender has": everything(others, judged),
            "the world's own PD of the application": judged["true_pd"].fill_null(0.0).to_numpy(),
        }
        result[name] = {
            way: {"ever": ever(judged, worse), "listed": listed(judged, worse)} for way, worse in ways.items()
        }
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for each way to rank: mean and standard deviation over lives."""
    parser = argparse.ArgumentParser(prog="python -m sealscore.simulations.life.events.ceiling", description=__doc__)
    parser.add_argument("lives", nargs="+", type=Path, help="folders of two or more lives")
    parser.add_argument("--worlds", type=int, nargs="+", default=WORLDS, help="seeds of the worlds to learn from")
    given = parser.parse_args(arguments)
    if len(given.lives) < 2:
        parser.error("give two lives or more: each is judged by what the others teach")
    found = ceilings(given.lives, given.worlds)
    print(f"{'bad loans warned of in time, % (loans ever flagged, %)':<56}{'a fifth ever':>24}{'a fifth a day':>24}")
    for way in next(iter(found.values())):
        cells = []
        for of in ("ever", "listed"):
            shares = np.array([[found[life][way][of].caught, found[life][way][of].flagged] for life in found])
            mean, deviation = 100 * shares.mean(axis=0), 100 * shares.std(axis=0, ddof=1)
            cells.append(f"{mean[0]:.1f} ± {deviation[0]:.1f} ({mean[1]:.1f})")
        print(f"{way:<56}" + "".join(f"{cell:>24}" for cell in cells))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
