import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from additive_builders import binned, design, drawn
from safetensors.numpy import load, save

from sealscore.shared.model.additive.codes import BinTables, PairTable
from sealscore.shared.model.additive.curve import PdCurve
from sealscore.shared.model.additive.module import TableModule
from sealscore.shared.model.additive.table_score import TableScore
from sealscore.shared.model.bins import Binning
from sealscore.shared.model.calibration import Calibration
from sealscore.shared.model.reasons import contributions
from sealscore.shared.model.score_model import ModelFileError, ScoreModel

CURVE = PdCurve(-4.0, (0.3, 0.2, 0.1, 0.0, -0.1, 0.2, 0.1, 0.4))


def scored_by(binning: Binning, score: TableScore) -> ScoreModel:
    features = tuple(part.feature for part in binning.features)
    return ScoreModel(features, binning, score, Calibration(), {"plan": "ab" * 32})


def model(curve: PdCurve | None = CURVE, pairs: bool = True, seed: int = 0) -> ScoreModel:
    random = np.random.default_rng(seed)
    binning = Binning(tuple(binned(random, 4)))
    codes = design(list(binning.features), pairs=0.1 if pairs else None).codes
    return scored_by(binning, TableScore(codes.tables(random.normal(0, 0.5, codes.length)), curve))


def some_bins(scored: ScoreModel, records: int = 60) -> np.ndarray:
    return drawn(np.random.default_rng(9), list(scored.binning.features), records).T.astype(np.int16)


@pytest.mark.parametrize("curve", [None, CURVE])
@pytest.mark.parametrize("pairs", [False, True])
def test_a_loaded_model_scores_the_same_bits(tmp_path, curve, pairs):
    first = model(curve, pairs)
    first.save(tmp_path)
    again = ScoreModel.load(tmp_path)
    assert isinstance(again.weights, TableScore)
    bins = some_bins(first)
    assert np.array_equal(first.logits_of_bins(bins), again.logits_of_bins(bins))
    assert again.weights.curve == first.weights.curve
    assert again.card == first.card
    again.save(tmp_path / "copy")
    for name in ("model.safetensors", "card.json"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "copy" / name).read_bytes()


def test_one_applicant_alone_gets_the_bits_of_the_batch():
    scored = model()
    bins = some_bins(scored, 500)
    together = scored.logits_of_bins(bins)
    assert together.tolist() == [scored.logits_of_bins(bins[place : place + 1])[0] for place in range(500)]


def test_the_torch_module_gives_the_same_bits_and_its_tables_back():
    scored = model()
    module = scored.module()
    assert isinstance(module, TableModule)
    bins = some_bins(scored)
    with torch.no_grad():
        found = module(torch.from_numpy(bins.astype(np.int64))).numpy()
    assert np.array_equal(found, scored.weights.tables.sums(bins.T))
    # Saved and loaded as torch does it.
    other = model().module()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    other.load_state_dict(module.state_dict())
    again = scored_by(scored.binning, TableScore(other.tables(), CURVE))
    assert np.array_equal(again.logits_of_bins(bins), scored.logits_of_bins(bins))
    assert sum(parameter.requires_grad for parameter in module.parameters()) == 1 + 4 + 6


@pytest.mark.parametrize("curve", [None, CURVE])
def test_contributions_add_to_the_logit(curve):
    scored = model(curve)
    bins = some_bins(scored)
    found = contributions(scored, bins)
    assert found.shape == bins.shape
    logits = scored.logits_of_bins(bins)
    moved = logits - found.sum(axis=1)
    # All that is left is the mean's logit, the same for everybody.
    assert moved == pytest.approx(np.full(len(bins), moved[0]), abs=1e-6)


def test_contributions_are_shapley_values_of_independent_features():
    from itertools import permutations, product

    scored = model(None)
    sizes, shares = scored.binning.sizes, [np.array(part.reference) for part in scored.binning.features]
    everything = np.array(list(product(*(range(size) for size in sizes))))
    weight = np.prod([shares[place][everything[:, place]] for place in range(4)], axis=0)
    logits = scored.logits_of_bins(everything)
    one = some_bins(scored)[3]

    def value(known: frozenset[int]) -> float:
        fits = (
            np.all([everything[:, place] == one[place] for place in known], axis=0) if known else np.ones(len(weight))
        )
        return float((weight * fits * logits).sum() / (weight * fits).sum())

    shapley = np.zeros(4)
    for order in permutations(range(4)):
        for count, place in enumerate(order):
            shapley[place] += value(frozenset(order[: count + 1])) - value(frozenset(order[:count]))
    assert contributions(scored, one[None])[0] == pytest.approx(shapley / 24, abs=1e-6)


def test_tables_that_do_not_fit_are_refused():
    good = model()
    tables = good.weights.tables
    wrong = PairTable(0, 1, np.zeros((1, 1)))
    turned = PairTable(1, 0, np.zeros((good.binning.sizes[1], good.binning.sizes[0])))
    for other in (
        replace(tables, mains=tables.mains[:-1]),
        BinTables(0.0, tables.mains, (wrong,)),
        BinTables(0.0, tables.mains, (turned,)),
    ):
        with pytest.raises(ValueError, match="other bins"):
            scored_by(good.binning, TableScore(other))
    off = (tables.mains[0] + 2.0**-30, *tables.mains[1:])
    for other in (replace(tables, mains=off), replace(tables, constant=float("nan"))):
        with pytest.raises(ValueError, match="grid"):
            TableScore(other)


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: tensors.pop("table.1"),
        lambda tensors: tensors.pop("constant"),
        lambda tensors: tensors.__setitem__("constant", np.zeros(2)),
        lambda tensors: tensors.__setitem__("curve", np.zeros(3)),
        lambda tensors: tensors.__setitem__("curve", np.full(9, np.nan)),
        lambda tensors: tensors.__setitem__("pair.1.0", np.zeros((2, 2))),
        lambda tensors: tensors.__setitem__("pair.0.9", np.zeros((2, 2))),
        lambda tensors: tensors.__setitem__("pair.00.1", tensors.pop("pair.0.1")),
        lambda tensors: tensors.__setitem__("other", np.zeros(1)),
        lambda tensors: tensors.__setitem__("table.0", tensors["table.0"][None]),
        lambda tensors: tensors.__setitem__("table.0", tensors["table.0"].astype(np.float32)),
    ],
)
def test_altered_files_are_refused(tmp_path, change):
    import hashlib

    model().save(tmp_path)
    card, tensors = (
        json.loads((tmp_path / "card.json").read_text()),
        load((tmp_path / "model.safetensors").read_bytes()),
    )
    change(tensors)
    (tmp_path / "model.safetensors").write_bytes(save(tensors))
    with pytest.raises(ModelFileError):
        ScoreModel.load(tmp_path)
    card["weights_sha256"] = hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).hexdigest()
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(ModelFileError):
        ScoreModel.load(tmp_path)


def test_the_curve_is_the_same_alone_and_in_a_batch():
    fitted = np.random.default_rng(1).normal(-1, 3, 4001)
    together = CURVE.logits(fitted)
    for start in range(0, 64):
        assert np.array_equal(CURVE.logits(fitted[start : start + 37]), together[start : start + 37])
    assert together.tolist() == [CURVE.logits(fitted[place : place + 1])[0] for place in range(4001)]
