"""The crypto benchmark: its sums are checked as it runs, and its figures are of what it says."""

import json

import pytest

from sealscore.simulations.bench import crypto
from sealscore.simulations.bench.__main__ import main


@pytest.fixture
def small(monkeypatch):
    for name, value in {"PARTIES": 3, "PARAMETERS": 100, "ROUNDS": 2, "WARM_UP": 1}.items():
        monkeypatch.setattr(crypto, name, value)


def test_it_gives_its_figures_on_one_line(small, capsys):
    assert main(["crypto", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert found["upload_bytes"] == 100 * found["bits_per_parameter"] // 8 + found["upload_bytes_beyond_vector"]
    assert found["upload_bytes"] <= found["upload_limit_bytes"] == 2_000
    assert found["party_ms"] > 0
    assert found["upload_bytes_plain"] < found["upload_bytes"]


def test_a_sum_that_is_off_stops_it(small, monkeypatch):
    monkeypatch.setattr(crypto.MaskedSum, "protect", lambda self, at, cohort, shape, vector: shape.pack(vector // 2))
    with pytest.raises(AssertionError, match="plain sum"):
        crypto.run()
