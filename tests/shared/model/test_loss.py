import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sealscore.shared.model.tower import ForwardCorrected, cross_entropy

EXTREME = torch.tensor([-1e300, -800.0, -40.0, 0.0, 40.0, 800.0, 1e300], dtype=torch.float64)


@given(st.floats(-30, 30), st.sampled_from([0.0, 1.0]))
def test_cross_entropy_is_the_negative_log_likelihood(logit, label):
    p = 1 / (1 + math.exp(-logit))
    expected = -math.log(p) if label else -math.log1p(-p) if p < 0.5 else logit + math.log1p(math.exp(-logit))
    found = cross_entropy(torch.tensor([logit], dtype=torch.float64), torch.tensor([label], dtype=torch.float64))
    assert found.item() == pytest.approx(expected, rel=1e-9)


@given(st.floats(-20, 20), st.sampled_from([0.0, 1.0]), st.floats(0.51, 1 - 1e-9))
def test_forward_correction_is_the_likelihood_of_the_noisy_label(logit, label, keep):
    p = 1 / (1 + math.exp(-logit))
    q = keep * p + (1 - keep) * (1 - p)
    found = ForwardCorrected(keep)(
        torch.tensor([logit], dtype=torch.float64), torch.tensor([label], dtype=torch.float64)
    )
    assert found.item() == pytest.approx(-math.log(q if label else 1 - q), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("loss", [cross_entropy, ForwardCorrected(0.88), ForwardCorrected(1.0)])
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_extreme_logits_have_bounded_finite_gradients(loss, label):
    logits = EXTREME.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(logits, torch.full_like(EXTREME, label)).sum(), logits)
    assert torch.isfinite(gradient).all()
    assert gradient.abs().max() <= 1


def test_the_corrected_loss_is_least_at_the_true_rate():
    # 30 % bad; labels kept with probability 0.8: the best constant logit must be that of 0.3, not of 0.42.
    keep, rate = 0.8, 0.3
    seen = keep * rate + (1 - keep) * (1 - rate)
    logits = torch.linspace(-3, 3, 2001, dtype=torch.float64)
    loss = ForwardCorrected(keep)
    risk = seen * loss(logits, torch.ones_like(logits)) + (1 - seen) * loss(logits, torch.zeros_like(logits))
    assert torch.sigmoid(logits[risk.argmin()]).item() == pytest.approx(rate, abs=1e-3)


def test_keep_of_epsilon():
    assert ForwardCorrected.of_epsilon(math.log(3)).keep == pytest.approx(0.75)
    assert np.isclose(ForwardCorrected.of_epsilon(20).keep, 1, atol=1e-8)


@pytest.mark.parametrize("keep", [0.5, 0.0, 1.1, math.nan])
def test_a_keep_that_tells_nothing_is_refused(keep):
    with pytest.raises(ValueError, match="keep"):
        ForwardCorrected(keep)
