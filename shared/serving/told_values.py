"""What a token tells of a record, beside the level too: each kind's value, from the record's columns."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sealscore.shared.model.reasons import contributions
from sealscore.shared.serving.manifest import Kind, Told
from sealscore.shared.serving.signal_tower import SignalTower


def told_values(tower: SignalTower, told: Told, columns: Mapping[str, np.ndarray]) -> dict[Kind, int]:
    """Each kind's value of one record, from its columns as in Records, float64 [1] each."""
    return {kind: int(values[0]) for kind, values in told_columns(tower, told, columns).items()}


def told_columns(tower: SignalTower, told: Told, columns: Mapping[str, np.ndarray]) -> dict[Kind, np.ndarray]:
    """Each kind's value of each record, int64 [n], from columns as in Records, float64 [n] each."""
    values: dict[Kind, np.ndarray] = {"signal": tower.levels(columns)}
    if told.capacity:
        amounts = columns[told.capacity.column]
        unknown = len(told.capacity.edges) + 1
        values["capacity"] = np.where(np.isnan(amounts), unknown, np.searchsorted(told.capacity.edges, amounts))
    if told.flag:
        values["flag"] = (columns[told.flag.column] > told.flag.above).astype(np.int64)
    if told.reasons:
        names = [feature.name for feature in tower.model.features]
        moved = contributions(tower.model, tower.model.binning.quantize(columns))
        named = moved[:, [names.index(name) for name in told.reasons]]
        order = np.argsort(-named, axis=1, kind="stable")[:, :2]
        # Only what raised the PD is a reason; 0 says that there is none.
        places = np.where(np.take_along_axis(named, order, axis=1) > 0, order + 1, 0)
        values["reasons"] = 16 * places[:, 0] + (places[:, 1] if places.shape[1] > 1 else 0)
    return values
