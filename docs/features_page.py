"""Write the tables of docs/features.md from the feature dictionary: `python docs/features_page.py`.

Features come from clients/features/dictionary/dictionary.py, raw tables from clients/features/raw/raw.py, checks of
papers from clients/features/papers.py. The page's own text stands outside the markers and is left alone. A test
compares the page with what this writes.
"""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl

from sealscore.clients.features.dictionary.dictionary import Kind, entries
from sealscore.clients.features.dictionary.digest import dictionary_digest
from sealscore.clients.features.dictionary.entry import Entry
from sealscore.clients.features.papers import CHECKS
from sealscore.clients.features.raw.raw import TABLES

PAGE = Path(__file__).with_name("features.md")
KINDS: tuple[Kind, ...] = ("short-video", "wallet", "lender")
_DIRECTIONS = {"raises": "raises PD", "lowers": "lowers PD", "open": ""}
_TYPES = {
    pl.String: "text",
    pl.Date: "day",
    pl.Datetime: "moment, UTC",
    pl.Float64: "number",
    pl.Float32: "number",
    pl.Int64: "whole number",
    pl.Boolean: "boolean",
}


def refresh(page: str) -> str:
    """The page with the text between each pair of markers rewritten.

    Raises:
        KeyError: a marker names something that is not written here.
    """

    def written(found: re.Match[str]) -> str:
        return f"<!-- {found[1]} -->\n{_PARTS[found[1]]()}<!-- end -->"

    return re.sub(
        r"<!-- ((?:features|reasons|raw|checks|undated|flags|digest)[\w -]*) -->\n.*?<!-- end -->",
        written,
        page,
        flags=re.DOTALL,
    )


def features(kind: Kind) -> str:
    """The dictionary of one kind of party."""
    lines = [
        "| code | feature | definition | unit | bounds | missing means | expected | reason text |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {found.code} | `{found.name}`{' (protected)' if found.protected else ''} | {found.definition} "
        f"| {found.unit} | {_bounds(found)} | {found.missing or 'never missing'} | {_DIRECTIONS[found.direction]} "
        f"| {found.en}<br>{found.zh} |"
        for found in entries(kind)
    ]
    return "\n".join(lines) + "\n"


def reasons(kind: Kind) -> str:
    """What applicants are told of the features of one kind of party."""
    lines = ["| feature | high, or the level | low | missing |", "|---|---|---|---|"]
    for found in entries(kind):
        if not found.protected:
            cells = ["<br>".join(said or ()) for said in (found.high or found.level, found.low, found.absent)]
            lines.append(f"| `{found.name}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def raw(kind: Kind) -> str:
    """The raw tables of one kind of party."""
    lines = ["| table | columns (may be blank in brackets) | a row is named by |", "|---|---|---|"]
    for name, table in TABLES[kind].items():
        columns = ", ".join(
            f"({column}: {_TYPES[type(dtype)]})" if column in table.blank else f"{column}: {_TYPES[type(dtype)]}"
            for column, dtype in table.columns.items()
        )
        lines.append(f"| `{name}` | {columns} | {', '.join(table.key) or 'nothing'} |")
    return "\n".join(lines) + "\n"


def checks() -> str:
    """The checks of papers."""
    lines = ["| code | paper | counts in the feature | reason |", "|---|---|---|---|"]
    lines += [
        f"| {check.code} | {check.paper} | {'yes' if check.counted else 'never, a flag only'} "
        f"| {check.en}<br>{check.zh} |"
        for check in CHECKS
    ]
    return "\n".join(lines) + "\n"


def outside() -> str:
    """The pre-loan flags that may never be counted."""
    lines = ["| code | paper | may never be counted, since it |", "|---|---|---|"]
    lines += [f"| {check.code} | {check.paper} | {check.outside} |" for check in CHECKS if not check.counted]
    return "\n".join(lines) + "\n"


def digest() -> str:
    """The digest of this release's dictionary, as a plan names it."""
    return f"`{dictionary_digest()}`\n"


def undated() -> str:
    """The columns that are read though no other column says since when they hold."""
    lines = ["| party | table | columns | to be exported |", "|---|---|---|---|"]
    for kind in KINDS:
        for name, table in TABLES[kind].items():
            for how in dict.fromkeys(table.undated.values()):
                columns = ", ".join(f"`{column}`" for column, said in table.undated.items() if said == how)
                lines.append(f"| {kind} | `{name}` | {columns} | {how} |")
    return "\n".join(lines) + "\n"


def _bounds(found: Entry) -> str:
    if found.levels:
        return ", ".join(found.levels)
    scale = f", scale {found.scale:g}" if found.scale else ""
    return f"{found.lower:g} to {found.upper:g}{scale}"


_PARTS = {
    **{f"features of {kind}": lambda kind=kind: features(kind) for kind in KINDS},
    **{f"reasons of {kind}": lambda kind=kind: reasons(kind) for kind in KINDS},
    **{f"raw tables of {kind}": lambda kind=kind: raw(kind) for kind in KINDS},
    "checks": checks,
    "flags outside the score": outside,
    "digest": digest,
    "undated": undated,
}


if __name__ == "__main__":
    PAGE.write_text(refresh(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
