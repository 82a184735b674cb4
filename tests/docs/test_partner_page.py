"""What docs/partner.md shows is what the software says: its program is run on its plan and its table."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "partner.md").read_text(encoding="utf-8")
HEADER = "application_id,creator_id,applied,defaulted,monthly_income,late_24m,employment,age"
ROWS = [f"A{i:03d},C{i:03d},2024-0{1 + i % 9}-15,{i % 2},{3000 + i},{i % 5},other,{20 + i}" for i in range(60)]
GOOD = "\n".join([HEADER, *ROWS]) + "\n"


def block(page: str, language: str) -> str:
    """The first fenced block of that language."""
    found = re.search(rf"```{language}\n(.*?)```", page, re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Run the page's program: exit code and what it said, one paragraph."""
    plan = block((ROOT / "docs" / "plan.md").read_text(encoding="utf-8"), "toml")

    def run(table: str | None, party: str = "lender-a", change: Callable[[str], str] = str) -> tuple[int, str]:
        (tmp_path / "check_table.py").write_text(block(PAGE, "python"))
        (tmp_path / "plan.toml").write_text(change(plan))
        if table is not None:
            (tmp_path / "loans.csv").write_text(table)
        done = subprocess.run(
            [sys.executable, "check_table.py", "plan.toml", "loans.csv", party],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, (done.stdout + done.stderr).strip()

    return run


def test_a_good_table_gives_one_line(check):
    code, said = check(GOOD)
    assert code == 0, said
    assert re.fullmatch(r"plan [0-9a-f]{64}: 60 records, \d+ of them of test persons", said)


def test_the_faulty_table_gives_the_lines_on_the_page(check):
    code, said = check(block(PAGE, "csv"))
    assert code == 1
    assert said == block(PAGE.split("it says", 1)[1], "").strip()


@pytest.mark.parametrize(
    ("table", "party"),
    [
        (None, "lender-a"),
        ("", "lender-a"),
        (GOOD.replace("monthly_income", "Monthly Income"), "lender-a"),
        (GOOD.replace(",", ";"), "lender-a"),
        (GOOD.replace("2024-01-15", "2025-03-01", 1), "lender-a"),
        (re.sub(r"-15,1,", "-15,0,", GOOD), "lender-a"),
        (GOOD, "lender-c"),
    ],
    ids=["absent", "empty", "header", "semicolons", "window", "no bad loan", "party"],
)
def test_further_messages_are_on_the_page(check, table: str | None, party: str):
    code, said = check(table, party)
    assert code == 1
    assert said in block(PAGE.split("Further messages", 1)[1], "").splitlines()


def test_a_faulty_plan_gives_the_lines_on_the_page(check):
    def spoil(plan: str) -> str:
        return plan.replace("epsilon = 2.0", "epsilonn = 2.0").replace("sample_rate = 0.1", "sample_rate = 1.5")

    code, said = check(GOOD, change=spoil)
    assert code == 1
    assert said == block(PAGE.split("A faulty plan", 1)[1], "").strip()
