"""`sealscore-node draft`: what a plan must say of one's own table, with its values left to the operator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from sealscore.clients.commands.terminal import BAD_INPUT, HERE, Folder, console, fail, node_dir_at
from sealscore.clients.setup.column_kinds import ColumnKind, column_kind
from sealscore.shared.text.terminal import foreign


def draft(
    label: Annotated[str | None, typer.Option(help="Column of the outcome, at a lender.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")] = Path("draft.toml"),
    folder: Folder = HERE,
) -> None:
    """Write the columns of your table and their kinds, for the server's operator to make a plan from.

    Bounds and levels are left blank: take them from your documentation. Read from the records they would tell of
    those records what no epsilon pays for.
    """
    from sealscore.clients.data import read_source
    from sealscore.shared.files import write_whole

    node_dir = node_dir_at(folder)
    config = node_dir.config()
    mapping = config.data.own(node_dir.folder)
    if output.exists():
        fail(f"{output}: is there already; name another file with --output", BAD_INPUT)
    table = read_source(mapping.source)
    if label is not None and label not in table.header:
        fail(f"--label {label}: the table has no such column; it has {', '.join(table.header)}", BAD_INPUT)
    named = {own: name for name, own in mapping.columns.items()}
    special = {config.data.identifier, label, mapping.consent_column}
    kinds = {
        named.get(name, name): column_kind(table.frame[name]) for name in table.frame.columns if name not in special
    }
    lines = _lines(config.node.role, named.get(config.data.identifier, config.data.identifier), label, kinds)
    try:
        write_whole(output, "\n".join(lines) + "\n")
    except OSError as error:
        fail(f"{output}: cannot be written ({error.strerror}); name another file with --output", BAD_INPUT)
    console.print(f"written to {foreign(output)}: names and kinds of {len(kinds)} columns, and no value of any")
    console.print("fill in bounds and levels from your documentation, then give it to the server's operator")


def _lines(role: str, identifier: str, label: str | None, kinds: dict[str, ColumnKind]) -> Iterator[str]:
    yield "# Names and kinds of this node's columns. Fill in what is commented out, from your documentation and not"
    yield "# from the records: a bound that was read from them tells of them, and no epsilon pays for that."
    yield f"[groups.{role}.table]"
    yield f"id = {_text(identifier)}"
    if role == "lender":
        yield f"label = {_text(label)}" if label is not None else "# label ="
        yield "# label_bad ="
        yield "# label_good ="
    for name, kind in kinds.items():
        yield ""
        if kind in ("day", "none"):
            yield f"# {_text(name)} holds {'days' if kind == 'day' else 'nothing that a plan could read'}"
            continue
        yield f"[[groups.{role}.table.features]]"
        yield f"name = {_text(name)}"
        yield f'kind = "{kind}"'
        wanted = ("lower", "upper") if kind == "numeric" else ("levels",)
        yield from (f"# {key} =" for key in (*wanted, "missing", "protected"))


def _text(value: str) -> str:
    """Text as TOML writes it."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
