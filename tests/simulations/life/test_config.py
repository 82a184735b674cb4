"""The config, the policy and the page of a life, and who applies where."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from paths import ROOT

from sealscore.clients.decision.policy.faults import faults
from sealscore.clients.decision.policy.file import load_policy
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.serving.manifest import Cutoffs
from sealscore.simulations.life.config import FIRST_MONTH, FraudWave, LifeConfig, load_life
from sealscore.simulations.life.market import Market, draw_filed, living_agents
from sealscore.simulations.life.parties.lenders import POLICY_FILE, life_policy

PAGE = (ROOT / "docs" / "life.md").read_text(encoding="utf-8")
SMALL = LifeConfig(creators=400, months=6, futures=3, wave=FraudWave(month=2, months=1, share=0.5))


def test_the_default_is_the_life_that_the_page_names():
    config = load_life()
    assert (config.creators, config.months, len(config.world().lending.lenders)) == (10_000, 24, 3)
    assert load_life(seed=7, months=3) == config.model_copy(update={"seed": 7, "months": 3})


@pytest.mark.parametrize(
    "text", ["creator = 5\n", "creators = 5\n", "[away]\nparty = 'video-9'\n", "[wave]\nshare = 2.0\n", "creators = "]
)
def test_what_cannot_be_used_is_refused(tmp_path: Path, text: str):
    path = tmp_path / "life.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PlanError):
        load_life(str(path))


def test_the_knobs_of_the_page_are_those_of_the_code():
    generator = runpy.run_path(str(ROOT / "docs" / "world_page.py"))
    assert generator["refresh"](PAGE) == PAGE, "run: python docs/world_page.py"
    models = {model.__name__ for model in generator["LIFE_MODELS"]}
    assert set(re.findall(r"<!-- knobs of (\w+) -->", PAGE)) == models


def test_the_policy_has_no_fault_whatever_the_cutoffs():
    shipped = load_policy(POLICY_FILE)
    assert set(shipped.products) == {"traffic", "starter", "consumer", "invoices"}
    for points in (430, 560, 640):
        found = life_policy(Cutoffs(champion=points, fallback=points + 5))
        assert faults(found) == []
        assert found.products["starter"].champion.approve == points
        assert found.products["starter"].fallback.approve == points + 5
        assert found.products["invoices"].champion.approve < points
    assert life_policy(None) == shipped


def test_applications_lie_in_the_months_of_the_life_and_the_wave_in_its_own():
    agents, ring = living_agents(SMALL)
    filed = draw_filed(SMALL, agents)
    months = agents.timeline.month_of(filed.applied) - SMALL.world().calendar.history_months
    assert (months.min(), months.max()) == (0, SMALL.months - 1)
    assert np.datetime64(FIRST_MONTH) <= filed.applied.min()
    assert (np.diff(filed.applied.astype(np.int64)) >= 0).all()
    assert set(months[ring[filed.who] & (filed.number == 0)]) == {SMALL.wave.month}
    assert agents.frauds.false_identity[ring].all()
    still = SMALL.model_copy(update={"wave": FraudWave(months=0)})
    assert not living_agents(still)[1].any()


def test_a_granted_loan_weighs_on_what_follows():
    agents, _ = living_agents(SMALL)
    filed = draw_filed(SMALL, agents)
    market = Market(agents, filed)
    lender = market.lender(0)
    before, known = market.owed(0), market.known_debt(0, lender)
    path = market.path(0, lender, 50_000.0)
    market.grant(0, lender, path.instalment)
    assert market.owed(0) == pytest.approx(before + path.instalment)
    assert market.known_debt(0, lender) == pytest.approx(known + path.instalment)
    # Another lender does not see it.
    assert market.known_debt(0, (lender + 1) % 3) == pytest.approx(known)


def test_who_was_granted_a_loan_comes_back_and_who_was_not_goes_elsewhere():
    agents, _ = living_agents(LifeConfig(creators=3000, months=20))
    filed = draw_filed(LifeConfig(creators=3000, months=20), agents)
    second = np.flatnonzero(filed.number == 1)
    assert len(second) > 50
    firsts = {int(who): at for at, who in enumerate(filed.who) if filed.number[at] == 0}
    for granted in (True, False):
        market, same = Market(agents, filed), []
        for at in second.tolist():
            lender = market.lender(firsts[int(filed.who[at])])
            if granted:
                market.grant(firsts[int(filed.who[at])], lender, 1.0)
            same.append(market.lender(at) == lender)
        assert np.array_equal(np.array(same), filed.returns[second] if granted else np.zeros(len(second), dtype=bool))


def test_true_pds_rank_what_becomes_of_loans():
    agents, _ = living_agents(SMALL)
    filed = draw_filed(SMALL, agents)
    market = Market(agents, filed)
    bad = []
    for at in range(len(filed)):
        lender = market.lender(at)
        market.keep_future(at, lender)
        bad.append(market.path(at, lender, float(filed.amount[at])).bad)
    pds = market.true_pds()
    assert market.order == list(range(len(filed)))
    assert pds[np.array(bad)].mean() > pds[~np.array(bad)].mean() + 0.1
