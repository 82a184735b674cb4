"""`sealscore-node start`, `reload`, `status`, `check`: the node as it runs, and before it does."""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from sealscore.clients.commands.plan import find_plan, opened
from sealscore.clients.commands.serving.release import hand_over
from sealscore.clients.commands.terminal import BAD_INPUT, FAILED, HERE, Folder, console, fail, for_eyes, node_dir_at
from sealscore.clients.health.status import is_connected, moment, read_status
from sealscore.clients.scoring.batches import late_batches
from sealscore.clients.scoring.daily import Daily, late_words, lender_chores, platform_chores
from sealscore.clients.setup.config import NodeConfig
from sealscore.clients.setup.node_dir import NodeDir
from sealscore.clients.setup.serving_dir import ServingDir, today
from sealscore.shared.ledger.scoring_bits import ToldForScoring
from sealscore.shared.owners import others_words
from sealscore.shared.plan.plan import Plan
from sealscore.shared.text.logs import log_to_stderr
from sealscore.shared.text.terminal import foreign, grouped, lines

if TYPE_CHECKING:
    from sealscore.shared.identity.identity import Identity
    from sealscore.shared.ledger.ledger import Ledger


def check(
    plan: Annotated[str | None, typer.Argument(help="Also the data and the budget against this plan.")] = None,
    connect: Annotated[bool, typer.Option(help="Also the connection to the server.")] = True,
    folder: Folder = HERE,
) -> None:
    """Check configuration, keys, peers, ledger, data, connection and clock; exit code 1 if something is wrong."""
    from sealscore.clients.health.preflight import preflight

    node_dir, bad = node_dir_at(folder), 0
    plans = [find_plan(node_dir, plan)] if plan else _live_plans(node_dir)
    for finding in preflight(node_dir, plans, connect):
        mark = "[green]good[/green]" if finding.good else "[red]fix[/red]"
        # Cells of the table are for the eyes of who sits there: a pipe may end in a file.
        words = escape(lines((console.is_terminal and finding.shown) or finding.words))
        console.print(f"{mark}  [bold]{foreign(finding.what)}[/bold]  {words}", highlight=False, soft_wrap=True)
        bad += not finding.good
    if bad:
        raise typer.Exit(FAILED)


def start(
    logs: Annotated[str, typer.Option("--log", help="text, or json: one object a line.")] = "text",
    folder: Folder = HERE,
) -> None:
    """Start the node and its SuperNode, and keep them running until Ctrl-C or SIGTERM."""
    from sealscore.clients.deploy.supernode import SuperNodeSettings
    from sealscore.clients.health.machine import others_files
    from sealscore.clients.node.supervisor import Supervisor, signals

    if logs not in ("text", "json"):
        raise typer.BadParameter(f"{logs!r}: logs are text or json", param_hint="--log")
    node_dir = node_dir_at(folder)
    log_to_stderr("sealscore", "json" if logs == "json" else "text")
    config, identity = node_dir.config(), node_dir.identity()
    if (identity.name, identity.role) != (config.node.name, config.node.role):
        fail(f"the keys here are those of the {identity.role} {identity.name!r}, not of node.toml's node", BAD_INPUT)
    if found := others_files(node_dir, config):
        fail(others_words(node_dir.folder, found), BAD_INPUT)
    ledger, disclosures = node_dir.ledger(identity, config), node_dir.disclosure_store()
    if ledger.state.ceilings != config.budget:
        fail(
            "node.toml's [budget] is not the ledger's; sealscore-node budget --why TEXT puts it into force",
            BAD_INPUT,
        )
    _refuse_faulty_data(node_dir, config, [plan.plan for plan in ledger.state.live])
    router = _router(node_dir, config, ledger, disclosures)

    def settings(socket: Path) -> SuperNodeSettings:
        return SuperNodeSettings(
            folder=node_dir.supernode,
            server=config.server.address,
            authority=node_dir.folder / config.server.authority,
            key=node_dir.supernode_key,
            role=config.node.role,
            party=config.node.name,
            node_socket=socket,
            port=config.supernode.port,
            poll=config.supernode.poll,
        )

    daily = _daily(node_dir, config, identity, ledger)
    hand_over(node_dir, ledger)
    supervisor = Supervisor(router, ledger, node_dir.sockets(config), settings, node_dir.status_file, daily=daily)
    try:
        with signals(supervisor):
            supervisor.run()
    except (OSError, ValueError) as error:
        fail(error)
    finally:
        ledger.close()
        disclosures.close()


def reload(folder: Folder = HERE) -> None:
    """Have the running node reload its data: new consents and withdrawals take effect in the next round."""
    node_dir = node_dir_at(folder)
    found = read_status(node_dir.status_file)
    if found is None or found["state"] != "running":
        fail("the node is not running here; it reads its data when it starts")
    os.kill(int(found["pid"]), signal.SIGHUP)
    console.print("the node reloads its data; its log says with what result")


def status(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait until it is connected; exit code 1 if not.")] = 0,
    folder: Folder = HERE,
) -> None:
    """Say whether the node runs, is connected, and which plans it answers; exit code 1 if it does not run."""
    node_dir, deadline = node_dir_at(folder), time.monotonic() + wait
    found = read_status(node_dir.status_file) or {"state": "stopped"}
    while not is_connected(found) and time.monotonic() < deadline:
        time.sleep(0.5)
        found = read_status(node_dir.status_file) or {"state": "stopped"}
    with opened(node_dir) as ledger:
        plans = {plan.plan.name: plan.state for plan in ledger.state.plans.values()}
        releases = {one.manifest.name: one.state for one in ledger.state.serving.releases.values()}
        corrections = ToldForScoring.of(ledger.state.serving).corrections
    late = _late(node_dir)
    if as_json:
        serving = {"releases": releases, "late_batches": late, "corrections": corrections}
        print(json.dumps(found | {"plans": plans} | serving))
    else:
        table = Table(show_header=False, box=None, padding=(0, 2))
        for what in ("state", "pid", "connected", "trouble", "refused_bundles"):
            if found.get(what) not in (None, ""):
                table.add_row(what.replace("_", " "), _word(found[what]))
        if found.get("last_contact") and not is_connected(found):
            table.add_row("last answer", moment(found["last_contact"]))
        for process, count in dict(found.get("restarts") or {}).items():
            table.add_row("restarts", f"{foreign(process)}: {count} in ten minutes; see supernode/logs")
        for name in found.get("without_data", ()):
            table.add_row(
                "NO DATA", escape(f"plan {name} is answered as if there were no records: see the log, and check")
            )
        for name, state in plans.items():
            table.add_row(f"plan {foreign(name)}", state)
        for name, used in releases.items():
            table.add_row(f"release {foreign(name)}", used)
        if corrections:
            table.add_row("corrections", f"{corrections} of wrong data that was told for scoring; see token told")
        for words in found.get("undone", ()):
            table.add_row("NOT DONE", foreign(words, 500))
        for lender, numbers in late.items():
            table.add_row("NO RECEIPT", foreign(late_words(lender, numbers), 500))
        console.print(table)
    if found["state"] != "running" or (wait and not is_connected(found)):
        raise typer.Exit(FAILED)


def _late(node_dir: NodeDir) -> dict[str, list[int]]:
    """Batches of a platform that no lender gave a receipt of, by lender."""
    serving = ServingDir(node_dir)
    if not serving.store_file.exists():
        return {}
    with closing(serving.store()) as store:
        return late_batches(store, today())


def _router(node_dir: NodeDir, config: NodeConfig, ledger: Any, disclosures: Any) -> Any:
    from sealscore.clients.inbox.releases import ReleaseInbox
    from sealscore.clients.node.plan_router import MAX_PROPOSED, PlanRouter
    from sealscore.clients.setup.plan_data import given_reader, loader
    from sealscore.clients.setup.serving_dir import ServingDir

    log = logging.getLogger("sealscore.node")
    inbox = ReleaseInbox(ServingDir(node_dir), config.node.name, lambda: ledger.state.serving.releases, log.info)

    def propose(plan: Plan) -> bool:
        approved = ledger.state.plans
        waiting = {hash for hash in node_dir.kept_plans() if hash not in approved}
        if plan.hash in waiting or plan.hash in approved:
            return True
        if len(waiting) >= MAX_PROPOSED:
            return False
        node_dir.keep_plan(plan)
        log.info("the server proposes plan %s, %s; see sealscore-node plan show", plan.name, grouped(plan.hash))
        return True

    return PlanRouter(
        node_dir.identity(),
        node_dir.trust(),
        ledger,
        disclosures,
        node_dir.label_secret(),
        load=loader(node_dir, config),
        given=given_reader(node_dir, config),
        propose=propose,
        propose_release=inbox.take,
        relay=_relay(node_dir, config, ledger, log.info),
        may_tell=config.data.may_tell,
        token_levels=ServingDir(node_dir).kept_levels() if config.node.role == "lender" else None,
    )


def _relay(
    node_dir: NodeDir, config: NodeConfig, ledger: Ledger, tell: Callable[[str], None]
) -> Callable[[Mapping[str, bytes]], Mapping[str, bytes]]:
    """What takes partners' parcels for scoring, and gives this node's."""
    from sealscore.clients.inbox.relay import LenderRelay, PlatformRelay

    identity, serving = node_dir.identity(), ServingDir(node_dir)
    side = (
        PlatformRelay(identity, ledger, serving, tell)
        if config.node.role == "platform"
        else LenderRelay(identity, ledger, serving, tell, config.serving.retention_days)
    )
    return lambda parcels: side.exchange(parcels, today())


def _daily(node_dir: NodeDir, config: NodeConfig, identity: Identity, ledger: Ledger) -> Daily:
    from sealscore.clients.setup.plan_data import loader
    from sealscore.clients.warning.daily import watch_chore

    serving, notice = ServingDir(node_dir), logging.getLogger("sealscore.node").info
    if config.node.role == "platform":
        # Charged, withdrawn and late ones first: the watch needs the data, and they do not.
        told = watch_chore(config.node.name, ledger, serving.store, serving.release, loader(node_dir, config))
        return Daily(ledger, (*platform_chores(ledger, serving.store), told), notice)
    scorer = partial(hand_over, node_dir, ledger)
    return Daily(ledger, lender_chores(ledger, serving.log, serving.destroy_keys, scorer), notice)


def _refuse_faulty_data(node_dir: NodeDir, config: NodeConfig, plans: list[Plan]) -> None:
    """A node whose data do not fit its plans does not start: once it is connected, the server would see it."""
    from sealscore.clients.setup.plan_data import faults

    today = datetime.now(UTC).date()
    if found := faults(node_dir, config, [plan for plan in plans if plan.expires is None or plan.expires >= today]):
        each = [f"under plan {plan.name}:\n{for_eyes(error)}" for plan, error in found]
        fix = "fix the data, or refuse the plan (sealscore-node plan refuse)"
        fail("\n".join([f"the data cannot be used, so the node does not start; {fix}", *each]), BAD_INPUT)


def _live_plans(node_dir: NodeDir) -> list[Plan]:
    try:
        with opened(node_dir) as ledger:
            return [plan.plan for plan in ledger.state.live]
    except Exception:
        # Whatever is wrong with the ledger is for the checks to say.
        return []


def _word(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else foreign(value)
