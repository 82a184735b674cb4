"""What a deployment's profiles of few large steps cost in AUC: UCI credit default, three lenders, epsilon 1, 3 seeds.

Each profile trains the packaged plan with the very settings that `sealscore-server plan new` would write. `auc_*` is
exact on the test rows. `held_out_*` is the same with a fifth of the training rows in the place of the test rows: the
settings were chosen by these.
"""

from __future__ import annotations

import dataclasses
import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import mean, pstdev
from typing import Any

import numpy as np

from sealscore.server.setup.plan_making import PROFILES, Profile
from sealscore.shared.model.score_model import ScoreModel
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.plan import Plan
from sealscore.simulations.data.scenario import PLANS, Scenario
from sealscore.simulations.engine.federation import Federation, load_parties
from sealscore.simulations.experiments.oracle import Oracle

PLAN, SEEDS = "uci_horizontal_eps1", (1, 2, 3)


def run() -> dict[str, Any]:
    """Mean and standard deviation of the AUC of each profile, on test rows and on held-out training rows."""
    scenario = Scenario.load(PLANS / f"{PLAN}.toml")
    test = load_parties(scenario)
    held_out = {name: _held_out(records) for name, records in test.items()}
    result: dict[str, Any] = {}
    for name, profile in PROFILES.items():
        for what, records in (("auc", test), ("held_out", held_out)):
            found = [_auc(scenario.plan, profile, seed, records) for seed in SEEDS]
            result |= {f"{what}_{name}": mean(found), f"{what}_{name}_sd": pstdev(found)}
    return result | {"seeds": len(SEEDS), "plan": PLAN}


def _held_out(records: Records) -> Records:
    """The training records, with a fifth of their persons as test persons."""
    training = records.training_part()
    keys = [int(hashlib.sha256(f"held out {person}".encode()).hexdigest()[:8], 16) for person in training.person]
    return dataclasses.replace(training, test=np.array([key % 5 == 0 for key in keys]))


def _auc(like: Plan, profile: Profile, seed: int, records: Mapping[str, Records]) -> float:
    training = profile.training(like.training.model_dump(mode="json"))
    plan = like.replace(seed=seed, training=training)
    with tempfile.TemporaryDirectory(prefix="sealscore-") as folder:
        federation = Federation.of(plan, records)
        federation.run(Path(folder))
        model = ScoreModel.load(Path(folder) / "model")
        return Oracle(plan, records).judge(model, federation.scored_records())["auc"]
