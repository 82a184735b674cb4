"""Whom to leave out: the persons who could move the most, by what the parties hold of them, and some at random."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from sealscore.shared.persons.records import Records
from sealscore.shared.plan.plan import Plan
from sealscore.simulations.neighbours.tape import counted_columns
from sealscore.simulations.neighbours.worlds import World
from sealscore.simulations.world.seeding import generator


@dataclass(frozen=True)
class Candidate:
    """A person to leave out, and why."""

    person: str
    why: str


def influential(world: World, most: int, always: Mapping[str, str] | None = None) -> list[Candidate]:
    """At most `most` persons: `always` (person to reason), then in turn who leads a list, then others at random.

    The lists: most records that train, and that test, in one group and in all; most rows in each raw table; most others
    who use the same number; the most extreme values.
    """
    records = world.records()
    found = dict(always or {})
    lists = [*_lists(world.plan, records), *_shared(world), *_raw(world)]
    held = sorted({person for part in records.values() for person in part.person})
    for why, person in _in_turn(lists):
        if len(found) < most * 2 // 3 and person in held:
            found.setdefault(person, why)
    random = generator(world.plan.seed, "persons to leave out").permutation(len(held))
    for index in random:
        if len(found) >= most:
            break
        found.setdefault(held[index], "at random")
    return [Candidate(person, why) for person, why in found.items()]


def halves(world: World, rounds: int) -> Iterator[frozenset[str]]:
    """Half of all persons at random, then the other half, and so on for each round.

    If one person's rows move another's record, a half has the one and not the other with probability 1/2: a few rounds
    look at nearly all pairs of persons at once.
    """
    persons = sorted({person for part in world.records().values() for person in part.person})
    for round in range(rounds):
        coins = generator(world.plan.seed, f"half of all persons {round}").random(len(persons)) < 0.5
        for side in (True, False):
            yield frozenset(person for person, coin in zip(persons, coins, strict=True) if coin == side)


def _in_turn(lists: list[tuple[str, Counter[str]]]) -> Iterator[tuple[str, str]]:
    """(why, person): the first of every list, then the second of every list, and so on."""
    ranked = [(why, [person for person, _ in _ordered(counts)]) for why, counts in lists]
    for rank in range(max((len(persons) for _, persons in ranked), default=0)):
        for why, persons in ranked:
            if rank < len(persons):
                yield why, persons[rank]


def _ordered(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:10]


def _lists(plan: Plan, records: Mapping[str, Records]) -> list[tuple[str, Counter[str]]]:
    everywhere: Counter[str] = Counter()
    found = []
    for test, what in ((False, "train"), (True, "test")):
        for group in plan.groups:
            counts: Counter[str] = Counter()
            for party in plan.members(group):
                part = records[party.name].take(records[party.name].test == test)
                counts.update(part.person)
            everywhere += counts
            found.append((f"most records that {what} at {group}", counts))
    extremes = [
        (f"extreme values at {party.name}", _extremes(plan, party.name, records[party.name])) for party in plan.parties
    ]
    return [("most records in all", everywhere), *found, *extremes]


def _extremes(plan: Plan, party: str, records: Records) -> Counter[str]:
    """By person, in how many counted columns a record has the largest or smallest value that is there at all."""
    found: Counter[str] = Counter()
    for name in counted_columns(plan, party, records):
        values = records.columns[name]
        if not np.isnan(values).all():
            ends = (values == np.nanmin(values)) | (values == np.nanmax(values))
            # A column with many at its ends has no extremes.
            if ends.sum() <= len(values) // 20:
                found.update(records.person[row] for row in np.flatnonzero(ends))
    return found


def _shared(world: World) -> list[tuple[str, Counter[str]]]:
    return [(f"shares {column} with most others", counts) for column, counts in world.shared_numbers().items()]


def _raw(world: World) -> list[tuple[str, Counter[str]]]:
    return [(f"most rows in {table}", counts) for table, counts in world.raw_rows().items()]
