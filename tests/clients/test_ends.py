"""A plan that has ended leaves no keys and no records in a node's memory, also where the server never says that it has.

A server may stop in mid-run, or leave a plan to expire: whoever takes the keys of the node afterwards must not be able
to open what was sealed to it while the plan was live.
"""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from homes import Town, running

from sealscore.clients.node.plan_ledger import approve
from sealscore.clients.node.plan_router import PlanRouter
from sealscore.clients.node.supervisor import allowed_bundles
from sealscore.shared.crypto.sealing import CannotOpen, KeysDestroyed, PlanKeys, open_signed, sign_message
from sealscore.shared.ledger.entries import Revoke
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.messages.codec import Address
from sealscore.shared.messages.messages import Join, Joined, Refusal
from sealscore.shared.plan.plan import SERVER, Plan


class Clock:
    """A node's clock, so many days ahead."""

    days = 0

    def __call__(self) -> float:
        return time.time() + 86_400 * self.days


@pytest.fixture
def clock() -> Clock:
    return Clock()


def until(days: int) -> str:
    """The last day of a plan that ends so many days from now."""
    return str(datetime.now(UTC).date() + timedelta(days=days))


def join(town: Town, host: PlanRouter, plan: Plan, epoch: int = 1) -> str:
    """What a host says to a server that begins a run: "Joined", or the code of its refusal."""
    server = town.server.identity()
    header = Address(plan.hash, f"run-of-{plan.name}", "", 0, epoch, SERVER, host.name)
    message = Join(header, PlanKeys.generate(server, plan.hash).certificate, int(host._clock()), ())
    card = town[host.name].identity().card
    found = open_signed(host.answer(sign_message(message, server)), {host.name: card}, Joined, Refusal)
    return found.code if isinstance(found, Refusal) else "Joined"


def elsewhere(town: Town, work: Callable[[Ledger], object]) -> None:
    """Work on the first lender's ledger as the operator's command would, in another process."""
    ledger = town.ledger("lender-1")
    work(ledger)
    ledger.close()


def destroyed(keys: PlanKeys) -> bool:
    try:
        keys.open(b"", b"")
    except KeysDestroyed:
        return True
    except CannotOpen:
        return False
    raise AssertionError("nothing was sealed to these keys, and they opened it")


def test_after_its_last_day_nothing_is_left_although_nobody_asks(town: Town, clock: Clock):
    plan = town.signed(expires=until(5))
    told: list[str] = []
    with running(town["lender-1"], plan, tell=told.append, clock=clock) as host:
        assert join(town, host, plan) == "Joined"
        door = host._doors[plan.hash]
        host.look()
        assert not destroyed(door._keys)
        clock.days = 6
        host.look()
        assert destroyed(door._keys)
        assert host._ledger.state.plans[plan.hash].state == "settled"
        assert any("expired on" in words for words in told)
        entries = host._ledger.head.seq
        host.look()
        assert host._ledger.head.seq == entries
        assert join(town, host, plan, 2) == "expired"


def test_after_it_is_revoked_too(town: Town):
    with running(town["lender-1"], town.plan) as host:
        assert join(town, host, town.plan) == "Joined"
        door = host._doors[town.plan.hash]
        entry = Revoke(plan=town.plan.hash, why="the operator")
        elsewhere(town, lambda ledger: ledger.append(lambda state: entry))
        host.look()
        assert destroyed(door._keys)
        assert town.plan.hash not in host._doors


def test_nor_are_its_records_kept(town: Town, clock: Clock):
    with running(town["lender-1"], town.plan, clock=clock) as host:
        assert join(town, host, town.plan) == "Joined"
        records = weakref.ref(host._nodes[town.plan.hash].role._records)
        clock.days = 100
        host.look()
        assert host._nodes == {}
        gc.collect()
        assert records() is None


def test_one_under_which_nobody_ever_asked_ends_too(town: Town, clock: Clock):
    """Else the ceilings would go on holding what it may cost, and its bundle might still run."""
    with running(town["lender-1"], town.plan, clock=clock) as host:
        assert allowed_bundles(host._ledger)
        clock.days = 100
        host.look()
        assert host._ledger.state.plans[town.plan.hash].state == "settled"
        assert allowed_bundles(host._ledger) == {}


def test_plans_that_are_live_go_on(town: Town, clock: Clock):
    short, long = (
        town.signed(name=name, privacy__epsilon=1.0, expires=until(days)) for name, days in (("short", 5), ("long", 50))
    )
    with running(town["lender-1"], short, clock=clock) as host:
        elsewhere(town, lambda ledger: approve(ledger, long))
        assert join(town, host, short) == "Joined"
        assert join(town, host, long) == "Joined"
        clock.days = 6
        host.look()
        assert set(host._doors) == {long.hash}
