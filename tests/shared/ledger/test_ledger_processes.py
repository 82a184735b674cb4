"""Processes that write one ledger at the same time, and processes that die while they write."""

import json
import os
import random
import signal
import time
from collections import Counter

import pytest
from builders import TRAIN, small_plan
from ledger_entries import EVENT, answer, approval, refusal, reserve

from sealscore.shared.dp.accountant import PldAccountant
from sealscore.shared.identity.identity import Identity
from sealscore.shared.ledger.budget_check import BudgetCheck, Overdrawn
from sealscore.shared.ledger.entries import Answer, Ceilings, Refuse, Reserve
from sealscore.shared.ledger.ledger import SIGNED, Ledger, read_ledger
from sealscore.shared.ledger.state import LedgerFault

IDENTITY = Identity.generate("lender-1", "lender")
CEILINGS = Ceilings(epsilon=None, delta=1e-5)
# So many rounds that no writer comes to their end.
LONG = small_plan(training__rounds=100_000)
KILLS_OF_A_FILE = 20


class Writer:
    """A process of its own that runs `work(tell)`; what it tells comes back a line each, and was told for good."""

    def __init__(self, work):
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(reading)
                work(lambda told: os.write(writing, json.dumps(told).encode() + b"\n"))
                os._exit(0)
            finally:
                os._exit(1)
        os.close(writing)
        self._reading = reading

    def first(self, lines):
        """So many lines that it tells, waited for, and perhaps more."""
        told = b""
        while told.count(b"\n") < lines and (more := os.read(self._reading, 1 << 20)):
            told += more
        return told

    def told(self, before=b""):
        """All lines to the end of the process, and its exit status."""
        while more := os.read(self._reading, 1 << 20):
            before += more
        os.close(self._reading)
        lines = [json.loads(line) for line in before.splitlines(keepends=True) if line.endswith(b"\n")]
        return lines, os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def checked_chain(path):
    """The entries of a ledger, each in its place and signed."""
    entries = list(read_ledger(path))
    previous = bytes(32)
    for seq, stored in enumerate(entries, start=1):
        assert (stored.seq, stored.previous) == (seq, previous)
        IDENTITY.card.check(stored.signature, SIGNED, stored.hash)
        previous = stored.hash
    return entries


def endless(path, seed):
    """Answer rounds, singly and in blocks, until somebody ends it; tells of each entry when it is in the ledger."""

    def work(tell):
        ledger, draws = Ledger(path, IDENTITY), random.Random(seed)

        def append(make):
            seq = ledger.append(make)
            tell([seq, ledger.state.plans[LONG.hash].spent[TRAIN]])
            return seq

        def next_reserve(state):
            round = state.plans[LONG.hash].last.get("", (0, 0, 0))[1] + 1
            return reserve(LONG, TRAIN, round, count=draws.choice([1, 1, 5]))

        while True:
            seq = append(next_reserve)
            made = ledger.state.plans[LONG.hash].reservations[seq].entry
            for place in range(draws.randint(0, made.count)):
                append(lambda state, made=made, seq=seq, place=place: answer(made, seq, round=made.round + place))
            if draws.random() < 0.2:
                append(lambda state: refusal(LONG))

    return work


@pytest.mark.parametrize("kills", [40, pytest.param(200, marks=pytest.mark.long)])
def test_a_process_that_is_killed_never_leaves_less_than_it_was_told(tmp_path, kills):
    draws, deaths = random.Random(5), Counter()
    for kill in range(kills):
        if kill % KILLS_OF_A_FILE == 0:
            path = tmp_path / f"ledger-{kill}.db"
            ledger = Ledger.create(path, IDENTITY, "loans", CEILINGS)
            ledger.append(lambda state: approval(LONG))
            ledger.close()
        writer = Writer(endless(path, kill))
        # One in ten dies before it has told anything, while it opens the file.
        told = writer.first(draws.choice([1, 1, 25])) if kill % 10 else b""
        time.sleep(draws.uniform(0, 0.03))
        os.kill(writer.pid, signal.SIGKILL)
        lines, status = writer.told(told)
        assert status == -signal.SIGKILL
        ledger = Ledger(path, IDENTITY)
        state = ledger.state.plans[LONG.hash]
        acknowledged = max((seq for seq, _ in lines), default=0)
        assert [seq for seq, _ in lines] == sorted(seq for seq, _ in lines)
        assert ledger.head.seq >= acknowledged
        assert state.spent[TRAIN] >= max((spent for _, spent in lines), default=0)
        # At most the one that was under way beyond those it told of.
        if lines:
            assert ledger.head.seq <= acknowledged + 1
        answers = Counter()
        for stored in checked_chain(path):
            if isinstance(entry := stored.entry, Answer):
                answers[entry.reserve] += 1
        assert all(count <= state.reservations[seq].spent for seq, count in answers.items())
        # It goes on where it was, above everything that may have left.
        if "" in state.last:
            again = reserve(LONG, TRAIN, state.last[""][1])
            with pytest.raises(LedgerFault):
                ledger.append(lambda state, again=again: again)
        deaths[bool(lines)] += 1
        ledger.close()
    assert deaths[True] >= kills // 2


def together(path, work, count=4):
    """What so many processes told that began at the same time."""
    gate, start = os.pipe()

    def waiting(tell):
        os.close(start)
        os.read(gate, 1)
        work(tell)

    writers = [Writer(waiting) for _ in range(count)]
    os.close(gate)
    os.close(start)
    found = [writer.told() for writer in writers]
    assert [status for _, status in found] == [0] * count
    return [lines for lines, _ in found]


def test_four_writers_lose_nothing_and_never_exceed_the_attempts(tmp_path):
    path, plan = tmp_path / "ledger.db", small_plan(training__rounds=80)
    ledger = Ledger.create(path, IDENTITY, "loans", CEILINGS)
    ledger.append(lambda state: approval(plan))
    # SQLite does not carry an open connection into another process.
    ledger.close()

    def next_reserve(state):
        own = state.plans[plan.hash]
        left = own.phases[TRAIN][1].attempts - own.spent[TRAIN]
        return reserve(plan, TRAIN, own.last.get("", (0, 0, 0))[1] + 1, count=min(2, max(1, left)))

    def work(tell):
        own = Ledger(path, IDENTITY)
        for _ in range(30):
            tell(own.append(lambda state: refusal(plan)))
            try:
                tell(own.append(next_reserve))
            except LedgerFault as fault:
                if fault.code != "attempts":
                    raise

    told = together(path, work)
    entries = checked_chain(path)
    assert sorted(seq for lines in told for seq in lines) == list(range(3, len(entries) + 1))
    assert all(len(lines) >= 30 for lines in told)
    assert sum(isinstance(stored.entry, Refuse) for stored in entries) == 120
    ledger = Ledger(path, IDENTITY)
    # 80 rounds and half as many more.
    assert ledger.state.plans[plan.hash].spent == {TRAIN: 120}
    assert sum(stored.entry.count for stored in entries if isinstance(stored.entry, Reserve)) == 120
    ledger.close()


def test_four_writers_never_exceed_a_ceiling_together(tmp_path):
    path, plan = tmp_path / "ledger.db", small_plan(training__rounds=80)
    accountant = PldAccountant()
    most = 25
    bound = accountant.epsilon([EVENT.model_copy(update={"count": most})], 1e-5) * 1.001
    ledger = Ledger.create(path, IDENTITY, "loans", Ceilings(epsilon=bound, delta=1e-5))
    ledger.append(lambda state: approval(plan))
    # SQLite does not carry an open connection into another process.
    ledger.close()

    def work(tell):
        own, spending = Ledger(path, IDENTITY), BudgetCheck()

        def checked(state):
            entry = reserve(plan, TRAIN, state.plans[plan.hash].last.get("", (0, 0, 0))[1] + 1)
            spending.check(state, plan.hash, entry)
            return entry

        for _ in range(10):
            try:
                tell(own.append(checked))
            except Overdrawn:
                own.append(lambda state: refusal(plan))

    told = together(path, work)
    checked_chain(path)
    ledger = Ledger(path, IDENTITY)
    state = ledger.state
    assert state.plans[plan.hash].spent == {TRAIN: most}
    assert state.plans[plan.hash].refusals == 40 - most
    assert sum(len(lines) for lines in told) == most
    assert BudgetCheck().epsilon(state) <= bound
    assert accountant.epsilon([EVENT.model_copy(update={"count": most + 1})], 1e-5) > bound
    ledger.close()
