"""`sealscore-node policy`: check a policy, approve it, compare two, try one on what was decided before."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from sealscore.clients.commands.serving.scores import lender_at, score_log
from sealscore.clients.commands.terminal import BAD_INPUT, FAILED, HERE, Folder, console, errors, fail
from sealscore.clients.decision.own_tables import rows_of
from sealscore.clients.decision.policy.approved import ApprovedPolicies, use_policy
from sealscore.clients.decision.policy.file import differences, load_policy
from sealscore.clients.decision.policy.model import DecisionPolicy
from sealscore.clients.decision.simulate import LEAST_IN_GROUP, OFFERS, Simulated, SimulatedBook
from sealscore.clients.decision.simulate import simulate as tried
from sealscore.shared.text.foreign import GROUP
from sealscore.shared.text.numbers import percent, plural, whole
from sealscore.shared.text.terminal import foreign, grouped, ungrouped

app = typer.Typer(help="The policy by which a lender decides: check, approve, compare, try.", no_args_is_help=True)
PolicyFile = Annotated[Path, typer.Argument(help="A policy.toml.")]
PolicyName = Annotated[str, typer.Argument(help="A policy.toml, or at least the first eight digits of a hash.")]


@app.command()
def check(file: PolicyFile) -> None:
    """Check a policy: each fault with its line and the fix; else its hash, and what it says in short."""
    _print(load_policy(file))


@app.command()
def approve(
    file: PolicyFile,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    shadow: Annotated[bool, typer.Option("--shadow", help="Let it decide beside the live one, to no effect.")] = False,
    folder: Folder = HERE,
) -> None:
    """Approve a policy: it decides from now on. A signed line of the log keeps its text."""
    policy = load_policy(file)
    with score_log(lender_at(folder)) as (_, log):
        known = ApprovedPolicies.of(log)
        use = "shadow" if shadow else "live"
        if known.uses.get(policy.hash) == use:
            fail(f"policy {policy.name} {policy.revision} is {use} already", BAD_INPUT)
        if shadow and known.uses.get(policy.hash) == "live":
            fail("this policy is live; approve another one first", BAD_INPUT)
        taken = [one for one in known.policies.values() if (one.name, one.revision) == (policy.name, policy.revision)]
        if any(one.hash != policy.hash for one in taken):
            what = f"{policy.name} has a revision {policy.revision} already, with other content; raise revision"
            fail(f"{foreign(file)}: {what}", BAD_INPUT)
        _print(policy)
        if not yes and not typer.confirm("Approve this policy?"):
            errors.print("not approved; nothing was written")
            raise typer.Exit(FAILED)
        use_policy(log, policy, "shadow" if shadow else "live", f"command of {os.getuid()}")
    console.print(f"approved: policy {policy.name} {policy.revision} is {use}")


@app.command()
def end(policy: PolicyName, folder: Folder = HERE) -> None:
    """End a policy: it decides no more, nor in the shadow. What it decided can still be replayed."""
    with score_log(lender_at(folder)) as (_, log):
        known = ApprovedPolicies.of(log)
        found = known.found(ungrouped(policy))
        if known.uses[found.hash] == "retired":
            fail(f"policy {found.name} {found.revision} is retired already", BAD_INPUT)
        use_policy(log, found, "retired", f"command of {os.getuid()}")
    console.print(f"ended: policy {found.name} {found.revision}")


@app.command("list")
def list_policies(folder: Folder = HERE) -> None:
    """List the policies that were approved, and what each is used for."""
    with score_log(lender_at(folder), behind=True) as (_, log):
        known = ApprovedPolicies.of(log)
    table = Table("policy", "revision", Column("hash", min_width=GROUP), "use", "since")
    for hash, one in known.policies.items():
        table.add_row(one.name, str(one.revision), grouped(hash), known.uses[hash], known.since[hash])
    console.print(table if known.policies else "no policy was approved yet")


@app.command()
def diff(one: PolicyName, other: PolicyName, folder: Folder = HERE) -> None:
    """Show what two policies say otherwise: files, or approved ones by their hash."""
    first, second = (_found(name, folder) for name in (one, other))
    table = Table("key", "first", "second")
    found = differences(first, second)
    for row in found:
        table.add_row(*(foreign(cell) for cell in row))
    console.print(table if found else "they say the same")


@app.command()
def simulate(
    policy: PolicyName,
    groups: Annotated[
        Path | None,
        typer.Option(help="A table with application_id and group, which this lender may lawfully hold and use so."),
    ] = None,
    folder: Folder = HERE,
) -> None:
    """Try a policy on the logged applications: who would change, approvals, expected loss, by group on demand."""
    found = _found(policy, folder)
    given = None if groups is None else {row[0]: row[1] for row in rows_of(groups, *_GROUPS)}
    with score_log(lender_at(folder), behind=True) as (_, log):
        done = tried(log.lines(), found, log.keys, given)
    _print_simulated(done, found)


_GROUPS = ("application_id", "group")


def _found(name: str, folder: Path) -> DecisionPolicy:
    if Path(name).suffix == ".toml":
        return load_policy(Path(name))
    with score_log(lender_at(folder), behind=True) as (_, log):
        return ApprovedPolicies.of(log).found(ungrouped(name))


def _print(policy: DecisionPolicy) -> None:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_row("policy", f"{policy.name} {policy.revision}")
    table.add_row("hash", grouped(policy.hash))
    basis = policy.automatic_declines
    table.add_row("declines", f"by {foreign(basis.source)}" if basis else "each by a person")
    for name, product in policy.products.items():
        limits, random = product.limits, product.random
        cuts = ", ".join(
            f"{role} {product.cutoffs(role).approve} (review from {product.cutoffs(role).review})"
            for role in ("champion", "fallback")
        )
        rules = plural(len(product.rules), "rule")
        lent = f"{limits.smallest:,} to {limits.largest:,} {policy.currency}"
        drawn = f"; {percent(random.propensity, 1)} of declines from {random.start} on at random" if random else ""
        table.add_row(name, f"{lent}; {rules}; points {cuts}{drawn}")
    console.print(table, highlight=False)


def _print_simulated(done: Simulated, policy: DecisionPolicy) -> None:
    table = Table("", "as decided", f"{policy.name} {policy.revision}")
    for kind in ("approve", "counter", "review", "decline-proposed"):
        table.add_row(kind, whole(done.logged.kinds[kind]), whole(done.tried.kinds[kind]))
    table.add_row("approvals", *(_share(book) for book in (done.logged, done.tried)))
    table.add_row(f"offered, {policy.currency}", whole(done.logged.amount), whole(done.tried.amount))
    table.add_row(f"expected loss, {policy.currency}", whole(done.logged.loss), whole(done.tried.loss))
    for group in sorted(done.logged.groups):
        cells = [_group(book.groups[group]) for book in (done.logged, done.tried)]
        table.add_row(f"approvals of {foreign(group)}", *cells)
    console.print(table)
    console.print(f"{plural(len(done.changed), 'decision')} would change:" if done.changed else "nobody would change")
    for decision, (before, after) in done.changed.items():
        console.print(f"  {decision}: {before} -> {after}", highlight=False)
    for count, words in ((done.uncovered, "of a product or term that it has not"), (done.erased, "erased")):
        if count:
            console.print(f"left out: {whole(count)} {words}")


def _share(book: SimulatedBook) -> str:
    all = sum(book.kinds.values())
    return percent(sum(book.kinds[kind] for kind in OFFERS) / all, 1) if all else "none"


def _group(counts: tuple[int, int]) -> str:
    offers, all = counts
    return percent(offers / all, 1) if all >= LEAST_IN_GROUP else f"fewer than {LEAST_IN_GROUP}"
