"""Masks: gone from the sum of a cohort to the last bit, and all that is to be seen of a single vector."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from sealscore.shared.crypto.aggregation import (
    AggregationError,
    MaskedSum,
    MaskReused,
    PlainSum,
    SeedsMissing,
    SumShape,
    _mask,
)
from sealscore.shared.messages.codec import Address

PLAN = "ab" * 32
NAMES = ["p0", "p1", "p2", "p3", "p4"]
ATTEMPTS = itertools.count(1)


@dataclasses.dataclass(frozen=True)
class Place:
    """One sum."""

    plan: str
    run: str
    phase: str
    round: int
    attempt: int
    cohort: tuple[str, ...]

    def at(self, party: str) -> tuple[Address, tuple[str, ...]]:
        """What that party's vector is protected for."""
        return Address(self.plan, self.run, self.phase, self.round, self.attempt, party, "server"), self.cohort


def sum_id(cohort, **changes):
    fields = {"phase": "train_tower:lender", "round": 1, "attempt": next(ATTEMPTS)} | changes
    return Place(PLAN, "run", cohort=tuple(cohort), **fields)


def total_of(seeds, id, shape, vectors):
    sent = {name: MaskedSum(seeds[name]).protect(*id.at(name), shape, vector) for name, vector in vectors.items()}
    return PlainSum().total(id.cohort, shape, sent), sent


@pytest.fixture(scope="module")
def seeds(members):
    return members.seeds(NAMES)


@st.composite
def cases(draw):
    """A cohort in any order, a shape of any width, vectors up to the bound, and a phase and round."""
    cohort = draw(st.permutations(NAMES).flatmap(lambda order: st.integers(2, 5).map(lambda size: order[:size])))
    bound = draw(st.one_of(st.integers(1, 2**60), st.integers(1, 300), st.integers(0, 59).map(lambda k: 2**k)))
    shape = SumShape(draw(st.integers(0, 20)), bound, draw(st.integers(len(cohort), 6)))
    entries = st.one_of(st.integers(-bound, bound), st.sampled_from([-bound, bound]))
    row = st.lists(entries, min_size=shape.length, max_size=shape.length)
    vectors = {name: np.array(draw(row), dtype=np.int64) for name in cohort}
    where = {
        "phase": draw(st.text(max_size=5)),
        "round": draw(st.integers(0, 2**32)),
        "attempt": draw(st.integers(1, 9)),
    }
    return cohort, shape, vectors, where


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cases())
def test_the_unmasked_sum_is_the_plain_sum(seeds, case):
    cohort, shape, vectors, where = case
    id = sum_id(cohort, **where)
    total, sent = total_of(seeds, id, shape, vectors)
    plain = PlainSum()
    clear = {name: plain.protect(*id.at(name), shape, vector) for name, vector in vectors.items()}
    np.testing.assert_array_equal(total, plain.total(id.cohort, shape, clear))
    np.testing.assert_array_equal(total, sum(vectors.values(), np.zeros(shape.length, dtype=np.int64)))
    assert {len(data) for data in sent.values()} == {shape.length * shape.bits // 8}


@pytest.mark.parametrize("width", range(1, 9))
@pytest.mark.parametrize("sign", [1, -1])
def test_nothing_wraps_at_the_edge(seeds, width, sign):
    bound = (2 ** (8 * width - 1) - 1) // 5
    shape = SumShape(3, bound, 5)
    assert shape.bits == 8 * width
    total, _ = total_of(seeds, sum_id(NAMES), shape, dict.fromkeys(NAMES, np.full(3, sign * bound, dtype=np.int64)))
    np.testing.assert_array_equal(total, sign * 5 * bound)
    assert 5 * bound < 2 ** (8 * width - 1)


def uniformity(data):
    """The p-value of a chi-square test on the bytes of `data`."""
    return stats.chisquare(np.bincount(np.frombuffer(data, dtype=np.uint8), minlength=256)).pvalue


@pytest.mark.parametrize("bound", [20, 5_000, 2**20, 2**28, 2**36, 2**44, 2**50, 2**60])
def test_a_masked_vector_is_uniform_to_all_but_the_whole_cohort(seeds, bound):
    # Below 1e-9 once in a thousand million runs; the plain vector is all zero bytes.
    shape = SumShape(4_000, bound, 5)
    vectors = dict.fromkeys(NAMES, np.zeros(4_000, dtype=np.int64))
    id = sum_id(NAMES)
    _, sent = total_of(seeds, id, shape, vectors)
    assert uniformity(PlainSum().protect(*id.at("p0"), shape, vectors["p0"])) < 1e-9
    for data in sent.values():
        assert uniformity(data) > 1e-9
    for size in (2, 3, 4):
        part = sum(shape.unpack(sent[name]) for name in NAMES[:size])
        raw = part.astype("<u8").view(np.uint8).reshape(-1, 8)[:, : shape.bits // 8]
        assert uniformity(raw.tobytes()) > 1e-9


def test_bits_are_uniform_at_every_place_and_from_place_to_place(seeds):
    shape = SumShape(20_000, 2**28, 5)
    sent = MaskedSum(seeds["p2"]).protect(*sum_id(NAMES).at("p2"), shape, np.full(20_000, 12_345, dtype=np.int64))
    words = shape.unpack(sent)
    bits = np.array([(words >> np.uint64(place)) & np.uint64(1) for place in range(shape.bits)], dtype=np.float64)
    assert np.abs(bits.mean(axis=1) - 0.5).max() < 6.5 * 0.5 / np.sqrt(20_000)
    assert np.abs((bits[:, 1:] == bits[:, :-1]).mean(axis=1) - 0.5).max() < 6.5 * 0.5 / np.sqrt(20_000)


def test_masks_differ_in_everything_that_they_are_bound_to(members, seeds):
    shape, zeros = SumShape(2_000, 2**28, 5), np.zeros(2_000, dtype=np.int64)
    base = sum_id(NAMES, attempt=1)
    ids = [
        base,
        dataclasses.replace(base, attempt=2),
        dataclasses.replace(base, round=2),
        dataclasses.replace(base, phase="evaluate:lender"),
        dataclasses.replace(base, phase="train_tower:lende", run="run"),
        dataclasses.replace(base, cohort=tuple(NAMES[:4])),
        dataclasses.replace(base, cohort=tuple(NAMES[:3])),
    ]
    masks = [MaskedSum(seeds["p0"]).protect(*id.at("p0"), shape, zeros) for id in ids]
    longer, wider = SumShape(2_001, 2**28, 5), SumShape(2_000, 2**36, 5)
    masks.append(MaskedSum(seeds["p0"]).protect(*base.at("p0"), longer, np.zeros(2_001, dtype=np.int64)))
    masks.append(MaskedSum(seeds["p0"]).protect(*base.at("p0"), wider, zeros))
    masks += [MaskedSum(seeds[name]).protect(*base.at(name), shape, zeros) for name in NAMES[1:]]
    later, other = members.seeds(NAMES, epoch=2), members.seeds(NAMES, run="other")
    masks.append(MaskedSum(later["p0"]).protect(*base.at("p0"), shape, zeros))
    masks.append(MaskedSum(other["p0"]).protect(*dataclasses.replace(base, run="other").at("p0"), shape, zeros))
    for one, two in itertools.combinations(masks, 2):
        pairs = np.frombuffer(one[:8_000], np.uint8), np.frombuffer(two[:8_000], np.uint8)
        # 8,000 bytes agree in 31 by chance, standard deviation 5.6.
        assert (pairs[0] == pairs[1]).sum() < 80
        assert uniformity((pairs[0] - pairs[1]).tobytes()) > 1e-9


def test_the_offer_of_a_third_party_changes_the_mask_of_two(members):
    """Two parties with the very same seeds have other masks if a third of the cohort offered anew."""
    first = members.seeds(NAMES[:3])
    shape, zeros, id = SumShape(500, 2**28, 3), np.zeros(500, dtype=np.int64), sum_id(NAMES[:3])
    before = _mask(first["p0"], *id.at("p0"), shape)
    again = _mask(first["p0"], *id.at("p0"), shape)
    np.testing.assert_array_equal(before, again)
    with_two = dataclasses.replace(id, cohort=("p0", "p1"))
    alone = _mask(first["p0"], *with_two.at("p0"), shape)
    first["p0"]._digests["p1"] = bytes(32)
    assert (_mask(first["p0"], *with_two.at("p0"), shape) != alone).mean() > 0.99
    assert (_mask(first["p0"], *id.at("p0"), shape) != before).mean() > 0.99
    assert zeros.sum() == 0


def test_parties_that_saw_different_offers_give_noise_and_no_sum(members):
    old, new = members.seeds(NAMES[:3]), members.seeds(NAMES[:3], epoch=2)
    mixed = {"p0": new["p0"], "p1": new["p1"], "p2": old["p2"]}
    shape, id = SumShape(4_000, 2**28, 3), sum_id(NAMES[:3])
    _, sent = total_of(mixed, id, shape, dict.fromkeys(mixed, np.zeros(4_000, dtype=np.int64)))
    added = sum(shape.unpack(data) for data in sent.values()).astype("<u8").view(np.uint8).reshape(-1, 8)
    assert uniformity(added[:, : shape.bits // 8].tobytes()) > 1e-9


def test_two_vectors_are_not_protected_for_one_attempt(seeds):
    shape, masked, id = SumShape(2, 100, 5), MaskedSum(seeds["p0"]), sum_id(NAMES)
    masked.protect(*id.at("p0"), shape, np.array([1, 2]))
    for again in (id, dataclasses.replace(id, cohort=("p0", "p1"))):
        with pytest.raises(MaskReused, match="answered already"):
            masked.protect(*again.at("p0"), shape, np.array([1, 3]))


def test_a_vector_that_was_refused_uses_no_mask_up(seeds):
    shape, masked, id = SumShape(2, 100, 5), MaskedSum(seeds["p0"]), sum_id(NAMES)
    for wrong in (np.array([1, 101]), np.array([1]), np.array([1.0, 2.0])):
        with pytest.raises(AggregationError):
            masked.protect(*id.at("p0"), shape, wrong)
    masked.protect(*id.at("p0"), shape, np.array([1, 2]))


def test_used_masks_stay_used_with_later_seeds(members):
    first, later = members.seeds(NAMES[:2]), members.seeds(NAMES[:2], epoch=2)
    masked, id, shape = MaskedSum(first["p0"]), sum_id(NAMES[:2]), SumShape(1, 5, 2)
    masked.protect(*id.at("p0"), shape, np.array([1]))
    masked.use(later["p0"])
    with pytest.raises(MaskReused):
        masked.protect(*id.at("p0"), shape, np.array([1]))
    next_id = sum_id(NAMES[:2])
    sent = {"p0": masked.protect(*next_id.at("p0"), shape, np.array([2]))}
    sent["p1"] = MaskedSum(later["p1"]).protect(*next_id.at("p1"), shape, np.array([3]))
    assert PlainSum().total(next_id.cohort, shape, sent).tolist() == [5]
    with pytest.raises(SeedsMissing, match="erased"):
        first["p0"].digest("p0")
    for wrong in (later["p0"], later["p1"], members.seeds(NAMES[:2], run="other", epoch=3)["p0"]):
        with pytest.raises(ValueError, match="later epoch"):
            masked.use(wrong)


@pytest.mark.parametrize(
    "change",
    [
        {"plan": "cd" * 32},
        {"run": "other"},
        {"cohort": ("p1", "p2")},
        {"cohort": ("p0", "p1", "p1")},
        {"cohort": ()},
        {"cohort": ("p0",)},
        {"cohort": ("p0", "p1", "p2", "p3")},
    ],
)
def test_sums_of_others_and_cohorts_that_cannot_be_are_refused(seeds, change):
    id = dataclasses.replace(sum_id(["p0", "p1"]), **change)
    with pytest.raises(AggregationError):
        MaskedSum(seeds["p0"]).protect(*id.at("p0"), SumShape(1, 5, 3), np.array([1]))


def test_a_vector_of_another_party_is_refused(seeds):
    with pytest.raises(AggregationError):
        MaskedSum(seeds["p0"]).protect(*sum_id(["p0", "p1"]).at("p1"), SumShape(1, 5, 3), np.array([1]))


def test_a_stranger_in_the_cohort_has_no_seed(seeds):
    with pytest.raises(SeedsMissing, match="stranger"):
        MaskedSum(seeds["p0"]).protect(*sum_id(["p0", "stranger"]).at("p0"), SumShape(1, 5, 3), np.array([1]))


def test_a_lone_party_has_no_mask_where_the_plan_says_so(seeds):
    id, shape, vector = sum_id(["p0"]), SumShape(2, 100, 1), np.array([7, -7])
    assert MaskedSum(seeds["p0"], lone=True).protect(*id.at("p0"), shape, vector) == shape.pack(vector)
    with pytest.raises(AggregationError, match="cohort of one"):
        MaskedSum(seeds["p0"]).protect(*id.at("p0"), shape, vector)


def test_a_missing_contribution_is_refused_and_would_be_rubbish(seeds):
    shape, id = SumShape(4_000, 2**28, 5), sum_id(NAMES)
    _, sent = total_of(seeds, id, shape, dict.fromkeys(NAMES, np.ones(4_000, dtype=np.int64)))
    del sent["p3"]
    with pytest.raises(AggregationError):
        PlainSum().total(id.cohort, shape, sent)
    claimed = dataclasses.replace(id, cohort=tuple(sent))
    assert np.abs(PlainSum().total(claimed.cohort, shape, sent)).max() > 2**28
