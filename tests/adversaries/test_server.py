"""A curious server and a lying one, against single updates, cohorts, rounds, keys and drops."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from builders import BIN, LENDERS, TRAIN, binning_of, small_federation, small_plan, small_records, weights_of
from defences import WIDE, Defences, Scene, free, lenders_plan, near, refused, wide
from scipy.stats import chisquare

from sealscore.clients.node.admission import NotApproved
from sealscore.shared.crypto.sealing import PlanKeys
from sealscore.shared.identity.identity import Identity
from sealscore.shared.identity.trust import TrustStore, Untrusted
from sealscore.shared.messages.messages import SumAnswer
from sealscore.shared.plan.plan import Plan
from sealscore.simulations.engine.enrolment import enrolled, identities

FOUR = (*LENDERS, "lender-4")


# A single update.


def open_one(defences: Defences) -> tuple[bool, np.ndarray]:
    """Ask as the plan says, and look at one party's answer."""
    scene = wide(defences)
    answer = scene.ask(BIN, LENDERS)["lender-1"]
    seen = scene.opened(scene.bins, answer)
    return near(seen, scene.truth("lender-1"), scene.bins.own_scale(3)), seen


def test_a_single_update(defences: Defences):
    read, seen = open_one(defences)
    assert not read
    # Under masks each byte of an answer is uniform, whatever the counts are.
    for shift in (0, 8, 16):
        counts = np.bincount((seen >> shift) & 255, minlength=256)
        assert chisquare(counts).pvalue > 1e-9
    with defences.without("masks") as weak:
        read, seen = open_one(weak)
        assert read
        assert chisquare(np.bincount((seen >> 16) & 255, minlength=256)).pvalue < 1e-9


def leave_one_out(defences: Defences) -> bool:
    """Ask three for a sum over three, and add up only two: what is left of the third one's masks?"""
    scene = wide(defences)
    answers = scene.ask(BIN, LENDERS)
    two = [answers[name] for name in LENDERS[:2]]
    truth = scene.truth("lender-1") + scene.truth("lender-2")
    return near(scene.opened(scene.bins, *two), truth, 2 * scene.bins.own_scale(3))


def test_dropping_a_party_from_the_mask_set(defences: Defences):
    assert not leave_one_out(defences)
    with defences.without("masks") as weak:
        assert leave_one_out(weak)


def several_cohorts(defences: Defences) -> tuple[bool, bool]:
    """Tell each party of another cohort: is a single one, or the sum of all, read?"""
    scene = wide(defences)
    told = {"lender-1": LENDERS[:2], "lender-2": LENDERS, "lender-3": LENDERS[1:]}
    answers = [scene.ask(BIN, cohort, parties=[name])[name] for name, cohort in told.items()]
    assert all(isinstance(answer, SumAnswer) for answer in answers)
    scale = 3 * scene.bins.own_scale(2)
    total = near(scene.opened(scene.bins, *answers), sum(scene.truth(name) for name in LENDERS), scale)
    return total, any(
        near(scene.opened(scene.bins, answer), scene.truth(name), scale)
        for name, answer in zip(LENDERS, answers, strict=True)
    )


def test_different_cohorts_to_different_parties(defences: Defences):
    assert several_cohorts(defences) == (False, False)
    with defences.without("masks") as weak:
        assert several_cohorts(weak) == (True, True)


# The cohort.


def inflate(defences: Defences, cohort: tuple[str, ...]) -> tuple[set[str], float]:
    """Name a cohort larger than it is, so that a party adds less noise; its noise over what a cohort of two needs."""
    scene = wide(defences)
    replies = scene.ask(BIN, cohort, parties=["lender-1"])
    if codes := refused(replies):
        assert free(scene)
        return codes, 1.0
    noise = scene.opened(scene.bins, replies["lender-1"]) - scene.truth("lender-1")
    return set(), float(noise.std() / scene.bins.own_scale(2))


@pytest.mark.parametrize(
    "cohort",
    [
        ("lender-1", "lender-2", *(f"stranger-{number}" for number in range(6))),
        ("lender-1", "lender-2", *["lender-2"] * 6),
        ("lender-1", *["lender-1"] * 7),
    ],
    ids=["strangers", "duplicate", "alone"],
)
def test_a_cohort_that_is_smaller_than_it_says(defences: Defences, cohort: tuple[str, ...]):
    assert inflate(defences, cohort)[0] == {"bad-cohort"}
    # Masks are a second bar: there are none with a stranger, and none for a cohort with a duplicate.
    with defences.without("cohort rule") as weak:
        codes, _ = inflate_charged(weak, cohort)
        assert codes
    with defences.without("cohort rule", "masks") as weak:
        codes, noise = inflate(weak, cohort)
        assert not codes
        assert noise == pytest.approx(7**-0.5, abs=0.05)


def inflate_charged(defences: Defences, cohort: tuple[str, ...]) -> tuple[set[str], list[Any]]:
    scene = wide(defences)
    return refused(scene.ask(BIN, cohort, parties=["lender-1"])), scene.charged["lender-1"]


# Rounds.


def training(defences: Defences) -> tuple[Scene, np.ndarray, dict[str, str]]:
    plan = small_plan()
    scene = defences.scene(plan, small_federation())
    binning = binning_of(plan, small_records(seed=1))
    return scene, weights_of(plan, binning), scene.publish(BIN, "bins", binning.to_bytes(), LENDERS)


def repeat_a_round(defences: Defences) -> float | None:
    """Ask one attempt again at other weights; the noise in the difference of two answers, None where refused."""
    scene, weights, parts = training(defences)
    mechanism = scene.mechanism(TRAIN, len(weights))
    asked = [scene.ask(TRAIN, LENDERS, parties=["lender-1"], parameters=w, parts=parts) for w in (weights, weights + 9)]
    if codes := refused(asked[1]):
        assert codes == {"out-of-order"}
        assert len(scene.charged["lender-1"]) == 1
        return None
    one, other = (scene.opened(mechanism, replies["lender-1"]) for replies in asked)
    with defences.without("noise") as bare:
        quiet, weights, parts = training(bare)
        exact = [
            quiet.opened(
                mechanism, quiet.ask(TRAIN, LENDERS, 1, 1, ["lender-1"], parameters=w, parts=parts)["lender-1"]
            )
            for w in (weights, weights + 9)
        ]
    return float(np.std((other - one) - (exact[1] - exact[0])) / mechanism.own_scale(3))


def test_a_round_that_is_asked_again(defences: Defences):
    assert repeat_a_round(defences) is None
    with defences.without("order rule", "masks") as weak:
        # The same attempt has the same noise, so it is gone from the difference.
        assert repeat_a_round(weak) == 0.0


def test_masks_are_a_second_bar_to_a_round_that_is_asked_again(defences: Defences):
    with defences.without("order rule") as weak:
        scene, weights, parts = training(weak)
        asked = [scene.ask(TRAIN, LENDERS, parameters=w, parts=parts) for w in (weights, weights + 9)]
        assert not refused(asked[0])
        assert refused(asked[1]) == {"unavailable"}


def rounds_beyond_the_plan(defences: Defences) -> tuple[int, int]:
    """Ask as often as anybody answers, up to twice what the plan holds: answers, and attempts in the plan."""
    scene, weights, parts = training(defences)
    budget = scene.mechanism(TRAIN, len(weights)).phase.attempts
    answered = 0
    for attempt in range(1, 2 * budget + 1):
        replies = scene.ask(TRAIN, LENDERS, 1, attempt, ["lender-1"], weights, parts)
        answered += isinstance(replies["lender-1"], SumAnswer)
    assert len(scene.charged["lender-1"]) == answered
    return answered, budget


def test_one_more_round_than_the_plan(defences: Defences):
    answered, budget = rounds_beyond_the_plan(defences)
    assert answered == budget
    with defences.without("limit of rounds") as weak:
        assert rounds_beyond_the_plan(weak) == (2 * budget, budget)


@pytest.mark.parametrize(
    ("phase", "round", "attempt"), [(TRAIN, 1, 1), (TRAIN, 2, 1), (TRAIN, 1, 2), (BIN, 1, 1), (BIN, 1, 9)]
)
def test_nothing_at_or_below_the_last_answer(defences: Defences, phase: str, round: int, attempt: int):
    def play(strength: Defences) -> set[str]:
        scene, weights, parts = training(strength)
        scene.ask(TRAIN, LENDERS, 2, 1, parameters=weights, parts=parts)
        again = weights + 1 if phase == TRAIN else None
        return refused(scene.ask(phase, LENDERS, round, attempt, LENDERS[:1], again, parts if phase == TRAIN else {}))

    assert play(defences) == {"out-of-order"}
    with defences.without("order rule", "masks") as weak:
        assert play(weak) == set()


# Keys.


def impostor(scene: Scene, name: str) -> None:
    """The server plays a party by a key of its own."""
    fake = Identity.simulated(666, name, "lender")
    door = scene.doors[name]
    door._identity, door._keys = fake, PlanKeys.generate(fake, scene.plan.hash)


def swap_keys(defences: Defences) -> bool:
    """Play lender-2 before lender-1, with a certificate that the true lender-2 did not sign."""
    scene = wide(defences)
    impostor(scene, "lender-2")
    answers = scene.ask(BIN, LENDERS[:2])
    if not all(isinstance(answer, SumAnswer) for answer in answers.values()):
        assert free(scene)
        return False
    rest = scene.opened(scene.bins, *answers.values()) - scene.truth("lender-2")
    return near(rest, scene.truth("lender-1"), 2 * scene.bins.own_scale(2))


def test_swapped_public_keys(defences: Defences):
    assert not swap_keys(defences)
    with defences.without("signatures") as weak:
        assert swap_keys(weak)


def introduce_falsely(defences: Defences) -> bool:
    """Hand lender-1 and lender-3 a key of the server's as that of lender-2: do they go on?"""
    scene = wide(defences)
    fake = Identity.simulated(666, "lender-2", "lender")
    false = PlanKeys.generate(fake, scene.plan.hash).certificate
    honest = type(scene.server)._exchange

    def lie(exchange: Any, messages: Any, timeout: Any) -> Any:
        changed = {
            name: dataclasses.replace(message, certificates=dict(message.certificates) | {"lender-2": false})
            if hasattr(message, "certificates")
            else message
            for name, message in messages.items()
        }
        return honest(exchange, changed, timeout)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(scene.server), "_exchange", lie)
        replies = scene.ask(BIN, ("lender-1", "lender-3"))
    if any(isinstance(reply, SumAnswer) for reply in replies.values()):
        return True
    assert free(scene)
    return False


def test_a_node_itself_refuses_a_certificate_that_another_signed(defences: Defences):
    """Above, the honest exchange may be what notices; here the server introduces the false key knowingly."""
    assert not introduce_falsely(defences)
    with defences.without("signatures") as weak:
        assert introduce_falsely(weak)


def own_card_in_the_plan(defences: Defences) -> bool:
    """Write a plan in which the card of lender-2 is one of the server's making, and read what lender-1 sends."""
    true = enrolled(WIDE)
    fake = Identity.simulated(666, "lender-2", "lender")
    data = true.model_dump(mode="json")
    data["parties"][1]["card"] = fake.card.text
    plan = Plan.parse(data)
    trust = TrustStore.simulated(identity.card for identity in identities(true).values())
    records = small_federation()
    try:
        scene = defences.scene(plan, {"lender-1": records["lender-1"]}, trust=trust)
    except Untrusted:
        return False
    scene.records["lender-2"], scene.members["lender-2"] = records["lender-2"], fake
    scene.charged["lender-2"] = []
    scene.enter("lender-2")
    answers = scene.ask(BIN, LENDERS[:2])
    rest = scene.opened(scene.bins, *answers.values()) - scene.truth("lender-2")
    return near(rest, scene.truth("lender-1"), 2 * scene.bins.own_scale(2))


def test_an_own_card_in_place_of_a_partys(defences: Defences):
    assert not own_card_in_the_plan(defences)
    with defences.without("trust in cards") as weak:
        assert own_card_in_the_plan(weak)


def test_a_door_is_not_opened_with_another_key_than_the_plans(defences: Defences):
    scene = wide(defences)
    scene.members["lender-1"] = Identity.simulated(8, "lender-1", "lender")
    with pytest.raises(NotApproved, match="not this node's"):
        scene.open_door("lender-1")


# Drops that did not happen.


def false_drops(defences: Defences) -> float:
    """Claim a drop twice and take differences: the least noise left in one, over what the plan promises (variances)."""
    plan = lenders_plan(4).replace(model__grid_cells=64, model__bins=64, model__hidden=32)
    binning = binning_of(plan, small_records(seed=1))
    weights = weights_of(plan, binning)
    cohorts = FOUR, LENDERS, (*LENDERS[:2], "lender-4")

    def sums(strength: Defences) -> tuple[Scene, list[np.ndarray]]:
        scene = wide(strength, plan)
        parts = scene.publish(BIN, "bins", binning.to_bytes(), FOUR)
        mechanism = scene.mechanism(TRAIN, len(weights))
        asked = [scene.ask(TRAIN, c, 1, n, parameters=weights, parts=parts) for n, c in enumerate(cohorts, start=1)]
        return scene, [scene.opened(mechanism, *answers.values()) for answers in asked]

    scene, found = sums(defences)
    assert [len(scene.charged[name]) for name in FOUR] == [3, 3, 2, 2]
    with defences.without("noise") as bare:
        noise = [one - exact for one, exact in zip(found, sums(bare)[1], strict=True)]
    promised = scene.mechanism(TRAIN, len(weights)).noise_std ** 2
    return min(float(np.var(noise[i] - noise[j])) / promised for i, j in ((0, 1), (0, 2), (1, 2)))


def test_drops_that_did_not_happen(defences: Defences):
    # Each sum has all of the noise and what a party may take off, drawn anew: a difference has both twice.
    assert false_drops(defences) > 2.5
    with defences.without("fresh randomness") as weak:
        assert false_drops(weak) < 1.4


def test_an_honest_retry_is_charged_again_and_masked_afresh(defences: Defences):
    scene = wide(defences)
    answers = [scene.ask(BIN, LENDERS, 1, attempt)["lender-1"] for attempt in (1, 2)]
    assert len(scene.charged["lender-1"]) == 2
    difference = scene.opened(scene.bins, answers[0]) - scene.opened(scene.bins, answers[1])
    assert chisquare(np.bincount((difference >> 8) & 255, minlength=256)).pvalue > 1e-9


# Crafted weights in a round.


def error_channel(defences: Defences, crafted: np.ndarray) -> set[tuple[bool, int]]:
    """Ask parties with few and with many records at crafted weights: the kinds and lengths of what they answer."""
    found = set()
    for records in (small_records(40, seed=1), small_records(30_000, seed=1)):
        scene = defences.scene(ONE_BY_ONE, small_federation() | {"lender-1": records})
        parts = scene.publish(BIN, "bins", binning_of(ONE_BY_ONE, small_records(seed=1)).to_bytes(), LENDERS)
        reply = scene.ask(TRAIN, LENDERS, parties=["lender-1"], parameters=crafted, parts=parts)["lender-1"]
        found.add((isinstance(reply, SumAnswer), len(scene.answers[-1])))
    return found


ONE_BY_ONE = small_plan(training__sample_rate=0.99)
WIDTH = len(weights_of(ONE_BY_ONE, binning_of(ONE_BY_ONE, small_records(seed=1))))
# A bias under which every bad record has a gradient of full length, all in one direction.
ALL_BAD = np.append(np.zeros(WIDTH - 1), -32.0)


@pytest.mark.parametrize(
    "weights",
    [ALL_BAD, np.full(WIDTH, 1e6), 1e6 * (-1.0) ** np.arange(WIDTH), 7.0 ** np.arange(WIDTH) % 1e6],
    ids=["all bad", "huge", "huge and alternating", "positional"],
)
def test_no_channel_beside_the_sum(defences: Defences, weights: np.ndarray):
    found = error_channel(defences, weights)
    assert len(found) == 1
    assert found.pop()[0]


def test_a_fault_that_depends_on_data_would_be_a_channel(defences: Defences):
    with defences.without("saturation", "answers of failed work") as weak:
        assert {answered for answered, _ in error_channel(weak, ALL_BAD)} == {True, False}


def odd_weights(defences: Defences, value: float) -> set[str]:
    scene, weights, parts = training(defences)
    crafted = weights.copy()
    crafted[0] = value
    codes = refused(scene.ask(TRAIN, LENDERS, parameters=crafted, parts=parts))
    assert not codes or free(scene)
    return codes


@pytest.mark.parametrize("value", [1e7, -1e300, np.inf, np.nan])
def test_weights_that_no_tower_has(defences: Defences, value: float):
    assert odd_weights(defences, value) == {"bad-parameters"}
    if np.isfinite(value):
        with defences.without("limit of weights") as weak:
            assert odd_weights(weak, value) == set()
