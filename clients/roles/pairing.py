"""The alignment of one party with each of its peers, as both roles keep it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from sealscore.clients.roles.errors import LocalFault, Refused
from sealscore.shared.crypto.alignment import Aligned, ExactMatching, Matching, padded_size
from sealscore.shared.crypto.payloads import PayloadError, pack_numbers, unpack_numbers
from sealscore.shared.crypto.psi import PrivateMatching, Progress
from sealscore.shared.ledger.disclosure_store import DisclosureStore
from sealscore.shared.plan.plan import Plan
from sealscore.shared.randomness.streams import Stream


class Pairs:
    """Whom a party shares persons with. An alignment is there once the phase align is done with that peer.

    `progress` is told (done, total) while a message of private alignment is made, which takes seconds. `tell` is told
    in words, for the party's own operator, with which peers it shares fewer persons than the plan's minimum, and
    `shortfalls` keeps it.
    """

    def __init__(
        self,
        plan: Plan,
        party: str,
        disclosure_store: DisclosureStore,
        progress: Progress | None = None,
        tell: Callable[[str], None] = lambda words: None,
    ) -> None:
        self._plan, self._party, self._progress = plan, party, progress
        self._disclosure_store, self._tell = disclosure_store, tell
        self.shortfalls: list[str] = []
        kept = disclosure_store.pairs(plan.hash)
        self._aligned = {peer: Aligned.of(named, size) for peer, (named, size) in kept.items()}

    def matching(self, lender: str, platform: str) -> Matching:
        """The alignment object of a pair; both sides build the same."""
        form = self._plan.alignment.identifier
        size, others = (padded_size(self._plan.party(name).nominal_records) for name in (lender, platform))
        if self._plan.alignment.method == "private":
            return PrivateMatching(form, size, others, self._progress)
        salt = hashlib.sha256("\0".join(["align", self._plan.hash, lender, platform]).encode()).digest()
        return ExactMatching(salt, form, size)

    def keep(self, peer: str, aligned: Aligned) -> None:
        """Keep the alignment with a peer; the operator is told where it is below the plan's minimum.

        Nobody else is told, and nothing else follows from it. A refusal would answer exactly, to the server and
        without a charge, how many persons two parties share; and were small pairs left out, one person more or less
        would bring a whole pair into the sums, or take it out.
        """
        least, found = self._plan.alignment.min_overlap, sum(map(bool, aligned.persons))
        if aligned.fault:
            self._note(f"{self._party} goes on as if it shared nobody with {peer}: {aligned.fault}")
        elif found < least:
            what = "no person" if not found else "1 person" if found == 1 else f"{found} persons"
            self._note(
                f"{self._party} shares {what} with {peer}, and the plan's alignment.min_overlap is {least}; the run "
                f"goes on with them: check that both write identifiers alike (alignment.identifier = "
                f"{self._plan.alignment.identifier!r}) and that consents name the other side, or have the minimum "
                "lowered; to answer nothing more under this plan, revoke it (sealscore-node plan revoke "
                f"{self._plan.name})"
            )
        self._aligned[peer] = aligned
        named = dict(zip(aligned.handles, aligned.persons, strict=True))
        self._disclosure_store.keep_pair(self._plan.hash, peer, named, aligned.size)

    def _note(self, words: str) -> None:
        self.shortfalls.append(words)
        self._tell(words)

    def write(
        self, peer: str, numbers: Mapping[str, int], levels: int, fill: Callable[[bytes], int], filler: Stream
    ) -> bytes:
        """A payload of numbers below `levels` by person.

        In the places of other persons of the pair, whose consent is withdrawn, stands what `fill` gives for the handle.
        """
        aligned = self[peer]
        places = zip(aligned.handles, aligned.persons, strict=True)
        full = [numbers[person] if person in numbers else fill(handle) for handle, person in places]
        return pack_numbers(aligned, np.array(full, dtype=np.int64), levels, filler)

    def read(self, peer: str, payload: bytes, levels: int) -> dict[str, int]:
        """The numbers below `levels` that a peer tells of the aligned persons; of who is used no more nothing is read.

        Raises:
            LocalFault: the payload is not one of this pair; says what to ask the peer's operator.
        """
        try:
            aligned = self[peer]
            numbers = unpack_numbers(aligned, payload, levels)
            return {person: int(n) for person, n in zip(aligned.persons, numbers, strict=True) if person}
        except PayloadError as error:
            raise LocalFault(
                f"{self._party} was sent a payload by {peer} that it cannot use: {error}; ask the operator of {peer} "
                "which version of Sealscore and which plan it runs"
            ) from None

    def __getitem__(self, peer: str) -> Aligned:
        if peer not in self._aligned:
            raise Refused("not-aligned")
        return self._aligned[peer]

    def forget(self, peer: str, persons: Iterable[str]) -> None:
        """Use these persons of a pair no more.

        Handles stay, since payloads of the pair are in their order; they name nobody any more.
        """
        gone, aligned = set(persons), self._aligned.get(peer)
        if aligned is not None:
            left = tuple("" if person in gone else person for person in aligned.persons)
            self._aligned[peer] = Aligned(aligned.handles, left, aligned.size)

    def items(self) -> list[tuple[str, Aligned]]:
        """Peers in the order of their names, with the alignment of each."""
        return sorted(self._aligned.items())
