"""What a node remembers: nothing is answered twice, also after a restart, and alignments are counted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from builders import small_plan, small_records
from hypothesis import given
from hypothesis import strategies as st

from clients.lifetime import ALIGNMENT_DAYS, ALIGNMENTS, AlignmentLog, Lifetime
from clients.memory import Memory, MemoryDamaged
from clients.node import Node
from clients.refused import LocalFault
from shared.aggregation import PlainSum
from shared.messages import Header, Refusal, SumAnswer, SumRequest, decode, encode
from shared.plan import SERVER
from shared.privacy.streams import StreamSource

PLAN = "ab" * 32
places = st.tuples(st.integers(0, 5), st.integers(1, 9), st.integers(1, 4))


@given(st.lists(st.tuples(st.sampled_from(["", "platform"]), places), max_size=20))
def test_only_what_is_above_all_answers_is_allowed(asked):
    memory, top, reached = Memory(PLAN), {}, 0
    for peer, place in asked:
        expected = place[0] >= reached and place > top.get(peer, (-1, 0, 0))
        assert memory.allows(peer, place) is expected
        if expected:
            memory.note("phase", peer, place)
            top[peer], reached = place, place[0]


def test_a_restart_goes_on_where_it_was(tmp_path: Path):
    path = tmp_path / "answered.json"
    memory = Memory.load(path, PLAN)
    assert memory.bind("run-1")
    memory.note("train", "", (1, 7, 2))
    memory.note("train", "", (1, 8, 1))
    again = Memory.load(path, PLAN)
    assert not again.bind("run-2")
    assert again.bind("run-1")
    assert again.answered["train"] == 2
    assert not again.allows("", (1, 8, 1))
    assert not again.allows("", (0, 9, 9))
    assert again.allows("", (1, 8, 2))


def test_it_is_on_the_disk_before_note_returns(tmp_path: Path):
    path = tmp_path / "answered.json"
    memory = Memory.load(path, PLAN)
    memory.note("bin", "", (0, 1, 1))
    assert json.loads(path.read_text())["last"] == {"": [0, 1, 1]}


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"format": "sealscore-answered-1", "plan": "other"}'])
def test_a_damaged_file_is_not_begun_anew(tmp_path: Path, content: str):
    path = tmp_path / "answered.json"
    path.write_text(content)
    with pytest.raises(MemoryDamaged, match=r"answered\.json: cannot be used"):
        Memory.load(path, PLAN)


def test_a_restarted_node_answers_nothing_again(tmp_path: Path):
    plan, path = small_plan(), tmp_path / "answered.json"

    def node() -> Node:
        life = Lifetime.fresh(StreamSource.system())
        memory = Memory.load(path, plan.hash)
        return Node(
            plan,
            "lender-1",
            small_records(seed=1),
            StreamSource.system(),
            PlainSum(),
            life,
            lambda *_: None,
            memory=memory,
        )

    def ask(at: Node, attempt: int) -> SumAnswer | Refusal:
        header = Header(plan.hash, "run-1", "bin:lender", 1, attempt, SERVER, "lender-1")
        cohort = tuple(party.name for party in plan.parties)
        return decode(at.answer(encode(SumRequest(header, cohort, np.zeros(0), {}))), SumAnswer, Refusal)

    assert isinstance(ask(node(), 1), SumAnswer)
    again = ask(node(), 1)
    assert isinstance(again, Refusal)
    assert again.code == "out-of-order"
    assert isinstance(ask(node(), 2), SumAnswer)


def test_the_log_of_alignments_outlives_the_process(tmp_path: Path):
    path = tmp_path / "alignments.json"
    for _ in range(ALIGNMENTS):
        AlignmentLog.load(path).note("lender-1")
    with pytest.raises(LocalFault, match="has aligned 20 times"):
        AlignmentLog.load(path).note("lender-1")
    path.write_text("[]x")
    with pytest.raises(MemoryDamaged, match="cannot be used"):
        AlignmentLog.load(path)


def test_alignments_are_capped_over_time():
    now = [1_000_000_000.0]
    log = AlignmentLog(clock=lambda: now[0])
    for _ in range(ALIGNMENTS):
        log.note("lender-1")
    with pytest.raises(LocalFault, match=r"lender-1 has aligned 20 times within 30 days"):
        log.note("lender-1")
    log.note("lender-2")
    now[0] += ALIGNMENT_DAYS * 86_400
    log.note("lender-1")
