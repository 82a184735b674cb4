"""The fixed work of `round` and `research`: lenders with 22 features of 16 thermometer bins, sampled at a quarter.

A linear tower of 331 weights. The other side of both is a bare loop of Opacus on the same codes: sample, gradients of
each record, clip, noise, a step; in float32, as a user would write it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer
from torch import nn

from sealscore.shared.persons.records import Records
from sealscore.shared.phases.kind import Kind
from sealscore.shared.phases.order import Phase
from sealscore.shared.plan.plan import Plan

FEATURES, BINS, RATE, CLIP = 22, 16, 0.25, 1.0
# Rounds that are left out of the CPU: what is made once is made there.
WARM_UP = 4
TURN = 10


class RoundClock:
    """An observer that reads the CPU clock after the warm-up and after the last round of training.

    Not after each round: in some sandboxes to read it costs milliseconds. `other` takes turns with the rounds, every
    `TURN` of them, so that both sides meet the same load; its CPU is not the rounds'.
    """

    def __init__(self, other: Callable[[], float] = lambda: 0.0) -> None:
        self._training, self._other = False, other
        self._began = self.seconds = 0.0
        self.others: list[float] = []

    def phase(self, phase: Phase) -> None:
        """A phase begins."""
        self._training = phase.kind is Kind.TRAIN

    def round(self, row: Mapping[str, Any]) -> None:
        """A round is done; after the last one `seconds` are those of CPU for a round, without the warm-up's."""
        if not self._training:
            return
        if row["round"] == WARM_UP:
            self._began = time.process_time()
        elif row["round"] < row["rounds"] and row["round"] % TURN == 0:
            before = time.process_time()
            self.others.append(self._other())
            self._began += time.process_time() - before
        elif row["round"] == row["rounds"]:
            self.seconds = (time.process_time() - self._began) / (row["rounds"] - WARM_UP)


def plan_of(lenders: int, records: int, rounds: int, **changes: Any) -> Plan:
    """A plan for lenders with so many training records each; a few test records stand beside them."""
    features = [{"name": f"x{place:02}", "lower": 0.0, "upper": 1.0} for place in range(FEATURES)]
    table = {"id": "id", "label": "bad", "features": features}
    plan = Plan.parse(
        {
            "name": "fixed-work",
            "purpose": "a benchmark",
            "seed": 1,
            "groups": {"lender": {"role": "lender", "min_parties": 2, "max_colluding": 0, "table": table}},
            "parties": [
                {"name": f"lender-{place:04}", "group": "lender", "nominal_records": records}
                for place in range(lenders)
            ],
            "outcome": {"definition": "90 days past due", "window_days": 365, "cutoff": "2020-01-01"},
            "model": {"bins": BINS, "grid_cells": 64},
            "privacy": {"epsilon": 2.0, "delta": 1e-5, "max_parties_per_person": 1, "clip_norm": CLIP},
            "training": {"rounds": rounds, "sample_rate": RATE, "optimizer": {"learning_rate": 1.0}},
            "evaluation": {"split": {"kind": "hash", "key": "k", "test_fraction": 0.1}, "cells": 8},
        }
    )
    return plan.replace(**changes) if changes else plan


def records_of(plan: Plan, records: int, test: int = 20) -> dict[str, Records]:
    """Invented records of each lender: so many training records, whose label the first features tell a little."""
    found, schema = {}, plan.groups[plan.lenders].table
    for place, party in enumerate(plan.parties):
        random = np.random.default_rng(place)
        values = random.random((FEATURES, records + test))
        label = (random.random(records + test) < 0.1 + 0.3 * values[:3].mean(axis=0)).astype(np.int8)
        ids = tuple(f"{place}-{row}" for row in range(records + test))
        columns = {f"x{feature:02}": column for feature, column in enumerate(values)}
        found[party.name] = Records(schema, ids, ids, columns, label, np.arange(records + test) >= records)
    return found


def opacus_seconds(records: int, steps: int = 300) -> float:
    """CPU seconds of one step of the bare loop over one lender's records, one thread."""
    draws = np.random.default_rng(0)
    bins = draws.integers(0, BINS, (records, FEATURES, 1))
    codes = np.where(bins > np.arange(BINS - 1), 1.0, -1.0).reshape(records, -1) / np.sqrt(BINS)
    inputs = torch.from_numpy(codes.astype(np.float32))
    targets = torch.from_numpy((draws.random(records) < 0.2).astype(np.float32))
    module = GradSampleModule(nn.Linear(inputs.shape[1], 1), loss_reduction="sum")
    optimizer = DPOptimizer(
        torch.optim.SGD(module.parameters(), lr=0.1),
        noise_multiplier=1.0,
        max_grad_norm=CLIP,
        expected_batch_size=int(records * RATE),
        loss_reduction="sum",
    )
    loss = nn.BCEWithLogitsLoss(reduction="sum")

    def step() -> None:
        rows = torch.rand(records) < RATE
        optimizer.zero_grad()
        loss(module(inputs[rows]).view(-1), targets[rows]).backward()
        optimizer.step()

    return cpu_of(step, steps)


def cpu_of(step: Callable[[], None], steps: int) -> float:
    """CPU seconds of one step, after a tenth of them as warm-up."""
    for _ in range(max(1, steps // 10)):
        step()
    began = time.process_time()
    for _ in range(steps):
        step()
    return (time.process_time() - began) / steps
