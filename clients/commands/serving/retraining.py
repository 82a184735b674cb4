"""`sealscore-node watch propose` and `release compare`: what an alert calls for, and which of two is better."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from sealscore.clients.commands.serving.release import app as release_app
from sealscore.clients.commands.serving.release import approved_release
from sealscore.clients.commands.serving.scores import lender_at, score_log
from sealscore.clients.commands.serving.watch import app as watch_app
from sealscore.clients.commands.serving.watch import last_over, tell
from sealscore.clients.commands.terminal import BAD_INPUT, FAILED, HERE, Folder, console, fail
from sealscore.clients.retraining.both_scored import BothReader
from sealscore.clients.retraining.comparison import Compared, comparison
from sealscore.clients.retraining.comparison_page import comparison_page
from sealscore.clients.retraining.proposal import next_commands, proposed
from sealscore.clients.retraining.remedy import evidence_of, remedy_of
from sealscore.clients.scoring.score_log import ScoreLog
from sealscore.clients.setup.node_dir import NodeDir
from sealscore.clients.setup.serving_dir import ServingDir, today
from sealscore.clients.watch.journal import WatchJournal
from sealscore.clients.watch.months import month_number
from sealscore.clients.watch.portfolio import outcomes
from sealscore.clients.watch.reading import WatchReader
from sealscore.clients.watch.run import WatchedLog, watched
from sealscore.clients.watch.settings import WatchedRelease
from sealscore.shared.files import OWNER_ONLY, write_whole
from sealscore.shared.serving.release import Release
from sealscore.shared.text.numbers import plural
from sealscore.shared.text.terminal import foreign


@watch_app.command()
def propose(
    alert: Annotated[str, typer.Argument(help="The alert's id, as watch list shows it.")],
    out: Annotated[Path | None, typer.Option(help="The draft's file; by default NAME.toml.")] = None,
    name: Annotated[
        str | None, typer.Option(help="The new plan's name; by default the old one's and the alert.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    folder: Folder = HERE,
) -> None:
    """Propose what an alert calls for: a plan's draft with its price in epsilon and bits. Nothing is started."""
    node_dir = lender_at(folder)
    with score_log(node_dir, behind=True) as (ledger, log):
        known = WatchJournal.of(log).alerts
        if alert not in known:
            fail("there is no such alert; sealscore-node watch list --all has them", BAD_INPUT)
        found = known[alert]
        release = ServingDir(node_dir).release(found.release)
        of = _watched(node_dir, log, WatchReader(release.hash), release)
        closed = outcomes(of.book.loans, of.book.repayments, of.last, of.release.window, of.settings.bad_days)
        role = found.measure.split(".")[1] if found.measure.startswith(("psi.", "calibration.")) else ""
        evidence = evidence_of(closed, role, month_number(found.month))
        remedy = remedy_of(found.measure, evidence)
        said: dict[str, Any] = {"alert": alert, "measure": found.measure, "remedy": remedy.kind, "code": remedy.code}
        said |= {"why": remedy.why, "evidence": None if evidence is None else evidence.plain()}
        if remedy.kind == "none":
            _show(said, [("why", remedy.why)], as_json)
            return
        plan_name = name or f"{release.plan.name[:50]}-{alert[:8]}"
        proposal = proposed(remedy, release, plan_name, ledger.state, today())
    draft = out or Path(f"{plan_name}.toml")
    if draft.exists():
        fail(f"{foreign(draft)}: is there already; name another file as --out", BAD_INPUT)
    try:
        write_whole(draft, proposal.toml())
    except OSError as error:
        fail(f"{foreign(draft)}: cannot be written ({error.strerror})", FAILED)
    steps = next_commands(proposal, release.plan.name, str(draft), release.manifest.name)
    said |= {"plan": plan_name, "draft": str(draft), "price": proposal.price.plain(), "next": steps}
    lines = [("why", remedy.why), *proposal.price.lines(), ("draft", str(draft))]
    lines += [("in the way", what) for what in proposal.price.obstacles()]
    _show(said, lines, as_json)
    if not as_json:
        console.print("next, if you agree with it; nothing is started:")
        for step in steps:
            console.print(f"  {foreign(step)}", highlight=False)


@release_app.command()
def compare(
    champion: Annotated[str, typer.Argument(help="A release's name or at least eight digits of its hash.")],
    challenger: Annotated[str, typer.Argument(help="The other one, which was in the shadow, or had it there.")],
    out: Annotated[Path | None, typer.Option(help="Write the report as a page (HTML).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object.")] = False,
    folder: Folder = HERE,
) -> None:
    """Compare two releases on the applications that both scored: points, swaps, outcomes; nothing is changed."""
    node_dir = lender_at(folder)
    hashes = [approved_release(node_dir, wanted, ended=True)[0] for wanted in (champion, challenger)]
    if hashes[0] == hashes[1]:
        fail("both are the same release; name two", BAD_INPUT)
    serving = ServingDir(node_dir)
    first, second = (serving.release(hash) for hash in hashes)
    with score_log(node_dir, behind=True) as (_, log):
        reader = BothReader(first.hash, challenger=second.hash)
        report = comparison(Compared(first, second, reader, _watched(node_dir, log, reader, first)))
    if out is not None:
        try:
            write_whole(out, comparison_page(report, node_dir.config().node.name), OWNER_ONLY)
        except OSError as error:
            fail(f"{foreign(out)}: cannot be written ({error.strerror})", FAILED)
    if as_json:
        print(json.dumps(report, ensure_ascii=False, allow_nan=False))
        return
    _print_compared(report)


def _watched(node_dir: NodeDir, log: ScoreLog, reader: WatchReader, release: Release) -> WatchedLog:
    """What the log and the table of repayments, where there is one, have of a release."""
    config = node_dir.config()
    table = None if config.data.repayments is None else config.data.repayments.table_of(node_dir.folder)
    settings = config.watch.settings()
    # Only windows are looked at, and no shares of bins.
    of = WatchedRelease.of(release, "months")
    return watched(log, reader, of, settings, table, last_over(today()), tell)


def _show(said: dict[str, Any], lines: list[tuple[str, str]], as_json: bool) -> None:
    if as_json:
        print(json.dumps(said, ensure_ascii=False, allow_nan=False))
        return
    console.print(f"{foreign(said['measure'])}: [bold]{said['remedy']}[/bold] ({said['code']})", highlight=False)
    for what, words in lines:
        console.print(f"  {what}: {foreign(words, 10_000)}", highlight=False)


def _print_compared(report: dict[str, Any]) -> None:
    scored, swaps = report["scored"], report["swaps"]
    counts = [f"{_few(scored[key])} {words}" for key, words in _COUNTS.items()]
    console.print(", ".join(counts), highlight=False)
    if (correlation := report["points"]["rank_correlation"]) is not None:
        console.print(f"rank correlation of points {correlation:.3f}", highlight=False)
    for row in swaps or ():
        console.print(f"  {row['swap']}: {_few(row['applications'])}", highlight=False)
    figures = report["outcomes"]["figures"]
    if figures is None:
        least = report["least"]
        loans, bads = plural(least["loans"], "closed loan"), least["bads"]
        console.print(f"outcomes: too few; a comparison begins at {loans}, {bads} of either outcome", highlight=False)
        return
    for name, one in figures.items():
        values = [one[key] for key in ("champion", "challenger", "difference")]
        words = ", ".join(f"{value['value']:.4f} ({value['low']:.4f} to {value['high']:.4f})" for value in values)
        console.print(f"  {name}: {words}: {one['better']}", highlight=False)


_COUNTS = {"applications": "scored by both", "loans": "loans of them", "closed_loans": "with an outcome"}


def _few(count: int | None) -> str:
    return "too few" if count is None else f"{count:,}"


__all__ = ["compare", "propose", "release_app", "watch_app"]
