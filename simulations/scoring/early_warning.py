"""What the watch bit is worth in the invented world: of how many loans that turn bad does it warn in time, at what
price?

Loans that lenders granted to creators who are at the wallet, out of time: those applied for before the plan's first
test day train, later ones test. The wallet's tower is fitted by the plan's recipe on its features of the training
loans' days of application, with the noise that a budget of epsilon 2 would add. On the first day of each quarter after
the application, to the last day that was fixed then, the wallet's own code computes the features anew; the bit is
whether the score is where the worst share of the training loans was at application. The share is chosen on training
loans alone: the largest at which at most a fifth of the bits is 1, so that a fifth of the borrowers is on the list at
any time, and, beside it, the largest at which at most a fifth of the loans is ever flagged.

Counted are bits of a loan that is open and not 30 days past due yet, since from then on the lender knows by itself. A
bad loan is warned of in time where such a bit comes 30 days or more before. The world is invented, and so is how far
ahead it shows: a borrower who stops without a sign is flagged by nobody.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from sealscore.clients.features.build import computed
from sealscore.clients.features.dictionary.dictionary import bounded
from sealscore.shared.plan.features import tower_features
from sealscore.shared.plan.schema import TableSchema
from sealscore.shared.serving.watch import MOST_QUARTERS, first_day, quarter_after, quarter_of
from sealscore.simulations.data.scenario import PLANS, Scenario
from sealscore.simulations.experiments.central.fit import Budget, fit
from sealscore.simulations.world.config import WorldConfig
from sealscore.simulations.world.parties.channel import creator_ids
from sealscore.simulations.world.parties.wallet import account_rows, bill_rows, draw_accounts, flow_rows
from sealscore.simulations.world.people.agents import Agents, draw_agents
from sealscore.simulations.world.people.lending import Loans, draw_loans
from sealscore.simulations.world.people.repayment import PERIOD_DAYS

PLAN, WALLET = "creators_eps2", "wallet"
CREATORS, EPSILON = 50_000, 2.0
SHARE, AHEAD = 0.2, 30
WORST = tuple(round(0.02 * place, 2) for place in range(3, 21))
# Beside the agreed end: days in which the last instalments may still be open.
SLACK = 30
_NEVER = np.timedelta64(10**6, "D")


@dataclass(frozen=True, eq=False)
class WatchedLoans:
    """Granted loans of creators at the wallet, [n] each. `day30` is the day on which one is 30 days past due for the
    first time, `over` that on which all is paid (far off where neither happens).

    `scores` [n, quarters] has for each quarter in which a bit is told the share of training loans that were worse at
    their application (NaN elsewhere), `days` the first days of these quarters.
    """

    bad: np.ndarray
    test: np.ndarray
    day30: np.ndarray
    over: np.ndarray
    scores: np.ndarray
    days: np.ndarray

    def flags(self, worst: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Bool [n, quarters]: bits that the lender can use, those of them that are 1, and those that come in time."""
        told = ~np.isnan(self.scores)
        useful = told & (self.days < self.day30[:, None]) & (self.days <= self.over[:, None])
        with np.errstate(invalid="ignore"):
            flagged = useful & (self.scores < worst)
        in_time = flagged & (self.days + np.timedelta64(AHEAD, "D") <= self.day30[:, None])
        return useful, flagged, in_time


def figures(loans: WatchedLoans, of: np.ndarray, worst: float) -> dict[str, Any]:
    """What a threshold gives on some of the loans, bool [n].

    `flagged_loans` is the share of loans ever flagged, `flagged_quarters` that of bits that are 1; `caught` the share
    of bad loans that a bit comes in time for, `reachable` that of bad loans for which one could; bad rates are of loans
    that were flagged and of all others; `lead` the median days from the first bit to 30 days past due of those caught.
    """
    useful, flagged, in_time = (found[of] for found in loans.flags(worst))
    bad, ever = loans.bad[of], flagged.any(axis=1)
    caught = in_time.any(axis=1) & bad
    reachable = (useful & (loans.days[of] + np.timedelta64(AHEAD, "D") <= loans.day30[of][:, None])).any(axis=1) & bad
    first = loans.days[of][np.arange(len(bad)), in_time.argmax(axis=1)]
    lead = (loans.day30[of] - first).astype(np.int64)[caught]
    return {
        "worst": worst,
        "loans": len(bad),
        "bad": int(bad.sum()),
        "flagged_loans": _share(ever.sum(), len(bad)),
        "flagged_quarters": _share(flagged.sum(), useful.sum()),
        "caught": _share(caught.sum(), bad.sum()),
        "reachable": _share(reachable.sum(), bad.sum()),
        "caught_of_reachable": _share(caught.sum(), reachable.sum()),
        "bad_rate_flagged": _share((bad & ever).sum(), ever.sum()),
        "bad_rate_others": _share((bad & ~ever).sum(), (~ever).sum()),
        "lead": float(np.median(lead)) if len(lead) else None,
    }


def _share(count: int, of: int) -> float | None:
    return float(count / of) if of else None


def largest(loans: WatchedLoans, of: np.ndarray, share: float, by: str) -> float:
    """The largest of `WORST` at which at most a share is flagged, `by` a figure; the smallest there is if none is."""
    for worst in reversed(WORST):
        found = figures(loans, of, worst)[by]
        if found is not None and found <= share:
            return worst
    return WORST[0]


def watched_loans(creators: int, seed: int, epsilon: float | None) -> WatchedLoans:
    """The loans of a world, scored by a tower that its training loans fitted."""
    scenario = Scenario.load(PLANS / f"{PLAN}.toml")
    plan = scenario.plan
    # The wallet holds what comes after an application, too.
    config = WorldConfig.model_validate(
        {
            "creators": creators,
            "seed": seed,
            "calendar": {"keep_after_months": 12},
            "lending": {"pd_rollouts": 0},
        }
    )
    agents = draw_agents(config)
    loans = draw_loans(agents)
    chosen = np.flatnonzero(loans.approved & np.isin(loans.who, agents.creators.on(WALLET)))
    quarters = [_quarters(loans, int(at)) for at in chosen]
    days = np.full((len(chosen), MOST_QUARTERS), np.datetime64("NaT", "D"))
    for place, found in enumerate(quarters):
        days[place, : len(found)] = found
    told = ~np.isnat(days)
    row, quarter = np.nonzero(told)
    asked_days = np.concatenate([loans.applied[chosen], days[row, quarter]])
    asked_who = np.concatenate([loans.who[chosen], loans.who[chosen][row]])
    columns = wallet_columns(agents, asked_who, asked_days, plan.groups[WALLET].table)
    own = {name: values[: len(chosen)] for name, values in columns.items()}
    first_test = np.datetime64(plan.evaluation.split.first_test_day, "D")
    test, bad = loans.applied[chosen] >= first_test, loans.bad[chosen]
    features = tower_features(plan, WALLET)
    training = {name: values[~test] for name, values in own.items()}
    fitted = fit(training, bad[~test].astype(np.int8), features, Budget(epsilon), np.random.default_rng(seed))
    at_application = np.sort(fitted.logits(training))
    later = fitted.logits({name: values[len(chosen) :] for name, values in columns.items()})
    scores = np.full(days.shape, np.nan)
    scores[row, quarter] = 1 - np.searchsorted(at_application, later) / len(at_application)
    day30, over = _ends(loans, chosen)
    return WatchedLoans(bad, test, day30, over, scores, days)


def _quarters(loans: Loans, at: int) -> list[np.datetime64]:
    """First days of the quarters of which bits are told: after that of the application, to the agreed end and slack."""
    applied = loans.applied[at]
    last = applied + np.timedelta64(PERIOD_DAYS * int(loans.term[at]) + SLACK, "D")
    quarter, ends, found = quarter_of(_day(applied)), quarter_of(_day(last)), list[np.datetime64]()
    while quarter < ends and len(found) < MOST_QUARTERS:
        quarter = quarter_after(quarter, 1)
        found.append(np.datetime64(first_day(quarter), "D"))
    return found


def _day(day: np.datetime64) -> date:
    found: date = day.astype("datetime64[D]").item()
    return found


def wallet_columns(agents: Agents, who: np.ndarray, days: np.ndarray, table: TableSchema) -> dict[str, np.ndarray]:
    """The wallet's features of creators on days, by its own code: float64 [rows] each, as Records have them."""
    accounts, ids = draw_accounts(agents), creator_ids(agents)
    raw = {
        "accounts": account_rows(agents, accounts).lazy(),
        "flows": flow_rows(agents, accounts).lazy(),
        "bills": bill_rows(agents, accounts).lazy(),
    }
    asked = pl.DataFrame({"creator_id": ids.gather(who.astype(np.uint32)), "as_of": days}).with_row_index("at").lazy()
    frame = bounded(computed(raw, "wallet", asked), "wallet").sort("at").collect()
    return columns_of(frame, table)


def columns_of(frame: pl.DataFrame, table: TableSchema) -> dict[str, np.ndarray]:
    """A table's features as Records have them, float64 [rows] each: levels of a category by their place."""
    found = {}
    for feature in table.features:
        values = frame[feature.name]
        if feature.kind == "categorical":
            values = values.cast(pl.String).replace_strict(list(feature.levels), range(len(feature.levels)))
        found[feature.name] = values.cast(pl.Float64).fill_null(np.nan).to_numpy()
    return found


def _ends(loans: Loans, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The day on which each loan is 30 days past due for the first time, and that on which all is paid."""
    applied, term = loans.applied[chosen], loans.term[chosen]
    paid_in = loans.paid_in[chosen]
    due = np.arange(1, paid_in.shape[1] + 1)
    owed = due <= term[:, None]
    late = owed & (paid_in > due + 1)
    period = np.where(late.any(axis=1), late.argmax(axis=1) + 2, 0)
    day30 = applied + np.where(period > 0, np.timedelta64(PERIOD_DAYS, "D") * period, _NEVER)
    last = np.where(owed, paid_in, 0).max(axis=1)
    return day30, applied + np.timedelta64(PERIOD_DAYS, "D") * last


def run(creators: int = CREATORS, seed: int = 0, epsilon: float | None = EPSILON) -> dict[str, Any]:
    """All figures: of both ways to choose the share, on training and on test loans, and of each share on test loans."""
    loans = watched_loans(creators, seed, epsilon)
    found: dict[str, Any] = {"creators": creators, "seed": seed, "epsilon": epsilon, "chosen": {}}
    for by in ("flagged_quarters", "flagged_loans"):
        worst = largest(loans, ~loans.test, SHARE, by)
        parts = {"training": ~loans.test, "test": loans.test}
        found["chosen"][by] = {part: figures(loans, of, worst) for part, of in parts.items()}
    found["by_share"] = [figures(loans, loans.test, worst) for worst in WORST]
    return found


def show(result: Mapping[str, Any]) -> str:
    """A line for each way to choose and part, and for each share, in percent."""
    names = ("flagged_loans", "flagged_quarters", "caught", "reachable", "bad_rate_flagged", "bad_rate_others")
    head = f"{'':<28} {'worst':>5} {'loans':>6} {'bad':>5} " + " ".join(f"{name:>16}" for name in names) + "  lead"
    lines = [json.dumps({name: result[name] for name in ("creators", "seed", "epsilon")}), head]

    def line(what: str, one: Mapping[str, Any]) -> str:
        shares = " ".join(f"{'none' if one[name] is None else f'{100 * one[name]:.1f} %':>16}" for name in names)
        return f"{what:<28} {one['worst']:>5} {one['loans']:>6} {one['bad']:>5} {shares}  {one['lead']}"

    for by, parts in result["chosen"].items():
        lines += [line(f"{by}, {part}", one) for part, one in parts.items()]
    return "\n".join(lines + [line("test", one) for one in result["by_share"]])


def main(arguments: list[str] | None = None) -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m sealscore.simulations.scoring.early_warning", description=__doc__)
    parser.add_argument("--creators", type=int, default=CREATORS, help="how many creators the world has")
    parser.add_argument("--seed", type=int, default=0, help="which world it is")
    parser.add_argument("--exact", action="store_true", help="fit the tower without noise")
    parser.add_argument("--json", action="store_true", help="print one JSON object on one line")
    given = parser.parse_args(arguments)
    result = run(given.creators, given.seed, None if given.exact else EPSILON)
    print(json.dumps(result) if given.json else show(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
