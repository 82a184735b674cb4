"""What is said against a plan before it runs, and against a run afterwards."""

from __future__ import annotations

import pytest
from builders import small_plan
from vertical_builders import vertical_plan

from sealscore.shared.phases.cautions import cautions, gain_over_alone, signal_over_noise
from sealscore.simulations.experiments.verdicts import verdicts


def codes(**changes: object) -> list[str]:
    return [caution.code for caution in cautions(small_plan(**changes))]


def test_a_plan_with_signal_has_nothing_against_it():
    assert codes() == []


def test_little_signal_and_a_large_delta_are_said():
    assert codes(privacy__epsilon=0.1) == ["little-signal"]
    assert "large-delta" in codes(privacy__delta=1e-3)


def test_without_noise_there_is_nothing_to_say():
    assert codes(privacy__epsilon=0.1, privacy__noise="none") == []


def test_signal_is_what_the_rule_says():
    """n mu h / f: twice the records are twice the signal, and so are half the records of a person."""
    one = signal_over_noise(small_plan())
    assert signal_over_noise(small_plan(privacy__max_records_per_person=2)) == pytest.approx(one / 2)
    fuller = {f"parties__{place}__nominal_records": 800 for place in range(3)}
    assert signal_over_noise(small_plan(**fuller)) == pytest.approx(2 * one)
    even = signal_over_noise(small_plan(outcome__bad_rate=0.5))
    assert even == pytest.approx(one * 0.25 / (0.02 * 0.98))
    assert signal_over_noise(small_plan(outcome__bad_rate=0.9)) == even


def test_lenders_whose_noise_grows_as_their_records_do_gain_nothing():
    """Three alike, of whom one knows its own noise: 3 / sqrt(3 / 2), less by as many as a person may be at."""
    one = gain_over_alone(small_plan())
    assert one == pytest.approx(6**0.5)
    assert gain_over_alone(small_plan(privacy__max_parties_per_person=None)) == pytest.approx(one / 3)
    assert gain_over_alone(small_plan(privacy__max_records_per_person=2)) == pytest.approx(one)
    assert gain_over_alone(small_plan(parties__0__nominal_records=1600)) == pytest.approx(one / 2)
    local = {"training__algorithm": "fedavg", "training__local": {"steps": 2, "learning_rate": 1.0}}
    assert gain_over_alone(small_plan(**local)) == pytest.approx(3**0.5)
    assert codes(privacy__max_parties_per_person=None) == ["no-gain-over-alone"]
    assert codes(parties__0__nominal_records=4000) == ["no-gain-over-alone"]
    assert codes(privacy__max_parties_per_person=2) == []


def test_platforms_bring_what_no_lender_has():
    assert gain_over_alone(vertical_plan()) < 1
    assert "no-gain-over-alone" not in [caution.code for caution in cautions(vertical_plan())]


@pytest.mark.parametrize(
    ("auc", "baselines", "said"),
    [
        (0.75, {}, []),
        (0.75, {"lender_alone_dp": 0.752, "no_noise": 0.76, "pooled_additive": 0.77}, []),
        (0.75, {"lender_alone_dp": 0.76}, ["worse-than-lender-alone-dp"]),
        (0.75, {"platform_alone_dp": 0.76}, ["worse-than-platform-alone-dp"]),
        (0.75, {"no_noise": 0.79}, ["costly-noise"]),
        (0.75, {"no_noise": 0.751, "pooled_additive": 0.78}, ["underfitted"]),
    ],
)
def test_what_is_said_of_a_run(auc: float, baselines: dict[str, float], said: list[str]):
    assert [caution.code for caution in verdicts(auc, baselines)] == said


@pytest.mark.parametrize(("fallback", "said"), [(0.75, []), (0.74, ["fallback-worse-than-lender-alone-dp"])])
def test_what_is_said_of_a_fallback(fallback: float, said: list[str]):
    assert [caution.code for caution in verdicts(0.78, {"lender_alone_dp": 0.75}, fallback)] == said
    assert verdicts(0.78, {}, fallback) == []
