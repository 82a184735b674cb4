"""OpenDP's exact discrete Gaussian, the reference that the sampler of a run is compared with."""

from __future__ import annotations

import numpy as np
import opendp.prelude as dp
from numpy.typing import NDArray


def exact_discrete_gaussian(scale: float, size: int) -> NDArray[np.int64]:
    """`size` draws of N_Z(0, scale^2) (Canonne, Kamath, Steinke 2020, algorithm 3), some 10 to 40 microseconds each.

    OpenDP reads the operating system's generator and cannot be seeded.
    """
    dp.enable_features("contrib")
    draw = dp.m.make_gaussian(dp.vector_domain(dp.atom_domain(T=int)), dp.l2_distance(T=int), scale=scale)
    return np.asarray(draw([0] * size), dtype=np.int64)
