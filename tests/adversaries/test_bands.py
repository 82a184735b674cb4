"""Bands of protected attributes: what a server that writes the plan could have a platform tell for fairness's sake."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np
import pytest
import vertical_builders as vertical
from defences import Defences
from homes import new_town, running
from vertical_builders import Wire, members, only, people, records_of

from sealscore.clients.node.admission import NotApproved
from sealscore.clients.roles.bands import GROUP_BITS, MayTell, told_bits, told_in_words
from sealscore.clients.roles.lifetime import Lifetime
from sealscore.shared.messages.messages import PairAnswer
from sealscore.shared.persons.records import Records
from sealscore.shared.phases.kind import Kind
from sealscore.shared.plan.hazards import hazards
from sealscore.shared.plan.plan import Plan
from sealscore.shared.randomness.streams import StreamSource

LENDER, WALLET = "lender-1", "wallet"


def fine_plan() -> Plan:
    """Behaviour marked as protected, in bands as fine as the numbers, and nearly everybody a test person."""
    data = copy.deepcopy(vertical.PLAN)
    features = data["groups"]["wallet"]["table"]["features"]
    features[0]["protected"] = features[1]["protected"] = True
    features.append({"name": "filler", "lower": 0, "upper": 1})
    inflow = [float(edge) for edge in np.arange(0.5, 100, 0.5)]
    data["evaluation"]["split"]["test_fraction"] = 0.98
    data["evaluation"]["groups"] = {"inflow": inflow, "refunds": [n + 0.5 for n in range(12)], "region": []}
    data["alignment"]["min_overlap"] = 1
    return only(Plan.parse(data), LENDER, WALLET)


def records(plan: Plan) -> dict[str, Records]:
    everybody, known = people() | {"filler": np.zeros(800)}, members()
    return {name: records_of(plan, name, everybody, known[name]) for name in (LENDER, WALLET)}


def refunds_named(plan: Plan, lives: dict[str, Lifetime] | None = None) -> tuple[int, int]:
    """Of how many test persons the lender reads the very number of refunds, and of how many it was told bands."""
    held = records(plan)
    wire = Wire(plan, held, lives)
    wire.align(LENDER, WALLET)
    wire.give(Kind.GROUPS, LENDER, WALLET, 2, wire.give(Kind.GROUPS, WALLET, LENDER, 1))
    role: Any = wire.nodes[LENDER].role
    wallet = dict(zip(held[WALLET].person, held[WALLET].columns["refunds"].tolist(), strict=True))
    found = role._bands_told("refunds")
    return sum(wallet[person] == band for person, band in found.items()), len(found)


class TestAChannel:
    def test_it_carries_no_more_than_the_operators_bits(self):
        plan = fine_plan()
        assert told_bits(plan, "wallet") == 14 > GROUP_BITS
        right, told = refunds_named(plan)
        assert told > 200
        # What is beyond the limit is a fill: right as often as chance is, one in fourteen.
        assert right / told < 0.2

    def test_without_the_limit_it_carries_all(self):
        with Defences().without("limit of bits"):
            right, told = refunds_named(fine_plan())
        assert right == told > 200

    def test_the_limit_is_over_all_plans_and_meanings(self):
        """Bands cut anew are another meaning, and bits of their own."""
        plan = only(vertical.vertical_plan(), LENDER, WALLET, alignment__min_overlap=1)
        lives = {name: Lifetime.fresh(StreamSource.seeded(0, name), group_bits=3) for name in (LENDER, WALLET)}
        counts = []
        for levels in (["coast", "inland"], ["inland", "coast"]):
            data = plan.model_dump(mode="json")
            data["groups"]["wallet"]["table"]["features"][2]["levels"] = levels
            wire = Wire(Plan.parse(data), None, lives)
            wire.align(LENDER, WALLET)
            wire.give(Kind.GROUPS, WALLET, LENDER, 1)
            counts.append(any("made-up" in words for words in wire.told))
        assert counts == [False, True]
        persons = wire.records[WALLET].person
        assert lives[WALLET].disclosed.bits("groups", persons) == 2

    def test_the_operator_is_shown_bands_bits_and_whose(self):
        words = told_in_words(fine_plan(), "wallet")
        assert "14 bits" in words
        assert "98 % of all" in words
        assert "coast" in words


class TestTheOperatorsList:
    def test_a_column_that_is_not_listed_is_named(self):
        plan = fine_plan()
        found = MayTell(("region",), bits=64).obstacles(plan, WALLET)
        assert len(found) == 2
        assert all("'inflow'" in one or "'refunds'" in one for one in found)
        assert MayTell(("region", "inflow", "refunds"), bits=64).obstacles(plan, WALLET) == []
        assert len(MayTell(("region", "inflow", "refunds")).obstacles(plan, WALLET)) == 1

    def test_it_lists_own_columns_whatever_the_plan_calls_them(self):
        plan = only(vertical.vertical_plan(), LENDER, WALLET)
        assert MayTell(("region",)).obstacles(plan, WALLET) == []
        assert MayTell(("region",), names={"region": "turnover"}).obstacles(plan, WALLET)

    def test_lenders_tell_no_bands(self):
        assert MayTell().obstacles(vertical.vertical_plan(), LENDER) == []

    def test_a_node_opens_no_plan_that_asks_others(self, tmp_path: Any, monkeypatch: pytest.MonkeyPatch):
        town = new_town(tmp_path)
        monkeypatch.setattr(MayTell, "obstacles", lambda *args: ["bands of 'income'"])
        with running(town[LENDER], town.plan) as host:
            state = host._ledger.state.plans[town.plan.hash]
            with pytest.raises(NotApproved, match="bands of 'income'"):
                host._open(state)


class TestOneNameTwoMeanings:
    """A level that only one kind of platform has, and a person of whom nothing is to be told."""

    def plan(self, levels: list[str]) -> Plan:
        data = copy.deepcopy(vertical.PLAN)
        region = {"name": "region", "kind": "categorical", "levels": ["coast", "inland"], "protected": True}
        data["groups"]["video"]["table"]["features"].append(region)
        data["groups"]["wallet"]["table"]["features"][2] = region | {"levels": levels}
        data["alignment"]["min_overlap"] = 1
        return Plan.parse(data)

    def test_such_a_plan_is_found(self):
        (found,) = hazards(self.plan(["coast", "inland", "blank", "prison"]))
        assert "'region'" in found
        assert "video, wallet" in found
        assert hazards(self.plan(["inland", "coast"]))
        assert hazards(self.plan(["coast", "inland"])) == []

    def test_nobody_elses_level_shows_in_what_is_told(self):
        plan = self.plan(["coast", "inland", "blank", "prison"])
        everybody, known = people(), members()
        bodies = []
        for somebody in (False, True):
            held = {party.name: records_of(plan, party.name, everybody, known[party.name]) for party in plan.parties}
            wallet = held[WALLET]
            region = wallet.columns["region"].copy()
            if somebody:
                lenders = {person for name in vertical.LENDERS for person in held[name].person}
                region[next(row for row, person in enumerate(wallet.person) if person not in lenders)] = 3
            held[WALLET] = dataclasses.replace(wallet, columns={**wallet.columns, "region": region})
            wire = Wire(plan, held)
            wire.align(LENDER, WALLET)
            reply = wire.ask(Kind.GROUPS, WALLET, LENDER, 1)
            assert isinstance(reply, PairAnswer)
            assert wire.told == []
            bodies.append(reply.body)
        assert bodies[0] == bodies[1]
