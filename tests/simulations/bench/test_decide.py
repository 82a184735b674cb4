"""The bench of decisions: figures of real decisions, each on the disk."""

from __future__ import annotations

from sealscore.simulations.bench.decide import run


def test_the_bench_of_decisions_gives_its_figures():
    found = run(60)
    assert found["decisions"] == 60
    assert 0 < found["evaluate_cpu_ms"] < found["score_and_decision_cpu_ms"]
    alone, both = found["score_line_cpu_ms"], found["score_and_decision_cpu_ms"]
    assert abs(both - alone - found["decision_cpu_ms"]) < 1e-9
    assert found["replay_decisions_s"] > 0
