import json

import pytest
import torch

from simulations.bench import step
from simulations.bench.__main__ import main, names, show


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


def test_the_private_step_really_learns_with_noise_or_without():
    codes = torch.randn(400, step.FEATURES, generator=torch.Generator().manual_seed(0))
    targets = (codes[:, 0] > 0).float()
    rows = torch.arange(400)
    for noise in (False, True):
        private = step._private(codes, targets, noise=noise)
        before = private.__closure__
        assert before is not None
        private(rows)


def test_a_table_shows_every_figure():
    assert show({"ratio": 1.25, "batch": 256}) == "ratio  1.250\nbatch  256"
