"""A party's side of sums under masks: none until the party has joined a run, then those of its latest seeds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sealscore.clients.roles.errors import Refused
from sealscore.shared.crypto.masking import MaskedSum
from sealscore.shared.crypto.seeds import Seeds, SeedsMissing
from sealscore.shared.messages.address import Address
from sealscore.shared.messages.aggregation import PlainSum, SumShape
from sealscore.shared.plan.plan import Plan


class Masks:
    """The aggregation of a node behind seals. `lone` says that the party's group has no other."""

    def __init__(self, lone: bool) -> None:
        self.lone = lone
        self._sum: MaskedSum | None = None
        self._seeds: Seeds | None = None

    @classmethod
    def of(cls, plan: Plan, party: str) -> Masks:
        """The masks of a party of a plan, whose group may have no other."""
        return cls(len(plan.members(plan.party(party).group)) == 1)

    def use(self, seeds: Seeds) -> None:
        """Mask with these seeds from now on; ValueError where they are not of a later epoch of the same run."""
        if self._sum is None:
            self._sum = MaskedSum(seeds, self.lone)
        else:
            self._sum.replace(seeds)
        self._seeds = seeds

    def ready(self, cohort: tuple[str, ...]) -> bool:
        """Whether there are seeds with every other party of the cohort."""
        return self._seeds is not None and set(cohort) <= self._seeds.digests.keys()

    def close(self) -> None:
        """Erase the seeds: nothing can be masked any more, and no mask be made again."""
        if self._seeds is not None:
            self._seeds.close()
        self._sum = self._seeds = None

    def protect(self, address: Address, cohort: tuple[str, ...], shape: SumShape, vector: np.ndarray) -> bytes:
        """The vector under masks; Refused where there are no seeds with the cohort."""
        if self._sum is None:
            raise Refused("not-joined")
        try:
            return self._sum.protect(address, cohort, shape, vector)
        except SeedsMissing:
            raise Refused("no-seeds") from None

    def total(self, cohort: tuple[str, ...], shape: SumShape, contributions: Mapping[str, bytes]) -> np.ndarray:
        """As `PlainSum.total`: over a whole cohort the masks cancel."""
        return PlainSum().total(cohort, shape, contributions)
