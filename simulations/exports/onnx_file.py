"""A released model as an ONNX file, which says of invented applicants what the release says before it is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sealscore.clients.data.derive import derived_columns
from sealscore.clients.scoring.scorer import Scorer
from sealscore.shared.files import write_whole
from sealscore.shared.plan.plan import signal_name
from sealscore.shared.plan.schema import CategoricalFeature, DerivedFeature
from sealscore.shared.serving.golden import invented
from sealscore.shared.serving.release import Release
from sealscore.simulations.experiments.runs import BadSetting
from sealscore.simulations.exports.score_graph import score_graph
from sealscore.simulations.extras import optional

BOUND = 1e-9
"""Of logits: sums are exact, and functions differ between libraries in their last bits."""
_APPLICANTS = 512


class ExportDiffers(RuntimeError):
    """A file that would give other scores than the release; it was not written."""


def write_onnx(release: Release, path: Path, role: str) -> None:
    """Write a model of a release (`champion` or `fallback`) as ONNX, once ONNX Runtime says here what the release says.

    On 512 invented applicants over the whole range of every column logits agree within `BOUND`; PDs and points, which
    are rounded, to their last digit.

    Raises:
        NoExtra: onnx or onnxruntime is not installed.
        BadSetting: the release has no such model.
        ExportDiffers: the runtime gives other scores; nothing is written.
        OSError: the file cannot be written; nothing is left.
    """
    runtime = optional("onnxruntime")
    optional("onnx")
    scorer = Scorer(release)
    if role not in scorer.models:
        raise BadSetting("model", f"{role!r}: the release has {' and '.join(scorer.models)}")
    model, table = scorer.models[role], release.plan.groups[release.plan.lenders].table
    facts = {"model": role, "plan": release.plan.name, "plan_hash": release.plan.hash, "release": release.hash}
    data = score_graph(model, table, release.plan.name, facts).SerializeToString(deterministic=True)
    session = runtime.InferenceSession(data, providers=["CPUExecutionProvider"])
    _compare(scorer, role, session)
    write_whole(path, data)


def _compare(scorer: Scorer, role: str, session: Any) -> None:
    """Hold scores of invented applicants by the runtime against the release's own."""
    plan, model = scorer.release.plan, scorer.models[role]
    table = plan.groups[plan.lenders].table
    wanted = [one.name for one in session.get_inputs()]
    features = [one for one in table.features if one.name in wanted and not isinstance(one, DerivedFeature)]
    columns = invented(features, plan.hash, _APPLICANTS)
    levels = {group: name for group in plan.platforms if (name := signal_name(group)) in wanted}
    signals = [part.feature for part in model.binning.features if part.feature.name in levels.values()]
    told = invented(signals, plan.hash, _APPLICANTS)
    needed = columns | {one.name: np.zeros(_APPLICANTS) for one in table.features if one.name not in columns}
    every = derived_columns(table, needed)
    bins = scorer.bins(role, every, {group: told[name] for group, name in levels.items()})
    logits, pds, points = scorer.figures(role, bins)
    logits = model.calibration.slope * logits + model.calibration.intercept
    given = {feature.name: as_input(feature, columns[feature.name]) for feature in features} | told
    found = dict(zip(("logit", "pd", "points"), session.run(["logit", "pd", "points"], given), strict=True))
    apart = float(np.abs(found["logit"] - logits).max())
    if not apart <= BOUND or np.abs(found["pd"] - pds).max() > 1.1e-6 or np.abs(found["points"] - points).max() > 1:
        raise ExportDiffers(f"ONNX Runtime gives other scores than the release (logits differ by {apart:.2g})")


def as_input(feature: Any, values: np.ndarray) -> np.ndarray:
    """A column as in Records -> as the file takes it: numbers as they are, indices of levels as their text."""
    if not isinstance(feature, CategoricalFeature):
        return values
    return np.array(["" if np.isnan(at) else feature.levels[int(at)] for at in values], dtype=object)
