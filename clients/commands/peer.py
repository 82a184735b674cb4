"""`sealscore-node peer`: whose cards this node trusts, by fingerprints that came over another channel."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from sealscore.clients.commands.terminal import BAD_INPUT, HERE, Folder, console, fail, node_dir_at
from sealscore.shared.identity.enrolment import card_in
from sealscore.shared.identity.identity import Card
from sealscore.shared.text.terminal import foreign

app = typer.Typer(help="Trust the cards of the server and of peers, by fingerprint.", no_args_is_help=True)


@app.command()
def trust(
    card: Annotated[str, typer.Argument(help="The card's file, or the card itself on one line.")],
    fingerprint: Annotated[
        str | None, typer.Option(help="The fingerprint as its holder gave it; without it you are asked to compare.")
    ] = None,
    folder: Folder = HERE,
) -> None:
    """Trust a card, after comparing its fingerprint with its holder by telephone or in person."""
    node_dir = node_dir_at(folder)
    found = _card(card)
    console.print(f"The card of the {found.role} [bold]{found.name}[/bold] has the fingerprint")
    console.print(f"  [bold]{found.fingerprint}[/bold]")
    if fingerprint is None:
        typed = typer.prompt("Type the fingerprint that its holder gave you over another channel than the card")
        fingerprint = str(typed)
    node_dir.trust().trust(found, fingerprint)
    console.print(f"trusted: {found.name}")


@app.command("list")
def list_cards(folder: Folder = HERE) -> None:
    """List the trusted cards."""
    node_dir = node_dir_at(folder)
    cards = node_dir.trust().cards
    table = Table("name", "role", Column("fingerprint", no_wrap=True, overflow="fold"))
    for name, card in sorted(cards.items()):
        table.add_row(name, card.role, card.fingerprint)
    console.print(table if cards else "no card is trusted yet; sealscore-node peer trust CARD")


@app.command()
def forget(name: Annotated[str, typer.Argument(help="Whose card.")], folder: Folder = HERE) -> None:
    """Trust a card no longer: no plan that names it can be approved or answered."""
    node_dir = node_dir_at(folder)
    node_dir.trust().forget(name)
    console.print(f"no longer trusted: {foreign(name)}")


def _card(given: str) -> Card:
    path = Path(given)
    if given.startswith("sealscore-card"):
        return card_in(given)
    try:
        return card_in(path.read_text(encoding="ascii"))
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{path}: no card can be read there ({error})", BAD_INPUT)
