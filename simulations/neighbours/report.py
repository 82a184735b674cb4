"""How a watch is shown: a table for the console."""

from __future__ import annotations

from rich.table import Table

from sealscore.simulations.neighbours.watch import Watch

MOST_SHOWN = 40


def headline(found: Watch) -> str:
    """What was watched, in a line."""
    single = sum(bool(neighbour.person) for neighbour in found.neighbours)
    return (
        f"{found.plan}: {found.sums} answers with a sum, asked again of {single} worlds without one of "
        f"{found.persons:,} persons and of {len(found.neighbours) - single} without half of them"
    )


def verdict(found: Watch) -> str:
    """What it says of the claim."""
    if not found.findings:
        return "no person moves more than the claim takes for granted"
    return f"{len(found.findings)} findings: the claim does not hold"


def phases_table(found: Watch) -> Table:
    """A row a phase: the largest move of its sum, what its event allows, whose it was."""
    shown = Table(title=headline(found), caption=verdict(found))
    for name in ("phase", "moved", "allowed", "share", "person"):
        shown.add_column(name, justify="left" if name in ("phase", "person") else "right")
    for phase, (moved, neighbour) in found.largest().items():
        share = moved.distance / moved.allowed
        style = "red" if share > 1 else None
        shown.add_row(
            phase, f"{moved.distance:.3f}", f"{moved.allowed:.3f}", f"{share:.0%}", neighbour.why, style=style
        )
    return shown


def findings_lines(found: Watch) -> list[str]:
    """A line for each finding, the first of many."""
    lines = [f"{neighbour.why}: {finding}" for neighbour in found.neighbours for finding in neighbour.findings]
    more = len(lines) - MOST_SHOWN
    return lines[:MOST_SHOWN] + ([f"and {more} more"] if more > 0 else [])
