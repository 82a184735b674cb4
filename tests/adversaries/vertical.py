"""A small vertical federation: two lenders, one platform, persons whom they share; and its talk, step by step."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from builders import PLAN, TABLE, small_records
from defences import Defences, Scene

from sealscore.shared.messages.messages import PairAnswer
from sealscore.shared.model.bins import Binning, histogram
from sealscore.shared.model.build import initial_tower
from sealscore.shared.model.tower import flatten
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.features import tower_features
from sealscore.shared.plan.plan import Plan

LENDER, PLATFORM = "lender-1", "app-1"
PARTIES = ("lender-1", "lender-2", PLATFORM)
ALIGN, LABELS, SIGNAL, GROUPS = "align:video", "release_labels:video", "disclose_signal:video", "disclose_groups:video"

VIDEO: dict[str, Any] = {
    "id": "id",
    "features": [
        {"name": "views", "lower": 0, "upper": 1000, "scale": 20},
        {"name": "likes", "lower": 0, "upper": 1000, "scale": 20},
        {"name": "posts", "lower": 0, "upper": 60, "integer": True},
    ],
}


def vertical_plan(**changes: Any) -> Plan:
    """Two lenders and a platform; dotted keys replaced, written with __ for the dot."""
    lender = {"role": "lender", "min_parties": 2, "max_colluding": 0, "table": TABLE}
    video = {"role": "platform", "min_parties": 1, "max_colluding": 0, "table": VIDEO}
    plan = Plan.parse(
        PLAN
        | {
            "name": "small-vertical",
            "groups": {"lender": lender, "video": video},
            "parties": [
                {"name": "lender-1", "group": "lender", "nominal_records": 200},
                {"name": "lender-2", "group": "lender", "nominal_records": 200},
                {"name": PLATFORM, "group": "video", "nominal_records": 400},
            ],
            "alignment": {"method": "exact", "min_overlap": 10},
            "model": {"bins": 4, "grid_cells": 16},
            "privacy": {
                "epsilon": 8.0,
                "delta": 1e-5,
                "label_epsilon": 1.0,
                "max_parties_per_person": 1,
                "spare_attempts": 0.5,
            },
        }
    )
    return plan.replace(**changes) if changes else plan


def vertical_records(plan: Plan, seed: int = 0, n: int = 200) -> dict[str, Records]:
    """Each person is at one lender, and all of them are on the platform."""
    lenders = {name: small_records(n, seed=place + 1) for place, name in enumerate(PARTIES[:2])}
    persons = tuple(person for part in lenders.values() for person in part.person)
    random = np.random.default_rng(100 + seed)
    columns = {
        "views": np.round(random.gamma(2.0, 60.0, len(persons)).clip(0, 1000), 2),
        "likes": np.round(random.gamma(2.0, 30.0, len(persons)).clip(0, 1000), 2),
        "posts": random.integers(0, 61, len(persons)).astype(np.float64),
    }
    test = np.concatenate([part.test for part in lenders.values()])
    return lenders | {PLATFORM: Records(plan.groups["video"].table, persons, persons, columns, None, test)}


def relabelled(records: Records, labels: np.ndarray) -> Records:
    """The records with other labels."""
    return dataclasses.replace(records, label=labels.astype(np.int8))


def platform_bins(plan: Plan, records: Records) -> Binning:
    """The platform's bins, as published but without noise."""
    features = tower_features(plan, "video")
    counts = histogram(records.training_part().columns, features, plan.model.grid_cells)
    return Binning.from_histogram(features, plan.model.grid_cells, plan.model.bins, counts.astype(np.float64))


def platform_weights(plan: Plan, binning: Binning) -> np.ndarray:
    """Weights of the platform's tower, all zero."""
    return np.zeros_like(flatten(initial_tower(plan, "video", binning)))


def carry(scene: Scene, phase: str, order: tuple[str, ...], lender: str = LENDER, **parts: str) -> list[bytes]:
    """Carry a paired phase between a lender and the platform as an honest server does; the payloads that it sees."""
    body, seen = b"", []
    for step, party in enumerate(order, start=1):
        peer = PLATFORM if party == lender else lender
        reply = scene.pair(phase, step, party, peer, body, **(parts if party == PLATFORM else {}))
        assert isinstance(reply, PairAnswer), (reply, scene.told)
        body = reply.body
        seen.append(body)
    return seen


def aligned(defences: Defences, plan: Plan, records: dict[str, Records]) -> Scene:
    """A scene after alignment."""
    scene = defences.scene(plan, records)
    for lender in PARTIES[:2]:
        carry(scene, ALIGN, (lender, PLATFORM, lender, PLATFORM), lender)
    return scene
