"""How the parties of a simulation write down people: identifiers in their own ways, and who consented to what."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import polars as pl

from sealscore.shared.persons.consent import FEDERATION
from sealscore.shared.plan.plan import Plan
from sealscore.shared.plan.schema import TableSchema

# All of these are one identifier in the normal form "creator-id", and no two of them are alike otherwise.
WRITINGS: tuple[Callable[[str], str], ...] = (
    str,
    str.lower,
    lambda text: text.translate({code: code + 0xFEE0 for code in range(0x21, 0x7F)}),  # full width
    lambda text: f" {text.upper()}",
)


def rewritten(frame: pl.DataFrame, table: TableSchema, place: int) -> pl.DataFrame:
    """The frame with persons written in the way of the party at that place of the plan."""
    column, write = table.person_column, WRITINGS[place % len(WRITINGS)]
    written = [None if text is None else write(text) for text in frame[column].cast(pl.String).to_list()]
    return frame.with_columns(pl.Series(column, written, dtype=pl.String))


def everybody(plan: Plan) -> str:
    """A consent that names all parties of a plan, and the federation."""
    return ";".join([FEDERATION, *(party.name for party in plan.parties)])


def consents(persons: Sequence[str], plan: Plan, party: str, share: float, seed: int) -> list[str]:
    """For each person what it consents to, separated by semicolons: the federation, and parties to be joined with.

    A person consents to each pair of a lender and a platform with probability `share`; both sides of a pair hold the
    same answer, since it follows from (seed, person, lender, platform).
    """
    lender = plan.party(party).group == plan.lenders
    peers = [other.name for other in plan.parties if (other.group == plan.lenders) != lender]
    pairs = [(party, peer) if lender else (peer, party) for peer in peers]
    return [
        ";".join(
            [FEDERATION, *(peer for peer, pair in zip(peers, pairs, strict=True) if _draw(seed, person, *pair) < share)]
        )
        for person in persons
    ]


def _draw(seed: int, *what: str) -> float:
    """A number in [0, 1), uniform over what it is drawn for."""
    digest = hashlib.sha256("\0".join(["consent", str(seed), *what]).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
