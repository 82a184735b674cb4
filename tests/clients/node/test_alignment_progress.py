"""The operator hears of an alignment that takes long, each ten seconds, and of no other."""

from __future__ import annotations

from sealscore.clients.node.alignment_progress import EVERY, AlignmentProgress


def test_a_long_message_is_spoken_of_each_ten_seconds_and_a_short_one_never():
    now, said = [0.0], list[str]()
    progress = AlignmentProgress(said.append, lambda: now[0])
    for done in range(1, 5):
        now[0] += 1
        progress(done * 1_024, 4_096)
    assert said == []
    now[0] += 1_000
    for done in range(1, 65):
        now[0] += EVERY / 4
        progress(done * 1_024, 65_536)
    assert len(said) == 15
    assert "51 %" in said[7]
    assert "65,536" in said[7]
