import json

import numpy as np
import pytest
import torch

from sealscore.simulations.bench import step
from sealscore.simulations.bench.__main__ import main, names, show


def test_a_wrong_name_lists_the_benchmarks(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["no-such-benchmark"])
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert all(name in message for name in names())
    assert "step" in names()


def test_step_gives_its_ratios_on_one_line(monkeypatch, capsys):
    monkeypatch.setattr(step, "TURNS", 1)
    monkeypatch.setattr(step, "STEPS", 2)
    threads = torch.get_num_threads()
    assert main(["step", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    for name in ("ratio", "ratio_with_noise", "ratio_float64", "ratio_with_noise_float64"):
        assert found[name] > 0
    assert found["private_ms"] / found["plain_ms"] == pytest.approx(found["ratio"])
    assert found["parameters"] == 40 * 64 + 64 + 64 * 32 + 32 + 32 + 1
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("noise", [False, True])
def test_the_private_step_gathers_divides_and_moves(monkeypatch, noise):
    seen = []

    def engine(weights, codes, targets):
        seen.append((weights, codes, targets))
        return np.full(len(weights), 2.0)

    monkeypatch.setattr(step, "gradient_engine", lambda *_: engine)
    codes = torch.arange(50 * step.FEATURES, dtype=torch.float32).view(50, step.FEATURES)
    private = step._private(codes, torch.arange(50.0), noise=noise)
    rows = torch.tensor([3, 7])
    private(rows)
    private(rows)
    (first, gathered, targets), (second, _, _) = seen
    assert torch.equal(gathered, codes[rows])
    assert targets.tolist() == [3, 7]
    moved = first - second
    expected = step.RATE * 2.0 / step.BATCH
    if noise:
        assert np.std(moved) == pytest.approx(step.RATE * step.NOISE * step.CLIP / step.BATCH, rel=0.05)
        assert np.mean(moved) == pytest.approx(expected, abs=4 * np.std(moved) / np.sqrt(len(moved)))
    else:
        assert np.allclose(moved, expected)


def test_a_table_shows_every_figure():
    assert show({"ratio": 1.25, "batch": 256}) == "ratio  1.250\nbatch  256"
