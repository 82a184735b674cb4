"""The same applicants decided in other ways: what the oracle can say beside what was lived.

Each way is a score and a policy, evaluated by the lender's own code on the inputs that the log has. Reviews and their
days are drawn with one chance an application for all ways, and outcomes are those of what was asked for, also of who
was declined. All ways meet the applications of the federation's life: what that life lent before is in the room that
limits leave, in the debts that a lender knows and a person owes, in what becomes of loans, and in the lender to which a
person turns next. A way is not lived: what its own decisions would change later is in no figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from sealscore.clients.decision.evaluation import Evaluator
from sealscore.clients.decision.policy.model import DecisionPolicy
from sealscore.clients.decision.service import KIND, evaluated
from sealscore.shared.model.score_model import points
from sealscore.shared.plan.plan import Plan
from sealscore.shared.serving.manifest import Cutoffs
from sealscore.simulations.experiments.baselines import alone, alone_model, without_noise
from sealscore.simulations.experiments.oracle import Oracle, pooled_labels, pooled_matrix
from sealscore.simulations.experiments.segments import auc
from sealscore.simulations.experiments.trees import Trees, tuned_pd
from sealscore.simulations.life.config import LifeConfig, Reviewers
from sealscore.simulations.life.features import LifeFeatures
from sealscore.simulations.life.market import UNLIVED
from sealscore.simulations.life.parties.lenders import DECLINES, IDENTITY, LifeLender, lendable, life_policy
from sealscore.simulations.life.parties.opening import Opened
from sealscore.simulations.life.rows import WITHHELD, Played

FEDERATION, NO_BAND, NO_POLICY = "federation", "federation, no capacity band", "federation, score alone"
ALONE, NO_PRIVACY = "lender alone", "no privacy"
WAYS = (ALONE, NO_POLICY, NO_BAND, FEDERATION, NO_PRIVACY)
# One setting, not tuned: it is what can be seen without privacy, and no contest.
_TREES = (Trees(3, 20.0),)


@dataclass(frozen=True)
class Scores:
    """PDs of all applications in the order in which they were decided, [a] each: as served, of each lender's own model
    on everybody, and of trees on all columns of all parties but UNLIVED.
    """

    served: np.ndarray
    alone: Mapping[str, np.ndarray]
    pooled: np.ndarray


@dataclass(frozen=True)
class Truth:
    """What is true of the applications, [a] each, in that order; `owed`, `income` and `instalment` are a month's."""

    bad: np.ndarray
    loss: np.ndarray
    asked: np.ndarray
    owed: np.ndarray
    income: np.ndarray
    instalment: np.ndarray
    fraud: np.ndarray
    wave: np.ndarray
    thin: np.ndarray

    @classmethod
    def of(cls, played: Played) -> Truth:
        """From the oracle's rows."""
        asked = np.array([row["amount"] for row in played.applications], dtype=np.float64)
        names = ("owed", "income", "instalment", "fraud", "wave", "thin_file")
        bad, loss, *rest = (
            np.array([row[name] for row in played.oracle]) for name in ("bad_if_granted", "loss_if_granted", *names)
        )
        return cls(bad, loss, asked, *rest)


@dataclass(frozen=True)
class Decided:
    """What one way decides, [a] each: the amount (0 where nothing is lent), who reviews ("" for nobody), the days."""

    amount: np.ndarray
    queue: np.ndarray
    days: np.ndarray


def compared(
    config: LifeConfig,
    opened: Opened,
    features: LifeFeatures,
    lenders: Sequence[LifeLender],
    played: Played,
) -> tuple[dict[str, Any], pl.DataFrame]:
    """All figures, and a row an application and way."""
    lines = _lines(lenders)
    ids = [row["application_id"] for row in played.decisions]
    scores = _scores(opened, features, [row["pd"] for row in played.scores], ids)
    truth = Truth.of(played)
    by_lender = np.array([row["lender"] for row in played.decisions])
    policies = np.array([lines[one]["policy"] for one in ids])
    incomes = {row["application_id"]: row["declared_income"] for row in played.oracle}
    random = np.random.default_rng([config.seed, 1])
    chance = random.random((2, len(ids)))
    decided: dict[str, Decided] = {}
    for way in WAYS:
        found = _Way(config.reviewers, way)
        for lender in lenders:
            pds = scores.alone[lender.name] if way == ALONE else scores.pooled if way == NO_PRIVACY else None
            for hash, policy in lender.policies.items():
                own = np.flatnonzero((by_lender == lender.name) & (policies == hash))
                found.lender(policy, own, [lines[ids[at]] for at in own], pds, incomes, chance, truth.fraud)
        decided[way] = found.whole(len(ids))
    share = lenders[0].policy.products["starter"].limits.affordable
    most = 1.0 if share is None else share.share
    affordable = np.array([row["product"] != "invoices" for row in played.applications])
    withheld = np.array([any(row[name] == WITHHELD for name in features.platforms) for row in played.applications])
    figures = {
        "retraining": _retrained(lenders, ids, truth.bad),
        "consents": {
            name: _group(scores.served, truth.bad, of) for name, of in ((WITHHELD, withheld), ("given", ~withheld))
        },
        "ways": {way: _figures(one, truth, most, affordable) for way, one in decided.items()},
        "ranking": _ranking(scores, truth, float((decided[FEDERATION].amount > 0).mean())),
        "frauds_planted": float(truth.fraud.mean()),
        "bad_if_all_were_granted": float(truth.bad.mean()),
    }
    rows = [
        pl.DataFrame(
            {"application_id": ids, "way": way, "amount": one.amount, "queue": one.queue.tolist(), "days": one.days}
        )
        for way, one in decided.items()
    ]
    return figures, pl.concat(rows)


def _lines(lenders: Sequence[LifeLender]) -> dict[str, dict[str, Any]]:
    """What the logs say of each application's decision."""
    found = {}
    for lender in lenders:
        for line in lender.log.lines():
            if line.kind == KIND and line.content is not None:
                found[line.content["application_id"]] = line.content
    return found


class _Way:
    """One way of deciding, lender by lender."""

    def __init__(self, knobs: Reviewers, way: str) -> None:
        self._knobs, self._way = knobs, way
        self._parts: list[tuple[int, float, str, float]] = []

    def lender(
        self,
        live: DecisionPolicy,
        places: np.ndarray,
        lines: Sequence[Mapping[str, Any]],
        pds: np.ndarray | None,
        incomes: Mapping[str, float],
        chance: np.ndarray,
        fraud: np.ndarray,
    ) -> None:
        """Decide a lender's applications under one policy; `pds` [a] take the place of the served ones, at the same
        share of them.
        """
        if not len(places):
            return
        served = np.array([line["scored"]["points"] for line in lines])
        cut = live.products["starter"].champion.approve
        own, policy = served, live
        if pds is not None:
            own = np.rint(points(pds[places])).astype(np.int64)
            threshold = int(np.quantile(own, 1 - float((served >= cut).mean()), method="nearest"))
            policy = life_policy(Cutoffs(champion=threshold, fallback=threshold))
        evaluators = {name: Evaluator(product) for name, product in policy.products.items()}
        for at, line, score in zip(places.tolist(), lines, own.tolist(), strict=True):
            given = {**line, "scored": {**line["scored"], "points": score}}
            if self._way in (ALONE, NO_BAND):
                given["scored"]["capacity"] = None
                if "income" in line["inputs"]:
                    given["inputs"] = {**line["inputs"], "income": incomes[line["application_id"]]}
            if self._way == ALONE:
                given["scored"] |= {"events": [], "token_of_another": False}
            self._parts.append((at, *self._decided(policy, evaluators, given, chance[:, at], bool(fraud[at]))))

    def _decided(
        self,
        policy: DecisionPolicy,
        evaluators: Mapping[str, Evaluator],
        line: Mapping[str, Any],
        chance: np.ndarray,
        fraud: bool,
    ) -> tuple[float, str, float]:
        asked = float(line["asked"]["amount"])
        if self._way == NO_POLICY:
            good = line["scored"]["points"] >= policy.products[line["product"]].cutoffs(line["role"]).approve
            return (asked if good else 0.0), "", 0.0
        found = evaluated(policy, evaluators, line, lambda series, product: 1.0)
        if found.kind in ("approve", "counter"):
            return float(found.amount), "", 0.0
        queue = DECLINES if found.kind == "decline-proposed" else str(found.queue)
        days = 1.0 + np.floor(chance[1] * policy.queues[queue].days)
        most = lendable(policy, line["product"], min(float(found.limit or 0), asked))
        return (most if self._reviewed(queue, fraud, chance[0]) else 0.0), queue, days

    def _reviewed(self, queue: str, fraud: bool, chance: float) -> bool:
        knobs = self._knobs
        if queue == IDENTITY:
            return bool(chance >= knobs.finds) if fraud else bool(chance < knobs.clears)
        return bool(chance < (knobs.overrides if queue == DECLINES else knobs.general))

    def whole(self, count: int) -> Decided:
        """Of all lenders, in the order of applications."""
        amount, queue, days = np.zeros(count), np.full(count, "", dtype=object), np.zeros(count)
        for at, lent, reviewed, waited in self._parts:
            amount[at], queue[at], days[at] = lent, reviewed, waited
        return Decided(amount, queue, days)


def _of(part: float, whole: float) -> float | None:
    """A share; None of nothing."""
    return float(part / whole) if whole else None


def _figures(one: Decided, truth: Truth, most: float, affordable: np.ndarray) -> dict[str, float | None]:
    got = one.amount > 0
    part = one.amount / truth.asked
    beyond = got & affordable & ((truth.owed + truth.instalment * part) / truth.income > most)
    identity = one.queue == IDENTITY
    stopped = truth.fraud & ~got
    return {
        "approved": float(got.mean()),
        "thin_approved": _of((got & truth.thin).sum(), truth.thin.sum()),
        "bad_rate": _of(truth.bad[got].sum(), got.sum()),
        "lent": float(one.amount.sum()),
        "loss_rate": _of((truth.loss * part)[got].sum(), one.amount.sum()),
        "beyond_capacity": _of(beyond.sum(), (got & affordable).sum()),
        "beyond_loans": int(beyond.sum()),
        "reviewed": float((one.queue != "").mean()),
        "identity_reviewed": float(identity.mean()),
        "frauds_stopped": _of(stopped.sum(), truth.fraud.sum()),
        "frauds_stopped_by_review": _of((stopped & identity).sum(), truth.fraud.sum()),
        "wave_stopped": _of((stopped & truth.wave).sum(), truth.wave.sum()),
        "days_mean": float(one.days.mean()),
        "days_median": float(np.median(one.days)),
        "days_90": float(np.quantile(one.days, 0.9)),
    }


def _retrained(lenders: Sequence[LifeLender], ids: Sequence[str], bad: np.ndarray) -> dict[str, Any] | None:
    """Both models of a retraining on the applications that the new one answered and the old one scored in shadow."""
    both: dict[str, tuple[float, float]] = {}
    for lender in lenders:
        for line in lender.log.lines():
            content = line.content if line.kind == "score" else None
            shadow = None if content is None else content.get("shadow")
            # What is scored once more after a withdrawal is no new application.
            if content is not None and content["version"] == 1 and shadow and "pd" in shadow:
                both.setdefault(content["application_id"], (content["pd"], shadow["pd"]))
    if not both:
        return None
    places = [at for at, one in enumerate(ids) if one in both]
    outcome, pds = bad[places], np.array([both[ids[at]] for at in places])
    found: dict[str, Any] = {"applications": len(places), "bad_if_granted": float(outcome.mean())}
    for name, pd in (("new", pds[:, 0]), ("old", pds[:, 1])):
        found[name] = {"auc": auc(outcome, pd), "mean_pd": float(pd.mean())}
    return found


def _group(pd: np.ndarray, bad: np.ndarray, of: np.ndarray) -> dict[str, float | None]:
    """A group of applicants: its share, how many would be bad if all were granted, and what was predicted."""
    some = bool(of.any())
    return {
        "share": float(of.mean()),
        "bad_if_granted": float(bad[of].mean()) if some else None,
        "mean_pd": float(pd[of].mean()) if some else None,
    }


def _ranking(scores: Scores, truth: Truth, share: float) -> dict[str, Any]:
    """By the score alone and all applicants of all lenders: bad rates at one share of approvals, and thin files that
    are approved at the bad rate of the best lender alone.
    """
    count = round(share * len(truth.bad))
    rates = {name: _bad_rate(pd, truth.bad, count) for name, pd in scores.alone.items()}
    best = min(rates, key=lambda name: rates[name])
    target = rates[best]
    ways = {f"{ALONE}, the best": scores.alone[best], FEDERATION: scores.served, NO_PRIVACY: scores.pooled}
    return {
        "approved": share,
        "best_lender": best,
        "alone": rates,
        "bad_rate": {name: _bad_rate(pd, truth.bad, count) for name, pd in ways.items()},
        "thin_approved": {name: _thin_at(pd, truth, target) for name, pd in ways.items()},
    }


def _bad_rate(pd: np.ndarray, bad: np.ndarray, count: int) -> float:
    return float(bad[np.argsort(pd, kind="stable")[:count]].mean())


def _thin_at(pd: np.ndarray, truth: Truth, target: float) -> float:
    """The share of thin files among the most approvals of which no larger a share is bad than `target`."""
    order = np.argsort(pd, kind="stable")
    rates = np.cumsum(truth.bad[order]) / np.arange(1, len(order) + 1)
    within = np.flatnonzero(rates <= target)
    chosen = order[: int(within[-1]) + 1] if len(within) else order[:0]
    return float(truth.thin[chosen].sum() / truth.thin.sum())


def _scores(opened: Opened, features: LifeFeatures, served: Sequence[float], ids: Sequence[str]) -> Scores:
    plan, oracle = opened.plan, Oracle(opened.plan, opened.records)
    place = {id: at for at, id in enumerate(features.ids)}
    order = np.array([place[id] for id in ids])
    clean = without_noise(plan)
    own = {
        party.name: alone_model(alone(clean, party.name), oracle).pd(features.own.columns)[order]
        for party in plan.members(plan.lenders)
    }
    seed = plan.seed
    training, labels = pooled_matrix(plan, oracle.training, UNLIVED), pooled_labels(oracle.training)
    pooled = tuned_pd(training, labels, _all_columns(plan, features), _TREES, seed)
    return Scores(np.array(served), own, pooled[order])


def _all_columns(plan: Plan, features: LifeFeatures) -> np.ndarray:
    """The columns of `pooled_matrix` of all applications: what platforms know of a person, consented to or not."""
    columns = dict(features.own.columns)
    for party, records in features.platforms.items():
        rows = features.rows[party]
        for name, values in records.columns.items():
            columns[f"{party}.{name}"] = np.where(rows >= 0, values[rows], np.nan)
    return pooled_matrix(plan, [replace(features.own, columns=columns)], UNLIVED)
