"""Public randomness of a simulation: one generator for each named purpose, all from one seed."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(seed: int, purpose: str) -> np.random.Generator:
    """The generator for a purpose, such as "partition lender": another purpose or seed is an independent stream.

    It is for what everybody may know (simulated splits, invented data), never for noise, sampling or labels.
    """
    digest = hashlib.sha256(purpose.encode()).digest()
    words = tuple(int.from_bytes(digest[at : at + 4], "big") for at in range(0, 16, 4))
    return np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=words))
