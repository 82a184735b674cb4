"""The loops of the research engine: keys and words as parties open them, and the same numbers compiled or not."""

from __future__ import annotations

import secrets
from typing import Any

import numpy as np
import pytest
from additive_builders import crafted, dense_codes
from hypothesis import given, settings
from hypothesis import strategies as st

from sealscore.shared.dp.clipped_sum import CLIP, clipped_sum, slopes
from sealscore.shared.dp.gradients import gradient_engine
from sealscore.shared.model.additive.additive_code import of_codes
from sealscore.shared.randomness.noise import FastDiscreteGaussian
from sealscore.shared.randomness.streams import Purpose, Stream, StreamSource, poisson_sample, sampled
from sealscore.simulations.engine.fast import kernels
from sealscore.simulations.engine.fast.keyed import PartyStreams
from sealscore.simulations.engine.fast.segments import Segments, clipped_sums, error_bound, rounded

KEYS = [secrets.token_bytes(32) for _ in range(9)]


@pytest.fixture(params=["compiled", "numpy"])
def way(request: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of computing, the compiled one where numba is installed."""
    if request.param == "numpy":
        monkeypatch.setattr(kernels, "compiled", None)
    elif kernels.compiled is None:
        pytest.skip("numba is not installed")
    return str(request.param)


def test_keys_are_those_that_parties_derive():
    secret = {name: StreamSource.seeded(3, name) for name in ("a", "lender-2", "ü")}
    place: tuple[Any, ...] = ("run-1", "train_tower:lender", 1, 2)
    keys = PartyStreams(secret).keys(list(secret), *place, Purpose.NOISE)
    for key, (name, source) in zip(keys, secret.items(), strict=True):
        expected = source.stream(*place, name, Purpose.NOISE).words32(8)
        assert np.array_equal(Stream(key, "seeded").words32(8), expected)


def test_words_and_samples_are_those_of_each_stream(way: str):
    sizes = np.array([300, 0, 7, 1, 16, 17, 64, 2000, 33])
    words = kernels.words32(KEYS, "seeded", sizes)
    for key, size, found in zip(KEYS, sizes.tolist(), words, strict=True):
        assert np.array_equal(found, Stream(key, "seeded").words32(size))
    starts = np.cumsum([0, *sizes])
    each = [poisson_sample(Stream(key, "seeded"), size, 0.3) for key, size in zip(KEYS, sizes.tolist(), strict=True)]
    expected = np.concatenate([start + rows for start, rows in zip(starts, each, strict=False)])
    assert np.array_equal(sampled(words, 0.3), expected)


@pytest.mark.parametrize("scale", [0.0, 0.4, 3.0, 17.0, 900.7, 2.0**24])
@pytest.mark.parametrize("size", [0, 1, 331])
def test_noise_is_the_sum_of_what_each_draws(way: str, scale: float, size: int):
    expected = sum(FastDiscreteGaussian().sample(Stream(key, "seeded"), scale, size) for key in KEYS)
    assert np.array_equal(kernels.noise(KEYS, "seeded", scale, size), expected)


def drawn(seed: int, sizes: list[int], scale: float | None = None) -> tuple[Any, Segments, Any, np.ndarray]:
    """Codes with pairs, records of parties, tables of random weights, and these weights: by default of any scale."""
    random = np.random.default_rng(seed)
    codes = crafted(random)
    parts = []
    for size in sizes:
        bins = np.stack([random.integers(0, count, size) for count in codes.sizes]).astype(np.uint8)
        parts.append((bins, random.integers(0, 2, size).astype(np.float64)))
    weights = random.normal(0, scale or 10.0 ** random.integers(-3, 2), codes.length)
    return codes, Segments.of(parts), codes.tables(weights), weights


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(0, 40), min_size=1, max_size=5))
def test_sums_are_within_their_bound_of_each_partys_own(seed: int, sizes: list[int]):
    codes, records, tables, _ = drawn(seed, sizes)
    code = of_codes(codes, CLIP)
    error = error_bound(code, records.sizes)
    found = clipped_sums(code, tables, records, 0.9)
    for party, (start, end) in enumerate(zip(records.starts, records.starts[1:], strict=False)):
        bins, targets = records.bins[:, start:end], records.targets[start:end]
        own = clipped_sum(code, bins, slopes(tables.sums(bins), targets, 0.9))
        assert np.abs(found[party] - own).max(initial=0.0) <= error[party]
    assert (error < 1e-8).all()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 30))
def test_opacus_gives_the_same_sum(seed: int, records: int):
    import torch
    from torch import nn

    from sealscore.shared.model.tower import cross_entropy

    # Weights so small that no table reaches its limit: Opacus knows none.
    codes, segments, tables, weights = drawn(seed, [records, 3], 1e-4)
    dense = torch.from_numpy(dense_codes(codes, segments.bins[:, :records]))
    linear = nn.Linear(dense.shape[1], 1, bias=False, dtype=torch.float64)
    engine = gradient_engine("opacus", linear, cross_entropy, CLIP)
    found = clipped_sums(of_codes(codes, CLIP), tables, segments)[0]
    expected = engine(weights, dense, torch.from_numpy(segments.targets[:records]))
    # Tables are rounded to 2^-24, which moves a logit of such codes by about a millionth.
    assert np.linalg.norm(found - expected) <= 1e-4 * np.linalg.norm(expected)


def test_an_entry_near_the_middle_makes_its_party_uncertain():
    sums = np.array([[0.5, 1.0], [0.49, 1.0], [7.5 + 1e-12, -9.0], [7.4999, -9.0]])
    whole, certain = rounded(sums, 1.0, 8, np.full(4, 1e-9))
    assert certain.tolist() == [False, True, False, True]
    assert whole[3].tolist() == [7, -8]
