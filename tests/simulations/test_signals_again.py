"""Lenders train again on levels that they were told before: what is asked of whom, what it costs, what is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

import numpy as np
import pytest
from ledgers import ledger_of
from plans_again import FIRST, FIRST_AUTO, PLATFORMS, agreed, meanings
from vertical_builders import (
    LENDERS,
    PARTIES,
    REQUESTS,
    Wire,
    carry_out,
    federation_of,
    payloads,
)

from sealscore.clients.node.plan_ledger import approve
from sealscore.compliance.verify.conformance import disclose_faults
from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.ledger.budget_check import BudgetCheck
from sealscore.shared.ledger.entries import AdmitRelease, TellLimit
from sealscore.shared.ledger.state import LedgerFault, LedgerState, PlanState
from sealscore.shared.messages.codec import decode, encode
from sealscore.shared.messages.messages import Refusal, SumAnswer, SumRequest
from sealscore.shared.phases.kind import Kind
from sealscore.shared.phases.order import phases
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import Plan
from sealscore.shared.serving.manifest import Manifest, Told


def again(plan: Plan, told: dict[str, str], **changes: Any) -> Plan:
    """A plan of the same parties that takes its signals from this one."""
    source = {"plan": plan.hash, "meanings": told}
    return plan.replace(name="again", signals_from=source, privacy__label_epsilon=None, **changes)


MADE_UP = again(FIRST, {"video": "1" * 64, "wallet": "2" * 64})


class TestPlan:
    def test_a_plan_without_it_keeps_its_hash(self):
        assert b"signals_from" not in FIRST.canonical()
        assert Plan.from_canonical(MADE_UP.canonical()) == MADE_UP

    @pytest.mark.parametrize("fallback", [False, True])
    def test_platforms_have_one_phase_and_the_lenders_the_whole_budget(self, fallback: bool):
        plan = MADE_UP.replace(model__fallback=fallback)
        found = phases(plan)
        assert [phase.name for phase in found][:3] == ["reuse_signal:video", "reuse_signal:wallet", "bin:lender"]
        assert {phase.group for phase in found if not phase.paired} == {"lender"}
        made = Mechanisms(plan)
        shares = [phase.summed.share(plan, phase.tower) for phase in found if not phase.paired and not phase.test]
        assert sum(shares) == pytest.approx(1)
        assert 0.98 * plan.privacy.epsilon < made.claim() <= plan.privacy.epsilon

    @pytest.mark.parametrize(
        ("changes", "key"),
        [
            ({"privacy__label_epsilon": 1.0}, "privacy.label_epsilon"),
            ({"evaluation__groups": {"age": [40], "region": []}}, "evaluation.groups"),
            ({"signals_from": {"plan": "0" * 64, "meanings": {"video": "1" * 64}}}, "signals_from.meanings"),
            ({"signals_from": {"plan": "0" * 63, "meanings": {"video": "1" * 64}}}, "signals_from.plan"),
        ],
    )
    def test_what_it_cannot_have(self, changes: dict[str, Any], key: str):
        with pytest.raises(PlanError, match=key):
            MADE_UP.replace(**changes)


def others(plan: Plan) -> dict[str, Any]:
    """The parties' records, with other outcomes and loans at the lenders: half of those before and new persons."""
    records = federation_of(plan)
    fresh = federation_of(plan, seed=5)
    for lender in LENDERS:
        old = records[lender]
        half = old.take(np.arange(len(old)) % 2 == 0)
        new = fresh[lender]
        renamed = tuple(f"new-{person}" for person in new.person)
        new = dataclasses.replace(new, person=renamed, ids=tuple(f"{lender}/{person}" for person in renamed))
        columns = {name: np.concatenate([half.columns[name], new.columns[name]]) for name in half.columns}
        assert half.label is not None
        assert new.label is not None
        records[lender] = dataclasses.replace(
            half,
            ids=half.ids + new.ids,
            person=half.person + new.person,
            columns=columns,
            label=np.concatenate([half.label, new.label]),
            test=np.concatenate([half.test, new.test]),
        )
    return records


@pytest.mark.parametrize("first", [FIRST, FIRST_AUTO], ids=["tuned", "auto"])
def test_a_second_plan_trains_on_the_levels_of_the_first(first: Plan):
    wire = Wire(first)
    outcome, _ = carry_out(wire)
    stores = {name: wire.lifetimes[name].disclosure_store for name in PARTIES}
    heads = {name: store.head for name, store in stores.items()}
    told = {name: stores[name].received(first.hash, "signal") for name in LENDERS}
    plan = again(first, meanings(first, outcome))
    second = Wire(plan, others(plan), wire.lifetimes, run="run-2")
    found, exchange = carry_out(second)

    # Nothing new of anybody: no disclosure on either side, and platforms are asked for one step, which names no person.
    assert {name: store.head for name, store in stores.items()} == heads
    assert all(not second.disclosures(name) for name in PARTIES)
    assert [message.header.phase.split(":")[0] for _, message in payloads(exchange)] == ["reuse_signal"] * 6
    bodies = {message.body.decode() for _, message in payloads(exchange)}
    assert bodies == set(meanings(first, outcome).values())
    sums = [
        party
        for requests in exchange.log
        for party, raw in requests.items()
        if isinstance(decode(raw, *REQUESTS), SumRequest)
    ]
    assert set(sums) == set(LENDERS)

    # The model reads the signals, and lenders gave it those levels: of persons of the first plan alone.
    assert [feature.name for feature in found.model.features][-2:] == ["signal.video", "signal.wallet"]
    for lender in LENDERS:
        role = second.nodes[lender].role
        scored = role.scored_records()  # type: ignore[attr-defined]
        wallet = told[lender]["wallet"]
        expected = [wallet.get(person, np.nan) for person in scored.person]
        np.testing.assert_array_equal(scored.columns["signal.wallet"], expected)
        known = ~np.isnan(scored.columns["signal.wallet"])
        assert known.any()
        assert not any(person.startswith("new-") for person, here in zip(scored.person, known, strict=True) if here)


class Kept:
    """Levels of tokens: of all persons whom a platform tells none of in training, until they are withdrawn."""

    def __init__(self, plan: Plan) -> None:
        self.gone = 0
        self._meanings = plan.signals_from.meanings if plan.signals_from else {}

    def deletions(self) -> int:
        return self.gone

    def of(self, platform: str, meaning: str, purpose: str, persons: Iterable[str]) -> dict[str, int]:
        right = (platform, meaning, purpose) == ("wallet", self._meanings["wallet"], "more")
        return dict.fromkeys(persons, 3) if right and not self.gone else {}


def named_to_all(wire: Wire, meanings: Mapping[str, str]) -> None:
    """A release that names the purpose, approved by all."""
    told = {group: Told(meaning=meaning, signal_bits=3) for group, meaning in meanings.items()}
    days = {"issued": date(2030, 1, 1), "expires": date(2031, 1, 1)}
    code = {"purpose_code": "credit-decision", "retraining_code": "more"}
    release = Manifest(name="first", plan=FIRST.hash, lenders=LENDERS, told=told, files={}, **days, **code)
    for name in PARTIES:
        limits = {} if name in LENDERS else {"signal": TellLimit(month=3, life=12)}
        entry = AdmitRelease(release=release.hash, plan=FIRST.hash, text=release.canonical(), limits=limits)
        wire.nodes[name].plan_ledger.ledger.append(lambda state, entry=entry: entry)  # type: ignore[misc]


@pytest.mark.parametrize("named", [True, False])
def test_others_have_the_levels_of_their_tokens_where_the_plan_names_the_purpose(named: bool):
    wire = Wire(FIRST)
    outcome, _ = carry_out(wire)
    told = {name: wire.lifetimes[name].disclosure_store.received(FIRST.hash, "signal") for name in LENDERS}
    plan = again(FIRST, meanings(FIRST, outcome))
    if named:
        plan = plan.replace(signals_from__retraining="more")
        with pytest.raises(LedgerFault, match=r"signals_from\.retraining"):
            approve(wire.nodes["wallet"].plan_ledger.ledger, plan)
        named_to_all(wire, meanings(FIRST, outcome))
    kept = {name: Kept(plan) for name in LENDERS}
    lifetimes = {name: dataclasses.replace(one, token_levels=kept.get(name)) for name, one in wire.lifetimes.items()}
    second = Wire(plan, others(plan), lifetimes, run="run-2")
    carry_out(second)
    for lender in LENDERS:
        role: Any = second.nodes[lender].role
        other = 3.0 if named else np.nan
        scored = role.scored_records()
        expected = [told[lender]["wallet"].get(person, other) for person in scored.person]
        np.testing.assert_array_equal(scored.columns["signal.wallet"], expected)
        assert np.isnan(scored.columns["signal.video"][-1])
        # What was withdrawn in mid-run is in no later sum, though nobody reloads the data.
        before = role._part(False).columns["signal.wallet"]
        kept[lender].gone = 1
        assert (role.before_sum is not None) == named
        if named:
            role.before_sum()
        after = role._part(False).columns["signal.wallet"]
        assert (np.isnan(after).sum() > np.isnan(before).sum()) == named
        assert not (after == 3.0).sum() > sum(level == 3 for level in told[lender]["wallet"].values())


@pytest.fixture
def trained() -> tuple[Wire, Plan]:
    """A wire of the first plan, carried out, and a plan that takes its signals from it."""
    wire = Wire(FIRST)
    outcome, _ = carry_out(wire)
    return wire, again(FIRST, meanings(FIRST, outcome))


def ledger_state(wire: Wire, party: str) -> LedgerState:
    return wire.nodes[party].plan_ledger.ledger.state


def bins(wire: Wire, lender: str) -> str:
    """What a lender says to the first sum that reads a level: "" where it answers."""
    header = wire.header(Kind.BIN, "lender", 1, lender)
    request = encode(SumRequest(header, LENDERS, np.zeros(0), {}))
    reply = decode(wire.nodes[lender].answer(request), SumAnswer, Refusal)
    return reply.code if isinstance(reply, Refusal) else ""


class TestAgreement:
    def test_a_lender_answers_no_sum_before_every_platform_has_agreed(self, trained: tuple[Wire, Plan]):
        wire, plan = trained
        second = Wire(plan, wire.records, wire.lifetimes, run="run-2")
        for platform in PLATFORMS:
            assert bins(second, "lender-1") == "no-signals"
            second.give(Kind.REUSE, "lender-1", platform, 2, second.give(Kind.REUSE, platform, "lender-1", 1))
        assert bins(second, "lender-1") == ""

    @pytest.mark.parametrize("body", [b"", b"0" * 64])
    def test_only_the_meaning_of_the_plan_is_an_agreement(self, trained: tuple[Wire, Plan], body: bytes):
        wire, plan = trained
        second = Wire(plan, wire.records, wire.lifetimes, run="run-2")
        assert second.code(Kind.REUSE, "lender-1", "wallet", 2, body) == "malformed"
        assert second.code(Kind.REUSE, "wallet", "lender-1", 1, b"more") == "malformed"

    def test_it_outlasts_a_restart_and_so_do_the_levels(self, trained: tuple[Wire, Plan]):
        wire, plan = trained
        second = Wire(plan, wire.records, wire.lifetimes, run="run-2")
        agreed(second)
        before = second.nodes["lender-1"].role.scored_records().columns  # type: ignore[attr-defined]
        again_ = Wire(plan, wire.records, wire.lifetimes, run="run-2")
        after = again_.nodes["lender-1"].role.scored_records().columns  # type: ignore[attr-defined]
        np.testing.assert_array_equal(before["signal.video"], after["signal.video"])
        assert not np.isnan(after["signal.video"]).all()
        assert bins(again_, "lender-1") == ""

    def test_who_withdrew_stays_deleted_and_who_withdraws_later_goes(self, trained: tuple[Wire, Plan]):
        wire, plan = trained
        store = wire.lifetimes["lender-1"].disclosure_store
        persons = sorted(store.received(FIRST.hash, "signal")["wallet"])[:2]
        handles = {person: handle for handle, person in store.pairs(FIRST.hash)["wallet"][0].items()}
        store.forget(FIRST.hash, "wallet", [handles[persons[0]]])
        second = Wire(plan, wire.records, wire.lifetimes, run="run-2")
        agreed(second)
        node = second.nodes["lender-1"]

        def levels() -> list[bool]:
            scored = node.role.scored_records()  # type: ignore[attr-defined]
            return [not np.isnan(scored.columns["signal.wallet"][scored.person.index(person)]) for person in persons]

        assert levels() == [False, True]
        node.forget("wallet", FIRST.hash, [handles[persons[1]]])
        assert levels() == [False, False]


class TestLedger:
    def test_a_platform_counts_the_lenders_sums_as_soon_as_it_agrees(self, trained: tuple[Wire, Plan]):
        wire, plan = trained
        spent = BudgetCheck().epsilon(ledger_state(wire, "wallet"))
        # Before it approves it is told what the whole would come to.
        new = PlanState(plan, 0, plan.hash, "wallet")
        outlook = BudgetCheck().outlook(ledger_state(wire, "wallet"), new)
        second = Wire(plan, wire.records, wire.lifetimes, run="run-2")
        state = ledger_state(second, "wallet")
        assert BudgetCheck().epsilon(state) == spent
        second.give(Kind.REUSE, "wallet", "lender-1", 1)
        under = state.plans[plan.hash]
        assert under.exchanged == {"lender"}
        assert under.elsewhere() == under.planned(["lender"])
        assert BudgetCheck().epsilon(state) > 1.2 * spent
        assert BudgetCheck().epsilon(state) == pytest.approx(outlook, rel=0.02)
        second.nodes["wallet"].plan_ledger.settle("finished")
        assert under.elsewhere() == under.planned(["lender"])

    def test_a_lender_counts_its_own_sums_alone(self, trained: tuple[Wire, Plan]):
        wire, plan = trained
        second = Wire(plan, wire.records, wire.lifetimes, run="run-2")
        agreed(second)
        under = ledger_state(second, "lender-1").plans[plan.hash]
        assert not any(under.elsewhere().values())

    @pytest.mark.parametrize("party", ["lender-1", "wallet"])
    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"purpose_code": "another"}, "purpose_code"),
            ({"model__bins": 5}, "groups.wallet"),
            ({"groups__wallet__crosses": [["inflow", "refunds"]]}, "groups.wallet"),
            ({"signals_from__plan": "0" * 64}, "signals_from.plan"),
        ],
    )
    def test_nobody_approves_what_its_ledger_does_not_bear_out(
        self, trained: tuple[Wire, Plan], party: str, changes: dict[str, Any], words: str
    ):
        wire, plan = trained
        ledger = wire.nodes[party].plan_ledger.ledger
        with pytest.raises(LedgerFault, match=words):
            approve(ledger, plan.replace(**changes))
        approve(ledger, plan)

    def test_a_platform_does_not_approve_another_tower(self, trained: tuple[Wire, Plan]):
        wire, plan = trained
        ledger = wire.nodes["wallet"].plan_ledger.ledger
        with pytest.raises(LedgerFault, match=r"signals_from\.plan"):
            approve(ledger, plan.replace(signals_from__meanings__wallet="0" * 64))

    def test_a_lender_that_was_told_nothing_takes_no_part(self, trained: tuple[Wire, Plan]):
        wire, plan = trained
        data = plan.model_dump(mode="json")
        parties = [*data["parties"], {**data["parties"][0], "name": "lender-3"}]
        wider = plan.replace(parties=parties)
        with pytest.raises(LedgerFault, match="lender-3"):
            approve(wire.nodes["wallet"].plan_ledger.ledger, wider)
        with pytest.raises(LedgerFault, match=r"signals_from\.plan"):
            ledger_of(wider, "lender-3", lambda header, event: None)

    def test_a_third_plan_names_the_plan_that_told_and_not_the_second(self, trained: tuple[Wire, Plan]):
        wire, plan = trained
        second = Wire(plan, wire.records, wire.lifetimes, run="run-2")
        carry_out(second)
        ledger = second.nodes["lender-1"].plan_ledger.ledger
        with pytest.raises(LedgerFault, match=r"signals_from\.plan"):
            approve(ledger, plan.replace(name="third", signals_from__plan=plan.hash))
        approve(ledger, plan.replace(name="third", seed=9))

    def test_a_verifier_takes_a_disclosure_in_that_step_for_a_fault(self, trained: tuple[Wire, Plan]):
        wire, plan = trained
        second = Wire(plan, wire.records, wire.lifetimes, run="run-2")
        told = wire.disclosures("wallet")[0].model_copy(update={"plan": plan.hash, "phase": "reuse_signal:wallet"})
        state = ledger_state(second, "wallet").plans[plan.hash]
        assert [code for code, _ in disclose_faults(state, "wallet", told)] == ["disclosed"]
