"""`sealscore-sim world detector`: grow the traffic detector that nodes ship with, on invented channels alone.

The channels are those of both short-video platforms of one world of fixed config and seed, each as of its own as-of
day. The same versions of numpy, polars and scikit-learn give the same arrays, bit for bit.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn.ensemble import IsolationForest

from sealscore.clients.features import channel, traffic
from sealscore.clients.features.detector import INPUTS, VERSION, Detector
from sealscore.clients.features.raw.consents import asked_of_platform, live_consents
from sealscore.clients.features.raw.tables import read_tables
from sealscore.simulations.world.build import build
from sealscore.simulations.world.config import load_config
from sealscore.simulations.world.party_features import KINDS, last_day, party_mapping

CREATORS, SEED = 20_000, 20_221
"""The world that it is fitted on: the default one with so many creators and that seed. No figure is reported on it."""
TREES, SAMPLE = 200, 256


def reference(creators: int = CREATORS, seed: int = SEED) -> pl.DataFrame:
    """The inputs of all channels of both platforms: INPUTS, a row a channel."""
    # The true PDs are no part of this, and take most of the time.
    config = load_config("default", creators=creators, seed=seed)
    config = config.model_copy(update={"lending": config.lending.model_copy(update={"pd_rollouts": 0})})
    with tempfile.TemporaryDirectory() as name:
        raw = Path(name) / "raw"
        manifest = build(config, raw)
        platforms = [party for party, held in manifest["parties"].items() if held["kind"] == "video"]
        return pl.concat([_inputs(raw, manifest, party).select(INPUTS) for party in platforms])


def _inputs(raw: Path, manifest: dict[str, Any], party: str) -> pl.DataFrame:
    today, kind = last_day(manifest), KINDS[manifest["parties"][party]["kind"]]
    sound = read_tables(raw / party, kind, today, mapping=party_mapping(manifest, party), most_rejected=0.0)
    asked = asked_of_platform(live_consents(sound["consents"].frame, today)).lazy()
    videos = channel.video_window(sound["videos"].frame, asked).collect().lazy()
    followers = channel.follower_window(sound["followers"].frame, asked).collect().lazy()
    return traffic.inputs(videos, followers).collect()


def grow(channels: pl.DataFrame) -> tuple[Detector, IsolationForest]:
    """The detector of channels with INPUTS, and scikit-learn's own forest of it.

    Neither the order nor the names of channels matter.
    """
    values = channels.select(INPUTS).to_numpy()
    values = values[np.lexsort(values.T)]
    likes = values[:, INPUTS.index("low_likes")]
    likes = likes[~np.isnan(likes)]
    middle = float(np.median(likes)) if len(likes) else 0.0
    deviation = max(float(np.median(np.abs(likes - middle))) if len(likes) else 1.0, 1e-9)
    empty = np.zeros(0)
    plain = Detector(empty, empty, empty, empty, empty, empty, np.array([middle, deviation]), 1.0)
    forest = IsolationForest(n_estimators=TREES, max_samples=min(SAMPLE, len(values)), random_state=0)
    forest.fit(plain.scaled(values))
    return _arrays(forest, plain.usual), forest


def _arrays(forest: IsolationForest, usual: np.ndarray) -> Detector:
    trees = [grown.tree_ for grown in forest.estimators_]
    sizes = np.array([tree.node_count for tree in trees])
    parts: dict[str, list[np.ndarray]] = {name: [] for name in ("feature", "threshold", "left", "right", "length")}
    for tree in trees:
        own = np.arange(tree.node_count)
        leaf = tree.children_left < 0
        parts["feature"].append(np.where(leaf, 0, tree.feature))
        # An input is float32: it is at most a threshold where it is at most the next float32 below that.
        parts["threshold"].append(np.where(leaf, 0.0, _rounded_down(tree.threshold)))
        parts["left"].append(np.where(leaf, 0, tree.children_left - own))
        parts["right"].append(np.where(leaf, 0, tree.children_right - own))
        length = _depths(tree.children_left, tree.children_right) + _average(tree.n_node_samples)
        parts["length"].append(np.where(leaf, length, 0.0))
    joined = {name: np.concatenate(found) for name, found in parts.items()}
    scale = float(_average(np.array([forest.max_samples_]))[0])
    return Detector(np.concatenate([[0], np.cumsum(sizes)[:-1]]), **joined, usual=usual, scale=scale)


def _rounded_down(values: np.ndarray) -> np.ndarray:
    nearest = values.astype(np.float32)
    return np.where(nearest > values, np.nextafter(nearest, np.float32(-np.inf)), nearest).astype(np.float64)


def _depths(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    depths = np.zeros(len(left))
    for node in range(len(left)):  # children come after their parents
        if left[node] >= 0:
            depths[[left[node], right[node]]] = depths[node] + 1
    return depths


def _average(samples: np.ndarray) -> np.ndarray:
    """The average path length of an unsuccessful search among so many: Liu, Ting & Zhou (2008), equation 1."""
    n = np.asarray(samples, dtype=np.float64)
    found = 2.0 * (np.log(np.maximum(n - 1.0, 1.0)) + np.euler_gamma) - 2.0 * (n - 1.0) / n
    return np.where(n <= 1, 0.0, np.where(n == 2, 1.0, found))


def packed(detector: Detector) -> bytes:
    """The file that is shipped: small arrays in one .npz, without pickles."""
    written = io.BytesIO()
    np.savez_compressed(
        written,
        version=np.array(VERSION),
        roots=detector.roots.astype(np.int32),
        feature=detector.feature.astype(np.int8),
        threshold=detector.threshold.astype(np.float32),
        left=detector.left.astype(np.int16),
        right=detector.right.astype(np.int16),
        length=detector.length,
        usual=detector.usual,
        scale=np.array(detector.scale),
    )
    return written.getvalue()


def fit() -> bytes:
    """The shipped file, grown again."""
    return packed(grow(reference())[0])
