"""Make a release of a finished run's folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from sealscore.shared.model.bins import consistent_counts
from sealscore.shared.model.calibration import Calibration
from sealscore.shared.model.score_grid import cell_logits
from sealscore.shared.model.score_model import ScoreModel, points
from sealscore.shared.plan.plan import Plan
from sealscore.shared.serving.manifest import MOST_REASONS, Manifest
from sealscore.shared.serving.release import ReleaseContent, ReleaseError, write_release
from sealscore.shared.serving.sentences import SentencesError, checked_sentences

PURPOSE, MONITORING = "credit-decision", "monitoring"
# Features that reasons may name, where more would give away more of the channel than a level does
# (docs/threat-model.md: of four 14 % of applicants are named, of nine 26 %).
NAMED = 4
_RECORD = "run.json"


@dataclass(frozen=True)
class Wanted:
    """What its operator wants of a release beside what follows from the run.

    `capacity`, `flag` and `watch` are by kind of platform, plain data as the manifest has them; `reasons` are kinds of
    platforms that tell reasons. `retraining_code` is the purpose under which consents let levels of tokens enter a
    training, `monitoring_code` that of consents to the watch bit.
    `sentences` are those of reasons by lenders' feature, plain data like a plan's `reason`.
    """

    name: str
    purpose_code: str
    issued: date
    expires: date
    most_a_day: int = 1000
    token_days: int = 30
    batch_places: int = 64
    lenders: Sequence[str] = ()
    capacity: Mapping[str, Any] | None = None
    flag: Mapping[str, Any] | None = None
    watch: Mapping[str, Any] | None = None
    reasons: Sequence[str] = ()
    retraining_code: str | None = None
    monitoring_code: str = MONITORING
    sentences: Mapping[str, Any] | None = None


def make_release(run: Path, folder: Path, wanted: Wanted) -> Manifest:
    """Write a release of a finished run.

    Raises:
        ReleaseError: the folder holds no finished run, or the release would contradict its plan.
        PlanError: a value of the manifest is not allowed.
    """
    if not (run / _RECORD).is_file():
        raise ReleaseError(f"{run}: holds no finished run; carry the plan out first, or resume it")
    record = json.loads((run / _RECORD).read_text("utf-8"))
    if "monitoring" in record:
        raise ReleaseError(f"{run}: its plan counts and trains nothing, so there is no model to release")
    content = ReleaseContent.read(run)
    plan = content.plan
    kinds = {"capacity": wanted.capacity or {}, "flag": wanted.flag or {}, "watch": wanted.watch or {}}
    if unknown := {*wanted.reasons, *(group for given in kinds.values() for group in given)} - set(plan.platforms):
        raise ReleaseError(f"{', '.join(sorted(unknown))}: no kind of platform of the plan")
    if wanted.sentences:
        try:
            sentences = checked_sentences(wanted.sentences, plan.groups[plan.lenders].table)
        except SentencesError as error:
            raise ReleaseError(str(error)) from None
        content = replace(content, sentences=sentences)
    told: dict[str, dict[str, Any]] = {}
    for group in plan.platforms:
        told[group] = {"meaning": content.towers[group].meaning, "signal_bits": plan.model.signal_bits}
        told[group] |= {"reasons": strongest(content.towers[group].model, NAMED)} if group in wanted.reasons else {}
        told[group] |= {key: given[group] for key, given in kinds.items() if group in given}
    fields: dict[str, Any] = {
        "name": wanted.name,
        "purpose_code": wanted.purpose_code,
        "lenders": list(wanted.lenders) or [party.name for party in plan.members(plan.lenders)],
        "issued": wanted.issued,
        "expires": wanted.expires,
        "most_a_day": wanted.most_a_day,
        "token_days": wanted.token_days,
        "batch_places": wanted.batch_places,
        "told": told,
    }
    if wanted.retraining_code is not None:
        fields["retraining_code"] = wanted.retraining_code
    if wanted.watch:
        fields["monitoring_code"] = wanted.monitoring_code
    cutoffs = {"champion": _cutoff(plan, record.get("score_tables"), content.model.calibration)}
    if content.fallback is not None:
        cutoffs["fallback"] = _cutoff(plan, record.get("fallback_tables"), content.fallback.calibration)
    if cutoffs["champion"] is not None:
        fields["cutoffs"] = {name: value for name, value in cutoffs.items() if value is not None}
    return write_release(folder, content, run, fields)


def _cutoff(plan: Plan, tables: Mapping[str, Any] | None, calibration: Calibration) -> int | None:
    """Points at which the plan's share of test persons is approved, by the noisy table of all of them."""
    if not tables or "all" not in tables.get("tables", {}):
        return None
    good, bad = np.split(np.array(tables["tables"]["all"], dtype=np.float64), 2)
    noisy = good + bad
    counts = consistent_counts(noisy, float(max(1.0, noisy.sum())))
    share = np.cumsum(counts) / counts.sum()
    place = int(np.argmin(np.abs(share - plan.evaluation.approval_rate)))
    pd = calibration.pd(cell_logits(len(counts))[place : place + 1])
    return round(float(points(pd)[0]))


def strongest(model: ScoreModel, most: int = MOST_REASONS) -> list[str]:
    """The features of a tower whose contributions vary most, by the released shares of their bins: in its own order."""
    from sealscore.shared.model.reasons import contributions

    spread = {}
    for place, part in enumerate(model.binning.features):
        # One feature after the other is moved through its bins; contributions of others do not matter here.
        bins = np.tile([0 for _ in model.binning.features], (part.size, 1))
        bins[:, place] = np.arange(part.size)
        moved, shares = contributions(model, bins)[:, place], np.array(part.reference)
        spread[part.feature.name] = float(shares @ (moved - shares @ moved) ** 2)
    chosen = sorted(spread, key=lambda name: -spread[name])[:most]
    return [name for name in spread if name in chosen]
