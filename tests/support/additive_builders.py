"""Bins, codes and records for tests of the additive model."""

from __future__ import annotations

import numpy as np

from sealscore.shared.dp.clipped_sum import CLIP, clipped_sum
from sealscore.shared.model.additive.additive_code import of_codes
from sealscore.shared.model.additive.codes import CODE_LIMIT, MAX_UNITS, Codes, Pair
from sealscore.shared.model.bins import AnyFeature, FeatureBins
from sealscore.shared.model.coding import CODE_GRID
from sealscore.shared.model.recipe.design import Design, PairPrior, designed
from sealscore.shared.model.recipe.facts import Facts
from sealscore.shared.model.recipe.kernels import basis, power
from sealscore.shared.plan.schema import CategoricalFeature, NumericFeature


def binned(random: np.random.Generator, features: int, most: int = 8) -> list[FeatureBins]:
    """Features of several kinds with up to `most` bins, and shares that are far from even."""
    found = []
    for place in range(features):
        count = int(random.integers(2, most + 1))
        missing = bool(random.integers(2))
        shares = random.dirichlet(np.full(count + missing, 0.7)) + 1e-3
        feature: AnyFeature
        if place % 3 == 2:
            levels = tuple(str(level) for level in range(count))
            feature = CategoricalFeature(name=f"f{place}", levels=levels, missing=missing)
            edges: tuple[float, ...] = ()
        else:
            feature = NumericFeature(name=f"f{place}", lower=0, upper=count, missing=missing)
            edges = tuple(float(edge) for edge in range(1, count))
        found.append(FeatureBins(feature, edges, tuple(float(share) for share in shares / shares.sum())))
    return found


def drawn(random: np.random.Generator, parts: list[FeatureBins], records: int) -> np.ndarray:
    """Bins of records [features, n], independent draws by the shares."""
    return np.array([random.choice(part.size, records, p=part.reference) for part in parts], dtype=np.uint8).reshape(
        len(parts), records
    )


def design(parts: list[FeatureBins], snr: float = 20.0, pairs: float | None = None, mains: bool = True) -> Design:
    """The design of a phase over these bins."""
    share = power(snr)
    prior = None if pairs is None else PairPrior(pairs)
    return designed([basis(part, share) for part in parts], 0.2, share, prior, mains)


def facts(records: float, features: int, rate: float = 0.2, mu: float = 1.0) -> Facts:
    """Facts of a table."""
    return Facts.of(records, records * rate, features, mu)


def crafted(random: np.random.Generator, features: int = 3, bins: int = 5, pairs: bool = True) -> Codes:
    """Codes that no fit would give: entries at the limits, with signs that cancel."""
    mains = tuple(random.choice([-CODE_LIMIT, CODE_LIMIT, CODE_GRID, 0.0], (bins, MAX_UNITS)) for _ in range(features))
    factors = tuple(random.choice([-CODE_LIMIT, CODE_LIMIT, -CODE_GRID], (bins, 10)) for _ in range(features))
    both = tuple(Pair(i, j, (10,) * 10) for i in range(features) for j in range(i + 1, features)) if pairs else ()
    return Codes(CODE_LIMIT, mains, factors, both)


def dense_codes(codes: Codes, bins: np.ndarray) -> np.ndarray:
    """The code that is never built: float64 [n, length]."""
    parts = [np.full((bins.shape[1], 1), codes.intercept)]
    parts += [main[at] for main, at in zip(codes.mains, bins, strict=True)]
    for pair in codes.pairs:
        product = (
            codes.factors[pair.left][bins[pair.left]][:, :, None] * codes.factors[pair.right][bins[pair.right]][:, None]
        )
        parts.append(product[:, codes.mask(pair)])
    return np.hstack(parts)


def sum_of(codes: Codes, bins: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """The clipped sum of published codes, float64 [length]."""
    return clipped_sum(of_codes(codes, CLIP), bins, slopes)
