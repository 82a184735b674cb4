"""A lender that solves for creator features from a signal whose tower is a positional code.

The towers of training, and what a lender learns from the levels that they give, are in the test of decoding.
"""

from __future__ import annotations

import numpy as np
from defences import Defences
from vertical import (
    LENDER,
    PLATFORM,
    SIGNAL,
    aligned,
    carry,
    platform_bins,
    platform_weights,
    vertical_plan,
    vertical_records,
)

from sealscore.clients.roles.lender import Lender
from sealscore.shared.messages.parts import edges_to_bytes, weights_to_bytes
from sealscore.shared.model.build import coding_of


def solved(defences: Defences) -> float:
    """Share of persons of whom one signal tells all binned features."""
    plan = vertical_plan()
    scene = aligned(defences, plan, vertical_records(plan))
    records = scene.records[PLATFORM]
    binning = platform_bins(scene.plan, records)
    codes = coding_of(scene.plan, "video", binning).encode(binning.quantize(records.columns))
    width = codes.shape[1] // 3
    weights = platform_weights(scene.plan, binning)
    step = np.abs(codes).max()
    for feature in range(3):
        # Each feature weighs more than all that come after it together: a number in a mixed base.
        weights[feature * width : (feature + 1) * width] = 4.0 ** (2 - feature) / step / 2
    logits = codes @ weights[:-1]
    edges = np.quantile(logits, np.arange(1, 16) / 16)
    parts: dict[str, str] = {}
    for name, body in (
        ("bins", binning.to_bytes()),
        ("tower", weights_to_bytes(weights)),
        ("edges", edges_to_bytes(edges)),
    ):
        parts |= scene.publish(SIGNAL, name, body, [PLATFORM])
    carry(scene, SIGNAL, (PLATFORM, LENDER), **parts)
    role = scene.nodes[LENDER].role
    assert isinstance(role, Lender)
    levels = role._levels[PLATFORM]
    row = {person: row for row, person in enumerate(records.person)}
    # What a level means the lender finds from the public tower: here, all rows of codes that give it.
    meanings: dict[int, set[bytes]] = {}
    for person, level in levels.items():
        meanings.setdefault(level, set()).add(codes[row[person]].tobytes())
    return float(np.mean([len(meanings[level]) == 1 for level in levels.values()]))


def test_features_from_one_signal(defences: Defences):
    assert solved(defences) < 0.2
    with defences.without("levels") as weak:
        assert solved(weak) > 0.95
