"""The traffic detector that is shipped: an isolation forest as plain arrays, the same at every party.

It was fitted once, on invented channels (simulations/world/fits/detector.py grows it again), so a score depends on the
channel's own rows and on public constants, and on no other person. Scoring follows scikit-learn's `IsolationForest`
(Liu, Ting & Zhou 2008, "Isolation Forest", section 4): the mean path length over the trees, as a power of two.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files

import numpy as np
import polars as pl

VERSION = 1
FILE = "detector.npz"
INPUTS = ("like_dip", "comment_dip", "completion_dip", "misfit_views", "misfit_lift", "low_likes", "follower_jump")
_BELOW = INPUTS.index("low_likes")
_ARRAYS = ("version", "roots", "feature", "threshold", "left", "right", "length", "usual", "scale")


@dataclass(frozen=True)
class Detector:
    """A forest of `roots` int64 [trees], the places of their first nodes among all nodes.

    Of each node: `feature` int64 (the input that it looks at), `threshold` float64, `left` and `right` int64 (how many
    nodes further its children are: left where the input is at most the threshold; both 0 at a leaf) and `length`
    float64 (the path length of who ends at that leaf). `usual` float64 [2] holds the median of `low_likes` among the
    channels that it was fitted on and their median deviation, `scale` the path length that counts as one.
    """

    roots: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    length: np.ndarray
    usual: np.ndarray
    scale: float

    def score(self, channels: pl.DataFrame) -> pl.DataFrame:
        """`at` and `traffic_anomaly_180d` in (0, 1) of channels with `at` and INPUTS (see `traffic.inputs`)."""
        values = self.scaled(channels.select(INPUTS).to_numpy())
        return channels.select("at").with_columns(traffic_anomaly_180d=pl.Series(self.scores(values), dtype=pl.Float64))

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """Inputs [n, inputs] with `low_likes` one-sided: by how many median deviations it lies below the median.

        Up to two deviations are common; what is beyond them counts. float32, as the forest was grown.
        """
        middle, deviation = self.usual
        found = values.copy()
        found[:, _BELOW] = np.nan_to_num(np.maximum(0.0, (values[:, _BELOW] - middle) / deviation - 2.0))
        return found.astype(np.float32)

    def scores(self, values: np.ndarray) -> np.ndarray:
        """Anomaly scores float64 [n] of scaled inputs float32 [n, inputs]."""
        rows, total = np.arange(len(values)), np.zeros(len(values))
        for root in self.roots:
            node = np.full(len(values), root)
            for _ in range(self._deepest):
                further = np.where(
                    values[rows, self.feature[node]] <= self.threshold[node], self.left[node], self.right[node]
                )
                node = node + further
            total += self.length[node]
        return np.asarray(2.0 ** (-total / (len(self.roots) * self.scale)))

    @cached_property
    def _deepest(self) -> int:
        """The most steps from a root to a leaf."""
        depth = np.zeros(len(self.left), dtype=np.int64)
        for node in range(len(depth)):  # children come after their parents
            if self.left[node]:
                depth[[node + self.left[node], node + self.right[node]]] = depth[node] + 1
        return int(depth.max(initial=0))


@cache
def shipped() -> Detector:
    """The detector of this release.

    Raises:
        ValueError: the file is of another version than the code.
    """
    with (
        files("sealscore.clients.features").joinpath(FILE).open("rb") as file,
        np.load(file, allow_pickle=False) as stored,
    ):
        arrays = {name: stored[name] for name in _ARRAYS}
    if int(arrays["version"]) != VERSION:
        raise ValueError(f"{FILE} is of version {int(arrays['version'])}, the code of {VERSION}; install one release")
    whole = {name: arrays[name].astype(np.int64) for name in ("roots", "feature", "left", "right")}
    numbers = {name: arrays[name].astype(np.float64) for name in ("threshold", "length", "usual")}
    return Detector(**whole, **numbers, scale=float(arrays["scale"]))


@cache
def digest() -> str:
    """SHA-256 of the shipped file, 64 hexadecimal digits."""
    return hashlib.sha256(files("sealscore.clients.features").joinpath(FILE).read_bytes()).hexdigest()
