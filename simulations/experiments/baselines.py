"""What the federation is compared with: going alone, pooling all records, and no noise."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from sealscore.server.run.rounds import Observer
from sealscore.shared.model.bins import Binning, histogram
from sealscore.shared.model.score_model import ScoreModel
from sealscore.shared.plan.plan import Plan
from sealscore.simulations.engine.federation import Federation
from sealscore.simulations.engine.grid import Faults
from sealscore.simulations.experiments import trees
from sealscore.simulations.experiments.oracle import Oracle, figures, pooled_labels, pooled_matrix, unprotected

Baseline = Callable[[Plan, Oracle], float]


def trained(plan: Plan, oracle: Oracle, observer: Observer | None = None, faults: Faults | None = None) -> float:
    """Exact AUC, on all lenders' test rows, of the model that another plan gives on the same records."""
    if len(plan.parties) == 1:
        return oracle.judge(alone_model(plan, oracle), oracle.lenders.values())["auc"]
    with tempfile.TemporaryDirectory(prefix="sealscore-") as folder:
        return trained_into(Path(folder), plan, oracle, observer, faults)


def trained_into(
    folder: Path, plan: Plan, oracle: Oracle, observer: Observer | None = None, faults: Faults | None = None
) -> float:
    """As `trained`, of a plan with several parties; the run's results are left in the folder."""
    federation = Federation.of(_quick(plan), {party.name: oracle.records[party.name] for party in plan.parties})
    federation.run(folder, observer, faults=faults)
    return oracle.judge(ScoreModel.load(folder / "model"), federation.scored_records())["auc"]


def alone_model(plan: Plan, oracle: Oracle) -> ScoreModel:
    """The model of a plan with one lender only; trained once for an oracle."""
    if plan.hash not in oracle.models:
        with tempfile.TemporaryDirectory(prefix="sealscore-") as folder:
            Federation.of(plan, {party.name: oracle.records[party.name] for party in plan.parties}).run(Path(folder))
            oracle.models[plan.hash] = ScoreModel.load(Path(folder) / "model")
    return oracle.models[plan.hash]


def _quick(plan: Plan) -> Plan:
    """The same plan with the way of alignment that finds the same pairs in less time."""
    if not plan.platforms:
        return plan
    return plan.replace(alignment__method="exact")


def towers(plan: Plan, oracle: Oracle) -> dict[str, float]:
    """Exact AUC of each tower of platforms by itself that a plan gives, by group."""
    with tempfile.TemporaryDirectory(prefix="sealscore-") as folder:
        trained_into(Path(folder), plan, oracle)
        return judged_towers(plan, oracle, Path(folder))


def judged_towers(plan: Plan, oracle: Oracle, run: Path) -> dict[str, float]:
    """Exact AUC of each tower in a run's folder, by group."""
    return {group: oracle.judge_tower(ScoreModel.load(run / "towers" / group)) for group in plan.platforms}


def alone(plan: Plan, party: str) -> Plan:
    """The plan with one lender only, which then carries all of the noise, and without platforms."""
    group = plan.party(party).group
    data = plan.model_dump(mode="json")
    own = {feature.name for feature in plan.groups[group].table.scored}
    data["parties"] = [entry for entry in data["parties"] if entry["name"] == party]
    data["groups"] = {group: data["groups"][group] | {"min_parties": 1, "max_colluding": 0}}
    data["groups"][group]["crosses"] = [pair for pair in plan.groups[group].crosses if set(pair) <= own]
    data["evaluation"]["groups"] = {name: plan.evaluation.groups[name] for name in plan.groups_at(group)}
    data["privacy"]["max_parties_per_person"] = 1
    data["model"]["fallback"] = False
    data["name"] = f"{plan.name[:40]}-{party[:20]}"
    return Plan.parse(data)


def without_noise(plan: Plan) -> Plan:
    """The same plan without noise, and with true labels for platforms; nothing is left that a fallback would take."""
    return plan.replace(privacy__noise="none", privacy__label_epsilon=None, model__fallback=False)


def platform_alone(plan: Plan, oracle: Oracle) -> float:
    """The platforms' towers by themselves, without noise and on true labels: the mean over kinds of platform."""
    return float(np.mean(list(towers(without_noise(plan), oracle).values())))


def lender_alone(plan: Plan, oracle: Oracle) -> float:
    """Each lender by itself and without noise: the mean over lenders."""
    return lender_alone_dp(without_noise(plan), oracle)


def lender_alone_dp(plan: Plan, oracle: Oracle) -> float:
    """Each lender by itself at the plan's epsilon: the mean over lenders."""
    return float(np.mean([trained(alone(plan, p.name), oracle) for p in plan.members(plan.lenders)]))


def no_noise(plan: Plan, oracle: Oracle) -> float:
    """The same protocol without noise."""
    return trained(without_noise(plan), oracle)


def fedavg_local_noise(plan: Plan, oracle: Oracle) -> float:
    """FedAvg at the same epsilon and as many gradient steps, each party adding all of the noise to its own."""
    steps = 10
    training = plan.training.model_dump(mode="json") | {
        "algorithm": "fedavg",
        "rounds": max(1, plan.training.rounds // steps),
        "local": {"steps": steps, "learning_rate": _plain_rate(plan)},
        "optimizer": {"kind": "momentum", "momentum": 0.0, "learning_rate": 1.0, "schedule": "constant"},
    }
    return trained(plan.replace(training=training), oracle)


def _plain_rate(plan: Plan) -> float:
    """The constant learning rate that goes as far without momentum as the plan's schedule does with it."""
    optimizer = plan.training.optimizer
    if optimizer.kind != "momentum":
        return 0.2
    mean = 0.5 if optimizer.schedule == "cosine" else 1.0
    return mean * optimizer.learning_rate / (1 - optimizer.momentum)


def pooled_xgboost(plan: Plan, oracle: Oracle) -> float:
    """Boosted trees on all training rows in one place, tuned by cross-validation on them, without noise."""
    return figures(pooled_labels(oracle.test), pooled_xgboost_pd(plan, oracle))["auc"]


def pooled_xgboost_pd(plan: Plan, oracle: Oracle) -> np.ndarray:
    """PDs of all test rows by trees on all columns of all parties: float64 [n]. Trained once for an oracle."""
    return _pooled_trees_pd("pooled_xgboost", trees.ANY, plan, oracle)


def pooled_additive(plan: Plan, oracle: Oracle) -> float:
    """The best model of a scorecard's form, a sum over columns, tuned and trained likewise: trees of one cut."""
    return figures(pooled_labels(oracle.test), _pooled_trees_pd("pooled_additive", trees.ADDITIVE, plan, oracle))["auc"]


def _pooled_trees_pd(name: str, choices: tuple[trees.Trees, ...], plan: Plan, oracle: Oracle) -> np.ndarray:
    if name not in oracle.pds:
        training, test = (pooled_matrix(plan, parts) for parts in (oracle.training, oracle.test))
        label = pooled_labels(oracle.training)
        oracle.pds[name] = trees.tuned_pd(training, label, test, choices, plan.seed, oracle.progress)
    return oracle.pds[name]


def alone_xgboost_pd(plan: Plan, oracle: Oracle) -> np.ndarray:
    """PDs of all lenders' test rows by trees on the columns and training rows of a plan's one lender: float64 [n]."""
    own = oracle.lenders[plan.parties[0].name].training_part()
    training, test = pooled_matrix(plan, [own]), pooled_matrix(plan, oracle.test)
    return trees.tuned_pd(training, pooled_labels([own]), test, trees.ANY, plan.seed, oracle.progress)


def pooled_logistic_bins(plan: Plan, oracle: Oracle) -> float:
    """Logistic regression on ten quantile bins a column, one-hot, on all training rows, without noise."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import OneHotEncoder

    # Joined records miss the columns of platforms that do not know a person.
    features = [feature.model_copy(update={"missing": True}) for feature in unprotected(plan)]
    cells = 4096
    counts = sum(histogram(part.columns, features, cells) for part in oracle.training)
    binning = Binning.from_histogram(features, cells, 10, np.asarray(counts))
    encoder = OneHotEncoder(categories=[np.arange(size) for size in binning.sizes])
    training, test = (
        encoder.fit_transform(np.vstack([binning.quantize(part.columns) for part in parts]))
        for parts in (oracle.training, oracle.test)
    )
    model = LogisticRegression(max_iter=1000).fit(training, pooled_labels(oracle.training))
    return figures(pooled_labels(oracle.test), model.predict_proba(test)[:, 1])["auc"]


PLATFORM_BASELINES = ("platform_alone",)
BASELINES: Mapping[str, Baseline] = {
    "lender_alone": lender_alone,
    "lender_alone_dp": lender_alone_dp,
    "platform_alone": platform_alone,
    "pooled_xgboost": pooled_xgboost,
    "pooled_additive": pooled_additive,
    "pooled_logistic_bins": pooled_logistic_bins,
    "no_noise": no_noise,
    "fedavg_local_noise": fedavg_local_noise,
}


def baselines_of(plan: Plan) -> tuple[str, ...]:
    """The baselines that a plan can be compared with."""
    return tuple(name for name in BASELINES if plan.platforms or name not in PLATFORM_BASELINES)
