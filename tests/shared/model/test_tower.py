import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sealscore.shared.model.tower import Tower, flatten, load_flat, parameter_count, row_logits
from sealscore.shared.model.weights import MAX_WIDTH, WEIGHT_GRID, WEIGHT_LIMIT, TowerWeights, admissible


def filled(width: int, hidden: int, seed: int, spread: float = 1.0) -> Tower:
    tower = Tower(width, hidden, 0)
    load_flat(tower, np.random.default_rng(seed).normal(0, spread, parameter_count(tower)))
    return tower


def codes_on_grid(n: int, width: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(-4096, 4097, (n, width)) / 4096.0)


def test_the_formula():
    tower = filled(3, 2, 1)
    code = np.array([0.5, -0.25, 1.0])
    w, b, u, c, v = (p.detach().numpy() for p in tower.parameters())
    expected = w[0] @ code + b[0] + v[0] @ np.tanh(u @ code + c)
    assert tower(torch.from_numpy(code)[None]).item() == pytest.approx(expected, rel=1e-14)


def test_an_untrained_tower_says_nothing():
    assert torch.equal(Tower(7, 4, 3)(torch.ones(5, 7, dtype=torch.float64)), torch.zeros(5, dtype=torch.float64))


def test_the_seed_alone_decides_the_first_weights():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = flatten(Tower(6, 3, 11))
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    assert np.array_equal(first, flatten(Tower(6, 3, 11)))
    assert not np.array_equal(first, flatten(Tower(6, 3, 12)))


@given(st.integers(1, 6), st.integers(0, 4), st.integers(0, 99))
def test_weights_survive_flattening(width, hidden, seed):
    tower, other = filled(width, hidden, seed), Tower(width, hidden, 0)
    vector = flatten(tower)
    assert vector.shape == (width + 1 + (hidden and hidden * (width + 2)),)
    load_flat(other, vector)
    assert np.array_equal(flatten(other), vector)


@pytest.mark.parametrize(
    "vector", [np.zeros(3), np.zeros((4, 1)), np.zeros(4, dtype=np.float32), np.zeros(4, dtype=np.int64)]
)
def test_a_vector_of_another_form_is_refused(vector):
    with pytest.raises(ValueError, match=r"float64 \[4\]"):
        load_flat(Tower(3, 0, 0), vector)


@pytest.mark.parametrize("width", [0, MAX_WIDTH + 1])
def test_codes_that_are_too_wide_or_empty_are_refused(width):
    with pytest.raises(ValueError, match="units"):
        Tower(width, 0, 0)


@given(st.lists(st.floats(allow_nan=False, width=64), min_size=1, max_size=8))
def test_admissible_weights_are_near_bounded_and_stay(values):
    vector = np.array(values)
    found = admissible(vector)
    assert np.abs(found).max() <= WEIGHT_LIMIT
    assert np.array_equal(found / WEIGHT_GRID, np.rint(found / WEIGHT_GRID))
    inside = np.abs(vector) <= WEIGHT_LIMIT
    assert (np.abs(found - vector)[inside] <= WEIGHT_GRID / 2).all()
    assert np.array_equal(admissible(found), found)


@settings(max_examples=30)
@given(st.integers(1, 300), st.integers(0, 8), st.integers(1, 70), st.integers(0, 10**6))
def test_a_row_has_the_same_logit_bit_for_bit_alone_and_anywhere_in_a_batch(width, hidden, n, seed):
    # Weights at the limit with both signs: the sums cancel, so ordinary products would differ by the batch.
    tower = filled(width, hidden, seed, spread=40.0)
    codes = codes_on_grid(n, width, seed)
    together = row_logits(tower, codes)
    alone = np.array([row_logits(tower, codes[i : i + 1])[0] for i in range(n)])
    assert np.array_equal(together, alone)
    order = np.random.default_rng(seed).permutation(n)[: n // 2 + 1]
    assert np.array_equal(row_logits(tower, codes[order]), together[order])


@pytest.mark.parametrize("hidden", [0, 4])
def test_weights_without_torch_have_the_names_and_shapes_of_the_tower(hidden):
    # The names and shapes of a model's file are these.
    tower = filled(5, hidden, 3)
    found = tower.weights().parts()
    assert list(found) == [name for name, _ in tower.named_parameters()]
    for name, parameter in tower.named_parameters():
        assert found[name].shape == tuple(parameter.shape)
        assert np.array_equal(found[name], parameter.detach().numpy())


def test_a_vector_that_is_no_towers_weights_is_refused():
    for vector in (np.zeros(3), np.zeros((1, 4)), np.zeros(4, dtype=np.float32)):
        with pytest.raises(ValueError, match=r"float64 \[4\]"):
            TowerWeights(vector, 3, 0)
    with pytest.raises(ValueError, match="units"):
        TowerWeights(np.zeros(1), 0, 0)


def test_row_logits_are_those_of_the_tower():
    tower = filled(40, 5, 2, spread=0.3)
    codes = codes_on_grid(50, 40, 1)
    with torch.no_grad():
        assert np.allclose(row_logits(tower, codes), tower(codes).numpy(), atol=1e-5)
