"""Plans that parties of a serving town carry out after the first one, through real nodes in this process."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import Any

from doubles import DirectExchange
from homes import running
from partners import Partners
from serving_town import ServingTown
from vertical_builders import LENDERS, PARTIES

from sealscore.server.run.run import run_coordinator
from sealscore.shared.ledger.entries import Limit
from sealscore.shared.plan.plan import Plan

SIGNAL_BITS = 12
"""What platforms' operators let be told here, for towers of their own in three plans."""


def no_ceiling_of_epsilon(partners: Partners, name: str) -> None:
    """The test's plans have hardly any noise, so that it is quick; it is about bits."""
    with closing(partners.town.ledger(name)) as ledger:
        more = {"epsilon": None, "signal_bits": SIGNAL_BITS}
        ceilings = partners.town.node(name).config().budget.model_copy(update=more)
        ledger.append(lambda state: Limit(ceilings=ceilings, why="a test"))


def carried_out(town: ServingTown, plan: Plan) -> None:
    """The plan, approved by all, through real nodes that read levels of tokens as `start` lets them."""
    with ExitStack() as stack:
        hosts: dict[str, Any] = {}
        for name in PARTIES:
            node, more = town.node(name), {}
            if name in LENDERS:
                more["token_levels"] = town.serving(name).kept_levels()
            host = running(node, plan, may_tell=node.config().data.may_tell, **more)
            hosts[name] = stack.enter_context(host)
        run_coordinator(
            plan.canonical(),
            DirectExchange(hosts),
            town.server.run_folder(plan),
            patience=0.0,
            timeout=None,
            identity=town.server.identity(),
            receipts=town.server.receipts,
            earlier=town.server.earlier_run(plan),
            calibrated=town.server.calibrated_run(plan),
        )
