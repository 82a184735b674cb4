"""Whatever is done to a ledger and in whatever order, it agrees with a model of a few lines, also after crashes."""

import shutil
import tempfile
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest
from builders import BIN, CALIBRATE, RUN, TRAIN, small_plan
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from ledger_entries import DIGEST, EVENT, UNLIMITED, abort, approval, refusal, reserve

from sealscore.shared.identity.identity import Identity
from sealscore.shared.ledger.entries import Answer, Revoke, Settle
from sealscore.shared.ledger.ledger import Ledger, read_ledger
from sealscore.shared.ledger.state import LedgerFault

PLANS = [small_plan(), small_plan(seed=8)]
# By hand from the small plan: 1 and 4 rounds, half as many more.
BUDGETS = {BIN: 2, TRAIN: 6, CALIBRATE: 2}
ORDER = list(BUDGETS)
IDENTITY = Identity.simulated(7, "lender-1", "lender")
FOREVER = 10**9


class Died(BaseException):
    """The process ends here."""


@dataclass
class Reserved:
    """What the model knows of a reservation."""

    seq: int
    plan: int
    phase: str
    start: tuple[int, int]
    count: int
    told: tuple[int, int] | None = None
    answers: int = 0
    aborted: int = 0

    @property
    def end(self):
        return (self.start[0] + self.count - 1, FOREVER) if self.count > 1 else self.start

    @property
    def left(self):
        return self.count - self.answers - self.aborted


class Machine(RuleBasedStateMachine):
    """One file, any number of objects on it, and a model that keeps plain lists."""

    @initialize()
    def create(self):
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "ledger.db"
        self.all = [Ledger.create(self.path, IDENTITY, "loans", UNLIMITED)]
        self.ledger = self.all[0]
        self.entries, self.state, self.reserved, self.refused = 1, {}, [], 0

    def teardown(self):
        for ledger in self.all:
            ledger.close()
        shutil.rmtree(self.folder)

    def append(self, entry, allowed):
        """Append an entry; it is in the ledger if the model allows it, and nothing is if not."""
        seq = None
        with nullcontext() if allowed else pytest.raises(LedgerFault):
            seq = self.ledger.append(lambda ledger_state: entry)
        if seq is None:
            return None
        self.entries += 1
        assert seq == self.entries
        return seq

    def live(self, plan):
        return self.state.get(plan) == "live"

    def spent(self, plan, phase):
        return sum(r.count - r.aborted for r in self.reserved if (r.plan, r.phase) == (plan, phase))

    def taken(self, plan):
        """The farthest place that may have been answered: of a block all of it, until it is told or followed."""
        mine = [r for r in self.reserved if r.plan == plan]
        places = [(ORDER.index(r.phase), *(r.told or r.end)) for r in mine]
        return max(places, default=(-1, 0, 0))

    def told(self, plan):
        """The farthest place of which there is an answer."""
        mine = [r for r in self.reserved if r.plan == plan and r.told]
        return max([(ORDER.index(r.phase), *r.told) for r in mine], default=(-1, 0, 0))

    plans, phases = st.integers(0, 1), st.sampled_from(ORDER)
    rounds, attempts = st.integers(1, 6), st.integers(1, 2)

    @rule(plan=plans)
    def approve(self, plan):
        if self.append(approval(PLANS[plan]), plan not in self.state):
            self.state[plan] = "live"

    @precondition(lambda self: "live" in self.state.values())
    @rule(plan=plans, phase=phases, round=rounds, attempt=attempts, count=st.sampled_from([1, 1, 2, 3, 5]))
    def reserve(self, plan, phase, round, attempt, count):
        allowed = self.live(plan) and (ORDER.index(phase), round, attempt) > self.taken(plan)
        allowed = allowed and self.spent(plan, phase) + count <= BUDGETS[phase]
        seq = self.append(reserve(PLANS[plan], phase, round, attempt, count=count), allowed)
        if seq:
            self.reserved.append(Reserved(seq, plan, phase, (round, attempt), count))

    @precondition(lambda self: self.reserved)
    @rule(data=st.data(), ahead=st.integers(0, 2), attempt=attempts, count=st.sampled_from([1, 1, 1, 2, 3]))
    def answer(self, data, ahead, attempt, count):
        one = data.draw(st.sampled_from(self.reserved[-3:]))
        place = (one.start[0] + ahead, attempt)
        entry = Answer(
            plan=PLANS[one.plan].hash,
            run=RUN,
            phase=one.phase,
            round=place[0],
            attempt=attempt,
            reserve=one.seq,
            count=count,
            request=DIGEST,
        )
        allowed = self.live(one.plan) and count <= one.left and one.start <= place <= one.end
        if self.append(entry, allowed and (ORDER.index(one.phase), *place) > self.told(one.plan)):
            one.answers += count
            one.told = place

    @precondition(lambda self: self.reserved)
    @rule(data=st.data(), count=st.integers(1, 3))
    def abort(self, data, count):
        one = data.draw(st.sampled_from(self.reserved[-3:]))
        if self.append(abort(one.seq, count), count <= one.left):
            one.aborted += count

    @rule(plan=plans, revoked=st.booleans(), sure=st.integers(0, 3))
    def end(self, plan, revoked, sure):
        if sure and self.live(plan):
            return
        kind = Revoke if revoked else Settle
        if self.append(kind(plan=PLANS[plan].hash, why="it-is-over"), self.live(plan)):
            self.state[plan] = "revoked" if revoked else "settled"

    @rule(plan=plans)
    def refuse(self, plan):
        self.append(refusal(PLANS[plan]), True)
        self.refused += plan == 0 and plan in self.state

    @rule()
    def crash(self):
        """The object is dropped as it is, its connection still open."""
        self.ledger = Ledger(self.path, IDENTITY)
        self.all.append(self.ledger)

    @rule()
    def crash_within_an_append(self):
        def dies(ledger_state):
            raise Died

        with pytest.raises(Died):
            self.ledger.append(dies)
        self.crash()

    @rule()
    def restart(self):
        self.all.remove(self.ledger)
        self.ledger.close()
        self.crash()

    @rule(which=st.integers(1, 3))
    def use_another_object(self, which):
        """One that was there before, and has not seen what was appended since."""
        self.ledger = self.all[-which % len(self.all)]

    @invariant()
    def the_ledger_agrees_with_the_model(self):
        assert self.ledger.head.seq == self.entries == sum(1 for _ in read_ledger(self.path))
        ledger_state = self.ledger.state
        assert set(ledger_state.plans) == {PLANS[plan].hash for plan in self.state}
        for plan, state in self.state.items():
            found = ledger_state.plans[PLANS[plan].hash]
            assert found.state == state
            spent = {phase: self.spent(plan, phase) for phase in ORDER}
            assert {phase: found.spent[phase] for phase in ORDER} == spent
            assert all(spent[phase] <= BUDGETS[phase] for phase in ORDER)
            assert +found.charged["training"] == +Counter({EVENT: sum(spent.values())})
            answers = Counter()
            for reservation in found.reservations.values():
                assert reservation.answered <= reservation.spent <= reservation.entry.count
                answers[reservation.entry.phase] += reservation.answered
            assert all(answers[phase] <= spent[phase] for phase in ORDER)
            if plan == 0:
                assert found.refusals == self.refused


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=30, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
