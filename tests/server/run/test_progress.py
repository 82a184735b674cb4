"""The follower of a progress file: order, lines that are not whole yet, a file that is not there yet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sealscore.server.run.progress.file import FileObserver, ProgressFollower, inode_of
from sealscore.shared.phases.kind import Kind
from sealscore.shared.phases.order import Phase

PHASES = [Phase(Kind.BIN, "lender", "lender", 1, 1), Phase(Kind.TRAIN, "lender", "lender", 2, 3)]
LINES = [
    {"phase": "bin:lender", "rounds": 1},
    {"phase": "bin:lender", "round": 0, "failures": []},
    {"phase": "train_tower:lender", "rounds": 2},
    {"phase": "train_tower:lender", "round": 0, "failures": ["länder-1"]},
    {"phase": "train_tower:lender", "round": 1, "failures": []},
]
TOLD = [PHASES[0], LINES[1], PHASES[1], LINES[3], LINES[4]]
WHOLE = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in LINES).encode()


class ToldValue(list[Any]):
    """An observer that keeps what it is told."""

    def phase(self, phase: Phase) -> None:
        self.append(phase)

    def round(self, row: dict[str, Any]) -> None:
        self.append(row)


def test_nothing_is_told_before_there_is_a_file(tmp_path: Path) -> None:
    told = ToldValue()
    follow = ProgressFollower(tmp_path / "progress.jsonl", told, PHASES)
    follow()
    assert told == []
    (tmp_path / "progress.jsonl").write_bytes(WHOLE)
    follow()
    follow()
    assert told == TOLD


def test_the_file_of_an_earlier_try_is_passed_over(tmp_path: Path) -> None:
    path, told = tmp_path / "progress.jsonl", ToldValue()
    assert inode_of(path) is None
    path.write_bytes(WHOLE)
    follow = ProgressFollower(path, told, PHASES, inode_of(path))
    follow()
    assert told == []
    fresh = FileObserver(path)
    follow()
    assert told == []
    fresh.phase(PHASES[0])
    follow()
    assert told == [PHASES[0]]
    assert list(tmp_path.iterdir()) == [path]


@given(st.lists(st.integers(0, len(WHOLE)), max_size=8))
def test_everything_is_told_once_and_in_order_however_it_comes(tmp_path_factory: Any, cuts: list[int]) -> None:
    path = tmp_path_factory.mktemp("p") / "progress.jsonl"
    told = ToldValue()
    follow = ProgressFollower(path, told, PHASES)
    for cut in [*sorted(cuts), len(WHOLE)]:
        path.write_bytes(WHOLE[:cut])
        follow()
        assert told == TOLD[: WHOLE[:cut].count(b"\n")]
