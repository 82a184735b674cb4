"""`sealscore-node ledger` and `budget`: what was released is shown, and ceilings change with a reason only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from homes import Said, Town
from ledgers import state_of

from sealscore.clients.node.plan_ledger import approve
from sealscore.shared.dp.events import Disclosure
from sealscore.shared.ledger.budget_check import BudgetCheck, bits_by_kind
from sealscore.shared.ledger.ledger import read_ledger
from sealscore.shared.ledger.state import LedgerState

Node = Callable[..., Said]


@pytest.fixture
def ask(node: Node, town: Town) -> Callable[..., Said]:
    return lambda *arguments: node(*arguments, "--home", town["lender-1"].folder)


def rewrite(town: Town, old: str, new: str) -> None:
    path = town["lender-1"].config_file
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")


def entries(town: Town) -> list[str]:
    return [stored.kind for stored in read_ledger(town["lender-1"].ledger_file)]


class TestLedger:
    def test_shows_the_last_entries_and_what_is_left(self, ask: Node, town: Town):
        ledger = town.ledger("lender-1")
        approve(ledger, town.plan)
        ledger.close()
        said = ask("ledger")
        assert said.code == 0
        rows = [line.split()[1] for line in said.out.splitlines() if "20" in line and "│" in line]
        assert rows == ["1", "2", "3"]
        assert "epsilon spent 0, committed" in said.text
        assert "of 10" in said.text
        one = ask("ledger", "--last", 1)
        assert "approved plan small" in one.text
        assert "opened" not in one.text

    @pytest.mark.parametrize("last", [0, -1, "x"])
    def test_shows_some_entry(self, ask: Node, last: object):
        assert ask("ledger", "-n", last).code == 2

    def test_a_damaged_one_is_no_traceback(self, ask: Node, town: Town):
        town.ledger("lender-1").close()
        town["lender-1"].ledger_file.write_bytes(b"nonsense" * 500)
        said = ask("ledger")
        assert (said.code, "error: " in said.text, "ledger.db" in said.text) == (1, True, True)
        assert "Traceback" not in said.text


class TestExport:
    def test_a_whole_copy_while_the_ledger_is_open(self, ask: Node, town: Town, tmp_path: Path):
        ledger = town.ledger("lender-1")
        approve(ledger, town.plan)
        said = ask("ledger", "export", "-o", tmp_path / "whole.db")
        assert (said.code, "3 entries" in said.text) == (0, True)
        assert [one.kind for one in read_ledger(tmp_path / "whole.db")] == ["open", "identify", "approve"]
        assert [path.name for path in tmp_path.iterdir() if path.name.startswith((".ledger", "whole"))] == ["whole.db"]
        assert ask("ledger", "export", "-o", tmp_path / "whole.db").code == 2
        assert ask("ledger", "export", "-o", tmp_path / "no" / "whole.db").code == 1
        ledger.close()


class TestBudget:
    def test_is_shown_beside_the_configuration(self, ask: Node, town: Town):
        town.ledger("lender-1").close()
        said = ask("budget")
        assert said.code == 0
        assert "data set" in said.text
        assert entries(town) == ["open", "identify"]

    def test_what_is_spent_reserved_and_left_adds_up_to_the_ceiling(self, ask: Node, town: Town):
        ledger = town.ledger("lender-1")
        approve(ledger, town.plan)
        whole = BudgetCheck().outlook(ledger.state)
        ledger.close()
        said = ask("budget")
        (row,) = [line for line in said.out.splitlines() if "data set" in line]
        _, spent, reserved, left, ceiling, written = [cell.strip() for cell in row.strip("│").split("│")]
        assert (spent, reserved, ceiling, written) == ("0", f"{whole:.4g}", "10", "10")
        assert float(left) == pytest.approx(10 - whole, rel=1e-3)

    def test_bits_are_shown_by_kind_and_recipient(self, ask: Node, town: Town):
        signal, group = "disclose_signal", "disclose_groups"
        state = LedgerState()
        state.plans["x"] = SimpleNamespace(  # type: ignore[assignment]
            disclosures=[
                SimpleNamespace(event=Disclosure(bits=bits, recipient=peer, count=1), fresh=fresh, phase=f"{phase}:v")
                for bits, peer, fresh, phase in [
                    (4, "lender-1", 9, signal),
                    (4, "lender-1", 0, signal),
                    (3, "lender-2", 9, signal),
                    (2, "lender-1", 9, group),
                ]
            ]
        )
        assert bits_by_kind(state) == {(group, "lender-1"): 2, (signal, "lender-1"): 4, (signal, "lender-2"): 3}

    def test_changes_with_a_reason_only(self, ask: Node, town: Town):
        town.ledger("lender-1").close()
        rewrite(town, "epsilon = 10.0", "epsilon = 4.0")
        said = ask("budget")
        assert (said.code, "say why with --why TEXT" in said.text) == (2, True)
        for why in ("", " ", "x" * 501):
            assert ask("budget", "--why", why).code == 2
        assert entries(town) == ["open", "identify"]
        said = ask("budget", "--why", "the board's decision of 6 January")
        assert (said.code, "in force from entry 3 on" in said.text) == (0, True)
        assert entries(town) == ["open", "identify", "limit"]
        last = list(read_ledger(town["lender-1"].ledger_file))[-1].entry
        assert (last.ceilings.epsilon, last.why) == (4.0, "the board's decision of 6 January")
        assert state_of(town["lender-1"].ledger_file).ceilings == town["lender-1"].config().budget

    def test_the_same_again_writes_nothing(self, ask: Node, town: Town):
        town.ledger("lender-1").close()
        assert ask("budget", "--why", "no change").code == 0
        assert entries(town) == ["open", "identify"]
