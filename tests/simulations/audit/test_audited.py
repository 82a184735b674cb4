"""An audit of a small federation: what the server sees is what is claimed, and faults are found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import NO_NOISE, small_scenario
from vertical_builders import federation_of, vertical_plan

from sealscore.shared.dp.events import SampledGaussian
from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.phases.kind import Kind
from sealscore.shared.phases.order import Phase
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import Plan
from sealscore.simulations.audit.audited import Audit, Setting, audit_run, observe, right_guesses
from sealscore.simulations.audit.faults import Break
from sealscore.simulations.data.scenario import Scenario
from sealscore.simulations.engine.federation import Federation, load_parties

ROUNDS, RATE, CANARIES, GUESSES = 20, 0.5, 1000, 200


class Quiet:
    """An observer that keeps nothing."""

    def phase(self, phase: Phase) -> None: ...

    def round(self, row: dict[str, Any]) -> None: ...


def scenario(folder: Path, **replaced: str) -> Scenario:
    changes = {
        "rounds": f"rounds = 300 -> rounds = {ROUNDS}",
        "rate": f"sample_rate = 0.05 -> sample_rate = {RATE}",
        **replaced,
    }
    return Scenario.load(small_scenario(folder, **changes))


def audited(folder: Path, fault: Break | None = None) -> Audit:
    found = scenario(folder)
    setting = Setting.of(found.plan, party="lender-2", canaries=CANARIES, guesses=GUESSES, fault=fault)
    return audit_run(found, setting, Quiet())


def training(plan: Plan, group: str) -> tuple[Mechanisms, Phase]:
    mechanisms = Mechanisms(plan)
    return mechanisms, next(p for p in mechanisms.phases if (p.kind, p.tower) == (Kind.TRAIN, group))


def test_the_server_and_its_colluders_see_the_noise_of_the_claim_and_no_more(tmp_path: Path):
    """Scores of canaries that are out have the claimed noise; those that are in lie higher by their share of rounds."""
    found = scenario(tmp_path)
    plan = found.plan
    assert plan.groups["lender"].max_colluding == 1
    coins = np.random.default_rng(0).integers(0, 2, CANARIES).astype(bool)
    setting = Setting.of(plan, canaries=CANARIES, guesses=GUESSES)
    federation = Federation.of(plan, load_parties(found))
    seen = observe(federation, setting, np.flatnonzero(coins), Quiet())
    mechanisms, phase = training(plan, "lender")
    clip = plan.clip_norm("lender")
    noise = mechanisms.noise_multipliers[phase.name] * clip * clip * np.sqrt(ROUNDS)
    assert seen.answers == ROUNDS
    charged = federation.ledgers[setting.party].state.plans[federation.plan.hash]
    assert charged.spent[phase.name] == ROUNDS
    assert seen.reach == pytest.approx(1, abs=1e-4)
    # A standard deviation of 500 draws is known to 3 %, the means to 4.5 % of it each.
    assert np.std(seen.scores[~coins]) == pytest.approx(noise, rel=0.13)
    assert np.mean(seen.scores[~coins]) == pytest.approx(0, abs=0.2 * noise)
    assert np.mean(seen.scores[coins]) == pytest.approx(ROUNDS * RATE * clip**2, abs=0.2 * noise)


def test_without_colluders_the_noise_of_all_parties_is_there(tmp_path: Path):
    found = scenario(tmp_path, colluding="max_colluding = 1 -> max_colluding = 0")
    plan = found.plan
    setting = Setting.of(plan, canaries=CANARIES, guesses=GUESSES)
    seen = observe(Federation.of(plan, load_parties(found)), setting, np.array([0]), Quiet())
    mechanisms, phase = training(plan, "lender")
    noise = mechanisms.noise_multipliers[phase.name] * plan.clip_norm("lender") ** 2 * np.sqrt(ROUNDS)
    # Three parties add what two of them must, since one of them may look and knows its own.
    noise *= np.sqrt(3 / 2)
    assert np.std(seen.scores[1:]) == pytest.approx(noise, rel=0.1)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    """The audit of the system as it is."""
    return audited(tmp_path_factory.mktemp("honest"))


def test_the_system_as_it_is_holds(honest: Audit):
    found = honest
    assert isinstance(found.event, SampledGaussian)
    assert (found.event.count, found.event.sample_rate) == (ROUNDS, RATE)
    assert 0 < found.claim < 2
    assert found.bound < found.claim
    assert not found.exceeded


@pytest.mark.parametrize("fault", [Break.NOISE_OFF, Break.NOISE_TENTH, Break.CLIP_OFF])
def test_noise_and_clip_are_missed(tmp_path: Path, fault: Break):
    found = audited(tmp_path, fault)
    assert found.one_run > found.claim
    assert found.curve > found.claim
    assert found.exceeded


def test_fixed_batches_tell_more(tmp_path: Path, honest: Audit):
    """Of a canary's batch, taken in turn, the server sees half of the rounds without half of the noise."""
    found = scenario(tmp_path)
    coins = np.random.default_rng(0).integers(0, 2, CANARIES).astype(bool)
    records = load_parties(found)

    def separation(fault: Break | None) -> float:
        """How far canaries that are in lie above those that are out, in standard deviations, over three noises."""
        far = []
        for seed in range(3):
            plan = found.plan.replace(seed=seed)
            setting = Setting.of(plan, party="lender-2", canaries=CANARIES, guesses=GUESSES, fault=fault)
            scores = observe(Federation.of(plan, records), setting, np.flatnonzero(coins), Quiet()).scores
            far.append((np.mean(scores[coins]) - np.mean(scores[~coins])) / np.std(scores[~coins]))
        return float(np.mean(far))

    # The mean of as many sums with half of the noise is the square root of two further off.
    fixed, sampled = separation(Break.FIXED_BATCHES), separation(None)
    assert fixed > 1.1 * sampled, (fixed, sampled)
    assert audited(tmp_path, Break.FIXED_BATCHES).claim == honest.claim


def test_a_claim_of_one_round_is_that_of_one_round(tmp_path: Path, honest: Audit):
    found = audited(tmp_path, Break.ONE_ROUND_CLAIM)
    assert (found.event.count, found.right) == (1, honest.right)
    assert found.claim < honest.claim / 2


@pytest.mark.parametrize("group", ["lender", "video", "fallback"])
def test_towers_of_both_sides_can_be_audited(group: str):
    plan = vertical_plan(
        model__fallback=True,
    )
    setting = Setting.of(plan, group, canaries=CANARIES, guesses=GUESSES, fault=Break.NOISE_OFF)
    coins = np.random.default_rng(0).integers(0, 2, CANARIES).astype(bool)
    seen = observe(Federation.of(plan, federation_of(plan)), setting, np.flatnonzero(coins), Quiet())
    assert right_guesses(seen.scores, coins, GUESSES) > 0.9 * GUESSES


def test_guesses_are_the_ends_of_the_scores():
    coins = np.array([True, False, True, False, False, True])
    assert right_guesses(np.array([5.0, 4, 3, 2, 1, 0]), coins, 2) == 1
    assert right_guesses(np.array([5.0, 1, 4, 0, 2, 3]), coins, 6) == 6
    assert right_guesses(np.array([0.0, 4, 1, 5, 3, 2]), coins, 4) == 0


class TestSetting:
    """What is refused before anything runs."""

    def test_by_default_the_lenders_first_party(self, tmp_path: Path):
        setting = Setting.of(scenario(tmp_path).plan)
        assert (setting.group, setting.party) == ("lender", "lender-1")
        assert setting.canaries >= 1000

    @pytest.mark.parametrize(
        ("more", "said"),
        [
            ({"canaries": 999}, "fewer than 1000"),
            ({"guesses": 201}, "an even number"),
            ({"guesses": 0}, "an even number"),
            ({"guesses": 4000}, "an even number"),
            ({"confidence": 1.0}, "between 0 and 1"),
            ({"group": "shops"}, "no group 'shops'"),
            ({"party": "lender-9"}, "no party 'lender-9'"),
        ],
    )
    def test_what_makes_no_audit(self, tmp_path: Path, more: dict[str, Any], said: str):
        with pytest.raises(ValueError, match=said):
            Setting.of(scenario(tmp_path).plan, **more)

    def test_a_plan_without_noise_claims_nothing(self, tmp_path: Path):
        with pytest.raises(PlanError, match="claims nothing"):
            Setting.of(scenario(tmp_path, noise=NO_NOISE).plan)
