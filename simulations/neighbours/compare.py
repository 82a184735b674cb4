"""What differs between two worlds that answered the same requests, held against what a claim of epsilon allows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from sealscore.shared.dp.events import Gaussian, SampledGaussian
from sealscore.shared.dp.mechanisms import Mechanism, Mechanisms
from sealscore.shared.messages.messages import SumRequest
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.plan import Plan
from sealscore.simulations.neighbours.replay import Heard, RecordedRequest
from sealscore.simulations.neighbours.tape import counted_columns

# Norms are of exact integers; this is for the float arithmetic of the norm itself.
SLACK = 1e-9


class What(Enum):
    """What a world without some persons showed that it must not.

    SUM: a sum moved by more than its event says, in L2. PARTS: a person moved sums of two parts of the budget that are
    said to be of different persons. RECORD: a counted value, label, part or consent of another person's record changed.
    EXAMPLE: a tower learns from an example that nobody but another person can have changed. VALUE: what crosses between
    two parties of another person changed. MESSAGE: a reply has another type, code or length, or a ledger another number
    of entries.
    """

    SUM = "sum"
    PARTS = "parts"
    RECORD = "record"
    EXAMPLE = "example"
    VALUE = "value"
    MESSAGE = "message"


@dataclass(frozen=True)
class NeighbourFinding:
    """One difference that must not be: where (a phase, a party or both), and how large beside what is allowed."""

    what: What
    where: str
    found: float
    allowed: float

    def __str__(self) -> str:
        return f"{self.what.value} at {self.where}: {self.found:g}, allowed {self.allowed:.4g}"


@dataclass(frozen=True)
class Moved:
    """How far one sum moved, in its own unit, and how far its event lets a person move it."""

    phase: str
    distance: float
    allowed: float


def sensitivity(mechanism: Mechanism) -> float:
    """How far the mechanism's event says that a person moves the sum, in the sum's own unit.

    The event counts in units of its noise: `noise_multiplier` of them are the noise that was added.
    """
    event = mechanism.event
    if not isinstance(event, Gaussian | SampledGaussian):
        raise ValueError(f"an event of kind {event.kind} claims no sensitivity")
    unit = mechanism.noise_std * mechanism.grid / event.noise_multiplier
    return unit * (event.sensitivity if isinstance(event, Gaussian) else event.multiplicity)


def moved_sums(
    plan: Plan, asked: Sequence[RecordedRequest], one: Heard, other: Heard
) -> tuple[list[Moved], list[NeighbourFinding]]:
    """How far each sum moved, over its whole cohort; and the sums, or a party's part of them, that moved too far."""
    sums: dict[tuple[str, int, int], list[int]] = {}
    for place, request in enumerate(asked):
        header = request.request.header
        if isinstance(request.request, SumRequest) and place in one.tape.exact and place in other.tape.exact:
            sums.setdefault((header.phase, header.round, header.attempt), []).append(place)
    moved, worst = [], dict[str, NeighbourFinding]()
    for (phase, _, _), places in sums.items():
        mechanism = one.tape.mechanisms[places[0]]
        allowed = sensitivity(mechanism)
        # No party has more of a person than its records a person, whatever the others have.
        alone = allowed * plan.privacy.max_records_per_person / plan.multiplicity(mechanism.phase.group)
        for step in range(len(one.tape.exact[places[0]])):
            parts = {
                asked[place].party: one.tape.exact[place][step] - other.tape.exact[place][step] for place in places
            }
            distance = _norm(np.sum(list(parts.values()), axis=0)) * mechanism.grid
            moved.append(Moved(phase, distance, allowed))
            far = {phase: (distance, allowed)}
            far |= {f"{phase} of {party}": (_norm(part) * mechanism.grid, alone) for party, part in parts.items()}
            for where, (found, most) in far.items():
                if found > most * (1 + SLACK) and (where not in worst or found > worst[where].found):
                    worst[where] = NeighbourFinding(What.SUM, where, found, most)
    return moved, list(worst.values())


def moved_parts(plan: Plan, moved: Sequence[Moved]) -> list[NeighbourFinding]:
    """One person's moves in more than one part of the budget, where parts are said to be of different persons."""
    names = {one.phase for one in moved if one.distance > 0}
    parts = [{phase.name for phase in part} for part in Mechanisms(plan).composed]
    touched = [part & names for part in parts if part & names]
    return [NeighbourFinding(What.PARTS, " and ".join(sorted(min(part) for part in touched)), len(touched), 1)][
        : len(touched) > 1
    ]


def moved_records(
    plan: Plan, one: Mapping[str, Records], other: Mapping[str, Records], gone: frozenset[str]
) -> list[NeighbourFinding]:
    """Records of persons who are not gone that changed in something counted: how many, by party and column."""
    found = []
    for party, before in one.items():
        after = other[party]
        rows = {record: row for row, record in enumerate(after.ids)}
        stays = [row for row, person in enumerate(before.person) if person not in gone]
        both = [(row, rows[before.ids[row]]) for row in stays if before.ids[row] in rows]
        changed = {"rows": len(stays) + len(after) - 2 * len(both) - sum(person in gone for person in after.person)}
        here, there = np.array(both, dtype=np.int64).reshape(-1, 2).T
        for name in sorted(counted_columns(plan, party, before)):
            values, others = before.columns[name][here], after.columns[name][there]
            changed[name] = int(np.sum((values != others) & ~(np.isnan(values) & np.isnan(others))))
        changed["test part"] = int(np.sum(before.test[here] != after.test[there]))
        if before.label is not None and after.label is not None:
            changed["label"] = int(np.sum(before.label[here] != after.label[there]))
        changed["person"] = sum(before.person[row] != after.person[at] for row, at in both)
        if before.consent is not None and after.consent is not None:
            changed["consent"] = sum(before.consent[row] != after.consent[at] for row, at in both)
        found += [
            NeighbourFinding(What.RECORD, f"{party}: {name}", count, 0) for name, count in changed.items() if count
        ]
    return found


def moved_examples(plan: Plan, one: Heard, other: Heard, gone: int) -> list[NeighbourFinding]:
    """Examples that others' towers learn from that came or changed when `gone` persons left."""
    found = []
    for key in one.tape.examples.keys() | other.tape.examples.keys():
        before, after = (heard.tape.examples.get(key, Counter()) for heard in (one, other))
        came, left = (after - before).total(), (before - after).total()
        most = plan.privacy.max_records_per_person * gone
        if came:
            found.append(NeighbourFinding(What.EXAMPLE, " of ".join(key), came, 0))
        elif left > most:
            found.append(NeighbourFinding(What.EXAMPLE, " of ".join(key), left, most))
    return found


def moved_values(one: Heard, other: Heard, gone: frozenset[str]) -> list[NeighbourFinding]:
    """Persons who are not gone and of whom a peer was told another value, or something where it was told nothing."""
    found = []
    for key in sorted(one.values.keys() | other.values.keys()):
        before, after = one.values.get(key, {}), other.values.get(key, {})
        changed = sum(
            before.get(person) != after.get(person) for person in before.keys() | after.keys() if person not in gone
        )
        if changed:
            party, peer, kind = key
            found.append(NeighbourFinding(What.VALUE, f"{kind} that {party} has of {peer}", changed, 0))
    return found


def moved_messages(asked: Sequence[RecordedRequest], one: Heard, other: Heard) -> list[NeighbourFinding]:
    """Replies that the server can tell apart without reading a payload or a sum, by phase and party."""
    differ = Counter(
        f"{asked[place].request.header.phase or 'set-up'} of {asked[place].party}"
        for place, (before, after) in enumerate(zip(one.replies, other.replies, strict=True))
        if before != after
    )
    found = [NeighbourFinding(What.MESSAGE, where, count, 0) for where, count in differ.items()]
    entries = {party: abs(count - other.entries[party]) for party, count in one.entries.items()}
    return found + [
        NeighbourFinding(What.MESSAGE, f"ledger of {party}", count, 0) for party, count in entries.items() if count
    ]


def _norm(vector: np.ndarray) -> float:
    """L2 norm of an int64 vector."""
    return math.sqrt(float(np.sum(np.square(vector.astype(np.float64)))))
