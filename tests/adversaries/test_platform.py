"""A platform that wants labels: it reads all that it was sent, again and again, and looks at sizes."""

from __future__ import annotations

import math

import numpy as np
from defences import Defences, Scene
from vertical import LABELS, LENDER, PLATFORM, aligned, carry, relabelled, vertical_plan, vertical_records

from sealscore.shared.messages.messages import PairAnswer

EPSILON = 1.0
PLAN = vertical_plan(
    parties=[
        {"name": "lender-1", "group": "lender", "nominal_records": 3000},
        {"name": "lender-2", "group": "lender", "nominal_records": 3000},
        {"name": PLATFORM, "group": "video", "nominal_records": 6000},
    ]
)
RECORDS = vertical_records(PLAN, n=3000)
TIMES = 15


def scene_of(defences: Defences) -> Scene:
    return aligned(defences, PLAN, RECORDS)


def told(scene: Scene, attempt: int) -> dict[str, int]:
    """What a platform reads of each person in one release."""
    reply = scene.pair(LABELS, 1, LENDER, PLATFORM, attempt=attempt)
    assert isinstance(reply, PairAnswer), scene.told
    assert isinstance(scene.pair(LABELS, 2, PLATFORM, LENDER, reply.body, attempt), PairAnswer)
    return dict(scene.nodes[PLATFORM].role._bits[LENDER])


def advantage(defences: Defences, times: int = 1, test: bool = False) -> float:
    """Chance to say bad of a bad person less that of a good one, from the mean of all bits that came of it."""
    scene = scene_of(defences)
    asked = [told(scene, attempt) for attempt in range(1, times + 1)]
    lender = scene.records[LENDER]
    guesses = {person: np.mean([bits[person] for bits in asked]) > 0.5 for person in asked[0]}
    rates = []
    for label in (1, 0):
        of = [
            guesses[person]
            for person, bad, is_test in zip(lender.person, lender.label, lender.test, strict=True)
            if bad == label and is_test == test
        ]
        rates.append(float(np.mean(of)))
    return rates[0] - rates[1]


# Four standard deviations of the difference of two rates over at least 700 persons each.
SLACK = 4 * math.sqrt(2 * 0.25 / 700)
BOUND = math.tanh(EPSILON / 2)


def test_labels_from_one_release(defences: Defences):
    assert abs(advantage(defences) - BOUND) < SLACK
    with defences.without("randomized response") as weak:
        assert advantage(weak) == 1.0


def test_labels_from_many_releases(defences: Defences):
    assert advantage(defences, TIMES) <= BOUND + SLACK
    with defences.without("kept coins") as weak:
        assert advantage(weak, TIMES) > 0.9


def test_labels_of_test_persons_never_cross(defences: Defences):
    assert abs(advantage(defences, test=True)) < 4 * math.sqrt(2 * 0.25 / 300)


def sizes(defences: Defences) -> set[int]:
    """The lengths of sealed labels when all are good, all are bad, and half are."""
    n = len(RECORDS[LENDER])
    found = set()
    for labels in (np.zeros(n), np.ones(n), np.arange(n) % 2):
        records = RECORDS | {LENDER: relabelled(RECORDS[LENDER], labels)}
        scene = aligned(defences, PLAN, records)
        reply = scene.pair(LABELS, 1, LENDER, PLATFORM)
        assert isinstance(reply, PairAnswer)
        found.add(len(reply.body))
    return found


def test_no_size_depends_on_a_label(defences: Defences):
    assert len(sizes(defences)) == 1
    with defences.without("padding") as weak:
        assert len(sizes(weak)) == 3


def test_what_is_not_asked_in_its_turn_is_not_told(defences: Defences):
    scene = scene_of(defences)
    carry(scene, LABELS, (LENDER, PLATFORM))
    for peer, step in ((PLATFORM, 2), (PLATFORM, 9), ("lender-2", 1)):
        assert not isinstance(scene.pair(LABELS, step, LENDER, peer), PairAnswer)
