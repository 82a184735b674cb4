"""How audits are shown: a table for the console, an object for JSON, and one page of HTML with a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from sealscore.compliance.pages.figures import Dot, Panel, dot_figure
from sealscore.compliance.pages.page import Column, Page, figure, paragraph, table
from sealscore.compliance.pages.svg import STYLES, Axis
from sealscore.simulations.audit.audited import Audit

# Below this part of the clip norm a canary is no worst case any more.
FULL_REACH = 0.95


def summary(audits: Sequence[Audit]) -> dict[str, Any]:
    """All audits of one setting as one object."""
    first = audits[0]
    return {
        "plan": first.plan,
        "break": first.setting.fault.value if first.setting.fault else None,
        "claim": first.claim,
        "highest_bound": max(audit.bound for audit in audits),
        "exceeded": sum(audit.exceeded for audit in audits),
        "audits": [audit.as_dict() for audit in audits],
    }


def headline(audit: Audit) -> str:
    """What was audited, in a line."""
    setting, event = audit.setting, audit.event
    broken = f", broken on purpose: {setting.fault.value}" if setting.fault else ""
    return (
        f"{audit.plan}: tower of {setting.group}, canaries at {setting.party}{broken}; "
        f"{event.count} noisy sums claimed at sample rate {event.sample_rate:g}, noise multiplier "
        f"{event.noise_multiplier:.3f}, delta {audit.delta:g}; {setting.canaries} canaries, {setting.guesses} guesses"
    )


def verdict(audits: Sequence[Audit]) -> str:
    """What the bounds say of the claim."""
    over = sum(audit.exceeded for audit in audits)
    if (reach := min(audit.reach for audit in audits)) < FULL_REACH and not over:
        return f"no bound exceeds the claim, but canaries reached only {reach:.0%} of the clip norm: this says little"
    if not over:
        return f"no bound of {len(audits)} exceeds the claim"
    return f"{over} of {len(audits)} bounds exceed the claim: it does not hold"


def audits_table(audits: Sequence[Audit]) -> Table:
    """A row a seed: right guesses, the bounds, the claim."""
    shown = Table(title=headline(audits[0]), caption=verdict(audits))
    for name in ("seed", "right", "bound, one run", "bound, f-DP", "bound", "claim", ""):
        shown.add_column(name, justify="right" if name else "left")
    for audit in audits:
        figures = (f"{value:.3f}" for value in (audit.one_run, audit.curve, audit.bound, audit.claim))
        said = "[red]exceeds" if audit.exceeded else "[green]holds"
        shown.add_row(str(audit.seed), f"{audit.right} / {audit.setting.guesses}", *figures, said)
    return shown


def page(audits: Sequence[Audit]) -> str:
    """The audits as one HTML file that needs nothing else."""
    first = audits[0]
    confidence = f"{first.setting.confidence:.0%}"
    most = max(first.claim, *(audit.bound for audit in audits)) * 1.1
    axis = Axis("epsilon", 0.0, most)
    dots = [
        Dot(f"seed {a.seed}", a.bound, f"{a.bound:.2f}", STYLES[1] if a.exceeded else STYLES[0], strong=a.exceeded)
        for a in audits
    ]
    drawn = dot_figure("Lower bounds beside the claim", [Panel(axis, dots, (first.claim, f"claim {first.claim:.2f}"))])
    columns = ["Seed", *(Column(name, True) for name in ("Right guesses", "One run", "f-DP", "Bound", "Claim"))]
    rows = []
    for audit in audits:
        figures = (f"{value:.3f}" for value in (audit.one_run, audit.curve, audit.bound, audit.claim))
        rows.append((f"{audit.seed}", f"{audit.right} of {audit.setting.guesses}", *figures))
    found = verdict(audits)
    made = Page("Empirical privacy audit", headline(first))
    made.section(
        "What was found",
        paragraph(found[0].upper() + found[1:], "."),
        figure(drawn, "Bounds by seed.", f"With {confidence} confidence epsilon is at least what a dot shows."),
        table(columns, rows),
        paragraph(
            "A bound below the claim proves nothing: an audit can refute a claim, and has limited power to do so. "
            "How far the bound lies below the claim says how much of what is allowed this adversary could show."
        ),
    )
    return made.render()
