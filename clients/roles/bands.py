"""Bands of protected features, in which an evaluation is reported, and what a platform may tell of them.

A plan says which columns are protected and where their bands lie, so what is told of a person in the name of fairness
would be the server's choice alone. Which columns it may be, and of how many bits, is the platform's operator's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from sealscore.shared.crypto.payloads import bits_for
from sealscore.shared.plan.plan import Plan
from sealscore.shared.text.foreign import plain

# The most bits of bands that are told of a person over the life of the data set, where its operator says nothing.
GROUP_BITS = 2
_NAME = 120


@dataclass(frozen=True)
class MayTell:
    """What an operator lets be told of protected attributes: which of the own columns, and how many bits of a person.

    `names` are the own names of the plan's columns, where they differ.
    """

    columns: tuple[str, ...] = ()
    bits: int = GROUP_BITS
    names: Mapping[str, str] = field(default_factory=dict)

    def obstacles(self, plan: Plan, party: str) -> list[str]:
        """Why this party does not answer under the plan, where it asks bands that it may not tell."""
        asked, found = told_names(plan, plan.party(party).group), []
        for name in asked:
            own = self.names.get(name, name)
            if own not in self.columns:
                column = repr(own) if own == name else f"{own!r} (the plan's {name!r})"
                found.append(
                    f"the plan asks bands of the column {column}, and node.toml does not list it: protected under "
                    "[data] holds the columns of which lenders may be told bands"
                )
        if asked and (bits := told_bits(plan, plan.party(party).group)) > self.bits:
            found.append(
                f"the bands of {', '.join(asked)} are {bits} bits of a person, and node.toml lets {self.bits} be told: "
                "group_bits under [data]"
            )
        return found


def told_names(plan: Plan, group: str) -> tuple[str, ...]:
    """The protected features of which the platforms of a group tell lenders the bands; none at lenders."""
    return () if group == plan.lenders else plan.groups_at(group)


def told_bits(plan: Plan, group: str) -> int:
    """Bits that the platforms of a group tell of a person by them."""
    names = told_names(plan, group)
    return bits_for(math.prod(len(plan.bands(name)) for name in names)) if names else 0


def told_meaning(plan: Plan, group: str) -> str:
    """What the codes mean that the platforms of a group tell: bands of the same name and edges mean the same."""
    return ";".join(f"{name}: {', '.join(plan.bands(name))}" for name in plan.groups_at(group))


def told_in_words(plan: Plan, group: str) -> str:
    """What the platforms of a group tell of whom, for an operator; the plan has bands there."""
    bands = "; ".join(
        f"{plain(name, _NAME)} ({', '.join(plain(band, _NAME) for band in plan.bands(name))})"
        for name in told_names(plan, group)
    )
    share = plan.evaluation.split.test_fraction
    return (
        f"{bands}: {told_bits(plan, group)} bits, exactly and without epsilon, of each consented, aligned test person "
        f"to that person's lenders; test persons are {100 * share:g} % of all"
    )


def band_of(plan: Plan, name: str, values: np.ndarray) -> np.ndarray:
    """Index of the band of each value of a protected feature; float64 [n] as in Records -> int64 [n].

    Never raises for a value, as bins do not: what has no band counts in the nearest one.
    """
    edges, missing = plan.evaluation.groups[name], len(plan.bands(name)) - 1
    found = np.searchsorted(np.array(edges), values, side="left") if edges else np.floor(np.nan_to_num(values))
    return np.where(np.isnan(values), missing, np.clip(found, 0, missing - 1)).astype(np.int64)


def band_codes(plan: Plan, names: tuple[str, ...], columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """One number for the bands of all these features together; float64 [n] each as in Records -> int64 [n]."""
    sizes = [len(plan.bands(name)) for name in names]
    return np.ravel_multi_index([band_of(plan, name, columns[name]) for name in names], sizes).astype(np.int64)
