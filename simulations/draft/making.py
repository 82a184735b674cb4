"""From tables to a checked plan: what `sealscore-sim draft` writes and `sealscore.draft` gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from sealscore.shared.plan.toml import parse_toml
from sealscore.simulations.data.scenario import Scenario
from sealscore.simulations.draft import text
from sealscore.simulations.draft.draft import Draft, Wishes, drafted


@dataclass(frozen=True)
class CheckedDraft:
    """A draft, the text of its file, and the scenario that the text says."""

    draft: Draft
    text: str
    scenario: Scenario


def checked_draft(tables: Sequence[Path], wishes: Wishes, target: Path) -> CheckedDraft:
    """A draft for the file `target`, which is not written; paths of tables are seen from its folder.

    Raises:
        DataError: a table cannot be read, or disagrees with what was drafted.
        PlanError: something cannot be guessed; it names the option that says it.
    """
    found = drafted(tables, wishes, target.parent)
    written = text.toml(found, wishes, date.today())
    # As a run would: what the draft says is read from its text, and the tables are checked against it.
    scenario = Scenario.parse(parse_toml(written, str(target)), target)
    scenario.dataset()
    return CheckedDraft(found, written, scenario)
