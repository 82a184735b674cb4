"""`sealscore-node warning`: the watch bit at a platform, and a lender's list of borrowers to contact first."""

from __future__ import annotations

from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from sealscore.clients.commands.plan import opened
from sealscore.clients.commands.serving.release import ReleaseArgument, approved_release
from sealscore.clients.commands.serving.scores import score_log
from sealscore.clients.commands.serving.tokens import (
    Key,
    Language,
    Lender,
    Person,
    Text,
    digest_of,
    normal_form,
    of_role,
    typed,
)
from sealscore.clients.commands.terminal import BAD_INPUT, FAILED, HERE, Folder, console, fail
from sealscore.clients.scoring.tokens import NoToken
from sealscore.clients.setup.plan_data import loaded, loader
from sealscore.clients.setup.serving_dir import ServingDir, today
from sealscore.clients.warning.arrears import read_arrears
from sealscore.clients.warning.borrowers import PRIORITIES, WarnedLoan, warned_loans
from sealscore.clients.warning.daily import NotTold, tell_bits, told_words
from sealscore.clients.warning.rules import WarningRules
from sealscore.clients.warning.watching import Watching, WatchRequest, stop_watching
from sealscore.shared.files import write_whole
from sealscore.shared.persons.identifiers import NORMAL_FORMS
from sealscore.shared.text.foreign import json_line
from sealscore.shared.text.numbers import plural
from sealscore.shared.text.terminal import foreign

app = typer.Typer(help="Early warning: a platform's watch bit, and whom a lender contacts first.", no_args_is_help=True)
_OWNER = 0o600


@app.command()
def begin(
    release: ReleaseArgument,
    lender: Lender,
    person: Person,
    text: Text,
    key: Key,
    quarters: Annotated[
        int, typer.Option(min=1, help="For so many quarters after this one, whatever comes of a loan.")
    ],
    language: Language = "zh",
    folder: Folder = HERE,
) -> None:
    """At a platform: a creator agreed to be watched for a lender, by the token of that key. Nothing is told yet."""
    node_dir = of_role(folder, "platform")
    serving, config = ServingDir(node_dir), node_dir.config()
    hash, _ = approved_release(node_dir, release)
    found = serving.release(hash)
    asked = WatchRequest(lender, typed(person), key, digest_of(text), language, quarters)
    with opened(node_dir) as ledger, closing(serving.store()) as store:
        records = loaded(node_dir, config, found.plan).records
        try:
            asking = config.serving.consents == "request"
            made = Watching(config.node.name, ledger, store, found, records, asking).begin(asked, today())
        except NoToken as error:
            fail(f"not begun ({error.code}): {error}", FAILED)
    console.print(f"begun: one bit a quarter for {foreign(lender)}, from {made.first} to {made.last}, whatever is lent")


@app.command()
def end(lender: Lender, person: Person, folder: Folder = HERE) -> None:
    """At a platform: a creator agrees to be watched no more. The lender deletes its bits by the next batch.

    Tokens stay: sealscore-node token withdraw ends all. Take the consent out of the table of consents, too.
    """
    node_dir = of_role(folder, "platform")
    form = normal_form(node_dir, person)
    with closing(ServingDir(node_dir).store()) as store:
        count = stop_watching(store, form, lender, today())
    console.print(f"ended: {plural(count, 'watch', 'watches')} for {foreign(lender)}")


@app.command()
def tell(folder: Folder = HERE) -> None:
    """At a platform: tell this quarter's bits that are due, charged, for the day's batches; a running node does it."""
    node_dir = of_role(folder, "platform")
    serving, config = ServingDir(node_dir), node_dir.config()
    with opened(node_dir) as ledger, closing(serving.store()) as store:
        why: NotTold | None = None
        try:
            found = tell_bits(config.node.name, ledger, store, serving.release, loader(node_dir, config), today())
        except NotTold as error:
            found, why = dict(error.found), error
    for name, one in found.items():
        console.print(foreign(told_words(name, one)))
    if why is not None:
        fail(f"not told: {foreign(str(why))}", FAILED)
    if not found:
        console.print("no bit of this quarter is due")


@app.command("list")
def list_warnings(
    repayments: Annotated[Path, typer.Argument(help="The lender's own table: loan, person, due_at, paid_at.")],
    rules: Annotated[Path | None, typer.Option(help="TOML with the arrears rules; without it the defaults.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A .csv or .json file to write.")] = None,
    as_of: Annotated[str | None, typer.Option(help="The day, as 2027-03-31; by default today.")] = None,
    folder: Folder = HERE,
) -> None:
    """At a lender: list whom to contact first, the most urgent first, with reasons; one JSON object a line."""
    if output is not None and output.suffix not in (".csv", ".json"):
        raise typer.BadParameter(f"{output.name!r}: name a .csv or a .json file", param_hint="--output")
    node_dir, day = of_role(folder, "lender"), _day(as_of)
    applied = WarningRules() if rules is None else WarningRules.load(rules)
    form = NORMAL_FORMS[node_dir.config().data.form]
    loans = read_arrears(repayments, form, day)
    with score_log(node_dir) as (_, log):
        names = {loan.person: log.keys.person(loan.person) for loan in loans}
        # Of a day that is over it is the bits that hold today that count: those of then are gone.
        found = warned_loans(loans, applied, log.watch_bits(today()), names, log.erased())
    if output is None:
        for one in found:
            print(json_line(one.plain))
    else:
        _write(output, found)
    counts = [f"{sum(one.priority == place for one in found)} {words}" for place, words in PRIORITIES.items()]
    console.print(f"{plural(len(loans), 'open loan')}: {'; '.join(counts)}", highlight=False)


def _write(output: Path, found: list[WarnedLoan]) -> None:
    import polars as pl

    if output.suffix == ".json":
        text = "".join(f"{json_line(one.plain)}\n" for one in found)
    else:
        empty = WarnedLoan("", "", 0, 0, 0, ())
        # Types are those of all rows: the first hundred may have no watch bit.
        table = pl.DataFrame([one.row for one in found], schema=list(empty.row), infer_schema_length=None)
        text = table.write_csv()
    try:
        write_whole(output, text, _OWNER)
    except OSError as error:
        fail(f"{output}: cannot be written ({error.strerror}); see to it, and repeat the command", FAILED)


def _day(text: str | None) -> date:
    if text is None:
        return today()
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("write a day such as 2027-03-31", param_hint="--as-of") from None
    if day > today():
        fail("--as-of is a day that is still to come; correct it, or set the clock", BAD_INPUT)
    return day
