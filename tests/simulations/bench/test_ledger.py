import json

import pytest

from sealscore.compliance.verify.verify import verify_ledger
from sealscore.simulations.bench import ledger
from sealscore.simulations.bench.__main__ import main, names


@pytest.fixture(autouse=True)
def small(monkeypatch):
    for name, value in {"ENTRIES": 60, "WEEKS": 2, "ROUNDS": 5, "TURNS": 1, "ANSWERS": 3, "WARM_UP": 0}.items():
        monkeypatch.setattr(ledger, name, value)


def test_the_benchmark_gives_its_figures_on_one_line(capsys):
    assert "ledger" in names()
    assert main(["ledger", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert found["entries"] >= 60
    assert found["append_ratio"] == pytest.approx(found["bare_commits_per_second"] / found["appends_per_second"])
    for name in ("reopen_seconds", "verify_seconds", "compose_year_seconds", "compose_year_of_epsilon_2_seconds"):
        assert found[name] > 0
    assert 0 < found["compose_year_epsilon"] < found["compose_year_of_epsilon_2_epsilon"]


def test_the_large_ledger_is_valid_and_its_weeks_differ(tmp_path):
    federation, path = ledger._LedgerFederation(), tmp_path / "ledger.db"
    weeks = ledger._large(path, federation)
    found = ledger.Ledger(path, federation.own)
    # Opening, what names a person; then approval, settling, and two entries for each of 5 + 3 sums.
    assert found.head.seq == 2 + 18 * weeks >= ledger.ENTRIES
    plans = list(found.state.plans.values())
    assert [plan.state for plan in plans] == ["settled"] * weeks
    assert len({event for plan in plans[:2] for event in plan.charged["training"]}) == 6
    found.close()
    assert verify_ledger(path).ok
