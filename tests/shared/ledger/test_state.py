"""The fold refuses every entry that those before it do not allow, and then is as if it had never seen it."""

import copy
import hashlib

import pytest
from builders import BIN, CALIBRATE, EVALUATE, TRAIN, small_plan
from ledger_entries import (
    AT,
    DIGEST,
    EVENT,
    UNLIMITED,
    abort,
    answer,
    approval,
    disclosed,
    folded,
    opening,
    refusal,
    reserve,
)
from vertical_builders import vertical_plan

from sealscore.shared.identity.identity import Identity
from sealscore.shared.ledger.entries import Approve, Ceilings, Identify, Limit, Open, Revoke, Settle, Withdraw
from sealscore.shared.ledger.state import LAST_ATTEMPT, LedgerFault, LedgerState

PLAN = small_plan()
OTHER = small_plan(seed=8)
# Rounds and attempts of the small plan, half of them spare: 1 + 1 and 4 + 2.
ATTEMPTS = {BIN: 2, TRAIN: 6, CALIBRATE: 2, EVALUATE: 2}
BLOCK = reserve(PLAN, TRAIN, count=3)
START = [opening(), approval(PLAN)]


def state(ledger_state: LedgerState) -> tuple[object, ...]:
    """Everything that the fold knows."""
    plans = []
    for plan, one in ledger_state.plans.items():
        counts = +one.spent, one.charged, one.refusals, one.disclosures
        reservations = [(seq, r.answered, r.aborted) for seq, r in one.reservations.items()]
        plans.append((plan, one.state, one.run, one.reached, one.last, one.answered, counts, reservations))
    rest = (
        ledger_state.opened,
        ledger_state.identified,
        ledger_state.ceilings,
        ledger_state.alignments,
        ledger_state.withdrawals,
        ledger_state.register_head,
    )
    return copy.deepcopy((plans, rest))


def fault(entries, last):
    """The code with which the last entry is refused after the others, of which nothing is changed."""
    ledger_state = folded(entries)
    before = state(ledger_state)
    with pytest.raises(LedgerFault) as refused:
        ledger_state.apply(len(entries) + 1, AT, last)
    assert refused.value.seq == len(entries) + 1
    assert state(ledger_state) == before
    return refused.value.code


def test_a_ledger_begins_with_its_one_opening_entry():
    server = Identity.simulated(7, "server", "server")
    for entry in (approval(PLAN), BLOCK, refusal(PLAN), Open(card="?", data_set="d", ceilings=UNLIMITED)):
        assert fault([], entry) == "opening"
    assert fault([], opening(server)) == "opening"
    assert fault([opening()], opening()) == "opening"
    with pytest.raises(LedgerFault, match="no opening entry"):
        _ = LedgerState().card
    assert folded([opening()]).card.name == "lender-1"


def test_only_a_whole_plan_of_this_party_is_approved_and_once():
    text = PLAN.canonical().decode("ascii")
    other = Identity.simulated(7, "stranger", "lender")
    assert fault(START, approval(PLAN)) == "approval"
    assert fault([*START, Settle(plan=PLAN.hash, why="finished")], approval(PLAN)) == "approval"
    assert fault([opening()], Approve(plan=OTHER.hash, text=text)) == "approval"
    assert fault([opening(other)], approval(PLAN)) == "approval"
    for bad in ("{}", text.replace(":", ": ", 1), "é{}"):
        digest = hashlib.sha256(bad.encode("ascii", "replace")).hexdigest()
        assert fault([opening()], Approve(plan=digest, text=bad)) == "approval"
    assert set(folded([*START, approval(OTHER)]).plans) == {PLAN.hash, OTHER.hash}


class TestWhatNamesAPerson:
    WHO, ELSE = Identify(column="who", form="exact"), Identify(column="who", form="creator-id")

    def test_is_fixed_once(self):
        assert folded([opening(), self.WHO]).identified == self.WHO
        for again in (self.WHO, self.ELSE, Identify(column="other", form="exact")):
            assert fault([opening(), self.WHO], again) == "identifier"
            assert fault([opening(), self.WHO, approval(PLAN)], again) == "identifier"

    def test_no_plan_in_another_form_is_approved_after_it(self):
        folded([opening(), self.WHO, approval(PLAN)])
        assert fault([opening(), self.ELSE], approval(PLAN)) == "identifier"
        other = PLAN.replace(alignment__identifier="creator-id")
        assert fault([opening(), self.WHO, approval(PLAN)], approval(other)) == "identifier"

    def test_an_older_ledger_gets_it_where_its_plans_agree(self):
        assert folded([*START, self.WHO]).identified == self.WHO
        assert fault(START, self.ELSE) == "identifier"


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        (reserve(OTHER), "not-approved"),
        (reserve(PLAN, "bin:nobody"), "phase"),
        (reserve(PLAN, TRAIN, run="run-2", round=2), "run"),
        (reserve(PLAN, BIN), "order"),
        (reserve(PLAN, TRAIN), "order"),
        (reserve(PLAN, TRAIN, 2, count=6), "attempts"),
        (answer(reserve(PLAN, TRAIN), 99), "answer"),
        (answer(reserve(PLAN, CALIBRATE), 4), "answer"),
        (answer(reserve(PLAN, TRAIN), 4), "answer"),
        (answer(reserve(PLAN, TRAIN, 2), 4), "answer"),
        (answer(reserve(PLAN, BIN), None, reserve=None, peer="video-1"), "disclosure"),
        (abort(99), "abort"),
        (abort(4), "abort"),
        (disclosed(PLAN, TRAIN), "disclosure"),
        (Settle(plan=OTHER.hash, why="finished"), "ending"),
        (Revoke(plan=OTHER.hash, why="the partner left"), "ending"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.kind,
)
def test_an_entry_that_cannot_stand_there(entry, code):
    first = reserve(PLAN, TRAIN)
    assert fault([*START, reserve(PLAN), first, answer(first, 4)], entry) == code


@pytest.mark.parametrize("phase", ATTEMPTS)
@pytest.mark.parametrize("block", [1, 2])
def test_attempts_of_a_phase_are_never_more_than_its_budget(phase, block):
    entries, place = list(START), 1
    for _ in range(ATTEMPTS[phase] // block):
        entries.append(reserve(PLAN, phase, place, count=block))
        place += block
    ledger_state = folded(entries).plans[PLAN.hash]
    assert ledger_state.spent == {phase: ATTEMPTS[phase]}
    assert ledger_state.charged["training"] == {EVENT: ATTEMPTS[phase]}
    assert fault(entries, reserve(PLAN, phase, place)) == "attempts"
    # What never leaves is free again.
    again = folded([*entries, abort(3), reserve(PLAN, phase, place)]).plans[PLAN.hash]
    assert again.spent == {phase: ATTEMPTS[phase]}


def test_phases_go_forward_only():
    entries = [*START, reserve(PLAN, CALIBRATE)]
    for phase in (BIN, TRAIN):
        assert fault(entries, reserve(PLAN, phase, 4, 4)) == "order"
    ledger_state = folded(entries).plans[PLAN.hash]
    assert ledger_state.allows("", (3, 0, 0))
    assert not ledger_state.allows("", (1, 9, 9))


def test_rounds_and_attempts_go_up_even_where_an_answer_was_aborted():
    entries = [*START, reserve(PLAN, TRAIN, 2, 2), abort(3)]
    for place in ((1, 9), (2, 1), (2, 2)):
        assert fault(entries, reserve(PLAN, TRAIN, *place)) == "order"
    folded([*entries, reserve(PLAN, TRAIN, 2, 3), reserve(PLAN, TRAIN, 3, 1)])


def test_a_block_takes_all_of_its_rounds_until_it_is_known_how_far_it_went():
    entries = [*START, BLOCK]
    assert folded(entries).plans[PLAN.hash].last[""] == (1, 3, LAST_ATTEMPT)
    assert fault(entries, reserve(PLAN, TRAIN, 3, 9)) == "order"
    folded([*entries, reserve(PLAN, TRAIN, 4)])
    entries.append(answer(BLOCK, 3, round=2, attempt=2, count=2))
    assert fault(entries, reserve(PLAN, TRAIN, 2, 2)) == "order"
    folded([*entries, abort(3), reserve(PLAN, TRAIN, 2, 3)])


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"round": 1, "attempt": 0}, "answer"),
        ({"round": 4}, "answer"),
        ({"count": 4}, "answer"),
        ({"round": 2}, "order"),
        ({"round": 1, "attempt": 7}, "order"),
        ({"round": 3, "count": 2}, "answer"),
    ],
    ids=str,
)
def test_answers_stay_in_their_block_and_go_up(changes, code):
    assert fault([*START, BLOCK, answer(BLOCK, 3, round=2, count=2)], answer(BLOCK, 3, **changes)) == code


def test_an_answer_out_of_a_later_reservation_opens_nothing_again():
    first, second = reserve(PLAN, TRAIN, 1), reserve(PLAN, TRAIN, 2)
    entries = [*START, first, second]
    assert fault(entries, answer(second, 3)) == "answer"
    late = [*entries, answer(first, 3)]
    assert folded(late).plans[PLAN.hash].last[""] == (1, 2, 1)
    assert fault(late, reserve(PLAN, TRAIN, 2)) == "order"
    assert fault([*entries, answer(second, 4)], answer(first, 3)) == "order"


def test_aborts_count_what_had_not_left_only():
    entries = [*START, BLOCK, answer(BLOCK, 3, round=2, count=2)]
    assert fault(entries, abort(3, 2)) == "abort"
    ledger_state = folded([*entries, abort(3)]).plans[PLAN.hash]
    assert ledger_state.spent == {TRAIN: 2}
    assert ledger_state.charged["training"] == {EVENT: 2}
    assert fault([*entries, abort(3)], answer(BLOCK, 3, round=3)) == "answer"


@pytest.mark.parametrize("end", [Settle(plan=PLAN.hash, why="finished"), Revoke(plan=PLAN.hash, why="it is over")])
def test_nothing_is_answered_after_the_end_and_what_was_spent_stays(end):
    first = reserve(PLAN)
    entries = [*START, first, end]
    for entry in (reserve(PLAN, TRAIN), answer(first, 3)):
        assert fault(entries, entry) == "not-approved"
    assert fault(entries, end) == "ending"
    ledger_state = folded(entries)
    assert ledger_state.plans[PLAN.hash].state == {"settle": "settled", "revoke": "revoked"}[end.kind]
    assert ledger_state.plans[PLAN.hash].spent == {BIN: 1}
    assert ledger_state.live == []
    # A refusal of it is noted still, and that of a plan that was never approved.
    folded([*entries, refusal(PLAN), refusal(OTHER)])


def test_steps_of_pairs_go_forward_for_each_peer_by_itself():
    plan = vertical_plan()
    align, signal = "align:video", "disclose_signal:video"
    entries = [opening(), approval(plan), disclosed(plan, align, register_head=DIGEST)]
    assert fault(entries, disclosed(plan, align)) == "order"
    assert fault(entries, disclosed(plan, align, attempt=0)) == "order"
    assert fault(entries, disclosed(plan, align, run="run-2", round=2)) == "run"
    assert fault(entries, reserve(plan, align, 2)) == "reservation"
    step = answer(reserve(plan, align), None, reserve=None, round=2, peer="video-1")
    entries += [disclosed(plan, align, peer="video-2"), step, disclosed(plan, signal)]
    assert fault(entries, disclosed(plan, align, round=3)) == "order"
    assert fault(entries, reserve(plan, "bin:video")) == "order"
    ledger_state = folded(entries)
    assert ledger_state.alignments == {"video-1": [AT], "video-2": [AT]}
    assert [told.peer for told in ledger_state.plans[plan.hash].disclosures] == ["video-1", "video-2", "video-1"]
    assert ledger_state.register_head == DIGEST


def test_ceilings_and_withdrawals_follow_the_last_word():
    lower = Ceilings(epsilon=1.0, delta=1e-6)
    passed = Withdraw(plan=PLAN.hash, peer="video-1", direction="passed", persons=2, register_head="cd" * 32)
    ledger_state = folded([opening(), Limit(ceilings=lower, why="less"), passed])
    assert ledger_state.ceilings == lower
    assert ledger_state.withdrawals == [passed]
    assert ledger_state.register_head == "cd" * 32


def test_whose_records_a_phase_reads():
    hashed = folded([opening(), approval(PLAN)]).plans[PLAN.hash]
    assert [hashed.part(phase) for _, phase in hashed.phases.values()] == ["training"] * 3 + ["test"]
    table = PLAN.groups["lender"].table.model_dump(mode="json") | {"date": "applied"}
    split = {"kind": "date", "first_test_day": "2020-01-01", "test_fraction": 0.25}
    dated = PLAN.replace(groups__lender__table=table, evaluation__split=split)
    # Also where a person is at one party only: a newer export of its table has other last dates.
    for spread in (1, 2):
        plan = dated.replace(privacy__max_parties_per_person=spread)
        ledger_state = folded([opening(), approval(plan)]).plans[plan.hash]
        assert [ledger_state.part(phase) for _, phase in ledger_state.phases.values()] == ["all"] * 4
