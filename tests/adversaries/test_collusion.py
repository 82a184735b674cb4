"""Parties that collude with the server: at the smallest cohort, and with towers that are made to tell."""

from __future__ import annotations

import numpy as np
import pytest
from builders import BIN, RUN
from defences import Defences, Scene, free, lenders_plan, near, refused, wide
from vertical import LENDER, PLATFORM, SIGNAL, aligned, platform_bins, platform_weights, vertical_plan, vertical_records

from sealscore.clients.roles.lender import Lender
from sealscore.shared.messages.messages import PairAnswer
from sealscore.shared.messages.parts import edges_to_bytes, weights_to_bytes
from sealscore.shared.model.build import coding_of
from sealscore.shared.plan.plan import Plan
from sealscore.shared.randomness.streams import Purpose


def with_friends_only(defences: Defences, friends: int) -> bool:
    """A cohort of one party and friends of the server, who tell it their vectors: is the one party's counts read?"""
    scene = wide(defences, lenders_plan(2 * friends + 2, friends, friends + 2))
    cohort = [party.name for party in scene.plan.parties][: friends + 1]
    replies = scene.ask(BIN, cohort)
    if refused(replies):
        assert refused(replies) == {"cohort-too-small"}
        assert free(scene)
        return False
    rest = scene.opened(scene.bins, *replies.values()) - sum(scene.truth(name) for name in cohort[1:])
    return near(rest, scene.truth(cohort[0]), (friends + 1) * scene.bins.own_scale(friends + 1))


@pytest.mark.parametrize("friends", [1, 2])
def test_a_cohort_below_min_parties(defences: Defences, friends: int):
    assert not with_friends_only(defences, friends)
    with defences.without("cohort rule") as weak:
        assert with_friends_only(weak, friends)


def friends_subtract(defences: Defences, parties: int, friends: int) -> float:
    """At the smallest cohort, after a false drop, friends of the server subtract all that they know.

    What is left of the noise of the honest rest, over what the plan promises (variances).
    """
    scene = wide(defences, lenders_plan(parties, friends, friends + 2))
    names = [party.name for party in scene.plan.parties]
    scene.ask(BIN, names, 1, 1)
    cohort = names[: friends + 2]
    answers = scene.ask(BIN, cohort, 1, 2)
    rest = scene.opened(scene.bins, *answers.values())
    for name in cohort[:2]:
        rest = rest - scene.truth(name)
    for name in cohort[2:]:
        # A friend knows his counts and his noise, so all that his node added is gone.
        stream = scene.nodes[name]._secret.stream(RUN, BIN, 1, 2, name, Purpose.NOISE)
        rest = rest - scene.bins.noised(scene.truth(name), stream, len(cohort))
    return float(np.var(rest)) / scene.bins.noise_std**2


@pytest.mark.parametrize(("parties", "friends"), [(4, 1), (8, 2), (9, 3)])
def test_the_honest_rest_has_the_noise_that_is_promised(defences: Defences, parties: int, friends: int):
    # Less four standard deviations of a variance that is measured on four thousand entries.
    assert friends_subtract(defences, parties, friends) > 1 - 4 * np.sqrt(2 / 4000)
    for weaker, most in (("noise of the cohort", 0.8), ("noise", 0.0)):
        with defences.without(weaker) as weak:
            assert friends_subtract(weak, parties, friends) <= most


def crafted_towers(plan: Plan, scene: Scene) -> tuple[bytes, list[tuple[bytes, bytes]], np.ndarray]:
    """The platform's bins; for each feature a tower and edges whose levels are that feature's bins; the bins [n, d]."""
    records = scene.records[PLATFORM]
    binning = platform_bins(plan, records)
    codes = coding_of(plan, "video", binning).encode(binning.quantize(records.columns))
    width = codes.shape[1] // 3
    made, truth = [], []
    for feature in range(3):
        weights = platform_weights(plan, binning)
        weights[feature * width : (feature + 1) * width] = 8.0
        values, bins = np.unique(codes @ weights[:-1], return_inverse=True)
        edges = (values[1:] + values[:-1]) / 2
        edges = np.append(edges, np.full(plan.model.signal_levels - 1 - len(edges), values[-1] + 1))
        made.append((weights_to_bytes(weights), edges_to_bytes(edges)))
        truth.append(bins)
    return binning.to_bytes(), made, np.array(truth).T


def features_told(defences: Defences) -> tuple[int, int]:
    """Server and lender ask for one signal after the other, each made to show a feature.

    How many features they read of everybody, and the most bits that the platform counts of a person.
    """
    plan = vertical_plan()
    scene = aligned(defences, plan, vertical_records(plan))
    bins, towers, truth = crafted_towers(scene.plan, scene)
    row = {person: row for row, person in enumerate(scene.records[PLATFORM].person)}
    role = scene.nodes[LENDER].role
    assert isinstance(role, Lender)
    read = 0
    parts = scene.publish(SIGNAL, "bins", bins, [PLATFORM])
    for attempt, (tower, edges) in enumerate(towers, start=1):
        named = parts | scene.publish(SIGNAL, "tower", tower, [PLATFORM])
        named |= scene.publish(SIGNAL, "edges", edges, [PLATFORM])
        told = scene.pair(SIGNAL, 1, PLATFORM, LENDER, attempt=attempt, **named)
        # Beyond the limit there are fills, and no refusal.
        assert isinstance(told, PairAnswer), scene.told
        role._levels.clear()
        assert isinstance(scene.pair(SIGNAL, 2, LENDER, PLATFORM, told.body, attempt), PairAnswer)
        levels = role._levels[PLATFORM]
        pairs = {(level, int(truth[row[person], attempt - 1])) for person, level in levels.items()}
        read += len(pairs) == len({level for level, _ in pairs})
    disclosed = scene.nodes[PLATFORM].role._lifetime.disclosed
    return read, disclosed.bits("signal", scene.records[PLATFORM].person)


def test_towers_that_are_made_to_tell_get_no_more_than_the_bits_of_the_signal(defences: Defences):
    assert features_told(defences) == (1, vertical_plan().privacy.signal_bits)
    with defences.without("limit of bits") as weak:
        read, bits = features_told(weak)
        assert read == 3
        assert bits == 3 * vertical_plan().privacy.signal_bits


def one_party_subtracts(defences: Defences, parties: int) -> float:
    """A party that colludes with nobody takes its own answer off a sum; what is left of the noise, as a variance."""
    scene = wide(defences, lenders_plan(parties))
    names = [party.name for party in scene.plan.parties]
    answers = scene.ask(BIN, names)
    rest = scene.opened(scene.bins, *answers.values()) - sum(scene.truth(name) for name in names[1:])
    # It knows what it sent, counts and noise alike.
    stream = scene.nodes[names[0]]._secret.stream(RUN, BIN, 1, 1, names[0], Purpose.NOISE)
    rest = rest - scene.bins.noised(scene.truth(names[0]), stream, parties)
    return float(np.var(rest)) / scene.bins.noise_std**2


@pytest.mark.parametrize("parties", [2, 3, 5])
def test_one_party_by_itself_takes_off_its_own_noise_and_no_more(defences: Defences, parties: int):
    assert one_party_subtracts(defences, parties) > 1 - 4 * np.sqrt(2 / 4000)
    with defences.without("insiders") as weak:
        assert one_party_subtracts(weak, parties) < (parties - 1) / parties + 4 * np.sqrt(2 / 4000)
