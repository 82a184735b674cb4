"""Everything that can be looked at before a node starts: configuration, keys, peers, ledger, data, connection, clock.

Each check says what it found in one line, and on a fault the mend. Nothing is charged and nothing leaves the node but
one connection to the server.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from clients.config import ConfigError, NodeConfig
from clients.data import DataError, load_records
from clients.home import Home, HomeError
from clients.plan_review import review
from shared.crypto.identity import Card, Identity
from shared.crypto.keyfile import KeyFileError
from shared.crypto.trust import TrustError
from shared.plan import SERVER, Plan
from shared.privacy.ledger import Ledger, LedgerError
from shared.privacy.register import RegisterError

BUDGET = "its [budget] is not the one in force; sealscore-node budget --why TEXT puts it into force"


@dataclass(frozen=True)
class Finding:
    """What one check found: good or not, and the words for it."""

    what: str
    good: bool
    words: str


def preflight(home: Home, plans: Iterable[Plan] = (), connect: bool = True) -> Iterator[Finding]:
    """Check a node, one finding after the other; with plans, the data and the budget against each of them."""
    try:
        config = home.config()
    except ConfigError as error:
        yield Finding("node.toml", False, "\n".join(error.problems))
        return
    yield Finding("node.toml", True, f"{config.node.name}, a {config.node.role}")
    try:
        identity = home.identity()
        home.label_secret()
    except KeyFileError as error:
        yield Finding("keys", False, str(error))
        return
    same = (identity.name, identity.role) == (config.node.name, config.node.role)
    words = (
        identity.card.fingerprint if same else f"are those of the {identity.role} {identity.name!r}, not of node.toml's"
    )
    yield Finding("keys", same, words)
    yield _trust(home)
    found, ledger = _ledger(home, identity, config)
    yield from found
    try:
        for plan in plans:
            yield from _plan(home, identity, config, ledger, plan)
    finally:
        if ledger is not None:
            ledger.close()
    if connect:
        yield _connection(home, config)


def _cards(home: Home) -> dict[str, Card]:
    """The trusted cards; none of a damaged file, which a finding of its own tells of."""
    try:
        return home.trust().cards
    except TrustError:
        return {}


def _trust(home: Home) -> Finding:
    try:
        cards = home.trust().cards
    except TrustError as error:
        return Finding("peers", False, str(error))
    if SERVER not in cards:
        return Finding("peers", False, "the server's card is not trusted yet; sealscore-node peer trust SERVER_CARD")
    return Finding("peers", True, f"{len(cards)} trusted: {', '.join(sorted(cards))}")


def _ledger(home: Home, identity: Identity, config: NodeConfig) -> tuple[list[Finding], Ledger | None]:
    found = []
    ledger = None
    try:
        ledger = home.ledger(identity, config)
        ceilings = ledger.standing.ceilings
        if ceilings != config.budget:
            found.append(Finding("budget", False, BUDGET))
        else:
            found.append(Finding("ledger", True, f"{ledger.head.seq} entries; its file can be written"))
        home.register().close()
    except (LedgerError, RegisterError, HomeError) as error:
        found.append(Finding("ledger", False, str(error)))
    return found, ledger


def _plan(home: Home, identity: Identity, config: NodeConfig, ledger: Ledger | None, plan: Plan) -> Iterator[Finding]:
    if ledger is not None:
        seen = review(plan, identity.card, _cards(home), ledger.standing)
        words = "; ".join(seen.obstacles) if seen.state == "not approved" else seen.state
        yield Finding(f"plan {plan.name}", not seen.obstacles or seen.state == "live", words or "can be approved")
    try:
        split = None if config.data.split is None else home.folder / config.data.split
        records = load_records(config.data.own(home.folder), plan, identity.name, split)
    except DataError as error:
        yield Finding("data", False, str(error))
        return
    live = len(records.consenting("federation", plan.purpose_code))
    words = f"{len(records)} records read and checked, {live} persons with a live consent to {plan.purpose_code}"
    yield Finding("data", live > 0, words if live else f"{words}: see [data.consents]")


def _connection(home: Home, config: NodeConfig) -> Finding:
    # Flower is imported by what asks, so only where it is asked.
    from clients.deploy.connection import check_connection

    trouble = check_connection(config.server.address, home.folder / config.server.authority, home.supernode_key)
    if trouble is None:
        return Finding("connection", True, f"{config.server.address} knows this node; certificate and clock are good")
    return Finding("connection", False, str(trouble))
