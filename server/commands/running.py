"""`sealscore-server run`, `runs` and `receipts`: plans as they run, and what is left of them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.table import Table

from server.commands.plans import signed_plan
from server.commands.terminal import BAD_INPUT, FAILED, HERE, Folder, console, fail, home_at, superlink_of
from server.deployed import FAILURE, JOURNAL
from server.entry import PROGRESS
from server.following import ProgressFollower
from server.home import ServerHome
from server.watching import RunTable
from shared.phases import phases
from shared.plan import Plan
from shared.privacy.anchors import Receipt, read_anchors, to_line

LOOK = 0.5  # seconds between two looks at a run

receipts_app = typer.Typer(help="The receipts for heads of partners' ledgers.", no_args_is_help=True)


def run(
    name: Annotated[str, typer.Argument(help="A signed plan's name.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
    folder: Folder = HERE,
) -> None:
    """Run a signed plan, or go on with its run; exit code 0 only if the whole of it was carried out."""
    home = home_at(folder)
    plan = signed_plan(home.signed_plans(), name)
    output = home.run_folder(plan)
    if (output / "run.json").exists():
        fail(f"plan {name} has run: {output}; a plan runs once", BAD_INPUT)
    if (output / JOURNAL).exists() != resume:
        fail(
            f"plan {name} was begun; sealscore-server run {name} --resume goes on with it"
            if not resume
            else f"plan {name} was not begun; run it without --resume",
            BAD_INPUT,
        )
    run_action(home, plan, "run")
    if not (output / "run.json").exists():
        fail(_reason(output))
    record = json.loads((output / "run.json").read_text(encoding="utf-8"))
    privacy = record["privacy"]
    console.print(f"done: epsilon {privacy['epsilon']:.4g} of {privacy['epsilon_of_plan']:g}; the model is in {output}")


def run_action(home: ServerHome, plan: Plan, action: str) -> None:
    """Have the server app run or publish a plan, and follow it to its end; Ctrl-C stops it there too."""
    from server.deploy.bundle import build_bundle
    from server.deploy.control import Control

    bundle = build_bundle()
    if plan.bundle != bundle.sha256:
        fail(
            f"plan {plan.name} is for the app bundle {str(plan.bundle)[:16]}, and this is {bundle.sha256[:16]}: run it "
            "with the version of Sealscore that it was signed with, or sign a new plan",
            BAD_INPUT,
        )
    progress = home.run_folder(plan) / PROGRESS
    progress.unlink(missing_ok=True)
    with Control(superlink_of(home)) as control:
        number = control.submit(bundle, {"home": str(home.folder), "plan": plan.name, "action": action})
        try:
            _follow(control, number, plan, progress, action)
        except KeyboardInterrupt:
            control.stop(number)
            raise
        ended = control.run(number)
    if not ended.completed and action == "publish":
        fail(f"the plan was not published: {ended.outcome or ended.status} {ended.details}")


def _follow(control: Any, number: int, plan: Plan, progress: Path, action: str) -> None:
    table = RunTable(plan)
    follower = ProgressFollower(progress, table, phases(plan))
    with Live(table.shown(), console=console, refresh_per_second=4, transient=action == "publish") as live:
        while True:
            ended = control.run(number).finished
            follower()
            live.update(table.shown())
            if ended:
                return
            time.sleep(LOOK)


def _reason(output: Path) -> str:
    try:
        found = json.loads((output / FAILURE).read_text(encoding="utf-8"))
        return f"{found['reason']}; sealscore-server run --resume goes on where it stopped"
    except (OSError, ValueError, KeyError):
        return f"the run failed; see superlink/logs of the server's folder, and {output}; --resume goes on with it"


def runs(folder: Folder = HERE) -> None:
    """List the runs of plans, with where each stands."""
    home = home_at(folder)
    table = Table("plan", "state", "epsilon", "AUC by the protocol", "folder")
    for name, plan in home.signed_plans().items():
        output = home.run_folder(plan)
        if not output.exists():
            continue
        state, epsilon, auc = _state(output)
        table.add_row(name, state, epsilon, auc, output.name)
    console.print(table)


def _state(output: Path) -> tuple[str, str, str]:
    if (output / "run.json").exists():
        record = json.loads((output / "run.json").read_text(encoding="utf-8"))
        epsilon, auc = record["privacy"]["epsilon"], record["evaluation"]["all"].get("auc")
        return "done", f"{epsilon:.4g}" if epsilon is not None else "", f"{auc:.4f}" if auc is not None else ""
    if (output / FAILURE).exists():
        return "stopped", "", ""
    return ("begun" if (output / JOURNAL).exists() else "published"), "", ""


@receipts_app.command()
def export(
    output: Annotated[Path, typer.Option("-o", "--output", help="The file.")],
    party: Annotated[str | None, typer.Option(help="Only the receipts of this party.")] = None,
    folder: Folder = HERE,
) -> None:
    """Write the receipts into a file, for sealscore-compliance verify --anchors."""
    home = home_at(folder)
    if not home.receipts.exists():
        fail(f"{home.receipts}: there are no receipts yet; nothing was run", FAILED)
    kept = read_anchors(home.receipts)
    chosen = [anchor for anchor in kept if isinstance(anchor, Receipt) and party in (None, anchor.head.party)]
    if not chosen:
        known = ", ".join(sorted({anchor.head.party for anchor in kept if isinstance(anchor, Receipt)}))
        fail(f"there is no receipt of {party!r}; there are receipts of: {known}", BAD_INPUT)
    output.write_text("".join(to_line(receipt) + "\n" for receipt in chosen), encoding="ascii")
    console.print(f"{len(chosen)} of {len(kept)} receipts are written to {output}")
