"""A platform that puts identifiers into its set which are nobody's account there, and bands that a split by date tells.

Neither is stopped. These tests show how large it is: what the threat model says of both.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from vertical_builders import Wire, federation_of, names, only, people, records_of, vertical_plan

from sealscore.shared.crypto.alignment import padded_size
from sealscore.shared.crypto.payloads import unpack_numbers
from sealscore.shared.persons.consent import FEDERATION, Consent
from sealscore.shared.persons.records import Records
from sealscore.shared.phases.kind import Kind
from sealscore.shared.plan.plan import Plan

LENDER, PLATFORM = "lender-1", "wallet"
PLAN = only(vertical_plan(), LENDER, PLATFORM)
PRIVATE = PLAN.replace(alignment__method="private")
BOTH = pytest.mark.parametrize("plan", [PLAN, PRIVATE], ids=["exact", "private"])
N = 2000


def lender(plan: Plan) -> Records:
    """A lender's applicants, of whom those with an odd number consent to the platform, and the rest to another one."""
    rows = np.arange(0, 1000, 2) // 2 * 3
    part = records_of(plan, LENDER, people(N), rows)
    sums = Consent(FEDERATION)
    named = tuple((sums, Consent(PLATFORM if int(p[1:]) % 2 else "video-1")) for p in part.person)
    return dataclasses.replace(part, consent=named)


def tried(plan: Plan, first: int, count: int) -> set[str]:
    """Whom a platform finds at the lender that tries so many identifiers, of persons whom it does not know."""
    rows = np.arange(first, first + count)
    made_up = {name: np.full(N, values[0]) for name, values in people(N).items()}
    wire = Wire(plan, {LENDER: lender(plan), PLATFORM: records_of(plan, PLATFORM, made_up, rows)})
    wire.align(LENDER, PLATFORM)
    return set(wire.aligned(PLATFORM, LENDER).persons)


@BOTH
def test_a_platform_learns_which_of_the_ids_that_it_makes_up_applied_and_consented_to_it(plan: Plan):
    """Exactly those, and nobody whose consent names others: who has consented to it is known to be told to it."""
    part = lender(plan)
    found = tried(plan, 0, 400)
    guessed = set(names(range(400)))
    assert found == {person for person in guessed & set(part.person) if int(person[1:]) % 2}
    assert 60 < len(found) < 70


def test_as_many_ids_in_a_run_as_the_messages_hold():
    """The padded size of the platform's nominal records; a run is a plan that the lender's operator approved."""
    size = padded_size(PRIVATE.party(PLATFORM).nominal_records)
    assert size == 512
    assert len(tried(PRIVATE, 0, size)) > 80
    rows = np.arange(size + 1)
    wire = Wire(PRIVATE, {LENDER: lender(PRIVATE), PLATFORM: records_of(PRIVATE, PLATFORM, people(N), rows)})
    request = wire.give(Kind.ALIGN, LENDER, PLATFORM, 1)
    # A platform with one person more answers as if it had nobody: a refusal would tell how many there are.
    response = wire.give(Kind.ALIGN, PLATFORM, LENDER, 2, request)
    assert "513 persons do not fit" in wire.told[0]
    wire.give(Kind.ALIGN, LENDER, PLATFORM, 3, response)
    assert wire.aligned(LENDER, PLATFORM).persons == ()


def bands(by_date: bool) -> tuple[int, int]:
    """Of how many persons a lender reads bands, and how many of these are training persons at the lender.

    By date a third applied late at the lender, and another third has late dates at the platform.
    """
    records = federation_of(PLAN)
    if by_date:
        random = np.random.default_rng(5)
        late = {
            name: dataclasses.replace(part, test=random.random(len(part)) < 1 / 3) for name, part in records.items()
        }
        records = late
    wire = Wire(PLAN, records)
    wire.align(LENDER, PLATFORM)
    pair = wire.aligned(LENDER, PLATFORM)
    codes = dict(zip(pair.persons, unpack_numbers(pair, wire.give(Kind.GROUPS, PLATFORM, LENDER, 1), 3), strict=True))
    wallet = wire.records[PLATFORM]
    told = set(wallet.test_part().person) & set(pair.persons)
    region = dict(zip(wallet.person, wallet.columns["region"].tolist(), strict=True))
    assert all(codes[person] == region[person] for person in told)
    return len(told), len(told & set(wire.records[LENDER].training_part().person))


def test_by_ids_and_by_hash_no_band_is_told_of_a_training_person():
    told, training = bands(by_date=False)
    assert told > 40
    assert training == 0


def test_by_date_bands_are_told_of_who_is_a_test_person_by_the_platforms_dates():
    """Two of three whose bands are told train at the lender, where nothing makes their dates agree."""
    told, training = bands(by_date=True)
    assert abs(training / told - 2 / 3) < 5 * np.sqrt(2 / 9 / told)
