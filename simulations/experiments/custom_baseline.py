"""A baseline of a researcher's own, judged on the same test persons as the federation."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
import polars as pl

from sealscore.shared.plan.plan import Plan
from sealscore.simulations.experiments.baselines import BASELINES, Baseline, baselines_of
from sealscore.simulations.experiments.oracle import Oracle, figures, pooled_labels, pooled_matrix, pooled_names
from sealscore.simulations.experiments.runs import BadSetting

CustomBaseline = Callable[[pl.DataFrame, np.ndarray, pl.DataFrame], np.ndarray]
"""A function `(training, label, test)` that gives the PDs of the test rows, float64 [test rows]; its name is the
baseline's.

`training` and `test` hold what all parties know, in one place: a row a loan, a column of numbers for each unprotected
feature, a platform's as PARTY.COLUMN; levels of words are their places in the plan, and what is not known is null.
`label` is int8 [training rows], 1 where a loan was bad. Only an order of the test rows is asked for: AUC judges it.
"""


def chosen_baselines(plan: Plan, wanted: bool | Collection[str | CustomBaseline]) -> dict[str, Baseline]:
    """The baselines to compute, by name: all of the plan's, none, or those that are named or given.

    Raises:
        BadSetting: there is none of that name, it needs platforms and the plan has none, or two have one name.
    """
    known = baselines_of(plan)
    found: dict[str, Baseline] = {}
    for one in (known if wanted else ()) if isinstance(wanted, bool) else wanted:
        name = one if isinstance(one, str) else getattr(one, "__name__", type(one).__name__)
        if isinstance(one, str) and one not in known:
            raise BadSetting("baselines", f"{one!r}: this plan has {', '.join(known)}; or give a function of your own")
        if name in found or (name in BASELINES and not isinstance(one, str)):
            raise BadSetting("baselines", f"two are called {name!r}: rename one")
        found[name] = BASELINES[one] if isinstance(one, str) else _adapted(name, one)
    return found


def _adapted(name: str, own: CustomBaseline) -> Baseline:
    def judged(plan: Plan, oracle: Oracle) -> float:
        names = pooled_names(plan)
        training, test = (
            pl.DataFrame(pooled_matrix(plan, parts), schema=names, orient="row").fill_nan(None)
            for parts in (oracle.training, oracle.test)
        )
        found = np.asarray(own(training, pooled_labels(oracle.training), test), dtype=np.float64)
        if found.shape != (test.height,) or not np.isfinite(found).all():
            told = f"{name!r} gave an array of shape {found.shape}; it must give {test.height} finite numbers"
            raise BadSetting("baselines", told)
        return figures(pooled_labels(oracle.test), found)["auc"]

    return judged
