"""Plans that a server chooses so that more is told of a person than the ledgers count.

A person who is divided otherwise by dates, named otherwise by a second plan, in the sums of the other side, or labelled
under outcomes whose texts differ late only. What is told is recomputed without the project's accounting.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import TABLE, mechanisms, small_plan, small_records
from defences import Defences
from independent import composed
from ledger_entries import answer, approval, disclosed, folded, opening, reserve
from ledgers import ledger_of
from vertical_builders import Wire, federation_of, fresh_lifetimes, members, only, people, records_of, vertical_plan
from vertical_builders import with_labels as labelled

from sealscore.clients.data import test_mask as split_mask
from sealscore.clients.node.node import Node
from sealscore.clients.roles.lifetime import Lifetime
from sealscore.shared.crypto.aggregation import PlainSum
from sealscore.shared.crypto.payloads import unpack_numbers
from sealscore.shared.dp.events import RandomizedResponse
from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.identity.identity import Identity
from sealscore.shared.ledger.budget_check import BudgetCheck, Overdrawn, label_epsilon
from sealscore.shared.ledger.entries import Ceilings, Limit, Settle
from sealscore.shared.ledger.state import LedgerFault, LedgerState
from sealscore.shared.messages.messages import PairAnswer
from sealscore.shared.persons.records import Records
from sealscore.shared.phases.kind import Kind
from sealscore.shared.plan.plan import Plan
from sealscore.shared.randomness.streams import StreamSource
from sealscore.simulations.data.scenario import PLANS, Scenario

BY_DATE = {"kind": "date", "first_test_day": "2020-01-01", "test_fraction": 0.25}
DELTA = 1e-5


def told(plan: Plan, *phases: str) -> float:
    """Epsilon of all attempts of these phases (of all, where none is named), by hand."""
    made = Mechanisms(plan)
    chosen = [phase for phase in made.phases if not phase.paired and (not phases or phase.name in phases)]
    return composed([(made.event(phase).model_dump(), phase.attempts) for phase in chosen], DELTA)


class TestASplitByDate:
    """A person is a test person by the latest date of its records, which parties and exports do not agree on."""

    @staticmethod
    def plan(**changes: Any) -> Plan:
        plan = only(vertical_plan(), "lender-1", "wallet")
        tables = {g: plan.groups[g].table.model_dump(mode="json") | {"date": "day"} for g in ("lender", "wallet")}
        return plan.replace(
            groups__lender__table=tables["lender"],
            groups__wallet__table=tables["wallet"],
            evaluation__split=BY_DATE,
            privacy__max_parties_per_person=1,
            **changes,
        )

    def claim(self) -> tuple[float, float]:
        """What a plan of a lender and a platform claims, and what is told of who is in the test part at the lender."""
        plan = self.plan(privacy__epsilon=2.0)
        met = ("bin:wallet", "train_tower:wallet", "signal_edges:wallet", "evaluate:lender")
        return Mechanisms(plan).claim(), told(plan, *met)

    def test_the_claim_holds_for_who_is_in_another_part_at_the_other_party(self, defences: Defences):
        claimed, true = self.claim()
        assert true <= claimed <= 2.0
        with defences.without("one part by date"):
            claimed, true = self.claim()
            assert claimed == pytest.approx(1.999, abs=0.001)
            assert true == pytest.approx(2.482, abs=0.001)

    def test_such_persons_are_in_both_sums(self):
        plan, everybody, random = self.plan(), people(), np.random.default_rng(5)
        held = {}
        for party in ("lender-1", "wallet"):
            rows = members()[party]
            days = np.datetime64("2019-01-01") + random.integers(0, 490, len(rows)).astype("timedelta64[D]")
            records = records_of(plan.replace(evaluation__split=HASHED), party, everybody, rows)
            test = split_mask(plan.evaluation.split, records.person, days, Path(), "exact")
            held[party] = dataclasses.replace(records, schema=plan.groups[party.split("-")[0]].table, test=test)
        wire = Wire(plan, held)
        wire.align("lender-1", "wallet")
        wire.give(Kind.LABELS, "wallet", "lender-1", 2, wire.labels("lender-1", "wallet"))
        trained = {held["wallet"].person[row] for _, row in wire.nodes["wallet"].role._examples()}
        assert trained & set(held["lender-1"].test_part().person)

    def test_a_newer_export_moves_persons_in_mid_run(self, defences: Defences):
        changes = {"groups__lender__table": TABLE | {"date": "day"}, "evaluation__split": BY_DATE}
        plan = small_plan(privacy__epsilon=2.0, **changes)
        records = dataclasses.replace(small_records(seed=1), schema=plan.groups["lender"].table)
        secret = StreamSource.seeded(1, "lender-1")
        node = Node(plan, "lender-1", records, secret, PlainSum(), Lifetime.fresh(secret), ledger_of(plan, "lender-1"))
        before, test = set(node.role._part(False).person), records.test.copy()
        test[np.flatnonzero(~test)[:30]] = True  # these have a later loan in the new export
        node.reload(dataclasses.replace(records, test=test))
        assert len(before & set(node.role._part(True).person)) == 30
        assert told(plan) <= Mechanisms(plan).claim() <= 2.0
        with defences.without("one part by date"):
            assert Mechanisms(plan).claim() <= 2.0
            assert told(plan) == pytest.approx(2.907, abs=0.001)

    @pytest.mark.parametrize("off", [(), ("one part by date",)], ids=["new", "old"])
    def test_a_ledger_reads_what_is_told_whatever_parts_it_was_written_in(self, defences: Defences, off: tuple[str]):
        changes = {"groups__lender__table": TABLE | {"date": "day"}, "evaluation__split": BY_DATE}
        plan = small_plan(privacy__epsilon=2.0, seed=8 if off else 9, **changes)
        with defences.without(*off):
            entries, true = [opening(), approval(plan)], told(plan)
            made = Mechanisms(plan)
            for phase in made.phases:
                of = {"event": made.event(phase), "part": "test" if phase.test else "training"}
                entries += [reserve(plan, phase.name, 1, one, **of) for one in range(1, phase.attempts + 1)]
        read = BudgetCheck().epsilon(folded(entries))
        assert true <= read == pytest.approx(true, rel=1e-3)


HASHED = {"kind": "hash", "key": "k", "test_fraction": 0.25}
ONE = only(vertical_plan(), "lender-1", "wallet")


def second_spelling(defences: Defences) -> dict[str, float] | str:
    """Two plans on one data set that write persons in two forms: what is told of a person, or why it is refused.

    Labels are coins of their own, so that nothing but the released bits tells of them.
    """
    plan = ONE.replace(privacy__signal_bits=3, model__signal_levels=8)
    lifetimes = fresh_lifetimes(plan)
    lifetimes = {name: dataclasses.replace(one, limit=lambda: 3) for name, one in lifetimes.items()}
    random = np.random.default_rng(0)
    plain = {
        name: labelled(one, lambda old: random.integers(0, 2, len(old))) if one.label is not None else one
        for name, one in federation_of(plan).items()
    }
    bits, told_bits, parts = [], 0.0, []
    for number, form in enumerate(("exact", "creator-id")):
        other = plan.replace(name=f"plan-{number}", alignment__identifier=form)
        held = {name: spelled(one, other) for name, one in plain.items()}
        try:
            wire = Wire(other, held, lifetimes, run=f"run-{number}", seed=100 + number)
        except LedgerFault as fault:
            return fault.code
        wire.align("lender-1", "wallet")
        pair = wire.aligned("wallet", "lender-1")
        sent = unpack_numbers(pair, wire.labels("lender-1", "wallet"), 2).tolist()
        bits.append({person.casefold(): bit for person, bit in zip(pair.persons, sent, strict=True)})
        parts.append({person.casefold() for person in held["lender-1"].training_part().person})
        wire.give(Kind.LABELS, "wallet", "lender-1", 2, wire.give(Kind.LABELS, "lender-1", "wallet", 1, attempt=2))
        told_bits += 3 * isinstance(wire.signal("wallet", "lender-1", seed=number), PairAnswer)
    common = bits[0].keys() & bits[1].keys() & parts[0] & parts[1]
    ledger = wire.nodes["lender-1"].plan_ledger.ledger
    return {
        "drawn anew": float(np.mean([bits[0][person] != bits[1][person] for person in common])),
        "counted": label_epsilon(ledger.state),
        "bits": told_bits,
        "moved": sum((person in parts[0]) != (person in parts[1]) for person in bits[0]) / len(bits[0]),
    }


def spelled(records: Records, plan: Plan) -> Records:
    """Records as a node reads them whose table has identifiers in mixed case."""
    fold = str.casefold if plan.alignment.identifier == "creator-id" else str
    persons = tuple(fold(person.replace("p", "Creator-")) for person in records.person)
    test = split_mask(plan.evaluation.split, persons, None, Path(), plan.alignment.identifier)
    return dataclasses.replace(records, person=persons, test=test)


def test_a_person_has_no_second_spelling(defences: Defences):
    assert second_spelling(defences) == "identifier"
    with defences.without("one identifier") as weak:
        found = second_spelling(weak)
    assert isinstance(found, dict)
    q = math.e / (1 + math.e)
    # Two coins of one label, where the ledger counts one; twice the bits; and half of the persons of a part elsewhere.
    assert found["drawn anew"] == pytest.approx(2 * q * (1 - q), abs=0.15)
    assert found["counted"] == 1.0
    assert found["bits"] == 6
    assert found["moved"] > 0.25


class TestTheOtherSide:
    """Who is in a lender's table decides who is in the platform's sums, which the lender's ledger has no answers of."""

    # Two towers of like budgets: what each side's sums tell is about half.
    PLAN = Scenario.load(PLANS / "uci_vertical_eps2.toml").plan.replace(model__fallback=False)

    def runs(self, ceiling: float) -> tuple[int, LedgerState, float]:
        """Plan after plan runs to its end while the ceiling holds it: how many, the ledger, and what they told."""
        made = Mechanisms(self.PLAN)
        identity = Identity.simulated(self.PLAN.seed, "lender", "lender")
        entries: list[Any] = [opening(identity, Ceilings(epsilon=ceiling, delta=DELTA))]
        for number in range(6):
            plan = self.PLAN.replace(seed=100 + number)
            try:
                BudgetCheck().check_whole(folded(entries), plan)
            except Overdrawn:
                break
            entries += [approval(plan), exchange(plan)]
            for phase in made.phases:
                # The server asks for no evaluation, whose budget is another person's.
                if not phase.paired and not phase.test and phase.group == "lender":
                    of = {"event": made.event(phase), "cohort": 1, "own_noise": 1.0}
                    entries += [reserve(plan, phase.name, 1, one, **of) for one in range(1, phase.attempts + 1)]
            entries.append(Settle(plan=plan.hash, why="finished"))
        state = folded(entries)
        events = [
            (made.event(phase).model_dump(), phase.attempts * len(state.plans))
            for phase in made.phases
            if not phase.paired and not phase.test
        ]
        return len(state.plans), state, composed(events, DELTA)

    def test_stays_charged_when_a_plan_has_ended(self, defences: Defences):
        count, state, true = self.runs(3.0)
        assert count == 2
        assert true <= BudgetCheck().epsilon(state) == pytest.approx(true, rel=2e-3)
        assert true <= 3.0
        with defences.without("other side's charge"):
            count, state, true = self.runs(3.0)
            assert count == 3
            assert BudgetCheck().epsilon(state) == pytest.approx(2.565, abs=0.002)
            assert true == pytest.approx(3.718, abs=0.002)

    def test_costs_nothing_before_anything_was_exchanged(self):
        identity = Identity.simulated(self.PLAN.seed, "lender", "lender")
        entries: list[Any] = [opening(identity), approval(self.PLAN), Settle(plan=self.PLAN.hash, why="finished")]
        assert BudgetCheck().epsilon(folded(entries)) == 0.0
        entries.insert(2, exchange(self.PLAN))
        assert BudgetCheck().epsilon(folded(entries)) > 1.0


def exchange(plan: Plan) -> Any:
    """The lender's first step with the platform."""
    phase = next(phase.name for phase in mechanisms(plan).phases if phase.paired)
    return answer(reserve(plan, phase, 1), 0, reserve=None, peer="platform")


def late_outcomes(defences: Defences) -> tuple[int, float]:
    """Plans whose outcomes differ late: how many release labels under a ceiling of 2, and what the ledger reads."""
    text = "Bad is a loan of which an instalment stayed unpaid. " + "The full contract of terms applies. " * 13
    assert len(text) > 500
    lifetimes, records = fresh_lifetimes(ONE), federation_of(ONE)
    ceilings = Ceilings(epsilon=None, delta=DELTA, label_epsilon=2.0)
    released = 0
    for number in range(5):
        plan = ONE.replace(name=f"plan-{number}", outcome__definition=text, outcome__window_days=365 + number)
        try:
            wire = Wire(plan, records, lifetimes, run=f"run-{number}", seed=number)
        except Overdrawn:
            break
        ledger = wire.nodes["lender-1"].plan_ledger.ledger
        if not released:
            ledger.append(lambda state: Limit(ceilings=ceilings, why="as the board decided"))
        wire.align("lender-1", "wallet")
        wire.labels("lender-1", "wallet")
        released += 1
    return released, label_epsilon(ledger.state)


def test_outcomes_that_differ_late_are_two(defences: Defences):
    assert late_outcomes(defences) == (2, 2.0)
    with defences.without("whole outcome text") as weak:
        assert late_outcomes(weak) == (5, 1.0)


@pytest.mark.parametrize("off", [False, True])
def test_an_entry_that_was_cut_counts_as_what_its_plan_says(defences: Defences, off: bool):
    """Ledgers of earlier versions have the first 500 characters only."""
    plans = [ONE.replace(outcome__definition="x" * 600, outcome__window_days=days) for days in (365, 366)]
    of = {"event": RandomizedResponse(epsilon=1.0, count=1), "what": "x" * 500}
    entries = [
        opening(),
        *map(approval, plans),
        *(disclosed(p, "release_labels:wallet", "wallet", **of) for p in plans),
    ]
    with defences.without(*(("whole outcome text",) if off else ())):
        assert label_epsilon(folded(entries)) == (1.0 if off else 2.0)
