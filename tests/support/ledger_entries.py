"""Entries of a ledger for tests, with fields that can be replaced, and the fold over a list of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from builders import BIN, RUN

from sealscore.shared.dp.events import Disclosure, Gaussian
from sealscore.shared.identity.identity import Identity
from sealscore.shared.ledger.entries import Abort, Answer, Approve, Ceilings, Disclose, Entry, Open, Refuse, Reserve
from sealscore.shared.ledger.state import LedgerState
from sealscore.shared.plan.plan import Plan

AT = "2031-01-06T10:00:00Z"
DIGEST = "ab" * 32
PARTY = "lender-1"
EVENT = Gaussian(noise_multiplier=30.0, count=1)
UNLIMITED = Ceilings(epsilon=None, delta=1e-5)


def opening(identity: Identity | None = None, ceilings: Ceilings = UNLIMITED) -> Open:
    """The first entry."""
    identity = identity or Identity.simulated(7, PARTY, "lender")
    return Open(card=identity.card.text, data_set="loans", ceilings=ceilings)


def approval(plan: Plan) -> Approve:
    """The approval of a plan."""
    return Approve(plan=plan.hash, text=plan.canonical().decode("ascii"))


def reserve(of: Plan, /, phase: str = BIN, round: int = 1, attempt: int = 1, **changes: Any) -> Reserve:
    """A reservation of one answer, of training persons."""
    plain: dict[str, Any] = {"event": EVENT, "part": "training", "own_noise": 0.7, "cohort": 3}
    plain |= {"max_colluding": 0, "source": "seeded", "run": RUN}
    return Reserve(**plain | {"plan": of.hash, "phase": phase, "round": round, "attempt": attempt} | changes)


def answer(reserved: Reserve, seq: int, **changes: Any) -> Answer:
    """The answer at the first place of a reservation."""
    place = {name: getattr(reserved, name) for name in ("plan", "run", "phase", "round", "attempt")}
    return Answer(**place | {"reserve": seq, "request": DIGEST} | changes)


def abort(seq: int, count: int = 1) -> Abort:
    """So many answers of a reservation that are never given."""
    return Abort(reserve=seq, count=count, why="not-asked")


def disclosed(plan: Plan, phase: str, peer: str = "video-1", **changes: Any) -> Disclose:
    """A payload to a peer."""
    plain: dict[str, Any] = {"event": Disclosure(bits=3, recipient=peer, count=1), "source": "seeded", "run": RUN}
    plain |= {"plan": plan.hash, "phase": phase, "round": 1, "attempt": 1, "peer": peer, "persons": 10, "fresh": 10}
    return Disclose(**plain | changes)


def refusal(plan: Plan, **changes: Any) -> Refuse:
    """A request that was not answered."""
    place = {"plan": plan.hash, "run": RUN, "phase": BIN, "round": 1, "attempt": 1}
    return Refuse(**place | {"code": "budget"} | changes)


def folded(entries: Iterable[Entry]) -> LedgerState:
    """What follows from these entries, numbered from 1."""
    state = LedgerState()
    for seq, entry in enumerate(entries, start=1):
        state.apply(seq, AT, entry)
    return state
