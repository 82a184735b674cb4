"""How simulated parties write people down: identifiers that a normal form makes alike, and consents of both sides."""

from __future__ import annotations

import polars as pl
import pytest
from vertical_builders import LENDERS, PARTIES, vertical_plan

from sealscore.shared.persons.consent import FEDERATION
from sealscore.shared.persons.identifiers import NORMAL_FORMS
from sealscore.simulations.data.identities import WRITINGS, consents, everybody, rewritten

PLAN = vertical_plan()
PERSONS = [f"p{n}" for n in range(2000)]


def test_all_writings_are_one_identifier_and_no_two_are_alike():
    written = [write("Creator-0042") for write in WRITINGS]
    assert len(set(written)) == len(WRITINGS)
    assert {NORMAL_FORMS["creator-id"](text) for text in written} == {"creator-0042"}


def test_the_column_that_names_the_person_is_rewritten_and_no_other():
    frame = pl.DataFrame({"loan": ["L1", "L2"], "who": ["Ann", None], "account": ["K1", "K2"]})
    lender, wallet = (PLAN.groups[name].table for name in ("lender", "wallet"))
    assert rewritten(frame, lender, 1).to_dict(as_series=False) == {
        "loan": ["L1", "L2"],
        "who": ["ann", None],
        "account": ["K1", "K2"],
    }
    assert rewritten(frame, wallet, 0).equals(frame)


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_consents_are_of_a_pair_and_both_sides_hold_the_same(share: float):
    given = {party: consents(PERSONS, PLAN, party, share, seed=1) for party in PARTIES}
    for lender in LENDERS:
        for platform in set(PARTIES) - set(LENDERS):
            here = [platform in named.split(";") for named in given[lender]]
            assert here == [lender in named.split(";") for named in given[platform]]
            assert abs(sum(here) / len(PERSONS) - share) < 0.06
    assert not any(other in named for other in LENDERS for named in given["lender-1"])


def test_consents_follow_from_the_seed():
    one, again, other = (consents(PERSONS, PLAN, "wallet", 0.5, seed) for seed in (1, 1, 2))
    assert one == again != other


def test_everybody_names_all_parties():
    assert everybody(PLAN).split(";") == [FEDERATION, *PARTIES]
