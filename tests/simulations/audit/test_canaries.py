"""The audit block: what a canary is to the engine that sums gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from builders import small_plan

from sealscore.shared.dp.gradients import gradient_engine
from sealscore.shared.model.tower import ForwardCorrected, Tower, cross_entropy, flatten, load_flat
from sealscore.shared.model.weights import MAX_WIDTH
from sealscore.simulations.audit.canaries import AuditBlock, AuditedGradientSum, tagged

CLIP = 0.8


def trained(width: int, hidden: int) -> Tower:
    """A tower at weights that are all different from zero."""
    tower = Tower(width, hidden, seed=1)
    load_flat(tower, np.random.default_rng(2).normal(0, 0.5, len(flatten(tower))))
    return tower


def examples(width: int, count: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes and targets of records."""
    random = np.random.default_rng(3)
    codes = np.round(random.uniform(-1, 1, (count, width)) * 64) / 64
    return torch.from_numpy(codes), torch.from_numpy(random.integers(0, 2, count).astype(np.float64))


@pytest.mark.parametrize("hidden", [0, 3])
class TestAuditBlock:
    """Where the weights stand."""

    def test_every_weight_is_the_towers_or_a_canarys(self, hidden: int):
        block = AuditBlock(5, hidden, 7)
        assert block.block.shape == (1 + hidden, 7)
        assert sorted([*block.own, *block.block.ravel()]) == list(range(block.length))

    def test_widening_changes_no_score(self, hidden: int):
        tower, block = trained(5, hidden), AuditBlock(5, hidden, 7)
        codes, _ = examples(5)
        wide = block.tower()
        load_flat(wide, block.widened(flatten(tower)))
        padded = torch.cat([codes, torch.zeros(len(codes), 7, dtype=codes.dtype)], dim=1)
        assert torch.allclose(wide(padded), tower(codes), rtol=0, atol=1e-12)


def test_there_is_room_for_so_many_canaries():
    AuditBlock(95, 0, MAX_WIDTH - 95)
    with pytest.raises(ValueError, match=f"choose at most {MAX_WIDTH - 95}"):
        AuditBlock(95, 0, MAX_WIDTH - 94)


@pytest.mark.parametrize("engine", ["fused", "opacus"])
@pytest.mark.parametrize("loss", [cross_entropy, ForwardCorrected(0.75)], ids=["plain", "corrected"])
@pytest.mark.parametrize("hidden", [0, 3])
class TestAuditedGradientSum:
    """Records and canaries, each clipped, in one sum."""

    @staticmethod
    def of(hidden: int, loss, engine: str) -> tuple[AuditBlock, AuditedGradientSum, np.ndarray]:
        tower, block = trained(5, hidden), AuditBlock(5, hidden, 7)
        training = small_plan(training__engine=engine).training
        return block, AuditedGradientSum(block, tower, loss, CLIP, training), block.widened(flatten(tower))

    def test_it_is_what_the_plans_engine_gives_for_all_of_them_at_once(self, hidden: int, loss, engine: str):
        block, audited, weights = self.of(hidden, loss, engine)
        codes, targets = examples(5)
        numbers = torch.tensor([0, 4, 4, 6])
        padded = torch.cat([torch.cat([codes, torch.zeros(40, 7, dtype=codes.dtype)], dim=1), block.codes(numbers)])
        whole = gradient_engine(engine, block.tower(), loss, CLIP)
        expected = whole(weights, padded, torch.cat([targets, torch.ones(4, dtype=targets.dtype)]))
        assert np.allclose(audited(weights, *tagged(codes, targets, numbers)), expected, rtol=0, atol=1e-9)

    def test_a_canary_adds_the_clip_norm_along_its_own_direction(self, hidden: int, loss, engine: str):
        block, audited, weights = self.of(hidden, loss, engine)
        codes, targets = examples(5)
        none = audited(weights, *tagged(codes, targets, torch.tensor([], dtype=torch.int64)))
        added = audited(weights, *tagged(codes, targets, torch.tensor([2]))) - none
        assert np.allclose(added[block.block[:, 2]], audited.of_canary(weights), rtol=0, atol=1e-9)
        assert 0.999 * CLIP < np.linalg.norm(added[block.block[:, 2]]) <= np.linalg.norm(added) < CLIP
        assert not none[block.block].any()
