"""From bases to the codes of a phase and what the server knows of each of their units: size and prior variance."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sealscore.shared.model.additive.codes import MAX_FACTORS, Codes, Pair, on_code_grid
from sealscore.shared.model.coding import CODE_GRID
from sealscore.shared.model.recipe.kernels import Basis

# Products of eigenvalues below this part of a pair's largest are left out.
_LEAST_PRODUCT = 0.005
# A record's code is this many times the clip norm in root mean square, features taken as independent: gradients of
# records whose PD is off by more than half are clipped. `calibration.unclipped` inverts what that does to the level.
CODE_SIZE = 2.0
# The intercept's unit against all others together, in root mean square.
_INTERCEPT = 0.5
# Of a table in which nothing varies the codes are 0; the intercept is learnt all the same.
_LEAST_SIZE = 1e-3


@dataclass(frozen=True, eq=False)
class Design:
    """The codes of a phase with, in their order, float64 [length] each: mean squares of the units under the released
    shares, and prior variances of their weights. The intercept's weight has no prior: its variance is infinite.
    """

    codes: Codes
    moments: np.ndarray
    variances: np.ndarray


@dataclass(frozen=True)
class PairPrior:
    """All pairs of features, with `share` of the variance that the features have together."""

    share: float


def designed(
    bases: Sequence[Basis], scale: float, power: float, pairs: PairPrior | None = None, mains: bool = True
) -> Design:
    """The codes of features of prior variance `scale`, and of their pairs, scaled so that the clip norm is 1.

    Without `mains` the code has the pairs alone: no intercept and no units of features.
    """
    products = list(itertools.combinations(range(len(bases)), 2)) if pairs is not None else []
    own = [float(base.moments @ base.variances(power)) for base in bases]
    together = sum(own[i] * own[j] for i, j in products)
    ratio = pairs.share * sum(own) / together if pairs is not None and together > 0 else 0.0
    if ratio == 0:
        products = []
    kept = {(i, j): _kept(bases[i], bases[j]) for i, j in products}
    # Both factors of a product carry half of its scale.
    factor = math.sqrt(ratio**power) if products else 0.0
    size = sum(float(base.moments.sum()) for base in bases) if mains else 0.0
    size += sum(
        factor**4 * float(np.outer(_first(bases[i]), _first(bases[j]))[mask].sum()) for (i, j), mask in kept.items()
    )
    size = max(size, _LEAST_SIZE)
    intercept = _INTERCEPT * math.sqrt(size) if mains else 0.0
    unit = math.sqrt(size + intercept**2) / CODE_SIZE

    shapes = [base.units if mains else base.units[:, :0] for base in bases]
    tables = tuple(on_code_grid(table / unit) for table in shapes)
    factors = tuple(on_code_grid(base.units[:, : _factors(products)] * factor / math.sqrt(unit)) for base in bases)
    codes = Codes(
        float(on_code_grid(np.array(intercept / unit))),
        tables,
        factors,
        tuple(Pair(i, j, tuple(int(count) for count in mask.sum(axis=1))) for (i, j), mask in kept.items()),
    )
    moments = [np.array([codes.intercept**2])]
    variances = [np.array([np.inf])]
    if mains:
        moments += [base.shares @ table**2 for base, table in zip(bases, tables, strict=True)]
        variances += [scale * base.variances(power) * unit**2 for base in bases]
    squares = [base.shares @ table**2 for base, table in zip(bases, factors, strict=True)]
    for (i, j), mask in kept.items():
        moments.append(np.outer(squares[i], squares[j])[mask])
        both = np.outer(*(bases[place].eigenvalues[:MAX_FACTORS] * math.sqrt(ratio) for place in (i, j)))
        variances.append((scale * both ** (1 - 2 * power) * unit**2)[mask])
    return Design(codes, np.concatenate(moments), np.concatenate(variances))


def _factors(products: Sequence[tuple[int, int]]) -> int:
    return MAX_FACTORS if products else 0


def _first(base: Basis) -> np.ndarray:
    return base.moments[:MAX_FACTORS]


def _kept(left: Basis, right: Basis) -> np.ndarray:
    """bool [left factors, right factors]: products of eigenvalues that are not too small."""
    values = np.outer(left.eigenvalues[:MAX_FACTORS], right.eigenvalues[:MAX_FACTORS])
    return np.asarray(values >= _LEAST_PRODUCT * values[:1, :1])


def carried_over(weights: np.ndarray, before: Codes, after: Codes) -> np.ndarray:
    """Weights [after.length] under which the features' tables are those of `weights` [before.length], pairs 0.

    A feature's units are the same in both codes but for their scale.
    """
    intercept, mains, _ = before.split(weights)
    found = [np.array([intercept * before.intercept / after.intercept])]
    for old, new, weight in zip(before.mains, after.mains, mains, strict=True):
        sizes = np.sqrt((old**2).sum(axis=0) / np.maximum((new**2).sum(axis=0), CODE_GRID**2))
        found.append(weight * sizes)
    found.append(np.zeros(after.length - sum(len(part) for part in found)))
    return np.concatenate(found)
