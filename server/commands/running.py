"""`sealscore-server run`, `runs` and `receipts`: plans as they run, and what is left of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.table import Table

from sealscore.server.commands.terminal import HERE, Folder, console, server_dir_at, signed_plan, superlink_of
from sealscore.server.deploy.control_answers import ControlError, SubmittedRun
from sealscore.server.run.earlier_run import check_earlier_run
from sealscore.server.run.progress.file import ProgressFollower, inode_of, last_of
from sealscore.server.run.progress.lines import ProgressLines
from sealscore.server.run.progress.table import RunTable
from sealscore.server.run.run_files import FAILURE, JOURNAL, PROGRESS, WATCH
from sealscore.server.setup.server_dir import ServerDir
from sealscore.shared import bundle as bundles
from sealscore.shared.ledger.chain import Receipt, read_anchors, to_line
from sealscore.shared.monitoring.text import watch_text
from sealscore.shared.phases.order import phases
from sealscore.shared.plan.plan import Plan
from sealscore.shared.text.numbers import recorded
from sealscore.shared.text.terminal import BAD_INPUT, FAILED, fail, foreign, grouped, visible

LOOK = 0.5  # seconds between two looks at a run
BEAR = 60.0  # seconds without an answer of the SuperLink: a restart takes a few, and the run outlives it

receipts_app = typer.Typer(help="The receipts for heads of partners' ledgers.", no_args_is_help=True)


def run(
    name: Annotated[str, typer.Argument(help="A signed plan's name.")],
    resume: Annotated[bool, typer.Option("--resume", help="Continue a run that was stopped.")] = False,
    folder: Folder = HERE,
) -> None:
    """Run a signed plan, or continue its run; exit code 0 only if the whole of it was carried out."""
    server_dir = server_dir_at(folder)
    plan = signed_plan(server_dir.signed_plans(), name)
    output = server_dir.run_folder(plan)
    if (output / "run.json").exists():
        fail(f"plan {name} has run: {output}; a plan runs once", BAD_INPUT)
    if over := final_words(output, name):
        fail(over, BAD_INPUT)
    if (output / JOURNAL).exists() != resume:
        fail(
            f"plan {name} was begun; continue it with sealscore-server run {name} --resume"
            if not resume
            else f"plan {name} was not begun; run it without --resume",
            BAD_INPUT,
        )
    check_earlier_run(plan, server_dir.earlier_run(plan))
    ended = run_action(server_dir, plan, "run")
    if not (output / "run.json").exists():
        fail(_reason(output, name, ended))
    record = json.loads((output / "run.json").read_text(encoding="utf-8"))
    privacy = record["privacy"]
    spent = f"epsilon {privacy['epsilon']:.4g} of {privacy['epsilon_of_plan']:g}"
    judged = [] if "monitoring" in record else [f"AUC {recorded(record['evaluation']['all'], 'auc')}, by the protocol"]
    if record["early"]:
        why = [f"{phase}: {reason}" for phase, reason in record["early"].items()]
        there = f"{spent}; the model of those rounds is in {output}"
        fail(["the plan was not carried out whole:", *why, *judged, there])
    if "monitoring" in record:
        for line in watch_text(record):
            print(visible(line))
        console.print(f"done: {spent}; the figures are in {foreign(output)}: run.json, and as text {WATCH}")
        return
    print("\n".join(judged))
    console.print(f"done: {spent}; the model is in {foreign(output)}")


def run_action(server_dir: ServerDir, plan: Plan, action: str, release: str | None = None) -> SubmittedRun | None:
    """Have the server app run, publish or end a plan, or publish a release of it, and follow that to its end; Ctrl-C
    stops it there too.

    How Flower says that it ended; None where the SuperLink has not answered for `BEAR` seconds.
    """
    bundle = bundles.courier_bundle()
    # A release's plan has ended: it goes to nodes with a live plan of this version, whatever that of the release was.
    if release is None and plan.bundle != bundle.sha256:
        fail(
            f"plan {plan.name} is for the app bundle {grouped(str(plan.bundle))}, and this is "
            f"{grouped(bundle.sha256)}: run it with the version of Sealscore that it was signed with, or sign "
            "a new plan",
            BAD_INPUT,
        )
    with progress_of(server_dir, plan, action == "run") as look:
        ended = submit(server_dir, bundle, action, release or plan.name, look)
    if action != "run":
        done = "ended" if action == "end" else "published"
        check_completed(ended, f"the {'release' if release else 'plan'} was not {done}")
    return ended


@contextmanager
def progress_of(server_dir: ServerDir, plan: Plan, kept: bool) -> Iterator[Callable[[], None]]:
    """What shows the progress of the plan's run when it is called: a table on a terminal, and lines anywhere else.

    The table is taken away again at the end, and no lines are shown, unless it is `kept`.
    """
    path = server_dir.run_folder(plan) / PROGRESS
    if not console.is_terminal:
        told = ProgressLines(plan, lambda text: print(visible(text), flush=True))
        following = ProgressFollower(path, told, phases(plan), inode_of(path))

        def say() -> None:
            following()
            told.tick()

        yield say if kept else lambda: None
        return
    table = RunTable(plan)
    follower = ProgressFollower(path, table, phases(plan), inode_of(path))
    with Live(table.shown(), console=console, refresh_per_second=4, transient=not kept) as live:

        def look() -> None:
            follower()
            live.update(table.shown())

        yield look


def submit(
    server_dir: ServerDir, bundle: bundles.Bundle, action: str, name: str, look: Callable[[], None]
) -> SubmittedRun | None:
    """Have the server app do something, with a look at it now and then, to its end; Ctrl-C stops it there too.

    How Flower says that it ended; None where the SuperLink has not answered for `BEAR` seconds.
    """
    from sealscore.server.deploy.control import Control

    with Control(superlink_of(server_dir)) as control:
        number = control.submit(bundle, {"home": str(server_dir.folder), "plan": name, "action": action})
        try:
            return _follow(control, number, look)
        except KeyboardInterrupt:
            _stop(control, number)
            raise


def check_completed(ended: SubmittedRun | None, otherwise: str) -> None:
    """End with an error where the server app has not done what it was to do."""
    if ended is None or not ended.completed:
        what = f"{ended.outcome or ended.status} {ended.details}" if ended else "the SuperLink does not answer"
        fail(f"{otherwise}: {what}")


def show_said(path: Path, parties: Iterable[str], what: str) -> list[str]:
    """Show what parties said to a plan or release that was published to them; gives those who did not take it."""
    said = json.loads(path.read_text(encoding="utf-8"))
    table = Table("party", f"the {what} was")
    for party, words in said.items():
        table.add_row(foreign(party), foreign(words))
    console.print(table)
    return [party for party in parties if said.get(party) != "taken"]


def _follow(control: Any, number: int, look: Callable[[], None]) -> SubmittedRun | None:
    """Look at a run until it has ended, or until the SuperLink has not answered for `BEAR` seconds."""
    silent: float | None = None  # since when
    while True:
        run: SubmittedRun | None = None
        try:
            run, silent = control.run(number), None
        except ControlError as error:
            if silent is None:
                silent = time.monotonic()
                console.print(f"{foreign(error)}; the run may still be going; trying again for {BEAR:g} s")
        look()
        if run is not None and run.finished:
            return run
        if silent is not None and time.monotonic() - silent >= BEAR:
            return None
        time.sleep(LOOK)


def _stop(control: Any, number: int) -> None:
    try:
        control.stop(number)
    except ControlError as error:
        console.print(f"{foreign(error)}; so it was not stopped there")


def _reason(output: Path, name: str, ended: SubmittedRun | None) -> str | list[str]:
    """Why there is no run.json, and what to do."""
    if ended is None:
        return (
            f"the SuperLink has not answered for {BEAR:g} s; the run may still be going: once it answers, see "
            f"sealscore-server runs, and continue a stopped run with sealscore-server run {name} --resume"
        )
    if final := final_words(output, name):
        return final
    try:
        reason = str(_failure(output)["reason"])
    except KeyError:
        reason = f"the run failed; see superlink/logs of the server's folder, and {output}"
    if (output / JOURNAL).exists():
        over = f"where a partner has revoked the plan it cannot go on: sealscore-server plan end {name}"
        return f"{reason}; continue with sealscore-server run {name} --resume; {over}"
    return f"{reason}; nothing was begun: fix that, then sealscore-server run {name}"


def _failure(output: Path) -> dict[str, Any]:
    """What a run left that stopped; empty where there is nothing to read."""
    try:
        found = json.loads((output / FAILURE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def final_words(output: Path, name: str) -> list[str] | None:
    """What to do with a run that can never be continued; None where it can be."""
    found = _failure(output)
    if found.get("final") is not True:
        return None
    settled, untold = (", ".join(map(str, found.get(key, ()))) for key in ("settled", "untold"))
    lines = [str(found.get("reason", "the run failed")), f"plan {name} cannot go on and leaves no model"]
    if settled:
        lines.append(f"told, and the plan is settled there: {settled}")
    if untold:
        lines.append(
            f"NOT told: {untold}; have them end it, or it waits for its last day: sealscore-node plan refuse {name}"
        )
    return [*lines, "what was answered stays charged; train with another plan: sealscore-server plan new"]


def runs(folder: Folder = HERE) -> None:
    """List the runs of plans, with the state of each."""
    server_dir = server_dir_at(folder)
    table = Table("plan", "state", "phase", "round", "epsilon", "AUC by the protocol", "folder")
    for name, plan in server_dir.signed_plans().items():
        output = server_dir.run_folder(plan)
        if not output.exists():
            continue
        state, epsilon, auc = _state(output)
        phase, at = ("", "") if state in _OVER else last_of(output / PROGRESS)
        table.add_row(foreign(name), state, foreign(phase), foreign(at), epsilon, auc, foreign(output.name))
    console.print(table)


_OVER = ("done", "ended early", "published")


def _state(output: Path) -> tuple[str, str, str]:
    if (output / "run.json").exists():
        record = json.loads((output / "run.json").read_text(encoding="utf-8"))
        epsilon = record["privacy"]["epsilon"]
        state = "ended early" if record["early"] else "done"
        auc = "counts only" if "monitoring" in record else recorded(record["evaluation"]["all"], "auc")
        return state, f"{epsilon:.4g}" if epsilon is not None else "", auc
    if (output / FAILURE).exists():
        return "cannot go on" if final_words(output, "") else "stopped", "", ""
    return ("begun" if (output / JOURNAL).exists() else "published"), "", ""


@receipts_app.command()
def export(
    output: Annotated[Path, typer.Option("-o", "--output", help="The file.")],
    party: Annotated[str | None, typer.Option(help="Only the receipts of this party.")] = None,
    folder: Folder = HERE,
) -> None:
    """Write the receipts into a file, for sealscore-compliance verify --anchors."""
    server_dir = server_dir_at(folder)
    if not server_dir.receipts.exists():
        fail(f"{server_dir.receipts}: there are no receipts yet; nothing was run", FAILED)
    kept = read_anchors(server_dir.receipts)
    chosen = [anchor for anchor in kept if isinstance(anchor, Receipt) and party in (None, anchor.head.party)]
    if not chosen:
        known = ", ".join(sorted({anchor.head.party for anchor in kept if isinstance(anchor, Receipt)}))
        fail(f"there is no receipt of {party!r}; there are receipts of: {known}", BAD_INPUT)
    output.write_text("".join(to_line(receipt) + "\n" for receipt in chosen), encoding="ascii")
    console.print(f"{len(chosen)} of {len(kept)} receipts are written to {foreign(output)}")
