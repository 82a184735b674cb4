"""What a node remembers: nothing is answered twice, also after a restart, and alignments are counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.lifetime import ALIGNMENT_DAYS, ALIGNMENTS, AlignmentLog
from clients.memory import Memory, MemoryDamaged
from clients.refused import LocalFault

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
