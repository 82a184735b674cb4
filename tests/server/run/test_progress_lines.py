"""Progress in lines: one a phase, one at most every ten seconds, with what is left."""

from __future__ import annotations

from typing import Any

import pytest
from builders import small_plan
from vertical_builders import vertical_plan

from sealscore.server.run.progress.file import last_of
from sealscore.server.run.progress.lines import EVERY, ProgressLines
from sealscore.server.run.progress.pace import SECONDS_A_ROUND, Remaining, alignment_seconds, duration, exchanges
from sealscore.shared.phases.order import phases
from sealscore.shared.plan.plan import Plan


def row(phase: Any, number: int, seconds: float = 1.0, **more: Any) -> dict[str, Any]:
    plain = {"phase": phase.name, "round": number, "rounds": phase.rounds, "attempts": 1, "failures": {}}
    return plain | {"seconds": seconds, "cohort": 3} | more


class Told:
    """Lines, and a clock that is set by hand."""

    def __init__(self, plan: Plan) -> None:
        self.said, self.now = list[str](), 0.0
        self.lines = ProgressLines(plan, self.said.append, lambda: self.now)

    def after(self, seconds: float) -> None:
        self.now += seconds
        self.lines.tick()


def test_a_line_a_phase_and_then_one_each_ten_seconds():
    plan = small_plan()
    told = Told(plan)
    told.after(100)
    assert told.said == []
    told.lines.phase(phases(plan)[0])
    assert [phases(plan)[0].name in line for line in told.said] == [True]
    for _ in range(3 * int(EVERY)):
        told.after(1.0)
    assert len(told.said) == 4
    training = next(phase for phase in phases(plan) if phase.rounds > 1)
    told.lines.phase(training)
    for number in range(1, 5):
        told.now += EVERY / 2
        told.lines.round(row(training, number, failures={"lender-2": "timeout"}))
    assert len(told.said) == 7
    assert "round 4 of 4" in told.said[-1]
    assert "lender-2 (4)" in told.said[-1]


def test_what_is_left_follows_the_pace_of_the_rounds_so_far():
    plan = small_plan()
    order, left = phases(plan), Remaining(plan)
    every = sum(exchanges(plan, phase) for phase in order)
    assert left.seconds() == pytest.approx(every * SECONDS_A_ROUND) == pytest.approx(duration(plan))
    done = 0
    for phase in order:
        left.phase(phase)
        for number in range(1, phase.rounds + 1):
            left.round(row(phase, number, seconds=7.0))
            done += 1
            assert left.seconds() == pytest.approx((every - done) * 7.0)
    assert left.seconds() == 0.0


def test_payloads_and_alignments_count_as_well():
    plan = vertical_plan(alignment={"method": "private"})
    order, left = phases(plan), Remaining(plan)
    align = order[0]
    assert alignment_seconds(plan, align) > 0
    assert not any(alignment_seconds(plan, phase) for phase in order if phase.kind != align.kind)
    left.phase(align)
    before, every = left.seconds(), exchanges(plan, align)
    left.step(align, every // 2, every)
    share = SECONDS_A_ROUND * every + alignment_seconds(plan, align)
    assert before - left.seconds() == pytest.approx(share * (every // 2) / every)


def test_nobody_has_begun_where_there_is_no_file(tmp_path: Any):
    assert last_of(tmp_path / "progress.jsonl") == ("", "")
