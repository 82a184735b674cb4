"""A curious platform that wants labels: with all that it is sent, and as often as it likes, it gets one noisy bit.

The attacker is the platform, alone or with all other platforms and the server: it has every payload of labels of every
run and plan on the lender's data set, knows the protocol, the flip rate and the base rate, and names each person good
or bad. Randomized response at epsilon bounds by e^epsilon how far the odds of a label may move, so with even odds
before, the attacker is right with probability at most e^epsilon / (1 + e^epsilon), whatever it does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from vertical_builders import VIDEOS, Wire, federation_of, vertical_plan, with_labels

from sealscore.clients.roles.lifetime import Lifetime
from sealscore.shared.crypto.payloads import unpack_numbers
from sealscore.shared.persons.records import Records
from sealscore.shared.randomness.streams import StreamSource

LENDER = "lender-1"
EPSILONS = (0.5, pytest.param(1.0, marks=pytest.mark.long), 2.0)


def even(seed: int) -> dict[str, Records]:
    """The federation with labels of a fair coin: nothing but the labels' payloads tells anything of them."""
    records = federation_of(vertical_plan())
    label = np.random.default_rng(seed).integers(0, 2, len(records[LENDER]))
    return records | {LENDER: with_labels(records[LENDER], lambda _: label)}


def lifetime(seed: int) -> Lifetime:
    return Lifetime.fresh(StreamSource.seeded(seed, "labels"))


def told(
    epsilon: float, records: dict[str, Records], kept: Lifetime, run: int, platforms: Sequence[str], attempt: int = 1
) -> list[dict[str, int]]:
    """What each of the platforms reads in a run: a bit for every aligned person, filling among them.

    Each run is of another plan, since a plan runs once; a further attempt is of a lender that was started anew.
    """
    plan = vertical_plan(privacy__label_epsilon=epsilon, name=f"run-{run}")
    held = {name: records[name] for name in (LENDER, *platforms)}
    lifetimes = {name: lifetime(0) for name in platforms} | {LENDER: kept}
    wire = Wire(plan, held, lifetimes, run=f"run-{run}", seed=run)
    for platform in platforms if attempt == 1 else ():
        wire.align(LENDER, platform)
    found = []
    for platform in platforms:
        pair = wire.aligned(LENDER, platform)
        numbers = unpack_numbers(pair, wire.labels(LENDER, platform, attempt), 2)
        found.append(dict(zip(pair.persons, numbers.tolist(), strict=True)))
    return found


def truth(records: dict[str, Records], test: bool) -> dict[str, int]:
    part = records[LENDER].test_part() if test else records[LENDER].training_part()
    return dict(zip(part.person, part.label.tolist(), strict=True))


def right(guesses: dict[str, float], truths: dict[str, int]) -> np.ndarray:
    """Whether each person whose label is guessed at is guessed right; a guess is a sum of bits less its middle."""
    return np.array([(guess > 0) == truths[person] for person, guess in guesses.items() if person in truths])


def pooled(seen: list[dict[str, int]]) -> dict[str, float]:
    """The vote of all that was seen of each person; a tie goes by the first."""
    votes: dict[str, list[int]] = {}
    for bits in seen:
        for person, bit in bits.items():
            votes.setdefault(person, []).append(2 * bit - 1)
    return {person: sum(found) + 0.5 * found[0] for person, found in votes.items()}


def margin(n: int) -> float:
    """Five standard errors of a share over n."""
    return 5 * 0.5 / math.sqrt(n)


@pytest.fixture(scope="module", params=EPSILONS)
def attacked(request: pytest.FixtureRequest) -> tuple[float, list[tuple[dict[str, Records], list[dict[str, int]]]]]:
    """Lenders with secrets of their own, and what two platforms see of each in ten runs with new secrets of the run."""
    epsilon = request.param
    found = []
    for seed in range(12):
        records, kept = even(seed), lifetime(seed)
        seen = [bits for run in range(10) for bits in told(epsilon, records, kept, run, VIDEOS)]
        found.append((records, seen))
    return epsilon, found


class TestTrainingPersons:
    def bound(self, epsilon: float) -> float:
        return math.exp(epsilon) / (1 + math.exp(epsilon))

    def test_one_bit_is_right_as_often_as_epsilon_allows_and_no_more(self, attacked):
        epsilon, found = attacked
        hits = np.concatenate([right(pooled(seen[:1]), truth(records, False)) for records, seen in found])
        assert abs(hits.mean() - self.bound(epsilon)) < margin(len(hits))

    def test_ten_runs_and_two_platforms_say_no_more_than_one_bit(self, attacked):
        epsilon, found = attacked
        hits = np.concatenate([right(pooled(seen), truth(records, False)) for records, seen in found])
        assert hits.mean() < self.bound(epsilon) + margin(len(hits))

    def test_all_that_was_seen_of_a_training_person_is_one_bit(self, attacked):
        _, found = attacked
        for records, seen in found:
            for person in truth(records, False):
                assert len({bits[person] for bits in seen if person in bits}) <= 1

    def test_the_odds_of_a_label_move_by_no_more_than_e_to_the_epsilon(self, attacked):
        epsilon, found = attacked
        bits, labels = [], []
        for records, seen in found:
            truths = truth(records, False)
            persons = sorted(seen[0].keys() & truths.keys())
            bits += [seen[0][person] for person in persons]
            labels += [truths[person] for person in persons]
        shown, label = np.array(bits), np.array(labels)
        for bit in (0, 1):
            shares = [(shown[label == value] == bit).mean() for value in (0, 1)]
            spread = 5 * sum(math.sqrt((1 - p) / p / (label == v).sum()) for v, p in enumerate(shares))
            assert abs(math.log(shares[1] / shares[0])) < epsilon + spread

    def test_with_a_fresh_coin_for_each_run_ten_runs_would_tell_nearly_all(self):
        """The attack has teeth: a lender that forgets what it released is read like a book."""
        records = even(0)
        seen = [bits for run in range(10) for bits in told(2.0, records, lifetime(run), run, VIDEOS)]
        hits = right(pooled(seen), truth(records, False))
        assert hits.mean() > 0.97

    def test_a_corrected_label_gives_no_second_look(self):
        """The lender corrects half of its labels between runs: of neither version more is told than one bit."""
        records, kept = even(1), lifetime(1)
        first = told(1.0, records, kept, 0, VIDEOS)
        corrected = records | {LENDER: with_labels(records[LENDER], lambda label: 1 - label)}
        assert told(1.0, corrected, kept, 0, VIDEOS, attempt=2) == first


class TestTestPersons:
    def test_what_stands_in_their_place_says_nothing(self, attacked):
        """Their labels are what the model is judged by; a platform gets filling, and votes over twenty of them."""
        _, found = attacked
        for much in (1, 20):
            hits = np.concatenate([right(pooled(seen[:much]), truth(records, True)) for records, seen in found])
            assert abs(hits.mean() - 0.5) < margin(len(hits))


class TestSideChannels:
    def test_neither_size_nor_order_nor_handles_tell_labels(self):
        """Two worlds that differ in every label: all but the bits themselves is byte for byte the same."""
        records = even(2)
        worlds = []
        for change in (lambda label: label * 0, lambda label: label * 0 + 1):
            turned = records | {LENDER: with_labels(records[LENDER], change)}
            wire = Wire(vertical_plan(), turned, {name: lifetime(3) for name in records})
            wire.align(LENDER, "wallet")
            pair = wire.aligned("wallet", LENDER)
            payload = wire.labels(LENDER, "wallet")
            worlds.append((pair, len(payload), payload[:32], len(wire.charged)))
        assert worlds[0] == worlds[1]

    def test_a_platform_learns_of_nobody_whom_it_does_not_know(self):
        records = even(4)
        (bits,) = told(1.0, records, lifetime(4), 0, ["wallet"])
        assert set(bits) == set(records[LENDER].person) & set(records["wallet"].person)
