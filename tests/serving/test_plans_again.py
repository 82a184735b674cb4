"""The same parties train again: what the defaults allow, what is told before, and what is told of whom."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import Any

import pytest
from doubles import DirectExchange
from homes import running
from partners import Partners
from serving_town import plan_of
from vertical_builders import PARTIES

from sealscore.compliance.verify.verify import verify_ledger
from sealscore.server.run.run import run_coordinator
from sealscore.server.setup.plan_making import SIGNAL_BITS
from sealscore.shared.ledger.entries import Limit
from sealscore.shared.plan.plan import Plan

pytestmark = pytest.mark.slow


def no_ceiling_of_epsilon(partners: Partners, name: str) -> None:
    """The test's plans have hardly any noise, so that it is quick; it is about bits."""
    with closing(partners.town.ledger(name)) as ledger:
        ceilings = partners.town.node(name).config().budget.model_copy(update={"epsilon": None})
        ledger.append(lambda state: Limit(ceilings=ceilings, why="a test"))


def carried_out(partners: Partners, plan: Plan) -> None:
    """The plan, approved by all, through real nodes in this process."""
    town = partners.town
    with ExitStack() as stack:
        nodes = {name: town.node(name) for name in PARTIES}
        hosts: dict[str, Any] = {
            name: stack.enter_context(running(node, plan, may_tell=node.config().data.may_tell))
            for name, node in nodes.items()
        }
        run_coordinator(
            plan.canonical(),
            DirectExchange(hosts),
            town.server.run_folder(plan),
            patience=0.0,
            timeout=None,
            identity=town.server.identity(),
            receipts=town.server.receipts,
        )


def test_a_second_and_a_third_plan_are_told_levels_and_a_fourth_is_known_not_to_fit(partners: Partners):
    town, told = partners.town, []
    for name in PARTIES:
        no_ceiling_of_epsilon(partners, name)
    for number in (2, 3):
        plan = plan_of(town.server, name=f"plan-{number}", seed=number, privacy__signal_bits=SIGNAL_BITS)
        (town.server.plans / f"{plan.name}.json").write_bytes(plan.canonical())
        bits = plan.model.signal_bits
        said = partners.node("video-1", "plan", "show", town.server.plans / f"{plan.name}.json")
        left = SIGNAL_BITS - number * bits
        assert f"{(number - 1) * bits} used, {bits} needed by this plan, {left} left of {SIGNAL_BITS}" in said.text
        assert "in the way" not in said.text
        carried_out(partners, plan)
        found = verify_ledger(town.node("video-1").ledger_file)
        assert found.ok, found.findings
        told.append(found.signal_bits)
        with closing(town.node("video-1").disclosure_store()) as store:
            assert len(store.meanings("signal")) == number
    assert told == [6, 9]
    fourth = plan_of(town.server, name="plan-4", seed=4, privacy__signal_bits=9)
    (town.server.plans / "plan-4.json").write_bytes(fourth.canonical())
    said = partners.node("video-1", "plan", "show", town.server.plans / "plan-4.json")
    assert said.code == 1
    assert "privacy.signal_bits = 9 of the plan, to 12" in said.text
    assert "under [budget]" not in said.text
