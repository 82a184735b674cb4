"""A party that watches fills: over runs it would tell from their changing where there is nothing to tell.

Who has no label is a test person, or has no consent; by a split by date only the lender knows it. Who has no band is a
training person of the platform.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from defences import Defences
from vertical_builders import Wire, federation_of, fresh_lifetimes, only, vertical_plan

from sealscore.shared.crypto.payloads import unpack_numbers
from sealscore.shared.phases.kind import Kind
from sealscore.shared.plan.plan import Plan

LENDER, PLATFORM = "lender-1", "wallet"
RUNS = 4
BASE = only(vertical_plan(), LENDER, PLATFORM)
RECORDS = federation_of(BASE)
LATE = np.random.default_rng(1).random(len(RECORDS[LENDER])) < 0.3
TRUTH = dict(zip(RECORDS[LENDER].person, LATE.tolist(), strict=True))


def dated(number: int) -> Plan:
    """One of several plans that split by date."""
    tables = {
        f"groups__{group}__table": BASE.groups[group].table.model_dump(mode="json") | {"date": day}
        for group, day in (("lender", "applied"), ("wallet", "joined"))
    }
    split = {"kind": "date", "first_test_day": "2020-01-01", "test_fraction": 0.3}
    return BASE.replace(name=f"plan-{number}", evaluation__split=split, **tables)


def labels(late: list[np.ndarray]) -> list[dict[str, int]]:
    """What the platform reads in runs of plans on one data set, with who applied late in each."""
    life, found = fresh_lifetimes(BASE), []
    for number, test in enumerate(late):
        plan = dated(number)
        held = {
            LENDER: dataclasses.replace(RECORDS[LENDER], schema=plan.groups["lender"].table, test=test),
            PLATFORM: dataclasses.replace(
                RECORDS[PLATFORM],
                schema=plan.groups[PLATFORM].table,
                test=np.zeros(len(RECORDS[PLATFORM]), dtype=bool),
            ),
        }
        wire = Wire(plan, held, life, run=f"run-{number}", seed=50 + number)
        wire.align(LENDER, PLATFORM)
        pair = wire.aligned(PLATFORM, LENDER)
        numbers = unpack_numbers(pair, wire.labels(LENDER, PLATFORM), 2)
        found.append(dict(zip(pair.persons, numbers.tolist(), strict=True)))
    return found


def named(seen: list[dict[str, int]]) -> float:
    """Share of the test persons whom the platform names: all whose bit changes, and nobody else."""
    changing = {person for person in seen[0] if len({bits[person] for bits in seen}) > 1}
    assert all(TRUTH[person] for person in changing)
    return len(changing) / sum(TRUTH[person] for person in seen[0])


def test_no_platform_learns_who_is_a_test_person_by_coming_again(defences: Defences):
    assert named(labels([LATE] * RUNS)) == 0
    with defences.without("kept fills"):
        assert named(labels([LATE] * RUNS)) > 0.8


def test_who_changes_sides_between_two_plans_does_not_show():
    """A newer export has others apply late: who has become a test person keeps the label's bit, and the other way."""
    later = np.random.default_rng(2).random(len(LATE)) < 0.3
    first, second = labels([LATE, later])
    assert first == second


def test_one_run_says_of_a_test_person_what_epsilon_allows_and_no_more():
    """From bit and true label, a platform that knows the label guesses who is a training person: within epsilon."""
    (bits,) = labels([LATE])
    label = dict(zip(RECORDS[LENDER].person, RECORDS[LENDER].label.tolist(), strict=True))
    kept = {late: np.mean([bits[p] == label[p] for p in bits if TRUTH[p] == late]) for late in (True, False)}
    error = 5 * 0.5 / np.sqrt(sum(TRUTH[person] for person in bits))
    assert abs(kept[True] - 0.5) < error
    assert abs(kept[False] - np.e / (1 + np.e)) < error


def test_withdrawals_change_a_place_alike_whoever_withdraws():
    """A place that would change for training persons only would tell, beyond the notice, who had a label."""
    changed = {}
    wire = Wire(BASE, RECORDS, fresh_lifetimes(BASE))
    wire.align(LENDER, PLATFORM)
    pair = wire.aligned(PLATFORM, LENDER)
    first = unpack_numbers(pair, wire.labels(LENDER, PLATFORM), 2)
    gone = set(pair.persons)
    role = wire.nodes[LENDER].role
    part = wire.records[LENDER]
    role._records = dataclasses.replace(part, consent=tuple(() for _ in part.person))
    role.changed()
    second = unpack_numbers(pair, wire.labels(LENDER, PLATFORM, attempt=2), 2)
    test = set(part.test_part().person)
    for side in (test & gone, gone - test):
        rows = [row for row, person in enumerate(pair.persons) if person in side]
        changed[len(rows)] = np.mean(first[rows] != second[rows])
    assert all(abs(share - 0.5) < 5 * 0.5 / np.sqrt(count) for count, share in changed.items())
    # Nothing of it is kept: with the consent, the bits are there again, and no more was told.
    role._records = part
    role.changed()
    assert np.array_equal(unpack_numbers(pair, wire.labels(LENDER, PLATFORM, attempt=3), 2), first)
    assert wire.disclosures(LENDER)[-1].fresh == 0


def test_no_lender_learns_who_trains_at_a_platform_by_coming_again():
    life, seen = fresh_lifetimes(BASE), []
    for number in range(RUNS):
        wire = Wire(BASE.replace(name=f"plan-{number}"), RECORDS, life, run=f"run-{number}", seed=50 + number)
        wire.align(LENDER, PLATFORM)
        pair = wire.aligned(LENDER, PLATFORM)
        numbers = unpack_numbers(pair, wire.give(Kind.GROUPS, PLATFORM, LENDER, 1), 3)
        seen.append(dict(zip(pair.persons, numbers.tolist(), strict=True)))
    assert all(codes == seen[0] for codes in seen)
