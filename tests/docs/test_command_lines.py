"""Every command line on a page is one that the programs take: the command is there, its options, its arguments."""

from __future__ import annotations

from pathlib import Path

import pytest
from cases import check_each
from page_commands import PAGES, Shown, fault, shown_on, split


def is_taken(shown: Shown) -> None:
    assert (said := fault(shown)) is None, said


def test_every_command_on_a_page_is_taken_by_its_program():
    shown = [one for page in PAGES for one in shown_on(page)]
    assert len(shown) > 600
    assert {one.page.name for one in shown} >= {
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "partner.md",
        "server.md",
    }
    check_each(is_taken, [(one,) for one in shown])


@pytest.mark.parametrize(
    "line",
    [
        "sealscore-node plan revoke",
        "sealscore-compliance verify",
        "sealscore-server plan sign first --soon",
        "sealscore-sim run PLAN --seeds many",
        "sealscore-sim audit PLAN --break everything",
        "sealscore-compliance explain --epsilon",
        "make everything",
        ".venv/bin/pytest tests/no_such_folder",
        "python -m sealscore.simulations.bench nothing",
        "python -m sealscore.simulations.scoring.decoding --fast",
        "python docs/no_page.py",
    ],
)
def test_a_command_that_is_not_taken_is_found(line: str):
    (words,) = split(line)
    assert fault(Shown(Path(), 1, words, True))


def test_a_line_is_split_as_a_shell_does():
    line = "A=b nohup venv/bin/sealscore-node start > node.log 2>&1 & sealscore-sim list | head && make test"
    assert [words[0] for words in split(line) if words] == ["venv/bin/sealscore-node", "sealscore-sim", "head", "make"]
