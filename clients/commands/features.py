"""`sealscore-node features`: from a party's own raw tables to the table that its node reads under a plan."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from sealscore.clients.commands.plan import PlanArgument, find_plan
from sealscore.clients.commands.terminal import BAD_INPUT, HERE, Folder, console, errors, fail, node_dir_at
from sealscore.shared.persons.consent import FEDERATION
from sealscore.shared.plan.plan import Plan
from sealscore.shared.plan.schema import TableSchema
from sealscore.shared.text.terminal import foreign

if TYPE_CHECKING:
    from sealscore.clients.features.dictionary.dictionary import Kind

_SHOWN = 20
Today = Annotated[
    str | None, typer.Option(metavar="YYYY-MM-DD", help="Nothing after this day is read; without it, today.")
]
Rate = Annotated[
    list[str] | None, typer.Option(metavar="CODE=VALUE", help="What a unit of a currency is worth; CNY=1 if none.")
]


def features(
    plan: PlanArgument,
    tables: Annotated[Path, typer.Argument(help="Folder of the raw tables (Parquet), with mapping.toml if any.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write features.parquet into.")],
    today: Today = None,
    rate: Rate = None,
    unlabelled: Annotated[
        bool, typer.Option("--unlabelled", help="Lenders: all applications, and not closed loans with their outcome.")
    ] = False,
    folder: Folder = HERE,
) -> None:
    """Compute the features of a plan's table from this party's raw tables. Nothing leaves the machine.

    Rows at fault are left out and written to OUTPUT/rejected; above the plan's most_rejected nothing is computed.
    """
    from polars.exceptions import PolarsError

    from sealscore.clients.data.errors import why
    from sealscore.clients.features import Settings, build_table

    node_dir = node_dir_at(folder)
    found = find_plan(node_dir, plan)
    config = node_dir.config()
    schema = table_of(found, config.node.name)
    kind = kind_under(found, schema)
    if not tables.is_dir():
        fail(f"{tables}: there is no such folder; name the one with the raw tables", BAD_INPUT)
    settings = Settings(
        purpose=found.purpose_code,
        recipients={FEDERATION, *(party.name for party in found.parties)},
        rates=rates_of(rate),
        most_rejected=schema.most_rejected,
        labelled=not unlabelled,
        zone=config.data.zone,
    )
    day = day_of(today)
    try:
        with errors.status(f"features of {foreign(tables)}"):
            built = build_table(tables, kind, output, day, settings)
    except PolarsError as error:
        fail(f"{tables}: no features can be computed of these tables ({why(error)})", BAD_INPUT)
    shown = Table("raw table", "rows", "left out")
    for name, (bad, rows) in built.rejected.items():
        shown.add_row(foreign(name), f"{rows:,}", f"{bad:,}")
    console.print(shown)
    for named, (there, keys) in built.matched.items():
        if there < keys:
            errors.print(f"keys without a row: {keys - there:,} of {keys:,} in {foreign(named)}")
    for problem in built.problems[:_SHOWN]:
        errors.print(f"left out: {foreign(problem)}")
    if built.problems:
        errors.print(f"all rows left out, with column, fault and fix: {foreign(output / 'rejected')}")
    console.print(f"{foreign(built.table)}: {built.rows:,} rows; {built.flags:,} flags for your own officers")


def table_of(plan: Plan, party: str) -> TableSchema:
    """The table of a party under a plan; ends with an error where it is no party."""
    for member in plan.parties:
        if member.name == party:
            return plan.groups[member.group].table
    fail(f"plan {plan.name} has no party {party!r}; its parties: {', '.join(p.name for p in plan.parties)}", BAD_INPUT)


def kind_under(plan: Plan, schema: TableSchema) -> Kind:
    """The kind of party whose table a plan's is; ends with an error where it has features of none."""
    from sealscore.clients.features.dictionary.dictionary import kind_of

    try:
        return kind_of(schema)
    except KeyError as error:
        fail(f"plan {plan.name}: {error.args[0]}; this table must come from elsewhere", BAD_INPUT)


def day_of(text: str | None) -> date:
    """The day of `--today`; BadParameter where it is none."""
    try:
        return date.today() if text is None else date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no day; write 2026-03-31", param_hint="--today") from None


def rates_of(written: list[str] | None) -> dict[str, float]:
    """The rates of `--rate`, CNY=1 where none is given; BadParameter where one is none."""
    rates = {}
    for text in written or ["CNY=1"]:
        code, _, value = text.partition("=")
        try:
            rates[code.strip()] = float(value)
        except ValueError:
            rates[code.strip()] = 0.0
        if not code.strip() or not 0 < rates[code.strip()] < float("inf"):
            raise typer.BadParameter(f"{text!r}: write CODE=VALUE, as USD=7.1, above 0", param_hint="--rate")
    return rates
