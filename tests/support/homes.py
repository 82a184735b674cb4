"""Folders of real nodes and of a real server for tests, with the small plan's data, and their command lines."""

from __future__ import annotations

import copy
import hashlib
import io
import os
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from builders import LENDERS, PLAN, small_records
from deployment import free_ports

from sealscore.clients.commands.init import _text
from sealscore.clients.data import Given, load_records, read_given
from sealscore.clients.deploy.node_key import make_node_key
from sealscore.clients.features.dictionary.row_local import check_row_local
from sealscore.clients.node.plan_ledger import approve
from sealscore.clients.node.plan_router import PlanRouter
from sealscore.clients.setup.node_dir import NodeDir
from sealscore.server.setup.plan_making import with_cards
from sealscore.server.setup.server_dir import ServerDir
from sealscore.shared.identity.enrolment import Enrolment
from sealscore.shared.identity.trust import TrustStore
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.plan import Plan


def _bundle() -> bytes:
    """An app bundle with one file that does nothing."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(zipfile.ZipInfo("clients/app.py"), "# carries messages\n")
    return made.getvalue()


BUNDLE_BYTES = _bundle()
BUNDLE = hashlib.sha256(BUNDLE_BYTES).hexdigest()
LEVELS = ("food", "fashion", "other")
SERVER_TOML = 'hosts = ["localhost"]\n'


def table_of(records: Records) -> pl.DataFrame:
    """Records as a partner's own table, all of it text."""

    def words(levels: tuple[str, ...], values: Any) -> list[str]:
        return ["" if value != value else levels[int(value)] for value in values]

    def numbers(values: Any) -> list[str]:
        return ["" if value != value else f"{value:g}" for value in values]

    columns = records.columns
    return pl.DataFrame(
        {
            "id": list(records.ids),
            "bad": [str(value) for value in records.label] if records.label is not None else [],
            "income": numbers(columns["income"]),
            "months": numbers(columns["months"]),
            "sector": words(LEVELS, columns["sector"]),
            "age": numbers(columns["age"]),
            "sex": words(("f", "m"), columns["sex"]),
            "consent": ["federation"] * len(records),
        }
    )


def plan_data(**changes: Any) -> dict[str, Any]:
    """The small plan as an operator of a server would write it; `changes` replace whole top-level keys."""
    data = copy.deepcopy(PLAN)
    data["alignment"] = {"method": "private"}
    data["expires"] = datetime.now(UTC).date() + timedelta(days=90)
    return data | changes


def deployable(**changes: Any) -> Plan:
    """The small plan for a deployment, not signed; `changes` are dotted keys, written with __ for the dot."""
    plan = Plan.parse(plan_data())
    return plan.replace(**changes) if changes else plan


def new_node(folder: Path, name: str = "lender-1", role: str = "lender", **replaced: str) -> NodeDir:
    """A node's folder as `init` makes it, with a table and a budget that holds the small plan.

    `replaced` are changes of node.toml, "old -> new" each, that must take place.
    """
    home = NodeDir(folder)
    identity = home.create(name, role)
    home.card_file.write_text(Enrolment.of(identity, make_node_key(home.supernode_key)).text, encoding="ascii")
    # A port of its own: whoever works on this machine may have a node on the one that init writes.
    text = _text(name, role, "127.0.0.1:19").replace("port = 9494", f"port = {free_ports(1)[0]}")
    changes = {
        "identifier": 'identifier = "creator_id" -> identifier = "id"',
        "form": 'form = "creator-id" -> form = "exact"',
    }
    declared = {"row_local": "# row_local = true -> row_local = true"}
    if role == "lender":
        changes |= {
            "file": 'file = "loans.parquet" -> file = "loans.csv"',
            "epsilon": "epsilon = 3.0 -> epsilon = 10.0",
        }
    for change in (changes | declared | replaced).values():
        old, new = change.split(" -> ")
        assert old in text, old
        text = text.replace(old, new, 1)
    home.config_file.write_text(text, encoding="utf-8")
    table_of(small_records(seed=int(name[-1]) if name[-1].isdigit() else 9)).write_csv(folder / "loans.csv")
    return home


def new_server(folder: Path) -> ServerDir:
    """A server's folder, without certificates."""
    home = ServerDir(folder)
    home.create()
    home.config_file.write_text(SERVER_TOML, encoding="utf-8")
    return home


@dataclass
class Town:
    """A server and three lenders that trust one another, the small plan under their cards, and the bundle's file."""

    server: ServerDir
    nodes: dict[str, NodeDir]
    plan: Plan
    bundle: Path

    def __getitem__(self, name: str) -> NodeDir:
        return self.nodes[name]

    def signed(self, **changes: Any) -> Plan:
        """The small plan with other settings, under the cards of all."""
        enrolled = self.server.enrolments()
        return with_cards(deployable(**changes), self.server.identity().card, enrolled, BUNDLE)

    def ledger(self, name: str) -> Ledger:
        """A node's ledger."""
        home = self.nodes[name]
        return home.ledger(home.identity(), home.config())


def new_town(folder: Path) -> Town:
    """A town in that folder: everybody is enrolled and trusted, nothing is approved."""
    server = new_server(folder / "server")
    nodes = {name: new_node(folder / name, name) for name in LENDERS}
    for home in nodes.values():
        server.keep_card(Enrolment.from_text(home.card_file.read_text(encoding="ascii")))
    cards = [server.identity().card, *(home.identity().card for home in nodes.values())]
    for name, home in nodes.items():
        store = home.trust()
        for card in cards:
            if card.name != name:
                store.trust(card, card.fingerprint)
    bundle = folder / "app.fab"
    bundle.write_bytes(BUNDLE_BYTES)
    town = Town(server, nodes, Plan.parse(plan_data()), bundle)
    town.plan = town.signed()
    (server.plans / "small.json").write_bytes(town.plan.canonical())
    return town


def node_loader(home: NodeDir) -> Callable[[Plan], Records]:
    """How a node reads its own data, from what its node.toml says at the time."""

    def load(plan: Plan) -> Records:
        config = home.config()
        check_row_local(plan, config.node.name, config.data.row_local)
        return load_records(config.data.own(home.folder), plan, config.node.name)

    return load


def node_given(home: NodeDir) -> Callable[[Plan], Given]:
    """How a node reads persons and consents by themselves, from what its node.toml says at the time."""

    def given(plan: Plan) -> Given:
        config = home.config()
        return read_given(config.data.own(home.folder), plan, config.node.name)

    return given


@contextmanager
def running(home: NodeDir, plan: Plan | None = None, **more: Any) -> Iterator[PlanRouter]:
    """A node's host with its own keys and files; a plan is approved first where one is given."""
    identity, config = home.identity(), home.config()
    ledger, disclosure_store = home.ledger(identity, config), home.disclosure_store()
    if plan is not None:
        approve(ledger, plan)
    values: dict[str, Any] = {"load": node_loader(home), "given": node_given(home), "trust": home.trust()} | more
    trust: TrustStore = values.pop("trust")
    host = PlanRouter(identity, trust, ledger, disclosure_store, home.label_secret(), **values)
    try:
        yield host
    finally:
        host.close()
        ledger.close()
        disclosure_store.close()


class Said:
    """An exit code and what was written; `text` is all of it, in one line."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err
        self.text = " ".join((out + err).split())


def commands(
    program: str, main: Callable[[], None], consoles: list[Any], monkeypatch: Any, capsys: Any
) -> Callable[..., Said]:
    """A program's command line, called in this process, on a console wide enough that no line is broken."""
    for console in consoles:
        monkeypatch.setattr(console, "_width", 400)
    for name in ("SEALSCORE_HOME", "SEALSCORE_SERVER_HOME", "SEALSCORE_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)

    def call(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", [program, *map(str, arguments)])
        capsys.readouterr()
        before = os.umask(0o022)
        try:
            with pytest.raises(SystemExit) as stopped:
                main()
        finally:
            os.umask(before)
        out, err = capsys.readouterr()
        return Said(int(stopped.value.code or 0), out, err)

    return call
