"""What the ledger adds to an in-process run: the time within it, over the time of everything else in the same run.

Counted is all that is there for the ledger: reserving and noting answers, taking others' heads, signing one's own, and
the server's receipts. The plan is the packaged horizontal one, with a ledger in a file for each party, once charging
each answer by itself and once in blocks of 25.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sealscore.clients.node.plan_ledger import PlanLedger
from sealscore.clients.node.sealed import Anchoring
from sealscore.server.transport.sealed import Receipts
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.phases.order import Phase
from sealscore.simulations.data.scenario import PLANS, Scenario
from sealscore.simulations.engine.federation import Federation, load_parties

PLAN, BLOCK = "synthetic_horizontal_eps2", 25
PARTS: tuple[tuple[type, str], ...] = (
    (PlanLedger, "reserve"),
    (PlanLedger, "answered"),
    (PlanLedger, "settle"),
    (Anchoring, "take"),
    (Receipts, "sign"),
    (Receipts, "heads_for"),
)


class _Quiet:
    def phase(self, phase: Phase) -> None:
        pass

    def round(self, row: dict[str, Any]) -> None:
        pass


@contextmanager
def _clocked(spent: list[float]) -> Iterator[None]:
    """Adds up the seconds that are spent in the ledger's parts, while the context lasts."""

    def clocked(original: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **more: Any) -> Any:
            started = time.perf_counter()
            try:
                return original(*args, **more)
            finally:
                spent.append(time.perf_counter() - started)

        return timed

    with ExitStack() as patches:
        for owner, name in PARTS:
            patches.enter_context(patch.object(owner, name, clocked(getattr(owner, name))))
        head = vars(Ledger)["head"].fget
        patches.enter_context(patch.object(Ledger, "head", property(clocked(head))))
        yield


def _share(scenario: Scenario, block: int) -> float:
    plan = scenario.plan.replace(privacy__reserve_block=block)
    spent: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        federation = Federation.of(plan, load_parties(scenario), None, Path(name) / "ledgers")
        with _clocked(spent):
            started = time.perf_counter()
            federation.run(Path(name) / "run", _Quiet())
            total = time.perf_counter() - started
    return sum(spent) / (total - sum(spent))


def run() -> dict[str, Any]:
    """The ledger's time over that of the rest, answer by answer and in blocks; both after a first run as warm-up."""
    scenario = Scenario.load(PLANS / f"{PLAN}.toml")
    _share(scenario, 1)
    return {
        "plan": PLAN,
        "ratio": _share(scenario, 1),
        f"ratio_in_blocks_of_{BLOCK}": _share(scenario, BLOCK),
        "limit": 0.2,
    }
