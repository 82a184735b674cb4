"""What a node writes into its ledger under a plan: one entry a block, no answer twice, no ceiling exceeded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import vertical_builders as vertical
from builders import BIN, CALIBRATE, EVALUATE, LENDERS, RUN, TRAIN, mechanisms, phase_of, small_plan
from doubles import Talk
from hypothesis import given, settings
from hypothesis import strategies as st
from ledgers import UNLIMITED, identified, identity_of, ledger_of, own_epsilon

from sealscore.clients.node.plan_ledger import ALIGNMENT_DAYS, ALIGNMENTS, MAX_REFUSALS, PlanLedger, approve
from sealscore.clients.roles.errors import LocalFault, Refused
from sealscore.clients.roles.releases import Kept, PayloadRelease
from sealscore.shared.dp.events import Disclosure, RandomizedResponse
from sealscore.shared.ledger.budget_check import Overdrawn
from sealscore.shared.ledger.entries import Abort, Answer, Ceilings, Disclose, Entry, Limit, Refuse, Reserve, Settle
from sealscore.shared.ledger.ledger import Ledger, LedgerError, read_ledger
from sealscore.shared.ledger.state import PlanState
from sealscore.shared.messages.codec import Address
from sealscore.shared.messages.messages import Refusal, SumAnswer
from sealscore.shared.plan.plan import SERVER, Plan

PLAN = small_plan(training__rounds=20, privacy__spare_attempts=0.5)
DIGEST = "ab" * 32


class Desk:
    """The books of lender-1 in a ledger's file, and whoever asks."""

    def __init__(self, folder: Path, block: int = 1, plan: Plan = PLAN, ceilings: Ceilings = UNLIMITED) -> None:
        self.plan = plan.replace(privacy__reserve_block=block)
        self.path, self.identity = folder / "ledger.db", identity_of(self.plan, "lender-1")
        self.now = datetime(2031, 1, 6, 10, tzinfo=UTC)
        self.ledger = Ledger.create(
            self.path, self.identity, "records", ceilings, self.clock, identified(self.plan, "lender-1")
        )
        approve(self.ledger, self.plan)
        self.plan_ledger = PlanLedger(self.ledger, self.plan, "seeded")

    def clock(self) -> float:
        return self.now.timestamp()

    def restart(self) -> None:
        """Open the file anew, as after a crash: nobody closed the books."""
        self.ledger.close()
        self.ledger = Ledger(self.path, self.identity, self.clock)
        self.plan_ledger = PlanLedger(self.ledger, self.plan, "seeded")

    def header(self, phase: str, round: int = 1, attempt: int = 1, run: str = RUN) -> Address:
        return Address(self.plan.hash, run, phase, round, attempt, SERVER, "lender-1")

    def place(self, phase: str, round: int, attempt: int = 1) -> tuple[int, int, int]:
        return self.state.phases[phase][0], round, attempt

    def answer(self, round: int, attempt: int = 1, phase: str = TRAIN, cohort: int = 3) -> None:
        """Charge an answer and give it."""
        found = phase_of(self.plan, phase)
        header = self.header(phase, round, attempt)
        self.plan_ledger.reserve(header, found, mechanisms(self.plan).mechanism(found, 10), cohort, DIGEST)
        self.plan_ledger.answered()

    @property
    def state(self) -> PlanState:
        return self.ledger.state.plans[self.plan.hash]

    @property
    def entries(self) -> list[Entry]:
        """The entries since the approval, as they are in the file."""
        return [stored.entry for stored in read_ledger(self.path)][3:]

    def told(self) -> list[tuple[Any, ...]]:
        """The kinds of these entries, with how many answers and the place."""
        return [
            (type(e).__name__, e.count, *((e.round, e.attempt) if not isinstance(e, Abort) else ()))
            for e in self.entries
            if isinstance(e, Reserve | Answer | Abort)
        ]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def blocks(tmp_path: Path) -> Desk:
    """A desk that reserves five answers at once."""
    return Desk(tmp_path, block=5)


class TestOneByOne:
    def test_each_answer_is_reserved_and_then_noted(self, desk: Desk):
        desk.answer(1)
        desk.answer(1, 2)
        desk.answer(3, 1)
        places = [(1, 1), (1, 2), (3, 1)]
        assert desk.told() == [(kind, 1, *place) for place in places for kind in ("Reserve", "Answer")]
        assert desk.plan_ledger.answers(phase_of(desk.plan, TRAIN)) == desk.state.spent[TRAIN] == 3

    def test_the_reservation_is_on_the_disk_before_the_answer(self, desk: Desk):
        found = phase_of(desk.plan, TRAIN)
        mechanism = mechanisms(desk.plan).mechanism(found, 10)
        desk.plan_ledger.reserve(desk.header(TRAIN), found, mechanism, 2, DIGEST)
        (entry,) = desk.entries
        assert isinstance(entry, Reserve)
        assert (entry.event, entry.part, entry.source) == (mechanism.event, "training", "seeded")
        assert (entry.cohort, entry.max_colluding) == (2, 1)
        assert entry.own_noise == 1.0
        desk.restart()
        assert desk.state.spent[TRAIN] == 1
        assert not desk.plan_ledger.allows("", desk.place(TRAIN, 1))

    def test_phases_of_test_persons_are_charged_to_them(self, desk: Desk):
        desk.answer(1, phase=BIN)
        desk.answer(1, phase=EVALUATE)
        assert [entry.part for entry in desk.entries if isinstance(entry, Reserve)] == ["training", "test"]


class TestBlocks:
    def test_one_entry_when_it_begins_and_one_when_it_is_used_up(self, blocks: Desk):
        for round in range(1, 6):
            blocks.answer(round)
            assert len(blocks.entries) == (1 if round < 5 else 2)
        assert blocks.told() == [("Reserve", 5, 1, 1), ("Answer", 5, 5, 1)]
        blocks.answer(6)
        assert blocks.told()[2:] == [("Reserve", 5, 6, 1)]

    def test_answers_of_an_own_block_that_were_not_given_do_not_count(self, blocks: Desk):
        blocks.answer(1)
        assert blocks.state.spent[TRAIN] == 5
        assert blocks.plan_ledger.answers(phase_of(blocks.plan, TRAIN)) == 1

    def test_no_larger_than_the_rounds_and_attempts_that_are_left(self, blocks: Desk):
        for round in (17, 18, 19, 20):
            blocks.answer(round)
        assert blocks.told() == [("Reserve", 4, 17, 1), ("Answer", 4, 20, 1)]
        for attempt in range(2, 28):
            blocks.answer(20, attempt)
        assert blocks.state.spent[TRAIN] == phase_of(blocks.plan, TRAIN).attempts == 30
        with pytest.raises(Refused, match="out-of-order"):
            blocks.answer(20, 28)

    def test_another_attempt_is_of_the_same_block(self, blocks: Desk):
        blocks.answer(1)
        blocks.answer(1, 2)
        blocks.answer(2)
        blocks.plan_ledger.close()
        assert blocks.told() == [("Reserve", 5, 1, 1), ("Answer", 3, 2, 1), ("Abort", 2)]

    def test_one_at_or_below_the_last_answer_is_not(self, blocks: Desk):
        blocks.answer(2, 3)
        allows, place = blocks.plan_ledger.allows, blocks.place
        assert [allows("", place(TRAIN, *at)) for at in ((2, 3), (2, 2), (1, 9), (2, 4), (3, 1), (9, 1))] == [
            False,
            False,
            False,
            True,
            True,
            True,
        ]

    def test_another_cohort_ends_it_and_the_rest_is_given_back(self, blocks: Desk):
        blocks.answer(1)
        blocks.answer(2)
        blocks.answer(2, 2, cohort=2)
        assert blocks.told() == [("Reserve", 5, 1, 1), ("Answer", 2, 2, 1), ("Abort", 3), ("Reserve", 5, 2, 2)]
        assert [entry.cohort for entry in blocks.entries if isinstance(entry, Reserve)] == [3, 2]
        assert blocks.plan_ledger.answers(phase_of(blocks.plan, TRAIN)) == 3

    def test_another_phase_ends_it(self, blocks: Desk):
        blocks.answer(1)
        blocks.answer(1, phase=CALIBRATE)
        assert blocks.told()[:4] == [("Reserve", 5, 1, 1), ("Answer", 1, 1, 1), ("Abort", 4), ("Reserve", 1, 1, 1)]
        assert blocks.state.spent == {TRAIN: 1, CALIBRATE: 1}

    def test_a_round_beyond_it_ends_it(self, blocks: Desk):
        blocks.answer(1)
        blocks.answer(9)
        assert blocks.told() == [("Reserve", 5, 1, 1), ("Answer", 1, 1, 1), ("Abort", 4), ("Reserve", 5, 9, 1)]

    def test_closing_gives_back_the_rest_and_the_next_round_is_allowed(self, blocks: Desk):
        blocks.answer(1)
        blocks.answer(2)
        blocks.plan_ledger.close()
        blocks.plan_ledger.close()
        assert blocks.told() == [("Reserve", 5, 1, 1), ("Answer", 2, 2, 1), ("Abort", 3)]
        assert [entry.why for entry in blocks.entries if isinstance(entry, Abort)] == ["not-asked"]
        blocks.restart()
        assert not blocks.plan_ledger.allows("", blocks.place(TRAIN, 2))
        assert blocks.plan_ledger.allows("", blocks.place(TRAIN, 2, 2))
        blocks.answer(3)

    def test_an_answer_that_failed_after_its_charge_stays_charged(self, blocks: Desk):
        """What was thrown between the charge and the answer says nothing of what had left."""
        found = phase_of(blocks.plan, TRAIN)
        blocks.plan_ledger.reserve(
            blocks.header(TRAIN, 1), found, mechanisms(blocks.plan).mechanism(found, 10), 3, DIGEST
        )
        blocks.plan_ledger.close()
        assert blocks.told() == [("Reserve", 5, 1, 1), ("Answer", 1, 1, 1), ("Abort", 4)]
        assert blocks.state.spent[TRAIN] == 1

    def test_after_a_crash_all_of_it_is_spent_and_its_rounds_are_skipped(self, blocks: Desk):
        blocks.answer(4)
        blocks.answer(5)
        blocks.restart()
        assert blocks.state.spent[TRAIN] == blocks.plan_ledger.answers(phase_of(blocks.plan, TRAIN)) == 5
        for round in range(1, 9):
            for attempt in (1, 2, 2**31):
                assert not blocks.plan_ledger.allows("", blocks.place(TRAIN, round, attempt))
        assert blocks.plan_ledger.allows("", blocks.place(TRAIN, 9))
        assert blocks.plan_ledger.allows("", blocks.place(CALIBRATE, 1))
        blocks.answer(9)
        assert blocks.state.spent[TRAIN] == 10

    def test_a_node_that_died_in_a_block_refuses_its_rounds_and_goes_on_above(self):
        plan = small_plan(privacy__reserve_block=3, training__rounds=8)
        talk = Talk(plan)
        talk.publish()
        assert isinstance(talk.ask(TRAIN, 1), SumAnswer)
        talk.node.plan_ledger = PlanLedger(talk.node.plan_ledger.ledger, plan, "seeded")
        talk.node._answers.clear()
        assert [talk.code(TRAIN, round, 2) for round in (1, 2, 3)] == ["out-of-order"] * 3
        assert isinstance(talk.ask(TRAIN, 4), SumAnswer)

    @settings(max_examples=60, deadline=None)
    @given(
        block=st.integers(1, 7),
        steps=st.lists(
            st.tuples(st.integers(0, 3), st.sampled_from([2, 3]), st.sampled_from(["go on", "crash", "close"])),
            max_size=30,
        ),
    )
    def test_whatever_happens_no_answer_is_uncounted_and_none_is_given_twice(self, block: int, steps: list[Any]):
        with TemporaryDirectory() as folder:
            desk = Desk(Path(folder), block)
            phase, given, place, crashed = phase_of(desk.plan, TRAIN), 0, (1, 0), False
            for ahead, cohort, then in steps:
                wanted = (place[0] + ahead, 1) if ahead else (place[0], place[1] + 1)
                if wanted[0] > phase.rounds or desk.plan_ledger.answers(phase) >= phase.attempts:
                    break
                allowed = desk.plan_ledger.allows("", desk.place(TRAIN, *wanted))
                assert allowed or crashed
                place = wanted
                if allowed:
                    desk.answer(*wanted, cohort=cohort)
                    given += 1
                    assert not desk.plan_ledger.allows("", desk.place(TRAIN, *wanted))
                if then == "crash":
                    desk.restart()
                    crashed = True
                elif then == "close":
                    desk.plan_ledger.close()
                assert given <= desk.state.spent[TRAIN] <= phase.attempts
                assert given <= desk.plan_ledger.answers(phase)
                assert not desk.plan_ledger.allows("", desk.place(TRAIN, *place)) or not allowed
            desk.plan_ledger.close()
            assert crashed or desk.state.spent[TRAIN] == given
            desk.ledger.close()


class TestCeilings:
    def test_a_plan_that_does_not_fit_is_not_approved(self, tmp_path: Path):
        with pytest.raises(Overdrawn, match=r"ceiling 2$") as found:
            Desk(tmp_path, ceilings=Ceilings(epsilon=2.0, delta=1e-5))
        assert found.value.ceiling == "data-set"

    def test_what_would_exceed_a_lower_one_is_refused_and_the_refusal_is_an_entry(self, desk: Desk):
        desk.answer(1)
        spent = own_epsilon(desk.ledger.state, desk.plan)
        desk.ledger.append(lambda state: Limit(ceilings=Ceilings(epsilon=spent * 1.01, delta=1e-5), why="less"))
        for attempt in (2, 3):
            with pytest.raises(Refused, match="budget"):
                desk.answer(1, attempt)
        assert desk.state.spent[TRAIN] == 1
        refusals = [entry for entry in desk.entries if isinstance(entry, Refuse)]
        assert [(entry.code, entry.attempt) for entry in refusals] == [("budget", 2), ("budget", 3)]
        assert refusals[0].why.startswith("data-set: ")

    def test_labels_above_their_ceiling_are_refused_before_they_are_noted(self, desk: Desk):
        ceilings = Ceilings(epsilon=None, delta=1e-5, label_epsilon=1.5)
        desk.ledger.append(lambda state: Limit(ceilings=ceilings, why="labels"))

        def label(epsilon: float) -> PayloadRelease:
            return PayloadRelease(RandomizedResponse(epsilon=epsilon, count=1), "late")

        desk.plan_ledger.clear(
            desk.header(TRAIN), [label(1.5), PayloadRelease(Disclosure(bits=9, recipient="x", count=1))]
        )
        with pytest.raises(Refused, match="budget"):
            desk.plan_ledger.clear(desk.header(TRAIN), [label(1.6)])
        (refusal,) = (entry for entry in desk.entries if isinstance(entry, Refuse))
        assert refusal.why.startswith("labels: ")
        assert refusal.why.endswith("total 1.6, ceiling 1.5")


class TestTheEnd:
    def test_a_settled_plan_answers_nothing_and_has_no_plan_ledger(self, blocks: Desk):
        blocks.answer(1)
        blocks.plan_ledger.settle("finished")
        blocks.plan_ledger.settle("finished")
        assert [type(entry) for entry in blocks.entries] == [Reserve, Answer, Abort, Settle]
        with pytest.raises(Refused, match="not-approved"):
            blocks.answer(2)
        with pytest.raises(Refused, match="not-approved"):
            blocks.plan_ledger.clear(blocks.header(TRAIN), [])
        with pytest.raises(Refused, match="not-approved"):
            PlanLedger(blocks.ledger, blocks.plan, "seeded")

    def test_a_plan_that_was_never_approved(self, desk: Desk):
        with pytest.raises(Refused, match="not-approved"):
            PlanLedger(desk.ledger, small_plan(seed=8), "seeded")

    def test_a_plan_runs_once(self, desk: Desk):
        assert desk.plan_ledger.bind("run-2")
        desk.answer(1)
        assert desk.plan_ledger.bind(RUN)
        assert not desk.plan_ledger.bind("run-2")
        desk.restart()
        assert not desk.plan_ledger.bind("run-2")


class TestRefusals:
    def test_so_many_are_noted_and_no_more(self, desk: Desk):
        for attempt in range(MAX_REFUSALS + 20):
            desk.plan_ledger.refused(desk.header(TRAIN, 1, attempt), "out-of-order")
        assert len(desk.entries) == MAX_REFUSALS == desk.state.refusals
        desk.restart()
        desk.plan_ledger.refused(desk.header(TRAIN), "out-of-order")
        assert len(desk.entries) == MAX_REFUSALS

    @pytest.mark.parametrize(
        "header",
        [
            {"phase": ""},
            {"phase": "x" * 9999, "run": "y" * 9999},
            {"round": -5, "attempt": 10**30},
            {"run": ""},
            {"phase": "\u00fc\n"},
        ],
    )
    def test_whatever_stands_in_the_request(self, desk: Desk, header: dict[str, Any]):
        desk.plan_ledger.refused(Address(**vars(desk.header(TRAIN)) | header), "unknown-phase")
        (entry,) = desk.entries
        assert isinstance(entry, Refuse)
        desk.restart()

    def test_a_request_under_another_plan_is_not(self, desk: Desk):
        desk.plan_ledger.refused(Address(**vars(desk.header(TRAIN)) | {"plan": "0" * 64}), "other-plan")
        assert desk.entries == []

    def test_a_node_notes_what_it_refuses(self):
        talk = Talk(PLAN)
        assert talk.code("gossip:lender") == "unknown-phase"
        assert talk.code(TRAIN, parts={}) == "wrong-parts"
        assert talk.node.plan_ledger.ledger.state.plans[PLAN.hash].refusals == 2


class TestAlignments:
    """A platform counts how often a lender asked it, over all plans and restarts."""

    @pytest.fixture
    def platform(self) -> tuple[PlanLedger, list[datetime]]:
        plan, now = vertical.vertical_plan(), [datetime(2031, 1, 6, 10, tzinfo=UTC)]
        ledger = ledger_of(plan, "video-1")
        ledger.clock = lambda: now[0].timestamp()
        return PlanLedger(ledger, plan, "seeded"), now

    @staticmethod
    def align(books: PlanLedger, attempt: int, peer: str = "lender-1", plan: Plan | None = None) -> None:
        plan = plan or vertical.vertical_plan()
        books.aligning(peer)
        header = Address(plan.hash, RUN, "align:video", 2, attempt, SERVER, "video-1")
        event = Disclosure(bits=1, recipient=peer, count=1)
        books.disclose(header, peer, PayloadRelease(event, "known"), lambda: (Kept(9, 9), None))

    def test_so_many_in_thirty_days(self, platform: Any):
        books, now = platform
        first = now[0]
        for attempt in range(1, ALIGNMENTS + 1):
            self.align(books, attempt)
            now[0] += timedelta(days=1)
        again = (first + timedelta(days=ALIGNMENT_DAYS)).date()
        with pytest.raises(LocalFault, match=f"lender-1 has aligned 20 times within 30 days; .* before {again}"):
            self.align(books, 21)
        self.align(books, 1, "lender-2")
        now[0] = first + timedelta(days=ALIGNMENT_DAYS, hours=-1)
        with pytest.raises(LocalFault):
            self.align(books, 21)
        now[0] = first + timedelta(days=ALIGNMENT_DAYS, seconds=1)
        self.align(books, 21)
        with pytest.raises(LocalFault):
            self.align(books, 22)

    def test_over_all_plans(self, platform: Any):
        books, _ = platform
        ledger = books.ledger
        other = vertical.vertical_plan(seed=8)
        approve(ledger, other)
        more = PlanLedger(ledger, other, "seeded")
        for attempt in range(1, ALIGNMENTS // 2 + 1):
            self.align(books, attempt)
            self.align(more, attempt, plan=other)
        for one in (books, more):
            with pytest.raises(LocalFault, match="has aligned 20 times"):
                one.aligning("lender-1")

    def test_the_lender_that_asks_once_more_learns_nothing(self):
        made = vertical.Wire(vertical.vertical_plan())
        books, asked = made.nodes["video-1"].plan_ledger, count(1)
        request = made.give(vertical.Kind.ALIGN, "lender-1", "video-1", 1)
        for _ in range(ALIGNMENTS):
            at = books.ledger.state.alignments.setdefault("lender-1", [])
            at.append(f"2031-01-06T10:00:{next(asked):02}Z")
        books.ledger.clock = lambda: datetime(2031, 1, 7, tzinfo=UTC).timestamp()
        assert made.code(vertical.Kind.ALIGN, "video-1", "lender-1", 2, request) == "unavailable"
        assert made.told[-1].startswith("lender-1 has aligned 20 times")
        assert not made.disclosures("video-1")

    def test_a_platform_that_would_try_another_set_once_more_learns_nothing(self):
        made = vertical.Wire(vertical.vertical_plan())
        books, asked = made.nodes["lender-1"].plan_ledger, count(1)
        response = made.give(
            vertical.Kind.ALIGN, "video-1", "lender-1", 2, made.give(vertical.Kind.ALIGN, "lender-1", "video-1", 1)
        )
        for _ in range(ALIGNMENTS):
            at = books.ledger.state.alignments.setdefault("video-1", [])
            at.append(f"2031-01-06T10:00:{next(asked):02}Z")
        books.ledger.clock = lambda: datetime(2031, 1, 7, tzinfo=UTC).timestamp()
        assert made.code(vertical.Kind.ALIGN, "lender-1", "video-1", 3, response) == "unavailable"
        assert made.told[-1].startswith("video-1 has aligned 20 times")
        assert not made.disclosures("lender-1")


class TestThePlansEpsilon:
    """What the ledger has of a node composes to the coordinator's claim, and never exceeds the plan's."""

    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"privacy__reserve_block": 3},
            {"training__algorithm": "fedavg", "training__local": {"steps": 3, "learning_rate": 0.2}},
        ],
        ids=["one-step", "blocks", "local"],
    )
    def test_whatever_a_server_asks_it_stays_within_it(self, changes: dict[str, Any]):
        """Every attempt of the budget in every phase, which is all that a node answers."""
        plan = small_plan(**changes)
        talk = Talk(plan)
        talk.publish()
        answered = 0
        for phase in (BIN, TRAIN, CALIBRATE, EVALUATE):
            for round in range(1, 6):
                for attempt in range(1, 8):
                    cohort = LENDERS if attempt % 2 else LENDERS[:2]
                    answered += isinstance(talk.ask(phase, round, attempt, cohort=cohort), SumAnswer)
        talk.node.plan_ledger.close()
        assert answered == sum(phase_of(plan, name).attempts for name in (BIN, TRAIN, CALIBRATE, EVALUATE))
        epsilon = own_epsilon(talk.node.plan_ledger.ledger.state, plan)
        assert 0.99 * plan.privacy.epsilon <= epsilon <= plan.privacy.epsilon
        assert epsilon == pytest.approx(mechanisms(plan).claim(), rel=1e-6)

    @pytest.mark.parametrize("block", [1, 3])
    def test_as_planned_it_is_what_the_coordinator_claims(self, block: int):
        plan = small_plan(privacy__reserve_block=block)
        talk = Talk(plan)
        talk.publish()
        for phase, rounds in ((BIN, 1), (TRAIN, 4), (CALIBRATE, 1), (EVALUATE, 1)):
            for round in range(1, rounds + 1):
                talk.vector(phase, round)
                talk.vector(phase, round)  # the stored answer, for nothing
        claimed = mechanisms(plan).claim(lambda phase: phase.rounds)
        assert own_epsilon(talk.node.plan_ledger.ledger.state, plan) == pytest.approx(claimed, rel=1e-6)


def test_a_ledger_that_cannot_be_written_stops_every_release():
    def full(header: Address, event: Any) -> None:
        raise LedgerError("ledger.db: cannot be written (database or disk is full)")

    talk = Talk(PLAN, charge=full)
    talk.publish()
    talk.watch()
    reply = talk.ask(TRAIN)
    assert isinstance(reply, Refusal)
    assert reply.code == "unavailable"
    assert talk.looks == []
    assert talk.told == ["lender-1 does not answer: ledger.db: cannot be written (database or disk is full)"]
    talk.charge = None
    assert isinstance(talk.ask(TRAIN), SumAnswer)


def test_a_disclosure_is_on_the_disk_before_it_is_made():
    made = vertical.Wire(vertical.vertical_plan())
    made.align("lender-1", "video-1")
    (aligned,) = made.disclosures("lender-1")
    # Of an alignment nothing is in the chain of what was told, so its entry vouches for no head of it.
    assert (aligned.register_head, aligned.persons) == (None, aligned.fresh)
    made.labels("lender-1", "video-1")
    entry = made.disclosures("lender-1")[-1]
    assert isinstance(entry, Disclose)
    assert entry.register_head == made.lifetimes["lender-1"].disclosure_store.head
    assert (entry.peer, entry.run, entry.source) == ("video-1", RUN, "seeded")
