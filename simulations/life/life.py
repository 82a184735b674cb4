"""A whole life: the opening, the months, the checks at the end, and a folder of tables, figures and a report.

What parties hold on the last day is in the folder itself; what nobody may know, also what comes after that day, and
what is compared by it, under `oracle`.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from sealscore.simulations.life.checks import (
    LifeCheck,
    TrainingBudget,
    check_bits,
    check_ledgers,
    check_lenders,
    check_withdrawn,
)
from sealscore.simulations.life.compare import compared
from sealscore.simulations.life.config import LifeConfig
from sealscore.simulations.life.events.early import early_figures
from sealscore.simulations.life.features import life_features
from sealscore.simulations.life.market import Market, draw_filed, living_agents
from sealscore.simulations.life.outcomes import (
    closed,
    consent_tables,
    known_loans,
    known_repayments,
    loan_paths,
    repayment_paths,
)
from sealscore.simulations.life.parties.lenders import LifeLender
from sealscore.simulations.life.parties.opening import open_life
from sealscore.simulations.life.parties.platforms import LifePlatform
from sealscore.simulations.life.parties.retraining import retrain
from sealscore.simulations.life.play import Life
from sealscore.simulations.life.report import write_report
from sealscore.simulations.life.rows import TOKEN, Played, Row
from sealscore.simulations.world.build import naming, whole_folder
from sealscore.simulations.world.tables import write

FORMAT = 1
RECORD, ORACLE = "life.json", "oracle"
TABLES = ("applications", "scores", "decisions", "loans", "repayments")
CONSENTS = ("withdrawals", "warnings", "watch")


class LifeFailed(RuntimeError):
    """A life at whose end something does not hold that must; `lines` name it."""

    def __init__(self, failed: Sequence[LifeCheck]) -> None:
        self.lines = ["the life's end does not hold; nothing was written"]
        self.lines += [one.said for one in failed]
        super().__init__("\n".join(self.lines))


def run_life(config: LifeConfig, output: Path, tell: Callable[[str], None]) -> dict[str, Any]:
    """Live a life, and write it into a folder that is absent or empty; the record of it.

    Raises:
        WorldFolderError: the folder holds something, or cannot be written.
        RunFailed: the opening is too small.
        LifeFailed: a replay, a ledger, a log or a ceiling does not hold at the end.
        OSError: a file beside the folder cannot be written or read: the opening's world, or a party's in TMPDIR.
    """
    with whole_folder(output) as folder, tempfile.TemporaryDirectory(prefix="sealscore-life-") as aside:
        home = Path(aside)
        opened = open_life(config, home / "opening", tell)
        agents, ring = living_agents(config)
        filed = draw_filed(config, agents)
        features = life_features(config, agents, filed, opened.plan, tell)
        market = Market(agents, filed)
        with ExitStack() as stack:
            parties = home / "parties"
            parties.mkdir()
            platforms = {
                name: LifePlatform(name, opened, parties, records, features.rows[name], features.watched.get(name, {}))
                for name, records in features.platforms.items()
            }
            lenders = [
                LifeLender(place, lender.name, opened, parties, config.reviewers, config.seed)
                for place, lender in enumerate(agents.config.lending.lenders)
            ]
            for close in [one.close for one in platforms.values()] + [one.close for one in lenders]:
                stack.callback(close)
            again = partial(retrain, config, opened, features, lenders, folder=home / "again")
            played = Life(config, market, features, lenders, platforms, parties, again).play(tell)
            tell("replaying and verifying everything")
            checks = check_lenders(lenders, Counter(row["lender"] for row in played.decisions))
            bits: dict[str, dict[str, list[int]]] = {}
            person_of = dict(zip(features.ids, features.own.person, strict=True))
            checks += check_withdrawn(platforms, lenders, played.withdrawals, person_of, played.last)
            told = {
                name: {person_of[row["application_id"]] for row in played.applications if row[name] == TOKEN}
                for name in platforms
            }
            for name, platform in platforms.items():
                known = {features.platforms[name].person[row] for row in features.rows[name] if row >= 0}
                check, bits[name] = check_bits(platform, known, told[name])
                checks.append(check)
            own, budgets = check_ledgers(opened)
            checks += own
            if failed := [one for one in checks if not one.good]:
                raise LifeFailed(failed)
            tell("comparing")
            row_of = {one["application_id"]: one for one in played.oracle}
            for at, pd in zip(market.order, market.true_pds(), strict=True):
                row_of[features.ids[at]] |= {
                    "true_pd": None if np.isnan(pd) else float(pd),
                    "wave": bool(ring[filed.who[at]]),
                }
            figures, by_way = compared(config, opened, features, lenders, played)
        spread = {name: {kind: _spread(of) for kind, of in kinds.items()} for name, kinds in bits.items()}
        tables = tables_of(played)
        paths = loan_paths(played.loans), repayment_paths(played.repayments)
        figures["early"] = early_figures(*paths, tables["warnings"], tables["watch"], played.last)
        record: dict[str, Any] = {
            "format": FORMAT,
            "config": config.model_dump(mode="json"),
            "happened": happened(played, tables["loans"]),
            "training": {name: asdict(one) for name, one in budgets.items()},
            "retraining": played.retraining,
            "bits": spread,
            "checks": [asdict(one) for one in checks],
        }
        with naming(output):
            _write(folder, played, tables, by_way, budgets, figures, record)
            write_report(folder)
        tell("done")
    return record | {"oracle": figures}


def tables_of(played: Played) -> dict[str, pl.DataFrame]:
    """The tables of all parties on the last day, by TABLES."""
    return {
        **{name: _frame(getattr(played, name)) for name in ("applications", "scores", "decisions")},
        "loans": known_loans(loan_paths(played.loans), played.last),
        "repayments": known_repayments(repayment_paths(played.repayments), played.last),
        **consent_tables(played),
    }


def happened(played: Played, loans: pl.DataFrame) -> dict[str, Any]:
    """What parties can count themselves on the last day: applications, tokens, decisions, days, loans.

    `bad_rate` is of the `bad_known` loans of which that is known, and `loss_rate` of what was lent in those of which
    the loss is; None where there are none.
    """
    decisions, ended, over = played.decisions, loans.drop_nulls("bad"), loans.drop_nulls("loss")
    days = np.array([(row["decided_at"] - row["day"]).days for row in decisions])
    reviewed = [row for row in decisions if row["queue"] is not None]
    tokens = Counter(row[name] for row in played.applications for name in ("video-1", "video-2", "wallet"))
    return {
        "last_day": str(played.last),
        "applications": len(decisions),
        "tokens": dict(sorted(tokens.items())),
        "without_a_level": sum(row["levels"] == 0 for row in played.scores) / max(1, len(decisions)),
        "fallback_share": sum(row["role"] == "fallback" for row in played.scores) / max(1, len(decisions)),
        "proposals": dict(sorted(Counter(row["proposal"] for row in decisions).items())),
        "approved_share": sum(row["approved"] for row in decisions) / max(1, len(decisions)),
        "reviewed_share": len(reviewed) / max(1, len(decisions)),
        "queues": dict(sorted(Counter(str(row["queue"]) for row in reviewed).items())),
        "days_median": float(np.median(days)),
        "days_90": float(np.quantile(days, 0.9)),
        "withdrawn": len(played.withdrawals),
        "withdrawn_status": dict(sorted(Counter(row["status"] for row in played.withdrawals).items())),
        "watch": played.watch,
        "loans": len(loans),
        "lent": int(loans["principal"].sum()),
        "bad_known": len(ended),
        "bad_rate": ended["bad"].sum() / len(ended) if len(ended) else None,
        "loss_known": len(over),
        "loss_rate": float(over["loss"].sum()) / float(over["principal"].sum()) if len(over) else None,
    }


def _spread(of: Sequence[int]) -> dict[str, float]:
    return {"persons": len(of), "mean": float(np.mean(of)), "most": int(max(of))}


def _frame(rows: Sequence[Row]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), infer_schema_length=None)


def _write(
    folder: Path,
    played: Played,
    tables: Mapping[str, pl.DataFrame],
    by_way: pl.DataFrame,
    budgets: Mapping[str, TrainingBudget],
    figures: Mapping[str, Any],
    record: Mapping[str, Any],
) -> None:
    for name in (*TABLES, *CONSENTS):
        write(folder / f"{name}.parquet", tables[name])
    write(folder / "months.parquet", months(tables))
    parties = [
        {"party": name, "epsilon": one.epsilon, "delta": one.delta}
        | {f"{kind}_bits_most": of["most"] for kind, of in record["bits"].get(name, {}).items()}
        for name, one in budgets.items()
    ]
    write(folder / "parties.parquet", _frame(parties))
    write(folder / ORACLE / "applications.parquet", _frame(played.oracle))
    paths = loan_paths(played.loans).select("application_id", "bad", "loss")
    write(folder / ORACLE / "loans.parquet", paths)
    write(folder / ORACLE / "repayments.parquet", repayment_paths(played.repayments))
    write(folder / ORACLE / "ways.parquet", by_way)
    (folder / ORACLE / "figures.json").write_text(_json(figures), encoding="utf-8")
    (folder / RECORD).write_text(_json(record), encoding="utf-8")


def _json(data: Mapping[str, Any]) -> str:
    return json.dumps(data, indent=2) + "\n"


def months(tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """A row a month and lender: applications, levels at hand, approvals, reviews, days to decide, and loans.

    `bad_rate` and `lost` are null until they are known of all loans of the row.
    """
    decided = tables["decisions"].join(tables["scores"].select("application_id", "levels"), on="application_id")
    loans = tables["loans"].select("application_id", "principal", "bad", "loss")
    waited = (pl.col("decided_at") - pl.col("day")).dt.total_days()
    return (
        decided.join(loans, on="application_id", how="left")
        .group_by(pl.col("day").dt.truncate("1mo").alias("month"), "lender")
        .agg(
            pl.len().alias("applications"),
            (pl.col("levels") > 0).mean().alias("with_a_level"),
            pl.col("approved").mean().alias("approved_share"),
            pl.col("queue").is_not_null().mean().alias("reviewed_share"),
            waited.mean().alias("days_mean"),
            pl.col("principal").count().alias("loans"),
            pl.col("principal").sum().alias("lent"),
            pl.when(closed("bad")).then(pl.col("bad").mean()).alias("bad_rate"),
            pl.when(closed("loss")).then(pl.col("loss").sum()).alias("lost"),
        )
        .sort("month", "lender")
    )
