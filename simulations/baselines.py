"""What the federation is compared with: going alone, pooling all records, and no noise."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from shared.model.score_model import ScoreModel
from shared.plan import Plan
from simulations.federation import Federation
from simulations.oracle import Oracle, figures, pooled_labels, pooled_matrix

Baseline = Callable[[Plan, Oracle], float]


def trained(plan: Plan, oracle: Oracle) -> float:
    """Exact AUC of the model that another plan gives on the same records."""
    with tempfile.TemporaryDirectory(prefix="sealscore-") as folder:
        records = {party.name: oracle.records[party.name] for party in plan.parties}
        Federation.of(plan, records).run(Path(folder))
        return oracle.judge(ScoreModel.load(Path(folder) / "model"))["auc"]


def alone(plan: Plan, party: str) -> Plan:
    """The plan with one lender only, which then carries all of the noise."""
    group = plan.party(party).group
    data = plan.model_dump(mode="json")
    data["parties"] = [entry for entry in data["parties"] if entry["name"] == party]
    data["groups"] = {group: data["groups"][group] | {"min_parties": 1, "max_colluding": 0}}
    data["privacy"]["max_parties_per_person"] = 1
    data["name"] = f"{plan.name[:40]}-{party[:20]}"
    return Plan.parse(data)


def lender_alone(plan: Plan, oracle: Oracle) -> float:
    """Each lender by itself and without noise: the mean over lenders."""
    return lender_alone_dp(plan.replace(privacy__noise="none"), oracle)


def lender_alone_dp(plan: Plan, oracle: Oracle) -> float:
    """Each lender by itself at the plan's epsilon: the mean over lenders."""
    return float(np.mean([trained(alone(plan, p.name), oracle) for p in plan.members(plan.lenders)]))


def no_noise(plan: Plan, oracle: Oracle) -> float:
    """The same protocol without noise."""
    return trained(plan.replace(privacy__noise="none"), oracle)


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
    """The learning rate that goes as far without momentum as the plan's does with it."""
    optimizer = plan.training.optimizer
    return optimizer.learning_rate / (1 - optimizer.momentum) if optimizer.kind == "momentum" else 0.2


def pooled_xgboost(plan: Plan, oracle: Oracle) -> float:
    """Gradient-boosted trees on all training rows in one place, without noise."""
    from xgboost import XGBClassifier

    model = XGBClassifier(
        n_estimators=64, max_depth=6, learning_rate=0.1, subsample=0.8, n_jobs=1, random_state=plan.seed
    )
    model.fit(pooled_matrix(oracle.training), pooled_labels(oracle.training))
    pd = model.predict_proba(pooled_matrix(oracle.test))[:, 1]
    return figures(pooled_labels(oracle.test), pd)["auc"]


def pooled_logistic_bins(plan: Plan, oracle: Oracle) -> float:
    """Logistic regression on ten quantile bins a column, one-hot, on all training rows, without noise."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import KBinsDiscretizer

    bins = KBinsDiscretizer(n_bins=10, encode="onehot", strategy="quantile", quantile_method="averaged_inverted_cdf")
    model = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), bins, LogisticRegression(max_iter=1000))
    model.fit(pooled_matrix(oracle.training), pooled_labels(oracle.training))
    pd = model.predict_proba(pooled_matrix(oracle.test))[:, 1]
    return figures(pooled_labels(oracle.test), pd)["auc"]


BASELINES: Mapping[str, Baseline] = {
    "lender_alone": lender_alone,
    "lender_alone_dp": lender_alone_dp,
    "pooled_xgboost": pooled_xgboost,
    "pooled_logistic_bins": pooled_logistic_bins,
    "no_noise": no_noise,
    "fedavg_local_noise": fedavg_local_noise,
}
