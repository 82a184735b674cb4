"""Exact figures on pooled test rows: what only a simulation can know, since no party holds all of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping

import numpy as np
from sklearn.metrics import brier_score_loss, roc_auc_score, roc_curve

from sealscore.shared.model.score_model import ScoreModel
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.plan import Plan
from sealscore.shared.plan.schema import CategoricalFeature, NumericFeature

ECE_BINS = 10


def expected_calibration_error(label: np.ndarray, pd: np.ndarray, bins: int = ECE_BINS) -> float:
    """Mean of |bad rate - mean PD| over equal-mass bins of the PD (Naeini et al. 2015), label and pd [n]."""
    parts = np.array_split(np.argsort(pd, kind="stable"), bins)
    return float(sum(len(p) * abs(label[p].mean() - pd[p].mean()) for p in parts if len(p)) / len(pd))


def figures(label: np.ndarray, pd: np.ndarray) -> dict[str, float]:
    """Exact AUC, KS, Brier score and calibration error of PDs [n] against labels [n] (1 is bad)."""
    false_rate, true_rate, _ = roc_curve(label, pd)
    return {
        "auc": float(roc_auc_score(label, pd)),
        "ks": float(np.max(true_rate - false_rate)),
        "brier": float(brier_score_loss(label, np.clip(pd, 0, 1))),
        "ece": expected_calibration_error(label, pd),
    }


def outcomes_by_bin(model: ScoreModel, parts: Iterable[Records]) -> dict[str, list[list[int]]]:
    """By feature of a model, the numbers of good and of bad loans in each bin, in records with their signals."""
    found = {part.feature.name: np.zeros((2, part.size), dtype=np.int64) for part in model.binning.features}
    for records in parts:
        if records.label is None:
            continue
        bins = model.binning.quantize(records.columns)
        for place, counts in enumerate(found.values()):
            np.add.at(counts, (records.label.astype(np.int64), bins[:, place]), 1)
    return {name: counts.tolist() for name, counts in found.items()}


class Oracle:
    """All parties' records in one hand.

    `lenders` are the lenders' records by party, with the columns of all platforms joined to them by person (NaN of
    whom a platform does not know), `training` and `test` their two parts. The columns of each platform are there twice:
    as PARTY.COLUMN, and under their own name, where the first platform that knows the person counts. `models` and
    `pds` keep what baselines trained, by a name; `progress` (done, total) is told of what takes long.
    """

    def __init__(
        self,
        plan: Plan,
        records: Mapping[str, Records],
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self.records, self.progress = dict(records), progress
        self.models: dict[str, ScoreModel] = {}
        self.pds: dict[str, np.ndarray] = {}
        platforms = {party.name: records[party.name] for group in plan.platforms for party in plan.members(group)}
        self.lenders = {p.name: _joined(records[p.name], platforms) for p in plan.members(plan.lenders)}
        self.test = [part.test_part() for part in self.lenders.values()]
        self.training = [part.training_part() for part in self.lenders.values()]

    def judge(self, model: ScoreModel, scored: Iterable[Records]) -> dict[str, float]:
        """Exact figures of a model on the test rows of lenders' records with their signals."""
        parts = [part.test_part() for part in scored]
        pd = np.concatenate([model.pd(part.columns) for part in parts])
        return figures(pooled_labels(parts), pd)

    def judge_tower(self, tower: ScoreModel) -> float:
        """Exact AUC of a platform's tower alone on the test rows; of whom it knows nothing, it says the average."""
        names = [feature.name for feature in tower.features]
        scores = []
        for part in self.test:
            known = ~np.isnan(np.column_stack([part.columns[name] for name in names])).all(axis=1)
            logits = np.full(len(part), np.nan)
            logits[known] = tower.logits({name: part.columns[name][known] for name in names})
            scores.append(logits)
        pooled = np.concatenate(scores)
        filled = np.where(np.isnan(pooled), np.nanmean(pooled), pooled)
        return float(roc_auc_score(pooled_labels(self.test), filled))


def _joined(lender: Records, platforms: Mapping[str, Records]) -> Records:
    columns = dict(lender.columns)
    for party, platform in platforms.items():
        row = {person: index for index, person in reversed(list(enumerate(platform.person)))}
        rows = np.array([row.get(person, -1) for person in lender.person])
        for name, values in platform.columns.items():
            found = np.where(rows >= 0, values[rows], np.nan)
            columns[f"{party}.{name}"] = found
            columns[name] = np.where(np.isnan(columns[name]), found, columns[name]) if name in columns else found
    return dataclasses.replace(lender, columns=columns)


def pooled_labels(parts: Iterable[Records]) -> np.ndarray:
    """Labels of all parts, one after the other: int8 [n]."""
    return np.concatenate([part.label for part in parts if part.label is not None])


def unprotected(plan: Plan) -> list[NumericFeature | CategoricalFeature]:
    """All features of all groups but the protected ones, raw and derived; of two of a name the lenders' one."""
    tables = [plan.groups[group].table for group in (*plan.platforms, plan.lenders)]
    found = {f.name: f for table in tables for f in (*table.features, *table.derived) if not f.protected}
    return list(found.values())


def pooled_matrix(plan: Plan, parts: Iterable[Records], without: Collection[str] = ()) -> np.ndarray:
    """The unprotected columns of all parties, one after the other, in joined parts: float64 [n, d], NaN if missing.

    Lenders' columns named in `without` are left out.
    """
    names = pooled_names(plan, without)
    return np.vstack([np.column_stack([part.columns[name] for name in names]) for part in parts])


def pooled_names(plan: Plan, without: Collection[str] = ()) -> list[str]:
    """The columns of `pooled_matrix`: those of platforms as PARTY.COLUMN, then the lenders'."""
    return [
        *(
            f"{party.name}.{name}"
            for group in plan.platforms
            for party in plan.members(group)
            for name in _own(plan, group)
        ),
        *(name for name in _own(plan, plan.lenders) if name not in without),
    ]


def _own(plan: Plan, group: str) -> list[str]:
    table = plan.groups[group].table
    return [feature.name for feature in (*table.features, *table.derived) if not feature.protected]
