"""A server, two lenders, two video platforms and a wallet with real keys and files, whose vertical plan was carried out
in this process: what serving begins from. Tests work on copies of the folders.
"""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import polars as pl
from doubles import DirectExchange
from homes import BUNDLE, SERVER_TOML, running
from vertical_builders import LENDERS, PARTIES, PLAN, federation_of

from sealscore.clients.commands.init import _text
from sealscore.clients.deploy.node_key import make_node_key
from sealscore.clients.setup.node_dir import NodeDir
from sealscore.clients.setup.serving_dir import ServingDir
from sealscore.server.run.run import run_coordinator
from sealscore.server.setup.plan_making import with_cards
from sealscore.server.setup.server_dir import ServerDir
from sealscore.shared.identity.enrolment import Enrolment
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.plan import Plan
from sealscore.shared.serving.release import Release

PERSONS = 600
CONSENT = "; ".join(("federation", *LENDERS, "video-1", "video-2", "wallet"))


@dataclass
class ServingTown:
    """The folders of all, and the plan that was carried out."""

    folder: Path
    plan: Plan

    @property
    def server(self) -> ServerDir:
        """The server's folder."""
        return ServerDir(self.folder / "server")

    def node(self, name: str) -> NodeDir:
        """A party's folder."""
        return NodeDir(self.folder / name)

    def serving(self, name: str) -> ServingDir:
        """The serving part of it."""
        return ServingDir(self.node(name))

    def ledger(self, name: str) -> Ledger:
        """A party's ledger, open."""
        node = self.node(name)
        return node.ledger(node.identity(), node.config())

    def records(self) -> dict[str, Records]:
        """All parties' records."""
        return federation_of(self.plan, PERSONS)

    def release(self, name: str = "first") -> Release:
        """A release that the server made."""
        return Release.load(self.server.releases / name)

    def application(self, person: str, row: int, lender: str = "lender-1", **changes: Any) -> dict[str, Any]:
        """An application of a person with the columns of a row of a lender's records."""
        records = self.records()[lender]
        features = {
            name: None if np.isnan(records.columns[name][row]) else float(records.columns[name][row])
            for name in ("income", "late")
        }
        today = str(datetime.now(UTC).date())
        return {
            "application_id": f"app-{person}",
            "as_of": today,
            "person": person,
            "product": "starter",
            "purpose": "credit-decision",
            "features": features,
            **changes,
        }

    def write(self, name: str, content: object) -> Path:
        """A JSON file to give to a command."""
        path = self.folder / name
        path.write_text(json.dumps(content), encoding="utf-8")
        return path


def plan_of(server: ServerDir, bundle: str = BUNDLE, **changes: Any) -> Plan:
    """The vertical plan with the cards of all that are enrolled, for an app bundle.

    Everybody is in every sample: each command that reads such a plan solves its noise in no time.
    """
    data = {**PLAN, "expires": datetime.now(UTC).date() + timedelta(days=90)}
    quick = {"alignment__method": "private", "privacy__label_epsilon": 4.0, "training__sample_rate": 1.0}
    plan = Plan.loads(_toml(data)).replace(**quick | changes)
    return with_cards(plan, server.identity().card, server.enrolments(), bundle)


def new_serving_town(bundle: str = BUNDLE, **changes: Any) -> ServingTown:
    """A town of which the plan was carried out; made once for the same changes, and copied."""
    made = _made(bundle, tuple(sorted(changes.items())))
    folder = Path(mkdtemp(prefix="town-", dir=made.folder.parent))
    shutil.copytree(made.folder, folder, dirs_exist_ok=True)
    return ServingTown(folder, made.plan)


@cache
def _made(bundle: str, changes: tuple[tuple[str, Any], ...]) -> ServingTown:
    folder = Path(mkdtemp(prefix="serving-")) / "made"
    server = ServerDir(folder / "server")
    server.create()
    server.config_file.write_text(SERVER_TOML, encoding="utf-8")
    for name in PARTIES:
        _node(folder / name, name)
        server.keep_card(Enrolment.from_text((folder / name / "card.txt").read_text("ascii")))
    plan = plan_of(server, bundle, **dict(changes))
    (server.plans / f"{plan.name}.json").write_bytes(plan.canonical())
    town = ServingTown(folder, plan)
    records = federation_of(plan, PERSONS)
    for name in PARTIES:
        store = town.node(name).trust()
        for card in plan.cards.values():
            if card.name != name:
                store.trust(card, card.fingerprint)
        _table(plan, name, records[name]).write_csv(folder / name / "table.csv")
    with ExitStack() as stack:
        hosts = {name: stack.enter_context(_running(town.node(name), plan)) for name in PARTIES}
        run = server.run_folder(plan)
        run_coordinator(
            plan.canonical(),
            DirectExchange(hosts),
            run,
            patience=0.0,
            timeout=None,
            identity=server.identity(),
            receipts=server.receipts,
        )
    return town


def _running(node: NodeDir, plan: Plan) -> Any:
    return running(node, plan, may_tell=node.config().data.may_tell)


def _node(folder: Path, name: str) -> NodeDir:
    lender = name in LENDERS
    node = NodeDir(folder)
    identity = node.create(name, "lender" if lender else "platform")
    node.card_file.write_text(Enrolment.of(identity, make_node_key(node.supernode_key)).text, encoding="ascii")
    text = _text(name, "lender" if lender else "platform", "127.0.0.1:19")
    changes = {
        'identifier = "creator_id"': 'identifier = "who"',
        'form = "creator-id"': 'form = "exact"',
        'file = "loans.parquet"' if lender else 'file = "creators.parquet"': 'file = "table.csv"',
        "# row_local = true": "row_local = true",
        "epsilon = 3.0": "epsilon = 100.0",
        **({"label_epsilon = 2.0": "label_epsilon = 8.0"} if lender else {}),
    } | ({'# protected = ["residence"]': 'protected = ["region"]'} if name == "wallet" else {})
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new, 1)
    node.config_file.write_text(text, encoding="utf-8")
    return node


def _table(plan: Plan, name: str, records: Records) -> pl.DataFrame:
    """A party's records as its own table."""
    table = plan.groups[plan.party(name).group].table
    columns: dict[str, Any] = {table.id: list(records.ids)}
    if table.person:
        columns[table.person] = list(records.person)
    for feature in table.features:
        values = [None if value != value else value for value in records.columns[feature.name].tolist()]
        if feature.kind == "categorical":
            values = [None if value is None else feature.levels[int(value)] for value in values]
        columns[feature.name] = values
    if table.label and records.label is not None:
        columns[table.label] = records.label.tolist()
    columns["consent"] = [CONSENT] * len(records)
    return pl.DataFrame(columns)


def _toml(data: dict[str, Any]) -> str:
    import tomli_w

    return tomli_w.dumps(data)
