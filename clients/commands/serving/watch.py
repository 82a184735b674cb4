"""`sealscore-node watch`: what became of scores and loans, month by month, and the alerts that follow."""

from __future__ import annotations

import json
import os
from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from sealscore.clients.commands.serving.scores import lender_at, score_log
from sealscore.clients.commands.terminal import BAD_INPUT, FAILED, HERE, Folder, console, errors, fail
from sealscore.clients.setup.node_dir import NodeDir
from sealscore.clients.setup.serving_dir import ServingDir, today
from sealscore.clients.watch.groups import read_groups
from sealscore.clients.watch.journal import WatchJournal
from sealscore.clients.watch.journal import acknowledge as acknowledged
from sealscore.clients.watch.judged import JudgedMonth
from sealscore.clients.watch.months import month_number, month_text
from sealscore.clients.watch.reading import WatchReader
from sealscore.clients.watch.report.content import report_of
from sealscore.clients.watch.report.page import watch_page
from sealscore.clients.watch.run import judge_in_row, months_to_judge, watched
from sealscore.clients.watch.settings import WatchedRelease
from sealscore.shared.files import OWNER_ONLY, write_whole
from sealscore.shared.text.numbers import plural
from sealscore.shared.text.terminal import foreign, ungrouped

app = typer.Typer(help="Watch a release: measures, thresholds, alerts; all of it local.", no_args_is_help=True)


@app.command()
def run(
    month: Annotated[
        str | None, typer.Option(help="The month, as 2027-03; by default all that are over and not judged yet.")
    ] = None,
    groups: Annotated[
        Path | None,
        typer.Option(help="A table with application_id and group, which this lender may lawfully hold and use so."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the last month's report as a page (HTML).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the last month's report as one JSON object.")] = False,
    release: Annotated[
        str | None, typer.Option(help="At least eight digits of a release's hash; by default the live one.")
    ] = None,
    folder: Folder = HERE,
) -> None:
    """Judge months: each is a signed line of the log, and a second run of the same changes nothing."""
    node_dir = lender_at(folder)
    config, asked = node_dir.config(), None if month is None else _month(month)
    table = None if config.data.repayments is None else config.data.repayments.table_of(node_dir.folder)
    settings = config.watch.settings()
    watched_release = release_to_watch(node_dir, release)
    reader = WatchReader(watched_release.release, {} if groups is None else read_groups(groups))
    over = last_over(today())
    with score_log(node_dir) as (_, log):
        of = watched(log, reader, watched_release, settings, table, over, tell)
        months = months_to_judge(of, WatchJournal.of(log), asked, over)
        if not months:
            # The report of the last month again, which changes nothing.
            months = [of.last] if of.last >= of.first else []
        if not months:
            scored = f"the first score of this release is of {month_text(of.first)}"
            if over < of.first:
                fail(f"no month is over yet: {scored}", BAD_INPUT)
            fail(f"the table of repayments ends with {month_text(of.last)}, and {scored}; export it again", BAD_INPUT)
        judged = {}
        for one in judge_in_row(of, log, months, tell):
            judged[one.month] = one
            if not as_json:
                _print(one)
        report = report_of(of, judged[months[-1]], WatchJournal.of(log))
    if out is not None:
        try:
            write_whole(out, watch_page(report, config.node.name), OWNER_ONLY)
        except OSError as error:
            fail(f"{foreign(out)}: cannot be written ({error.strerror}); the months are kept, so repeat it", FAILED)
    if as_json:
        print(json.dumps(report, ensure_ascii=False, allow_nan=False))


@app.command("list")
def list_alerts(
    everything: Annotated[bool, typer.Option("--all", help="Those that were taken up, too.")] = False,
    folder: Folder = HERE,
) -> None:
    """List the alerts that wait for somebody."""
    with score_log(lender_at(folder), behind=True) as (_, log):
        known = WatchJournal.of(log).alerts.values()
    table = Table("alert", "month", "measure", "severity", "owner", "state", "by")
    shown = [one for one in known if everything or one.state == "open"]
    for one in shown:
        cells = (one.id, one.month, one.measure, one.severity, one.owner, one.state, one.by or "")
        table.add_row(*(foreign(cell) for cell in cells))
    console.print(table if shown else "no alert waits for anybody")


@app.command()
def acknowledge(
    alert: Annotated[str, typer.Argument(help="The alert's id, as watch list shows it.")],
    by: Annotated[str, typer.Option(help="Who takes it up: the name or staff number of a person.")],
    note: Annotated[str, typer.Option(help="What is done about it; nothing of an applicant.")],
    folder: Folder = HERE,
) -> None:
    """Take an alert up, with a note: a signed line of the log."""
    with score_log(lender_at(folder)) as (_, log):
        found = acknowledged(log, alert, by, note, f"command of {os.getuid()}")
    console.print(f"acknowledged: {foreign(found.measure)}, since {found.month}")


def last_over(now: date) -> int:
    """The last month that is over on a day."""
    return 12 * now.year + now.month - 2


def _month(given: str) -> int:
    try:
        found = month_number(given)
    except ValueError:
        found = -1
    if found < 0 or month_text(found) != given:
        raise typer.BadParameter("a month as 2027-03", param_hint="--month")
    return found


def release_to_watch(node_dir: NodeDir, begins: str | None) -> WatchedRelease:
    """The release of a hash that begins so, by default the live one; ends with an error where there is none."""
    serving = ServingDir(node_dir)
    if begins is None:
        hash = serving.pointer.live
        if hash is None:
            fail("no release is live; name one as --release, by its hash", BAD_INPUT)
    else:
        digits = ungrouped(begins)
        known = [path.name for path in serving.releases.glob("[0-9a-f]*") if path.name.startswith(digits)]
        if len(known) != 1 or len(digits) < 8:
            fail(f"{len(known)} releases begin so; give at least eight digits: sealscore-node release list", BAD_INPUT)
        hash = known[0]
    return WatchedRelease.of(serving.release(hash), node_dir.config().watch.reference)


def tell(what: str) -> None:
    """Say what takes its time."""
    errors.print(f"{what} ...", highlight=False)


def _print(judged: JudgedMonth) -> None:
    rows = [one for one in judged.measures if one.value is not None]
    breaches = [one for one in rows if one.breach]
    counts = (
        f"{plural(len(rows), 'measure')} judged",
        plural(len(breaches), "breach", "breaches"),
        plural(len(judged.alerts), "alert"),
    )
    console.print(f"{month_text(judged.month)}: {', '.join(counts)}", highlight=False)
    for one in breaches:
        console.print(f"  {foreign(one.name)}: {one.value:.4f}, threshold {one.threshold:.4f}", highlight=False)
    if lacking := [foreign(one.name) for one in judged.measures if one.unreferenced]:
        console.print(f"  never judged, too few cases in the first months: {', '.join(lacking)}", highlight=False)
    for alert in judged.alerts:
        console.print(f"  alert {alert.id} ({alert.severity}, {foreign(alert.owner)}): {foreign(alert.measure)}")
