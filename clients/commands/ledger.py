"""`sealscore-node ledger` and `budget`: what was released, and what may be."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from sealscore.clients.commands.plan import opened
from sealscore.clients.commands.terminal import BAD_INPUT, FAILED, HERE, Folder, console, fail, node_dir_at, reason
from sealscore.shared.dp.noise_calibration import UnreachableBudget
from sealscore.shared.ledger.budget_check import BudgetCheck, bits_by_kind, bits_by_recipient, label_epsilon
from sealscore.shared.ledger.entries import Ceilings, Limit, TellLimit
from sealscore.shared.ledger.ledger import copy_ledger, read_ledger
from sealscore.shared.ledger.scoring_bits import ToldForScoring, told_by_lender
from sealscore.shared.ledger.sentences import sentence
from sealscore.shared.ledger.serving_state import ServingState
from sealscore.shared.ledger.state import LedgerState
from sealscore.shared.phases.kind import Kind
from sealscore.shared.plan.plan import Plan
from sealscore.shared.serving.watch import period_name
from sealscore.shared.text.numbers import plural
from sealscore.shared.text.terminal import foreign

_KINDS = {Kind.SIGNAL.value: "signal", Kind.GROUPS.value: "bands of protected attributes"}

ledger_app = typer.Typer(help="Show what was released and what is left, or copy the ledger for a reviewer.")


@ledger_app.command("export")
def export(
    output: Annotated[Path, typer.Option("--output", "-o", help="The new file.")], folder: Folder = HERE
) -> None:
    """Copy the ledger into one whole file, also while the node runs: what `sealscore-compliance verify` reads.

    A plain copy of `ledger.db` lacks what is still in `ledger.db-wal`.
    """
    node_dir = node_dir_at(folder)
    try:
        entries = copy_ledger(node_dir.ledger_file, output)
    except FileExistsError:
        fail(f"{output}: is there already; name a new file", BAD_INPUT)
    except OSError as error:
        fail(f"{output}: cannot be written ({error.strerror}); name another place", FAILED)
    console.print(f"{plural(entries, 'entry', 'entries')} written to {foreign(output)}")


@ledger_app.callback(invoke_without_command=True)
def ledger(
    context: typer.Context,
    last: Annotated[int, typer.Option("-n", "--last", min=1, help="How many entries.")] = 20,
    folder: Folder = HERE,
) -> None:
    """Show the last entries of the ledger, and what is spent and left; `export` copies it for a reviewer."""
    if context.invoked_subcommand is not None:
        return
    node_dir = node_dir_at(folder)
    with opened(node_dir) as own:
        state, budget_check = own.state, BudgetCheck()
        names = {hash: plan.plan.name for hash, plan in state.plans.items()}
        releases = {hash: one.manifest.name for hash, one in state.serving.releases.items()}
        shown = Table("entry", "at", "kind", "what")
        for stored in list(read_ledger(node_dir.ledger_file))[-last:]:
            words = sentence(stored.entry, names, releases)
            shown.add_row(str(stored.seq), stored.at, stored.kind, foreign(words, 1500))
        console.print(shown)
        ceilings = state.ceilings
        if ceilings is not None and ceilings.epsilon is not None:
            spent, committed = budget_check.epsilon(state), budget_check.outlook(state)
            console.print(f"epsilon spent {spent:.4g}, committed {committed:.4g}, of {ceilings.epsilon:g}")
            if any(plan.exchanged for plan in state.plans.values()):
                console.print("(spent counts what peers' groups may have answered of this data set, as plans allow it)")
        labels = label_epsilon(state)
        if labels:
            limit = ceilings.label_epsilon if ceilings else None
            console.print(f"label epsilon {labels:g}" + (f" of {limit:g}" if limit is not None else ", no ceiling"))
        for recipient, bits in bits_by_recipient(state).items():
            console.print(f"at most {bits} bits of a person disclosed to {foreign(recipient)}")
        for lender, told in told_by_lender(state.serving).items():
            words = ", ".join(f"{kind} {bits}" for kind, bits in told.bits.items())
            days = plural(told.days, "day")
            again = f", with {plural(told.corrections, 'correction')} of wrong data" if told.corrections else ""
            console.print(
                f"for scoring, apart from that: {days} charged for {foreign(lender)}, at most {words} bits{again}"
            )


def budget(
    why: Annotated[str | None, typer.Option(help="The reason, for the ledger; without it nothing is changed.")] = None,
    folder: Folder = HERE,
) -> None:
    """Show what of one person is spent, reserved and left; put node.toml's [budget] into force with --why."""
    node_dir = node_dir_at(folder)
    with opened(node_dir) as own:
        wanted, now = node_dir.config().budget, own.state.ceilings
        if now is not None:
            console.print(_spent(own.state, now, wanted))
            console.print(_bits(own.state, now, wanted))
        if node_dir.config().node.role == "platform":
            console.print(_limits(own.state.serving, node_dir.config().serving.all_limits))
        if wanted == now:
            return
        if why is None:
            fail("node.toml's [budget] is not in force; say why with --why TEXT to put it into force", BAD_INPUT)
        entry = Limit(ceilings=wanted, why=reason(why))
        seq = own.append(lambda state: entry)
    console.print(f"in force from entry {seq} on")


def _spent(state: LedgerState, now: Ceilings, wanted: Ceilings) -> Table:
    """Epsilon of one person by scope: spent by what was answered, reserved by live plans beside it, and left."""
    check = BudgetCheck()
    table = Table(f"epsilon at delta {now.delta:g}", "spent", "reserved", "left", "ceiling", "node.toml")

    def row(name: str, chosen: Callable[[Plan], bool], ceiling: float | None, written: float | None) -> None:
        try:
            spent = check.epsilon(state, chosen)
        except UnreachableBudget:  # the distance of the noise alone takes more of delta
            spent = math.inf
        whole = check.outlook(state, chosen=chosen)
        reserved = whole - spent if math.isfinite(whole) else whole
        left = None if ceiling is None else max(0.0, ceiling - whole)
        figures = (_figure(one) for one in (spent, reserved))
        table.add_row(name, *figures, _or_no_ceiling(left), _or_no_ceiling(ceiling), _or_no_ceiling(written))

    row("data set", lambda plan: True, now.epsilon, wanted.epsilon)
    for purpose in sorted({*now.purposes, *wanted.purposes}):
        name, ceiling, written = foreign(purpose), now.purposes.get(purpose), wanted.purposes.get(purpose)
        row(name, lambda plan, purpose=purpose: plan.purpose_code == purpose, ceiling, written)  # type: ignore[misc]
    labels, most = label_epsilon(state), now.label_epsilon
    left = None if most is None else max(0.0, most - labels)
    if labels or most is not None or wanted.label_epsilon is not None:
        ceilings = (_or_no_ceiling(one) for one in (left, most, wanted.label_epsilon))
        table.add_row("labels", _figure(labels), "", *ceilings)
    if now.delta != wanted.delta:
        table.caption = f"node.toml has delta {wanted.delta:g}"
    return table


def _bits(state: LedgerState, now: Ceilings, wanted: Ceilings) -> Table:
    """Bits of one person that were disclosed in training, by kind and recipient."""
    table = Table("bits in training", "recipient", "disclosed")
    for (kind, recipient), bits in bits_by_kind(state).items():
        table.add_row(_KINDS.get(kind, kind), foreign(recipient), f"at most {bits}")
    if not table.rows:
        table.add_row("none", "", "")
    written = "" if now.signal_bits == wanted.signal_bits else f"; node.toml has {wanted.signal_bits}"
    table.caption = f"of the signal at most {now.signal_bits} to all lenders together{written}"
    return table


def _figure(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "more than delta allows"


def _or_no_ceiling(value: float | None) -> str:
    return "no ceiling" if value is None else _figure(value)


def _limits(serving: ServingState, wanted: Mapping[str, TellLimit]) -> Table:
    """What may be told of a person for scoring, apart from training; a release keeps the limits of its approval."""
    table = Table("bits for scoring", "node.toml", *(foreign(one.manifest.name) for one in serving.live), "charged")
    charged = ToldForScoring.of(serving)
    told = charged.bits
    for kind, limit in wanted.items():
        limits = [one.limits.get(kind) for one in serving.live]
        shown = [
            f"{one.month} a {period_name(kind)}, {one.life} ever" if one else "not told" for one in (limit, *limits)
        ]
        table.add_row(kind, *shown, f"at most {told[kind]}" if kind in told else "nothing")
    if charged.corrections:
        table.caption = f"charged with {plural(charged.corrections, 'correction')} of wrong data, beyond the limits"
    return table
