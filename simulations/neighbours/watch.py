"""One watch: a plan is run, and worlds without one person, or without half of all, answer its requests again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sealscore.shared.persons.identifiers import NORMAL_FORMS
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import Plan
from sealscore.simulations.data.scenario import Scenario
from sealscore.simulations.neighbours import HALVES, PERSONS
from sealscore.simulations.neighbours.compare import (
    Moved,
    NeighbourFinding,
    moved_examples,
    moved_messages,
    moved_parts,
    moved_records,
    moved_sums,
    moved_values,
)
from sealscore.simulations.neighbours.crafted import crafted
from sealscore.simulations.neighbours.persons import halves, influential
from sealscore.simulations.neighbours.planted import plant_odd_rows, plant_shared_numbers
from sealscore.simulations.neighbours.replay import Heard, RecordedRequest, record, replay, runnable
from sealscore.simulations.neighbours.worlds import World, world_of

HALF, SHARES, ODD = "half of all persons", "uses the numbers of many others", "repeats others' keys, has rows at fault"

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Neighbour:
    """What a world without one person, or without half of all, showed.

    `person` is empty for a half. `moved` has the largest move of each phase, of a person's sums alone: no claim says
    how far half of all persons move one.
    """

    person: str
    why: str
    moved: tuple[Moved, ...]
    findings: tuple[NeighbourFinding, ...]


@dataclass(frozen=True)
class Watch:
    """All that a watch of a plan showed; `sums` counts the answers with a sum that each neighbour's were compared with.

    `all_features` tells that the plan was watched as if it scored every feature.
    """

    plan: str
    persons: int
    sums: int
    neighbours: tuple[Neighbour, ...]
    all_features: bool = False

    @property
    def findings(self) -> tuple[NeighbourFinding, ...]:
        """Everything that must not be; the claim holds as far as was looked where there is nothing."""
        return tuple(finding for neighbour in self.neighbours for finding in neighbour.findings)

    def largest(self) -> dict[str, tuple[Moved, Neighbour]]:
        """By phase the move that came nearest to its event's sensitivity, and who made it."""
        found: dict[str, tuple[Moved, Neighbour]] = {}
        for neighbour in self.neighbours:
            for moved in neighbour.moved:
                if moved.phase not in found or moved.distance > found[moved.phase][0].distance:
                    found[moved.phase] = (moved, neighbour)
        return found

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON; persons are not named."""
        return {
            "plan": self.plan,
            "all_features": self.all_features,
            "persons": self.persons,
            "neighbours": sum(bool(neighbour.person) for neighbour in self.neighbours),
            "halves": sum(not neighbour.person for neighbour in self.neighbours),
            "sums": self.sums,
            "phases": [
                {
                    "phase": phase,
                    "moved": moved.distance,
                    "allowed": moved.allowed,
                    "share": moved.distance / moved.allowed,
                    "why": neighbour.why,
                }
                for phase, (moved, neighbour) in self.largest().items()
            ],
            "findings": [
                {"what": f.what.value, "where": f.where, "found": f.found, "allowed": f.allowed, "why": neighbour.why}
                for neighbour in self.neighbours
                for f in neighbour.findings
            ],
        }


def watch_scenario(
    scenario: Scenario,
    persons: int = PERSONS,
    halved: int = HALVES,
    rounds: int | None = None,
    all_features: bool = False,
    tell: Tell = lambda what: None,
) -> Watch:
    """Watch a scenario's plan on its own data; in a creator world two persons are planted (see `planted`).

    With `all_features` every feature of the tables enters its tower, those for baselines alone too.

    Raises:
        As `watch` does.
    """
    plan = runnable(everything_scored(scenario.plan) if all_features else scenario.plan)
    planted: dict[str, str] = {}

    def plant(raw: Path) -> None:
        form = NORMAL_FORMS[plan.alignment.identifier]
        sharing = plant_shared_numbers(raw)
        planted[form(sharing)] = SHARES
        planted[form(plant_odd_rows(raw, sharing))] = ODD

    with world_of(scenario, plan, plant, tell) as world:
        found = watch(world, persons, halved, rounds, planted, tell)
        return dataclasses.replace(found, all_features=all_features)


def sized(scenario: Scenario, creators: int) -> Scenario:
    """The scenario with an invented data set of that size, and a least overlap that fits it.

    Raises:
        PlanError: its data set is used whole.
    """
    least = min(scenario.plan.alignment.min_overlap, max(1, creators // 100))
    return scenario.replace(simulation__creators=creators, alignment__min_overlap=least)


def everything_scored(plan: Plan) -> Plan:
    """The plan with no feature for baselines alone."""
    data = plan.model_dump(mode="json")
    for group in data["groups"].values():
        for feature in group["table"]["features"]:
            feature.pop("input_only", None)
    return Plan.parse(data, plan.name)


def watch(
    world: World,
    persons: int = PERSONS,
    halved: int = HALVES,
    rounds: int | None = None,
    always: Mapping[str, str] | None = None,
    tell: Tell = lambda what: None,
) -> Watch:
    """Run the world's plan (see `runnable`), and let worlds without single persons and without halves answer again.

    `persons` are the most influential ones, those of `always` first; `halved` times all persons are cut into two
    halves; at most `rounds` rounds of each tower's training are asked again.

    Raises:
        DataError, PlanError: as for a run; PlanError too for a plan that claims nothing.
        PhaseFailed, AttemptsSpent, MissingParties: the plan cannot be carried out.
    """
    plan = world.plan
    if plan.privacy.noise == "none":
        raise PlanError(plan.name, ["privacy.noise = 'none': the plan claims nothing that could be held against it"])
    torch.set_num_threads(1)
    tell("the plan's run")
    records = world.records()
    asked = crafted(plan, record(plan, records), rounds)
    whole = replay(plan, records, asked)
    found = []
    for number, candidate in enumerate(influential(world, persons, always), start=1):
        tell(f"person {number} of {persons}: {candidate.why}")
        found.append(_without(world, asked, whole, frozenset({candidate.person}), candidate.person, candidate.why))
    for number, half in enumerate(halves(world, halved), start=1):
        tell(f"half {number} of {2 * halved}")
        found.append(_without(world, asked, whole, half, "", HALF))
    held = {person for part in records.values() for person in part.person}
    return Watch(plan.name, len(held), len(whole.tape.exact), tuple(found))


def _without(
    world: World, asked: Sequence[RecordedRequest], whole: Heard, gone: frozenset[str], person: str, why: str
) -> Neighbour:
    plan, records = world.plan, world.records(gone)
    heard = replay(plan, records, asked, whole.tape)
    findings = [
        *moved_records(plan, world.records(), records, gone),
        *moved_examples(plan, whole, heard, len(gone)),
        *moved_values(whole, heard, gone),
        *moved_messages(asked, whole, heard),
    ]
    if not person:
        return Neighbour(person, why, (), tuple(findings))
    moved, far = moved_sums(plan, asked, whole, heard)
    return Neighbour(person, why, largest(moved), (*far, *moved_parts(plan, moved), *findings))


def largest(moved: Sequence[Moved]) -> tuple[Moved, ...]:
    """The largest move of each phase."""
    found: dict[str, Moved] = {}
    for one in moved:
        if one.phase not in found or one.distance > found[one.phase].distance:
            found[one.phase] = one
    return tuple(found.values())
