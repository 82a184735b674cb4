"""From tables, in files or in memory, to a plan that runs: what `sealscore.draft` does."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sealscore.shared.files import write_whole
from sealscore.shared.plan.errors import PlanError
from sealscore.simulations.draft.draft import Wishes
from sealscore.simulations.draft.making import checked_draft
from sealscore.simulations.experiments.runs import BadSetting
from sealscore.simulations.research.frames import as_frame
from sealscore.simulations.research.plan import ResearchPlan


class DraftedPlan(ResearchPlan):
    """A plan that was drafted, with the reason for each guess.

    `text` is the file that the command line would have written, with a comment a guess.
    """

    _text: str = ""

    @property
    def text(self) -> str:
        """The plan's file, TOML, with the reason for each guess."""
        return self._text


def drafted_plan(tables: Any, wishes: Wishes, output: Path | None, force: bool) -> DraftedPlan:
    """See `sealscore.draft`."""
    if output is not None and output.exists() and not force:
        raise BadSetting("output", f"{output} is there already; force=True writes over it")
    files, held = _files(tables)
    if held is not None and output is not None:
        raise BadSetting("output", "a plan's file names its tables' files; write the frames to files, and draft those")
    found = checked_draft(files, wishes, output or files[0].with_suffix(".toml"))
    if output is not None:
        try:
            write_whole(output, found.text)
        except OSError as error:
            raise BadSetting("output", f"{output} cannot be written: {error}") from error
    plan = DraftedPlan.of(found.scenario, held)
    assert isinstance(plan, DraftedPlan)
    plan._text = found.text
    return plan


def _files(tables: Any) -> tuple[list[Path], Any]:
    """The files of tables, and what holds those that were in memory."""
    if isinstance(tables, str | Path):
        return [Path(tables)], None
    if isinstance(tables, Sequence) and tables and all(isinstance(table, str | Path) for table in tables):
        return [Path(table) for table in tables], None
    frames = tables if isinstance(tables, Mapping) and tables and not _columns(tables) else {"table": tables}
    held = tempfile.TemporaryDirectory(prefix="sealscore-")
    files = []
    for name, frame in frames.items():
        if not isinstance(name, str) or not name.isidentifier():
            raise PlanError("tables", [f"{name!r}: name a table by letters, digits and _"])
        files.append(Path(held.name) / f"{name}.parquet")
        as_frame(frame, f"table {name}").write_parquet(files[-1])
    return files, held


def _columns(tables: Mapping[Any, Any]) -> bool:
    """Whether a mapping is of columns, and not of frames."""
    return not any(hasattr(value, "columns") for value in tables.values())
