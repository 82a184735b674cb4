"""A baseline and an attack of a researcher's own, as examples: each is one function.

ss.simulate(plan, baselines=["pooled_xgboost", one_column_stump])
ss.audit(plan, attack=last_rounds)
"""

from __future__ import annotations

import numpy as np
import polars as pl


def one_column_stump(training: pl.DataFrame, label: np.ndarray, test: pl.DataFrame) -> np.ndarray:
    """A baseline: the one column that goes best with the outcome, by rank, in whichever direction.

    `training` and `test` have the columns of all parties, `label` int8 [training rows] is 1 where a loan was bad.
    Gives a score for each test row, float64 [test rows], the higher the worse.
    """
    ranks = training.select(pl.all().fill_null(pl.all().median()).rank())
    strengths = {name: np.corrcoef(ranks[name], label)[0, 1] for name in ranks.columns if ranks[name].n_unique() > 1}
    best = max(strengths, key=lambda name: abs(strengths[name]))
    filled = test[best].fill_null(training[best].median())
    return np.asarray(filled.to_numpy() * np.sign(strengths[best]), dtype=np.float64)


def last_rounds(along: np.ndarray) -> np.ndarray:
    """An attack: only the last half of the rounds counts.

    `along` float64 [rounds, canaries] is what each round's noisy sum has along a canary's direction. Gives a score for
    each canary, float64 [canaries], the higher the likelier it was in.
    """
    return np.asarray(along[len(along) // 2 :].sum(axis=0), dtype=np.float64)
