"""The weights of a tower as numbers alone: their order, their limits, and the logits that they give.

Weights are sent as one float64 vector. A party evaluates a tower at `admissible` weights only: within
`WEIGHT_LIMIT` and on `WEIGHT_GRID`. Codes lie on a grid too, so every product of a weight and an entry of a code,
and every sum of up to `MAX_WIDTH` of them and a bias, is exact in float64 in whatever order a matrix product takes
them. Otherwise a server could send weights whose sums cancel, and the rounding error of one record's logit, large
then, would depend on which other records are in the batch.

Nothing here needs torch: whoever scores with a model or reads a ledger has no use for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

WEIGHT_LIMIT = 2.0**5
WEIGHT_GRID = 2.0**-24
# Products are multiples of 2^-36 up to 2^5; with the bias 2^12 of them stay within 2^53 such units.
MAX_WIDTH = 2**12 - 1


def admissible(vector: np.ndarray) -> np.ndarray:
    """The weights at which parties evaluate: clamped to the limit and rounded to the grid; NaN stays NaN."""
    clamped = np.clip(vector, -WEIGHT_LIMIT, WEIGHT_LIMIT)
    return np.asarray(np.rint(clamped / WEIGHT_GRID) * WEIGHT_GRID, dtype=np.float64)


def check_width(width: int) -> None:
    """Refuse a code that no tower reads.

    Raises:
        ValueError: the code is empty or wider than `MAX_WIDTH`.
    """
    if not 1 <= width <= MAX_WIDTH:
        raise ValueError(f"a tower reads codes of 1 to {MAX_WIDTH} units, not {width}: use fewer bins or features")


@dataclass(frozen=True, eq=False)
class TowerWeights:
    """All weights of a tower that reads `width` units and has `hidden` hidden ones: `vector` is float64 [p].

    Raises:
        ValueError: the code is empty or wider than `MAX_WIDTH`, or the vector has another shape or type.
    """

    vector: np.ndarray
    width: int
    hidden: int

    def __post_init__(self) -> None:
        check_width(self.width)
        expected = self.length(self.width, self.hidden)
        if self.vector.dtype != np.float64 or self.vector.shape != (expected,):
            found = f"{self.vector.dtype} {list(self.vector.shape)}"
            raise ValueError(f"weights must be float64 [{expected}], got {found}")

    @staticmethod
    def shapes(width: int, hidden: int) -> dict[str, tuple[int, ...]]:
        """The shape of each part by its name, in the order of the vector."""
        linear: dict[str, tuple[int, ...]] = {"linear.weight": (1, width), "linear.bias": (1,)}
        network = {"inner.weight": (hidden, width), "inner.bias": (hidden,), "outer.weight": (1, hidden)}
        return linear | network if hidden else linear

    @classmethod
    def length(cls, width: int, hidden: int) -> int:
        """How many numbers the vector has."""
        return sum(math.prod(shape) for shape in cls.shapes(width, hidden).values())

    def parts(self) -> dict[str, np.ndarray]:
        """The parts by their names: views of the vector in the shapes of `shapes`."""
        found, start = {}, 0
        for name, shape in self.shapes(self.width, self.hidden).items():
            end = start + math.prod(shape)
            found[name] = self.vector[start:end].reshape(shape)
            start = end
        return found

    def logits(self, codes: np.ndarray) -> np.ndarray:
        """Codes float64 [n, width] -> logits at admissible weights, float64 [n]; no row's bits depend on another row.

        Histograms of scores rest on this: with ordinary matrix products, adding a record can move others across a
        cell. The sums over codes are exact in any order, tanh is taken entry by entry, and the hidden units are added
        one after the other.
        """
        parts = {name: admissible(part) for name, part in self.parts().items()}
        logits: np.ndarray = codes @ parts["linear.weight"][0] + parts["linear.bias"][0]
        if self.hidden:
            raised = np.tanh(codes @ parts["inner.weight"].T + parts["inner.bias"])
            for unit, weight in enumerate(parts["outer.weight"][0]):
                logits = logits + weight * raised[:, unit]
        return logits
