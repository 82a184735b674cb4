"""What labels of approved loans alone do to a model, in the invented world, where the outcome of every loan is known.

Applications of all lenders: those before the plan's first test day train, later ones of other persons test. Models are
fitted by the plan's recipe on the same features, with the noise that a budget would add: one on the loans that lenders
granted, as a real lender's must be, one on as many applications of all, drawn at random, and one on all of them, as no
lender's can be. All are judged on the test part twice: on all applicants, and on those that lenders granted, which is
all that a lender ever sees.

The lenders' policies choose by the bureau score, by thin files, by the burden of the instalment, and by judgement that
no feature holds (`policy_noise` of the world's config). Also reported is how many were granted, and the bad rates.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from sealscore.clients.features.build import computed
from sealscore.clients.features.dictionary.dictionary import bounded
from sealscore.clients.retraining import comparison
from sealscore.shared.plan.plan import Plan
from sealscore.simulations.data.scenario import PLANS, Scenario
from sealscore.simulations.experiments.central.fit import Budget, fit
from sealscore.simulations.scoring.early_warning import WALLET, columns_of, wallet_columns
from sealscore.simulations.world.config import WorldConfig
from sealscore.simulations.world.parties.channel import creator_ids
from sealscore.simulations.world.parties.consents import draw_consents
from sealscore.simulations.world.parties.lender import application_ids, lender_tables
from sealscore.simulations.world.people.agents import Agents, draw_agents
from sealscore.simulations.world.people.lending import Loans, draw_loans

PLAN = "creators_eps2"
KEPT = Path(comparison.__file__).with_name(comparison.SIMULATED)
CREATORS, SEEDS, EPSILON = 30_000, 5, 2.0
MODELS = ("approved only", "as many of all", "all applicants")
JUDGED = ("all applicants", "approved", "declined")
FEATURES = ("own", "own and wallet")


@dataclass(frozen=True, eq=False)
class WorldApplications:
    """Applications of a world, [a] each: features by set, outcome if granted, who was granted, who is a test person."""

    columns: Mapping[str, np.ndarray]
    bad: np.ndarray
    approved: np.ndarray
    test: np.ndarray


def applications_of(creators: int, seed: int) -> WorldApplications:
    """All applications of a world with this seed, with the lenders' features and the wallet's of their day."""
    plan = Scenario.load(PLANS / f"{PLAN}.toml").plan
    config = WorldConfig.model_validate({"creators": creators, "seed": seed, "lending": {"pd_rollouts": 0}})
    agents = draw_agents(config)
    loans = draw_loans(agents)
    columns = _lender_columns(agents, loans, plan) | _wallet(agents, loans, plan)
    first = np.datetime64(plan.evaluation.split.first_test_day, "D")
    late = loans.applied >= first
    # Who applied before as well has taught the models: a test person has not.
    test = late & ~np.isin(loans.who, loans.who[~late])
    return WorldApplications(columns, loans.bad, loans.approved, test)


def _lender_columns(agents: Agents, loans: Loans, plan: Plan) -> dict[str, np.ndarray]:
    """The lenders' features of every application, granted or not."""
    creators, ids = creator_ids(agents), application_ids(agents, loans)
    raw: dict[str, list[pl.DataFrame]] = {}
    for _, name, frame in lender_tables(agents, loans, draw_consents(agents, loans), creators, ids):
        raw.setdefault(name, []).append(frame)
    tables = {name: pl.concat(frames).lazy() for name, frames in raw.items()}
    asked = pl.DataFrame({"application_id": ids, "creator_id": creators.gather(loans.who), "as_of": loans.applied})
    frame = bounded(computed(tables, "lender", asked.with_row_index("at").lazy()), "lender").sort("at").collect()
    return columns_of(frame, plan.groups[plan.lenders].table)


def _wallet(agents: Agents, loans: Loans, plan: Plan) -> dict[str, np.ndarray]:
    """The wallet's features of those who are there, NaN of the others."""
    there = np.flatnonzero(np.isin(loans.who, agents.creators.on(WALLET)))
    found = {}
    own = wallet_columns(agents, loans.who[there], loans.applied[there], plan.groups[WALLET].table)
    for name, values in own.items():
        found[name] = np.full(len(loans), np.nan)
        found[name][there] = values
    return found


def figures(of: WorldApplications, seed: int, epsilon: float | None) -> dict[str, Any]:
    """AUC, mean PD and bad rate by set of features, by model, and by those on whom it is judged."""
    plan = Scenario.load(PLANS / f"{PLAN}.toml").plan
    lenders, wallet = (plan.groups[name].table.scored for name in (plan.lenders, WALLET))
    judged = {"all applicants": of.test, "approved": of.test & of.approved, "declined": of.test & ~of.approved}
    found: dict[str, Any] = {
        "granted": float(of.approved.mean()),
        "test": {name: int(rows.sum()) for name, rows in judged.items()},
        "bad_rate": {name: float(of.bad[rows].mean()) for name, rows in judged.items()},
    }
    granted, everybody = np.flatnonzero(~of.test & of.approved), np.flatnonzero(~of.test)
    as_many = np.random.default_rng(seed).choice(everybody, len(granted), replace=False)
    for name, features in zip(FEATURES, (lenders, (*lenders, *wallet)), strict=True):
        columns = {feature.name: of.columns[feature.name] for feature in features}
        found[name] = {}
        for model, train in zip(MODELS, (granted, as_many, everybody), strict=True):
            random = np.random.default_rng(seed)
            training = {key: values[train] for key, values in columns.items()}
            fitted = fit(training, of.bad[train].astype(np.int8), features, Budget(epsilon), random)
            pd = expit(fitted.logits(columns))
            found[name][model] = {"loans": len(train)} | {
                who: {"auc": float(roc_auc_score(of.bad[rows], pd[rows])), "mean_pd": float(pd[rows].mean())}
                for who, rows in judged.items()
            }
    return found


def run(
    creators: int = CREATORS, seeds: Sequence[int] = range(SEEDS), epsilon: float | None = EPSILON
) -> dict[str, Any]:
    """Mean and standard deviation over worlds of all figures, and how far the two models are apart."""
    worlds = [figures(applications_of(creators, seed), seed, epsilon) for seed in seeds]
    found: dict[str, Any] = {"creators": creators, "seeds": len(worlds), "epsilon": epsilon, "plan": PLAN}
    found["granted"] = _spread([one["granted"] for one in worlds])
    found["test"] = {who: _spread([one["test"][who] for one in worlds]) for who in JUDGED}
    found["bad_rate"] = {who: _spread([one["bad_rate"][who] for one in worlds]) for who in JUDGED}
    for name in FEATURES:
        found[name] = {
            model: {
                who: {
                    "auc": _spread([one[name][model][who]["auc"] for one in worlds]),
                    "mean_pd": _spread([one[name][model][who]["mean_pd"] for one in worlds]),
                    "pd_over_rate": _spread(
                        [one[name][model][who]["mean_pd"] / one["bad_rate"][who] for one in worlds]
                    ),
                }
                for who in JUDGED
            }
            for model in MODELS
        }
        found[name]["auc lost"] = {
            who: _spread([one[name][MODELS[1]][who]["auc"] - one[name][MODELS[0]][who]["auc"] for one in worlds])
            for who in JUDGED
        }
    return found


def _spread(values: Sequence[float]) -> dict[str, float]:
    """Mean and standard deviation (of a sample) over worlds."""
    return {"mean": float(np.mean(values)), "sd": float(np.std(values, ddof=1)) if len(values) > 1 else 0.0}


def show(result: Mapping[str, Any]) -> str:
    """A line for each set of features, model and judged part: mean and standard deviation."""

    def of(value: Mapping[str, float], digits: int = 4) -> str:
        return f"{value['mean']:.{digits}f} ({value['sd']:.{digits}f})"

    what = {name: result[name] for name in ("plan", "creators", "seeds", "epsilon")}
    lines = [json.dumps(what), f"granted {of(result['granted'])}"]
    lines += [f"bad rate of {who}: {of(result['bad_rate'][who])}" for who in JUDGED]
    lines.append(f"{'features':<16} {'trained on':<16} {'judged on':<16} {'AUC':>17} {'mean PD / bad rate':>20}")
    for name in FEATURES:
        for model in MODELS:
            for who in JUDGED:
                one = result[name][model][who]
                lines.append(f"{name:<16} {model:<16} {who:<16} {of(one['auc']):>17} {of(one['pd_over_rate'], 3):>20}")
        lines += [f"{name:<16} {'AUC lost':<16} {who:<16} {of(result[name]['auc lost'][who]):>17}" for who in JUDGED]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m sealscore.simulations.scoring.approved_only", description=__doc__)
    parser.add_argument("--creators", type=int, default=CREATORS, help="persons of each world")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many worlds")
    parser.add_argument("--epsilon", type=float, default=EPSILON, help="the budget of each model; 0 for no noise")
    parser.add_argument("--json", action="store_true", help="print one JSON object on one line")
    parser.add_argument("--write", action="store_true", help="keep the figures for reports of `release compare`")
    given = parser.parse_args(arguments)
    result = run(given.creators, range(given.seeds), given.epsilon or None)
    if given.write:
        command = "python -m sealscore.simulations.scoring.approved_only"
        KEPT.write_text(json.dumps(result | {"command": command}, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(json.dumps(result) if given.json else show(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
