"""Everything that can be looked at before a node starts: configuration, keys, peers, ledger, data, connection, clock.

Each check says what it found in one line, and on a fault the fix. Nothing is charged and nothing leaves the node but
one connection to the server.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sealscore.clients.data import DataError, Loaded, one_sided_parts
from sealscore.clients.data.notes import notes
from sealscore.clients.health.machine import machine_faults
from sealscore.clients.setup.config import ConfigError, NodeConfig
from sealscore.clients.setup.node_dir import NodeDir, NodeDirError
from sealscore.clients.setup.plan_data import loaded
from sealscore.clients.setup.plan_review import review
from sealscore.shared.identity.identity import Card, Identity
from sealscore.shared.identity.keyfile import KeyFileError
from sealscore.shared.identity.trust import TrustError
from sealscore.shared.ledger.disclosure_store import DisclosureStore, DisclosureStoreError
from sealscore.shared.ledger.ledger import Ledger, LedgerError
from sealscore.shared.persons.consent import FEDERATION
from sealscore.shared.phases.pairs.alignments import alignments_of
from sealscore.shared.plan.plan import SERVER, Plan

BUDGET = "its [budget] is not the one in force; sealscore-node budget --why TEXT puts it into force"


_SPILL = 65_536  # bytes, more than the one page that is left to SQLite's cache below: so they reach the disk


@dataclass(frozen=True)
class PreflightFinding:
    """What one check found: good or not, and the words for it.

    `public` is what may be said of it outside the party: no name, path, address or fingerprint is in it. `shown` are
    the words for the operator's own terminal, where cells of the table may be seen; by default the same words.
    """

    what: str
    good: bool
    words: str
    public: str
    shown: str = ""


def preflight(node_dir: NodeDir, plans: Iterable[Plan] = (), connect: bool = True) -> Iterator[PreflightFinding]:
    """Check a node, one finding after the other; with plans, the data and the budget against each of them."""
    try:
        config = node_dir.config()
    except ConfigError as error:
        yield PreflightFinding("node.toml", False, "\n".join(error.problems), "cannot be used")
        return
    yield PreflightFinding("node.toml", True, f"{config.node.name}, a {config.node.role}", f"a {config.node.role}")
    try:
        identity = node_dir.identity()
        node_dir.label_secret()
    except KeyFileError as error:
        yield PreflightFinding("keys", False, str(error), "cannot be used")
        return
    same = (identity.name, identity.role) == (config.node.name, config.node.role)
    words = (
        identity.card.fingerprint if same else f"are those of the {identity.role} {identity.name!r}, not of node.toml's"
    )
    yield PreflightFinding("keys", same, words, "are this node's" if same else "are another node's")
    yield _trust(node_dir)
    for fault in machine_faults(node_dir, config):
        yield PreflightFinding(fault.what, False, fault.words, fault.public)
    found, ledger = _ledger(node_dir, identity, config)
    yield from found
    try:
        for plan in plans:
            yield from _plan(node_dir, identity, config, ledger, plan)
    finally:
        if ledger is not None:
            ledger.close()
    if connect:
        yield _connection(node_dir, config)


def _cards(node_dir: NodeDir) -> dict[str, Card]:
    """The trusted cards; none of a damaged file, which has a finding of its own."""
    try:
        return node_dir.trust().cards
    except TrustError:
        return {}


def _disclosures(node_dir: NodeDir) -> DisclosureStore:
    """The disclosure store; an empty one in place of one that cannot be used, which has a finding of its own."""
    try:
        return node_dir.disclosure_store()
    except DisclosureStoreError:
        return DisclosureStore()


def _trust(node_dir: NodeDir) -> PreflightFinding:
    try:
        cards = node_dir.trust().cards
    except TrustError as error:
        return PreflightFinding("peers", False, str(error), "the file of trusted cards cannot be used")
    if SERVER not in cards:
        words = "the server's card is not trusted yet; sealscore-node peer trust SERVER_CARD"
        return PreflightFinding("peers", False, words, words)
    return PreflightFinding("peers", True, f"{len(cards)} trusted: {', '.join(sorted(cards))}", f"{len(cards)} trusted")


def _ledger(node_dir: NodeDir, identity: Identity, config: NodeConfig) -> tuple[list[PreflightFinding], Ledger | None]:
    found = []
    ledger = None
    try:
        ledger = node_dir.ledger(identity, config)
        ceilings = ledger.state.ceilings
        if ceilings != config.budget:
            found.append(PreflightFinding("budget", False, BUDGET, BUDGET))
        node_dir.disclosure_store().close()
        for path in (node_dir.ledger_file, node_dir.disclosure_file):
            _try_writing(path)
        if not found:
            words = f"{ledger.head.seq} entries; it and the disclosure store can be written"
            found.append(PreflightFinding("ledger", True, words, words))
    except (LedgerError, DisclosureStoreError, NodeDirError) as error:
        found.append(PreflightFinding("ledger", False, str(error), f"cannot be used ({type(error).__name__})"))
    except _Unwritable as error:
        found.append(PreflightFinding("ledger", False, str(error), f"cannot be written ({error.why})"))
    return found, ledger


class _Unwritable(RuntimeError):
    def __init__(self, path: Path, why: str) -> None:
        fix = "see that the disk has room, and that the file and its folder can be written"
        super().__init__(f"{path}: cannot be written ({why}); {fix}")
        self.why = why


def _try_writing(path: Path) -> None:
    """Write to a database beside whoever has it open, up to the disk, and take it back."""
    try:
        with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as database:
            database.execute("PRAGMA cache_size=1")
            database.execute("BEGIN IMMEDIATE")
            try:
                database.execute("CREATE TABLE written (bytes BLOB)")
                database.execute("INSERT INTO written VALUES (zeroblob(?))", (_SPILL,))
            finally:
                if database.in_transaction:  # SQLite has taken it back by itself where the disk is full
                    database.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise _Unwritable(path, str(error)) from None


def _plan(
    node_dir: NodeDir, identity: Identity, config: NodeConfig, ledger: Ledger | None, plan: Plan
) -> Iterator[PreflightFinding]:
    if ledger is not None:
        with closing(_disclosures(node_dir)) as store:
            seen = review(plan, identity.card, _cards(node_dir), ledger.state, config.data, store)
        words = "; ".join(seen.obstacles) if seen.state == "not approved" else seen.state
        good = not seen.obstacles or seen.state == "live"
        yield PreflightFinding(f"plan {plan.name}", good, words or "can be approved", seen.state)
    yield from _alignment(plan, config.node.name)
    try:
        found = loaded(node_dir, config, plan)
    except DataError as error:
        yield PreflightFinding("data", False, str(error), "cannot be used", error.shown)
        return
    except Exception as error:
        # The text of an exception can contain cells.
        yield PreflightFinding("data", False, f"reading them failed ({type(error).__name__})", "cannot be used")
        return
    records = found.records
    if records.consent is None:
        words = f"{len(records)} records read and checked; NOBODY'S CONSENT IS READ: node.toml has consent = 'none'"
        yield PreflightFinding("data", True, words, "can be used; no consents are read")
        yield from _notes(node_dir, config, found, plan)
        return
    live = len(records.consenting(FEDERATION, plan.purpose_code))
    words = f"{len(records)} records read and checked, {live} persons with a live consent to {plan.purpose_code}"
    if warnings := one_sided_parts(records):
        words += f"; note: {', '.join(warnings)}, as the plan splits them, so its figures will say little of that part"
    public = "can be used" if live else "nobody has a live consent"
    fix = "see consent_column and [data.consents] in node.toml"
    yield PreflightFinding("data", live > 0, words if live else f"{words}: {fix}", public)
    yield from _notes(node_dir, config, found, plan)


def _alignment(plan: Plan, party: str) -> Iterator[PreflightFinding]:
    """How long the plan's private alignments take, by this machine's speed now; nothing where it has none."""
    from sealscore.shared.crypto.psi import measured_seconds
    from sealscore.shared.crypto.psi_cost import operations

    pairs = alignments_of(plan, party) if party in {one.name for one in plan.parties} else []
    if not pairs:
        return
    both = [operations(pair.size, pair.others) for pair in pairs]
    here, second = 0 if plan.party(party).group == plan.lenders else 1, measured_seconds()
    own, every = second * sum(one[here] for one in both), second * sum(map(sum, both))
    words = f"with {len(pairs)} peers, about {own:.0f} s of computing here and {every:.0f} s with the peers' part"
    yield PreflightFinding("alignment", True, f"{words}, at this machine's speed now", f"about {own:.0f} s")


def _notes(node_dir: NodeDir, config: NodeConfig, found: Loaded, plan: Plan) -> Iterator[PreflightFinding]:
    for note in notes(found, plan, config.node.name, _cards(node_dir)):
        yield PreflightFinding("note", True, note.words, note.code, note.shown)


def _connection(node_dir: NodeDir, config: NodeConfig) -> PreflightFinding:
    # Flower is imported by what asks, so only where it is asked.
    from sealscore.clients.deploy.connection import check_connection

    trouble = check_connection(config.server.address, node_dir.folder / config.server.authority, node_dir.supernode_key)
    if trouble is None:
        good = "knows this node; certificate and clock are good"
        return PreflightFinding("connection", True, f"{config.server.address} {good}", f"the server {good}")
    return PreflightFinding("connection", False, str(trouble), trouble.code)
