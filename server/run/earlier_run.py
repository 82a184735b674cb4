"""What a run takes over of an earlier one: the towers of platforms, where its plan trains none."""

from __future__ import annotations

import shutil
from pathlib import Path

from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import Plan
from sealscore.shared.serving.signal_tower import SignalTower

# What a run leaves of the towers: the models, and the published parts from which levels follow.
TOWERS, SIGNALS = "towers", "signals"


def check_earlier_run(plan: Plan, folder: Path | None) -> None:
    """Check that a folder has the run whose towers a plan names under `signals_from`; a plan without it needs none.

    Raises:
        PlanError: there is no such run, or its towers mean something else; names the key and the fix.
    """
    source = plan.signals_from
    if source is None:
        return
    if folder is None or not (folder / "run.json").is_file():
        raise PlanError(
            plan.name,
            [f"signals_from.plan = {source.plan}: there is no folder of a finished run of that plan; put it back"],
        )
    wrong = []
    for group, meaning in source.meanings.items():
        try:
            held = Plan.from_canonical((folder / "plan.json").read_bytes()).hash
            parts = {path.name: path.read_bytes() for path in sorted((folder / SIGNALS / group).iterdir())}
            found = SignalTower.of(plan, group, parts).meaning
            present = (folder / TOWERS / group).is_dir()
        except (OSError, ValueError, PlanError) as error:
            wrong.append(f"signals_from.meanings.{group}: {folder} has no tower of it that fits this plan ({error})")
            continue
        if held != source.plan or not present:
            wrong.append(f"signals_from.plan = {source.plan}: {folder} is not the whole run of that plan; put it back")
        elif found != meaning:
            wrong.append(
                f"signals_from.meanings.{group} = {meaning}: under this plan the levels of that run mean {found}; "
                f"write that, or copy [model] and groups.{group} from the earlier plan"
            )
    if wrong:
        raise PlanError(plan.name, wrong)


def take_over(plan: Plan, folder: Path | None, output: Path) -> None:
    """Copy the towers of platforms from the earlier run's folder into a run's; nothing where that trained its own."""
    if plan.signals_from is None or folder is None:
        return
    for group in plan.platforms:
        for part in (TOWERS, SIGNALS):
            shutil.copytree(folder / part / group, output / part / group, dirs_exist_ok=True)
