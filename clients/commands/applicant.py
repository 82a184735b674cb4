"""`sealscore-node applicant`: one applicant's features and flags from raw rows, and the index that the flags ask."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sealscore.clients.commands.features import Rate, Today, day_of, kind_under, rates_of, table_of
from sealscore.clients.commands.plan import PlanArgument, find_plan
from sealscore.clients.commands.serving.tokens import of_role
from sealscore.clients.commands.terminal import BAD_INPUT, HERE, Folder, console, fail, node_dir_at
from sealscore.clients.setup.serving_dir import ServingDir
from sealscore.shared.text.terminal import foreign

if TYPE_CHECKING:
    from sealscore.clients.applicant.used_numbers import UsedNumbers

MOST_BYTES = 64 * 2**20
app = typer.Typer(help="Features of one applicant from raw rows, and the index of used numbers.", no_args_is_help=True)


@app.command()
def index(
    tables: Annotated[Path, typer.Argument(help="Folder of the lender's raw tables, with mapping.toml if any.")],
    today: Today = None,
    rate: Rate = None,
    folder: Folder = HERE,
) -> None:
    """Build the index of used numbers from a lender's raw tables: whose papers had which number first, as keyed hashes.

    What was in the index before is replaced, so who is no longer in the tables is no longer in it.
    """
    from sealscore.clients.applicant.files import filed_in
    from sealscore.clients.features import Settings

    serving = ServingDir(of_role(folder, "lender"))
    if not tables.is_dir():
        fail(f"{tables}: there is no such folder; name the one with the raw tables", BAD_INPUT)
    settings = Settings(rates=rates_of(rate), zone=serving.node.config().data.zone)
    filed = filed_in(tables, day_of(today), settings)
    with ExitStack() as end:
        numbers = _opened(serving, end)
        numbers.build(filed, settings.rates, settings.zone)
        console.print(f"index of {filed.height:,} applications: {len(numbers):,} pairs of a number and a person")


@app.command()
def features(
    plan: PlanArgument,
    file: Annotated[Path, typer.Argument(help="JSON of one applicant (docs/features.md); - reads the standard input.")],
    add: Annotated[bool, typer.Option("--add", help="Lenders: add the application to the index of numbers.")] = False,
    today: Today = None,
    rate: Rate = None,
    folder: Folder = HERE,
) -> None:
    """Print one applicant's features of a plan and the flags, as one JSON object. Nothing leaves the machine."""
    from sealscore.clients.applicant.features import OneApplicant
    from sealscore.clients.features.dictionary.row_local import other_dictionary

    node_dir = node_dir_at(folder)
    found, config = find_plan(node_dir, plan), node_dir.config()
    schema = table_of(found, config.node.name)
    kind = kind_under(found, schema)
    if others := other_dictionary(found, config.node.name):
        fail(others[0], BAD_INPUT)
    if add and kind != "lender":
        fail("--add: only a lender has an index of numbers; leave it out", BAD_INPUT)
    if rate and kind == "lender":
        fail("--rate: a lender's index has the rates that it was built with; leave it out", BAD_INPUT)
    names = frozenset(feature.name for feature in schema.features)
    with ExitStack() as end:
        if kind == "lender":
            asked = OneApplicant.at_lender(_opened(ServingDir(node_dir), end), names)
        else:
            asked = OneApplicant(kind, rates_of(rate), config.data.zone, names)
        applicant = asked.of(_read(file), day_of(today))
        if add:
            asked.add(applicant)
    print(json.dumps({"features": applicant.features, "flags": applicant.flags}, ensure_ascii=False, indent=1))


def _opened(serving: ServingDir, end: ExitStack) -> UsedNumbers:
    from sealscore.clients.applicant.files import used_numbers

    numbers = used_numbers(serving)
    end.callback(numbers.close)
    return numbers


def _read(file: Path) -> Any:
    from sealscore.clients.http.exchange import strict_json
    from sealscore.clients.http.problems import HttpProblem

    try:
        with ExitStack() as end:
            source = sys.stdin.buffer if str(file) == "-" else end.enter_context(file.open("rb"))
            content = source.read(MOST_BYTES + 1)
    except OSError as error:
        fail(f"{foreign(file)}: cannot be read ({error.strerror}); name a JSON file", BAD_INPUT)
    if len(content) > MOST_BYTES:
        fail(f"{foreign(file)}: has more than {MOST_BYTES:,} bytes; give the rows of one applicant", BAD_INPUT)
    try:
        return strict_json(content)
    except HttpProblem as problem:
        fail(f"{foreign(file)}: {problem.title}; {problem.fix}", BAD_INPUT)
