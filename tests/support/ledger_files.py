"""Ledger files for tests: of a real party, with every kind of entry, and ways to spoil them as an operator could."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from vertical_builders import vertical_plan

from sealscore.shared.dp.events import Disclosure, RandomizedResponse
from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.identity.identity import Identity
from sealscore.shared.ledger.chain import GENESIS, body_of, entry_hash
from sealscore.shared.ledger.entries import (
    Abort,
    Answer,
    Approve,
    Ceilings,
    Disclose,
    Entry,
    Identify,
    Limit,
    Refuse,
    Reserve,
    Revoke,
    Settle,
    Withdraw,
)
from sealscore.shared.ledger.ledger import SIGNED, Ledger
from sealscore.shared.phases.kind import Kind
from sealscore.shared.plan.plan import SERVER, Plan

PARTY, PLATFORM = "lender-1", "video-1"
COLUMNS = ("seq", "at", "body", "nonce", "previous", "hash", "signature")
DIGEST = "cd" * 32
CEILINGS = Ceilings(epsilon=5.0, delta=1e-5, purposes={"credit-scoring": 4.0}, label_epsilon=2.0)
RUN = "run-1"
# The last entry of `every_kind`.
LAST = 18
IDENTIFIED = Identify(column="who", form="exact")


@lru_cache(maxsize=1)
def members() -> dict[str, Identity]:
    """Real identities of the server and all parties of the vertical plan."""
    plan = vertical_plan()
    found = {party.name: Identity.generate(party.name, plan.groups[party.group].role) for party in plan.parties}
    return found | {SERVER: Identity.generate(SERVER, "server")}


@lru_cache(maxsize=8)
def enrolled_plan(name: str = "vertical", **changes: Any) -> Plan:
    """The vertical plan at epsilon 2 with the cards of `members`."""
    data = vertical_plan(privacy__epsilon=2.0, alignment__method="private", **changes).model_dump(mode="json")
    cards = {one: identity.card.text for one, identity in members().items()}
    data |= {"name": name, "server_card": cards[SERVER]}
    data["parties"] = [party | {"card": cards[party["name"]]} for party in data["parties"]]
    return Plan.parse(data)


_mechanisms: dict[str, Mechanisms] = {}


def mechanisms_of(plan: Plan) -> Mechanisms:
    """The mechanisms of a plan, made once."""
    return _mechanisms.setdefault(plan.hash, Mechanisms(plan))


def reserve(plan: Plan, kind: Kind, round: int = 1, group: str = "", **changes: Any) -> Reserve:
    """A reservation as the plan prescribes it, but for the changes."""
    made = mechanisms_of(plan)
    phase = next(p for p in made.phases if p.kind is kind and p.group == (group or plan.lenders))
    cohort = len(plan.members(phase.group))
    colluding = plan.insiders(phase.group)
    plain: dict[str, Any] = {
        "plan": plan.hash,
        "run": RUN,
        "phase": phase.name,
        "round": round,
        "attempt": 1,
        "event": made.event(phase),
        "part": "all" if len(made.composed) == 1 else "test" if phase.test else "training",
        "own_noise": max(1, cohort - colluding) ** -0.5,
        "cohort": cohort,
        "max_colluding": colluding,
        "source": "system",
    }
    return Reserve(**plain | changes)


def answer(reserved: Reserve, seq: int, **changes: Any) -> Answer:
    """The answer at the first place of a reservation."""
    place = {name: getattr(reserved, name) for name in ("plan", "run", "phase", "round", "attempt")}
    return Answer(**place | {"reserve": seq, "request": DIGEST} | changes)


def exchanged(plan: Plan, kind: Kind, step: int, peer: str = PLATFORM) -> Answer:
    """A step of a paired phase that tells nothing."""
    phase = f"{kind.value}:{plan.party(peer).group}"
    return Answer(plan=plan.hash, run=RUN, phase=phase, round=step, attempt=1, peer=peer, request=DIGEST)


def disclose(plan: Plan, kind: Kind, step: int, group: str = "video", **changes: Any) -> Disclose:
    """A payload of a lender to a platform, or what it noted of one, as the plan prescribes it."""
    event: Any = Disclosure(bits=1, recipient=PLATFORM, count=1)
    if kind is Kind.LABELS:
        event = RandomizedResponse(epsilon=plan.privacy.label_epsilon or 0.0, count=1)
    elif kind is Kind.SIGNAL:
        event = Disclosure(bits=plan.model.signal_bits, recipient=PARTY, count=1)
    plain: dict[str, Any] = {
        **{"plan": plan.hash, "run": RUN, "phase": f"{kind.value}:{group}", "round": step, "attempt": 1},
        **{"peer": PLATFORM, "event": event, "what": kind.value, "persons": 40, "fresh": 40, "source": "system"},
    }
    return Disclose(**plain | changes)


def approval(plan: Plan) -> Approve:
    """The approval of a plan."""
    return Approve(plan=plan.hash, text=plan.canonical().decode("ascii"))


def every_kind(ledger: Ledger) -> None:
    """Append entries of every kind to a new ledger of the lender: one plan that ran, and one that was revoked."""
    plan, other = enrolled_plan(), enrolled_plan("revoked")
    first = reserve(plan, Kind.BIN)
    block = reserve(plan, Kind.TRAIN, count=3)
    where = {"plan": plan.hash, "run": RUN, "phase": block.phase, "round": 4, "attempt": 1}
    entries: list[Entry | Callable[[], Entry]] = [
        Limit(ceilings=CEILINGS, why="as the board decided"),
        approval(plan),
        exchanged(plan, Kind.ALIGN, 1),
        disclose(plan, Kind.ALIGN, 3),
        disclose(plan, Kind.LABELS, 1),
        disclose(plan, Kind.SIGNAL, 2),
        first,
        lambda: answer(first, ledger.head.seq),
        block,
        lambda: answer(block, ledger.head.seq, count=2, round=2),
        lambda: Abort(reserve=ledger.head.seq - 1, count=1, why="not-asked"),
        Refuse(**where, code="bad-cohort"),
        Withdraw(plan=plan.hash, peer=PLATFORM, direction="passed", persons=2),
        Settle(plan=plan.hash, why="done"),
        approval(other),
        Revoke(plan=other.hash, why="another plan took its place"),
    ]
    for entry in entries:
        ledger.append(lambda state, entry=entry: entry() if callable(entry) else entry)  # type: ignore[misc]


def new_ledger(path: Path, party: str = PARTY, ceilings: Ceilings = CEILINGS, **more: Any) -> Ledger:
    """A party's new ledger."""
    return Ledger.create(path, members()[party], "loans", ceilings, **{"identified": IDENTIFIED} | more)


def copy_of(path: Path, folder: Path) -> Path:
    """A copy of a closed ledger."""
    return Path(shutil.copy(path, folder / "copy.db"))


def spoil(path: Path, *statements: tuple[str, tuple[Any, ...]]) -> None:
    """Change rows of a ledger behind its back."""
    with sqlite3.connect(path, isolation_level=None) as database:
        database.execute("PRAGMA synchronous=OFF")
        for trigger in ("entries_stay", "entries_last"):
            database.execute(f"DROP TRIGGER IF EXISTS {trigger}")
        for statement, values in statements:
            database.execute(statement, values)
    database.close()


def stored_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a ledger by column."""
    with sqlite3.connect(path) as database:
        found = [dict(zip(COLUMNS, row, strict=True)) for row in database.execute("SELECT * FROM entries ORDER BY seq")]
    database.close()
    return found


def kinds(path: Path) -> dict[str, int]:
    """The sequence number of an entry of each kind, the last of them."""
    return {json.loads(row["body"])["kind"]: row["seq"] for row in stored_rows(path)}


def rewrite(path: Path, change: Callable[[list[tuple[str, str]]], list[tuple[str, str]]], party: str = PARTY) -> None:
    """Put a new, whole and well signed chain in the place of the old one, as the party's own key can.

    `change` gets and gives (time, body) of all entries.
    """
    written = change([(row["at"], row["body"]) for row in stored_rows(path)])
    spoil(path, ("DELETE FROM entries", ()))
    for at, body in written:
        append_raw(path, body, at, party)


def append_raw(path: Path, entry: Entry | str, at: str = "2031-01-06T10:00:00Z", party: str = PARTY) -> int:
    """Append what other code than the node's could: chained and signed, and neither checked nor within any ceiling."""
    body = entry if isinstance(entry, str) else body_of(entry)
    rows = stored_rows(path)
    seq, previous = (rows[-1]["seq"] + 1, rows[-1]["hash"]) if rows else (1, GENESIS)
    nonce = seq.to_bytes(32, "big")
    hashed = entry_hash(seq, previous, at, nonce, body)
    values = (seq, at, body, nonce, previous, hashed, members()[party].sign(SIGNED, hashed))
    spoil(path, ("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)", values))
    return seq
