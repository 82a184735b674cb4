"""The config, the policy and the page of a life, and who applies where."""

from __future__ import annotations

import json
import re
import runpy
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from paths import ROOT

from sealscore.clients.decision.policy.faults import faults
from sealscore.clients.decision.policy.file import load_policy
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.serving.manifest import Cutoffs
from sealscore.shared.text.numbers import percent
from sealscore.simulations import cli
from sealscore.simulations.data.scenario import PLANS, Scenario
from sealscore.simulations.life import seeds
from sealscore.simulations.life.config import FIRST_MONTH, FraudWave, LifeConfig, load_life
from sealscore.simulations.life.market import UNLIVED, Market, draw_filed, living_agents
from sealscore.simulations.life.parties.lenders import POLICY_FILE, lendable, life_policy
from sealscore.simulations.life.parties.opening import BASE_PLAN

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


def test_nothing_below_the_smallest_loan_is_lent():
    policy = load_policy(POLICY_FILE)
    assert [lendable(policy, "starter", most) for most in (0.0, 499.0, 500.0, 900.0)] == [0.0, 0.0, 500.0, 900.0]


def test_columns_that_a_life_does_not_live_are_lenders_own_and_enter_no_score():
    plan = Scenario.load(PLANS / f"{BASE_PLAN}.toml").plan
    table = plan.groups[plan.lenders].table
    assert set(UNLIVED) <= {feature.name for feature in table.features}
    assert not set(UNLIVED) & {feature.name for feature in table.scored}
    assert not set(UNLIVED) & {name for derived in table.derived for name in derived.inputs}


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


def test_lives_of_several_seeds_are_one_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    names = ("bad_rate", "thin_approved")
    best, way = "lender alone, the best", {"frauds_stopped_by_review": 0.2, "days_median": 0.0, "days_90": 3.0}
    flagged = {
        key: {"flagged": 0.15, "caught": 0.35, "lead": 61.0}
        for key in ("rule", "score", "rule_ever", "score_ever", "bit")
    }
    early = flagged | {"watched": flagged, "bits": {"told": 10, "ones": 0.2}}
    for seed, (federation, beyond) in enumerate(((0.12, 0.2), (0.1296, 0.3))):
        ranking = {name: {"federation": federation, best: 0.16} for name in names}
        one = way | {"frauds_stopped": 0.5, "identity_reviewed": 0.05, "approved": 0.6, "beyond_loans": 80}
        ways = {
            "federation": one | {"beyond_capacity": beyond},
            "federation, no capacity band": {"beyond_capacity": 0.4, "approved": 0.7, "beyond_loans": 100},
            "lender alone": one,
        }
        folder = tmp_path / f"life-{seed}"
        (folder / "oracle").mkdir(parents=True)
        (folder / "oracle" / "figures.json").write_text(
            json.dumps({"ways": ways, "ranking": ranking, "early": early, "retraining": None})
        )
        config = LifeConfig(seed=seed).model_dump(mode="json")
        (folder / "life.json").write_text(json.dumps({"config": config}))
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- figures of lives -->\nold\n<!-- end -->\nafter\n")
    folders = [str(tmp_path / f"life-{seed}") for seed in (0, 1)]
    assert seeds.main(folders) == 0
    table = capsys.readouterr().out
    assert seeds.main([*folders, "--page", str(page)]) == 0
    assert page.read_text() == f"before\n<!-- figures of lives -->\n{table}<!-- end -->\nafter\n"
    assert "seeds 0 to 1" in table
    # -25 % and -19 %.
    assert table.count(percent(-0.22, 1, sign=True)) == 2
    assert table.count(percent(-0.2, 1, sign=True)) == 1
    with pytest.raises(SystemExit):
        seeds.main([*folders, folders[0]])
    (tmp_path / "life-1" / "life.json").write_text(json.dumps({"config": LifeConfig(months=3).model_dump(mode="json")}))
    with pytest.raises(SystemExit):
        seeds.main(folders)


def test_bad_input_ends_before_anything_is_done(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("x")
    (tmp_path / "bad.toml").write_text("[shock]\nmonth = 99\n")
    for arguments, expected in (
        (("-o", tmp_path / "full"), "is not empty"),
        ((tmp_path / "bad.toml", "-o", tmp_path / "new"), "shock.month"),
        ((tmp_path / "none.toml", "-o", tmp_path / "new"), "no such file"),
        (("--months", 1, "-o", tmp_path / "new"), "months"),
    ):
        monkeypatch.setattr(sys, "argv", ["sealscore-sim", "life", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        assert stopped.value.code == 2
        assert expected in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "new").exists()


def test_a_failure_beside_the_folder_is_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    monkeypatch.setattr(sys, "argv", ["sealscore-sim", "life", "-o", str(tmp_path / "new")])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "TMPDIR" in said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []
