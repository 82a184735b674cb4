"""The watch finds what it must: a federation that holds shows nothing, and each break planted in it shows."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from builders import small_plan, small_records
from vertical_builders import auto_vertical_plan, federation_of, vertical_plan

from sealscore.clients.data.checks import keep
from sealscore.clients.roles.errors import LocalFault
from sealscore.clients.roles.platform import Platform
from sealscore.shared.crypto.payloads import pack_numbers
from sealscore.shared.dp.clipped_sum import TowerSum
from sealscore.shared.ledger.labels import LabelStore
from sealscore.shared.model.coding import Coding
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import Plan
from sealscore.simulations.neighbours.compare import What
from sealscore.simulations.neighbours.replay import runnable
from sealscore.simulations.neighbours.watch import Watch, watch
from sealscore.simulations.neighbours.worlds import NOBODY

PERSONS = 3
Change = Callable[[dict[str, Records]], dict[str, Records]]


class Invented:
    """A world of records in memory; `after` makes tables of what remains, as a party's feature build would."""

    def __init__(self, plan: Plan, records: dict[str, Records], after: Change = lambda records: records) -> None:
        self.plan = runnable(plan)
        self._records, self._after = records, after

    def records(self, without: frozenset[str] = NOBODY) -> dict[str, Records]:
        kept = {
            party: part.take(np.array([person not in without for person in part.person], dtype=bool))
            for party, part in self._records.items()
        }
        return self._after(kept)

    def raw_rows(self) -> dict[str, Counter[str]]:
        return {party: Counter(part.person) for party, part in self._records.items()}

    def shared_numbers(self) -> dict[str, Counter[str]]:
        return {}


# Everybody in every sample: the noise of such a plan is solved in no time.
PLAN = vertical_plan(training__sample_rate=1.0, training__rounds=3)
RECORDS = federation_of(PLAN, 400)


def vertical(
    after: Change = lambda records: records, plan: Plan = PLAN, persons: int = PERSONS, halved: int = 0
) -> Watch:
    return watch(Invented(plan, RECORDS, after), persons, halved)


def kinds(found: Watch) -> set[What]:
    return {finding.what for finding in found.findings}


@pytest.fixture(scope="module")
def honest() -> Watch:
    """The federation as it is, with samples of half of the records."""
    return vertical(plan=vertical_plan(), persons=8, halved=1)


def test_a_federation_that_holds_shows_nothing(honest: Watch):
    assert honest.findings == ()
    assert len(honest.neighbours) == 8 + 2
    assert honest.sums == 39


def test_persons_move_every_sum_and_nearly_as_far_as_they_may(honest: Watch):
    """A watch that sees no move says nothing: of each phase somebody comes near to what the event says."""
    shares = {phase: moved.distance / moved.allowed for phase, (moved, _) in honest.largest().items()}
    kinds = ("bin", "train_tower", "calibrate", "evaluate", "signal_edges")
    assert {phase.partition(":")[0] for phase in shares} == set(kinds)
    assert len(shares) == 3 * 2 + 2 + 2
    assert all(0.3 < share <= 1 for share in shares.values()), shares
    assert min(share for phase, share in shares.items() if not phase.startswith("train")) > 0.7, shares
    assert max(share for phase, share in shares.items() if phase.startswith("train")) > 0.9, shares


LOCAL = {"training__algorithm": "fedprox", "training__local": {"steps": 3, "learning_rate": 0.1, "proximal": 0.01}}


@pytest.mark.parametrize("training", [{}, LOCAL])
def test_lenders_alone(training: dict[str, Any]):
    """Local steps too: each step is compared after the same steps before it."""
    plan = small_plan(training__sample_rate=1.0, **training)
    records = {party.name: small_records(300, seed=at + 1) for at, party in enumerate(plan.parties)}
    found = watch(Invented(plan, records), 4, 1)
    assert found.findings == ()
    moved, _ = found.largest()["train_tower:lender"]
    assert 0.8 * moved.allowed < moved.distance <= moved.allowed


def test_a_plan_that_trains_by_the_recipe():
    """At the run's weights and at crafted ones nobody moves a sum by more than is charged."""
    plan = auto_vertical_plan()
    found = watch(Invented(plan, RECORDS), 3, 1)
    assert found.findings == ()
    shares = {phase: moved.distance / moved.allowed for phase, (moved, _) in found.largest().items()}
    assert {phase.partition(":")[0] for phase in shares} >= {"count_outcomes", "fit_features", "fit_tables", "evaluate"}
    assert all(0 < share <= 1 for share in shares.values()), shares
    assert max(share for phase, share in shares.items() if phase.startswith("fit_features")) > 0.9, shares


def test_private_matching_has_sizes_of_the_plan_alone():
    """Two worlds, each with keys of its own: what the server sees of their alignment is the same."""
    world = Invented(PLAN, RECORDS)
    world.plan = world.plan.replace(alignment__method="private")
    found = watch(world, 1, 0)
    assert found.findings == ()


def standardised(records: dict[str, Records]) -> dict[str, Records]:
    """Features in deviations from the party's own mean."""

    def scaled(part: Records) -> Records:
        name = next(iter(part.columns))
        values = part.columns[name]
        new = np.clip(50 + 10 * (values - np.nanmean(values)) / np.nanstd(values), 0, 100)
        return dataclasses.replace(part, columns=part.columns | {name: new})

    return {party: scaled(part) for party, part in records.items()}


def smoothed(records: dict[str, Records]) -> dict[str, Records]:
    """Labels that follow those of the rows around them."""

    def of(part: Records) -> Records:
        if part.label is None:
            return part
        around = np.convolve(part.label.astype(float), np.ones(3) / 3, mode="same") > 0.5
        return dataclasses.replace(part, label=around.astype(np.int8))

    return {party: of(part) for party, part in records.items()}


def capped(records: dict[str, Records]) -> dict[str, Records]:
    """Every fourth row left out, whoever it is."""
    return {party: part.take(np.arange(len(part)) % 4 != 3) for party, part in records.items()}


@pytest.mark.parametrize("changed", [standardised, smoothed, capped])
def test_features_and_labels_that_look_at_others(changed: Change):
    """Sums alone tell, although one person left: everybody's cell, label or place depends on everybody."""
    assert {What.SUM, What.EXAMPLE, What.RECORD} <= kinds(vertical(changed))


def test_clip_off(monkeypatch: pytest.MonkeyPatch):
    def loose(coding: Coding, clip: float, keep: float) -> TowerSum:
        return TowerSum(coding, 100 * clip if keep == 1 else clip, keep)

    monkeypatch.setattr("sealscore.clients.roles.encoding.TowerSum", loose)
    found = vertical()
    assert kinds(found) == {What.SUM}
    assert {f.where.partition(" ")[0] for f in found.findings} == {"train_tower:lender"}


def test_more_records_of_a_person_than_the_plan_allows(monkeypatch: pytest.MonkeyPatch):
    """A platform that trains on every lender's label of a person, whatever `max_records_per_person` says."""
    honest = Platform._examples

    def all_of(platform: Platform) -> list[tuple[str, int]]:
        once = honest(platform)
        return sorted([*once, *once])

    monkeypatch.setattr(Platform, "_examples", all_of)
    found = vertical()
    assert {What.SUM, What.EXAMPLE} <= kinds(found)


def test_examples_whose_number_is_limited_in_all(monkeypatch: pytest.MonkeyPatch):
    """Who is beyond the limit depends on who else is there."""
    honest = Platform._examples
    monkeypatch.setattr(Platform, "_examples", lambda platform: honest(platform)[:60])
    assert What.EXAMPLE in kinds(vertical())


def test_a_refusal_below_a_number_of_persons(monkeypatch: pytest.MonkeyPatch):
    """Whether a party answers may not depend on how many persons there are: the limit stands at what is there."""
    there = len(RECORDS["wallet"])

    def sum_(platform: Platform, phase: Any, parameters: Any, parts: Any) -> Any:
        if platform._name == "wallet" and len(platform._records) < there:
            raise LocalFault("too few persons")
        return honest(platform, phase, parameters, parts)

    honest = Platform.sum
    monkeypatch.setattr(Platform, "sum", sum_)
    found = vertical()
    assert What.MESSAGE in kinds(found)
    assert all("wallet" in f.where for f in found.findings if f.what is What.MESSAGE)


def test_as_many_persons_shared_as_the_plan_asks_for():
    """One person less in the smallest overlap of all, and nothing is told of it."""
    shared = [
        set(RECORDS[lender].person) & set(RECORDS[platform].person)
        for lender in ("lender-1", "lender-2")
        for platform in ("video-1", "video-2", "wallet")
    ]
    smallest = min(shared, key=len)
    plan = PLAN.replace(alignment__min_overlap=len(smallest))
    found = watch(Invented(plan, RECORDS), 1, 0, always={min(smallest): "in the smallest overlap"})
    assert found.findings == ()


def test_payloads_without_padding(monkeypatch: pytest.MonkeyPatch):
    """Labels alone, of bad persons alone: a platform that takes anything lets the run go on."""

    def bare(aligned: Any, numbers: np.ndarray, levels: int, filler: Any) -> bytes:
        if levels != 2:
            return pack_numbers(aligned, numbers, levels, filler)
        return bytes(aligned.digest) + numbers[numbers > 0].astype(np.uint8).tobytes()

    monkeypatch.setattr("sealscore.clients.roles.pairing.pack_numbers", bare)
    monkeypatch.setattr(
        "sealscore.clients.roles.platform.Platform.release_labels", lambda self, context, body: _taken(self, context)
    )
    assert What.MESSAGE in kinds(vertical(persons=1, halved=1))


def _taken(platform: Platform, context: Any) -> Any:
    from sealscore.clients.roles.releases import Payload

    platform._bits[context.peer] = dict.fromkeys(platform._pairs[context.peer].persons, 0)
    platform.changed()
    return Payload.of(b"")


def test_labels_that_follow_the_number_of_persons(monkeypatch: pytest.MonkeyPatch):
    """Coins that depend on the place of a person among others, and not on the person alone."""
    honest = LabelStore.release

    def in_turn(store: LabelStore, records: Any, labels: np.ndarray, *more: Any) -> Any:
        release = honest(store, records, labels, *more)
        return dataclasses.replace(release, bits=(np.arange(len(labels)) % 2).astype(np.int8))

    monkeypatch.setattr(LabelStore, "release", in_turn)
    found = vertical()
    assert What.VALUE in kinds(found)


def test_a_choice_of_records_that_looks_at_others(monkeypatch: pytest.MonkeyPatch):
    """Of a person's several records the one to keep is chosen by its place in the table."""

    def chosen(records: dict[str, Records]) -> dict[str, Records]:
        def of(part: Records) -> Records:
            twice = [*range(len(part)), *range(len(part))]
            ids = [f"{part.ids[row]}-{at // len(part)}" for at, row in enumerate(twice)]
            persons = [part.person[row] for row in twice]
            both = dataclasses.replace(part.take(np.array(twice)), ids=tuple(ids))
            return both.take(keep(ids, persons, 1))

        return {party: of(part) for party, part in records.items()}

    assert vertical(chosen).findings == ()

    def by_place(ids: Any, persons: Any, most: int) -> np.ndarray:
        half = len(ids) // 2
        return np.array([row if row % 2 else row + half for row in range(half)])

    monkeypatch.setitem(globals(), "keep", by_place)
    assert What.RECORD in kinds(vertical(chosen))


def test_a_person_in_two_parts_of_the_budget():
    """Test at lenders and training at platforms, where the plan says that a person is in one part alone."""

    def moved(records: dict[str, Records]) -> dict[str, Records]:
        return {
            party: part if party.startswith("lender") else dataclasses.replace(part, test=np.zeros(len(part), bool))
            for party, part in records.items()
        }

    # With labels as they are, nothing is told of a test person; with filling, a platform trains on it.
    found = vertical(moved, persons=8)
    assert kinds(found) == {What.PARTS}


def test_a_plan_without_noise_claims_nothing():
    plan = vertical_plan(privacy__noise="none", privacy__label_epsilon=None)
    with pytest.raises(PlanError, match="claims nothing"):
        watch(Invented(plan, federation_of(plan)), 1)
