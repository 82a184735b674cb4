"""The alignment of one party with each of its peers, as both roles keep it."""

from __future__ import annotations

from clients.refused import LocalFault, Refused
from shared.crypto.alignment import Aligned, Matching, padded_size
from shared.crypto.psi import PrivateMatching
from shared.plan import Plan


class Pairs:
    """Whom a party shares persons with. `aligned` is there once the phase align is done with that peer."""

    def __init__(self, plan: Plan, party: str) -> None:
        self._plan, self._party = plan, party
        self._aligned: dict[str, Aligned] = {}

    def matching(self, lender: str, platform: str) -> Matching:
        """The alignment object of a pair; both sides build the same."""
        sizes = (padded_size(self._plan.party(name).nominal_records) for name in (lender, platform))
        return PrivateMatching(self._plan.alignment.identifier, *sizes)

    def keep(self, peer: str, aligned: Aligned) -> None:
        """Keep the alignment with a peer.

        Raises:
            LocalFault: no overlap, or less than the plan's minimum.
        """
        least, found = self._plan.alignment.min_overlap, len(aligned.handles)
        if found < least:
            what = "no person" if not found else f"{found} persons"
            raise LocalFault(
                f"{self._party} shares {what} with {peer}, and the plan's alignment.min_overlap is {least}: check that "
                f"both write identifiers alike (alignment.identifier = {self._plan.alignment.identifier!r}) and that "
                "consents name the lender, or lower the minimum"
            )
        self._aligned[peer] = aligned

    def __getitem__(self, peer: str) -> Aligned:
        if peer not in self._aligned:
            raise Refused("not-aligned")
        return self._aligned[peer]

    def items(self) -> list[tuple[str, Aligned]]:
        """Peers in the order of their names, with the alignment of each."""
        return sorted(self._aligned.items())
