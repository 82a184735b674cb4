"""A sweep's file: what it expands to, and that whatever is wrong with it is told before anything is run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from sealscore.clients.data import DataError
from sealscore.shared.plan.errors import PlanError
from sealscore.simulations.experiments.baselines import BASELINES
from sealscore.simulations.sweep import config
from sealscore.simulations.sweep.config import Sweep, packaged, resolve

Write = Callable[..., Path]
NAMES = ", ".join(BASELINES)


def test_every_combination_with_every_seed(write: Write):
    sweep = Sweep.load(write("seeds = [3, 5]\n[grid]\ntraining.rounds = [4, 6]\nprivacy.clip_norm = [1.0, 2.0, 3.0]\n"))
    assert sweep.keys == ("training.rounds", "privacy.clip_norm")
    found = [(*task.keys.values(), task.scenario.plan.seed) for task in sweep.tasks]
    assert found == [(r, c, s) for r in (4, 6) for c in (1.0, 2.0, 3.0) for s in (3, 5)]
    assert len({task.id for task in sweep.tasks}) == 12
    assert (sweep.name, sweep.title) == ("mine", "mine")
    assert sweep.declaration is not None


def test_points_are_run_one_by_one_with_what_all_have(write: Write):
    text = """seeds = 2
name = "other"
[set]
simulation.partition = "quantity"
simulation.alpha = 5.0
[grid]
privacy.clip_norm = [1.0, 2.0]
[[points]]
label = "one step"
[[points]]
label = "local"
training = { algorithm = "fedavg", local = { steps = 3 } }
"""
    sweep = Sweep.load(write(text))
    assert sweep.name == "other"
    set_for_all = ("simulation.partition", "simulation.alpha")
    assert sweep.keys == (*set_for_all, "privacy.clip_norm", "training.algorithm", "training.local.steps")
    labels = [(task.label, task.keys["training.algorithm"], task.keys["training.local.steps"]) for task in sweep.tasks]
    assert labels == [("one step", "dp-sgd", None)] * 4 + [("local", "fedavg", 3)] * 4
    assert {task.scenario.settings.alpha for task in sweep.tasks} == {5.0}
    assert [task.scenario.plan.seed for task in sweep.tasks] == [1, 2] * 4


def test_a_sweep_of_seeds_alone(write: Write):
    sweep = Sweep.load(write("seeds = 3\nbaselines = true\n"))
    assert [task.scenario.plan.seed for task in sweep.tasks] == [1, 2, 3]
    assert sweep.keys == ()


def test_a_run_keeps_its_name_when_others_come_and_go(write: Write):
    few = Sweep.load(write("[grid]\ntraining.rounds = [4, 6]\n"))
    more = Sweep.load(write("seeds = 2\n[grid]\ntraining.rounds = [2, 4, 6]\n"))
    assert {task.id for task in few.tasks} < {task.id for task in more.tasks}
    task = few.tasks[0]
    for other in (
        dataclasses.replace(task, baselines=("no_noise",)),
        dataclasses.replace(task, scenario=task.scenario.with_seed(9)),
        dataclasses.replace(task, scenario=task.scenario.replace(simulation__creators=1000)),
    ):
        assert other.id != task.id


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "seed = 3\n",
            "seed: unknown key; did you mean 'seeds'? allowed: baselines, engine, grid, judge, name, plan",
        ),
        ("seeds = 0\n", "seeds = 0: must be a list of seeds from 0 up, or how many: 1 to 1000"),
        ("seeds = [1, -1]\n", "seeds = [1, -1]: must be a list of seeds from 0 up"),
        ("seeds = []\n", "seeds = []: must be"),
        ("seeds = [1, 1]\n", "seeds = [1, 1]: a seed stands twice"),
        ('name = "Mine!"\n', "name = 'Mine!'"),
        ('baselines = ["magic"]\n', f"baselines = ['magic']: allowed: true, false, or a list of some of {NAMES}"),
        ('baselines = "no_noise"\n', "baselines = 'no_noise': allowed: true, false, or a list"),
        ('baselines = ["platform_alone"]\n', "baselines: 'platform_alone' needs platforms, and the plan has none"),
        ("[grid]\nprivacy.epsilon = 2.0\n", "grid.privacy.epsilon = 2.0: must be a list of at least one value"),
        ("[grid]\nprivacy.epsilon = []\n", "grid.privacy.epsilon = []: must be a list of at least one value"),
        ("[grid]\nprivacy.epsilon = [1, 2, 1]\n", "grid.privacy.epsilon = [1, 2, 1]: a value stands twice"),
        ("[grid]\nseed = [1, 2]\n", "grid.seed: seeds are given once, as seeds = [1, 2, 3]"),
        ('[[points]]\nname = "a"\n', "points.0.name: the plan's name stays the same"),
        (
            "[grid]\ntraining.rounds = [4, 0]\n",
            "training.rounds = 0: input should be greater than or equal to 1 (1",
        ),
        ("[grid]\nprivacy.epsilom = [1, 2]\n", "privacy.epsilom: unknown key; did you mean 'epsilon'?"),
        ("[grid]\nsimulation.alpha = [1.0]\n", "alpha belongs to the partitions 'quantity' and 'label-skew'"),
        ("[set]\ntraining.rounds.many = 3\n", "training.rounds.many: the plan has no such key"),
        (
            "[grid]\ntraining.rounds = [4]\n[[points]]\ntraining.rounds = 5\n",
            "points.0.training.rounds: also in grid; a key may be in one of them",
        ),
        ("[[points]]\nlabel = 3\n", "points.0.label = 3: must be text"),
        ('[[points]]\nlabel = "a"\n[[points]]\ntraining.rounds = 3\n', "points: either all have a label, or none"),
        ("[[points]]\ntraining.rounds = 5\n[[points]]\ntraining.rounds = 5\n", "two settings give the same runs"),
        (
            f"[grid]\ntraining.rounds = {list(range(1, 102))}\nmodel.bins = {list(range(2, 102))}\n",
            "10,100 settings; at most 10,000 are allowed",
        ),
        ("[grid\n", "not valid TOML"),
    ],
)
def test_what_is_wrong_is_told(write: Write, text: str, said: str):
    path = write(text)
    with pytest.raises(PlanError) as caught:
        Sweep.load(path)
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")


def test_all_problems_at_once_and_each_once(write: Write):
    with pytest.raises(PlanError) as caught:
        Sweep.load(write("[grid]\ntraining.rounds = [0, 4]\nprivacy.clip_norm = [-1.0, 1.0, 2.0]\n"))
    rounds, clip = sorted(caught.value.problems, reverse=True)
    assert rounds.startswith("training.rounds = 0")
    assert rounds.endswith("(3 of 6 settings, the first: training.rounds = 0, privacy.clip_norm = -1.0)")
    assert clip.startswith("privacy.clip_norm = -1.0")
    assert "(2 of 6 settings" in clip


def test_data_that_do_not_fit_are_told_before_anything_is_run(write: Write, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SEALSCORE_DATA", "/nowhere")
    with pytest.raises(DataError, match="the file of data set 'uci' is not there"):
        Sweep.load(write("seeds = 2\n", plan="uci_horizontal_eps1"))


def test_a_plan_or_a_sweep_that_is_not_there(write: Write, tmp_path: Path):
    with pytest.raises(PlanError, match="there is no such plan; did you mean uci_horizontal_eps2"):
        Sweep.load(write("seeds = 2\n", plan="uci_horizontal_eps3"))
    with pytest.raises(PlanError, match="there is no such sweep; give a TOML file or one of uci_algorithms"):
        resolve("uci_everything")
    with pytest.raises(PlanError, match="cannot be read"):
        Sweep.load(tmp_path / "absent.toml")


@pytest.mark.parametrize("name", packaged())
def test_those_that_come_with_sealscore_are_right(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(config, "_check_data", lambda changed: None)
    sweep = Sweep.load(resolve(name))
    assert sweep.name == name
    assert len(sweep.tasks) >= 12
