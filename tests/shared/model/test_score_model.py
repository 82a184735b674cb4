import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paths import ROOT
from safetensors.numpy import load, save

from sealscore.shared.model.bins import Binning, histogram
from sealscore.shared.model.calibration import Calibration
from sealscore.shared.model.coding import Coding, Crosses
from sealscore.shared.model.reasons import contributions
from sealscore.shared.model.score_model import ModelFileError, ScoreModel, points
from sealscore.shared.model.weights import TowerWeights, admissible
from sealscore.shared.plan.schema import CategoricalFeature, NumericFeature

FEATURES = (
    NumericFeature(name="利用率", lower=-1, upper=5, missing=True),
    NumericFeature(name="late", lower=0, upper=8, integer=True),
    CategoricalFeature(name="kind", levels=("a", "b", "c"), missing=True),
)


def columns(n: int, seed: int = 0) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    use, kind = draw.normal(1, 1, n), draw.integers(0, 3, n).astype(float)
    use[draw.random(n) < 0.1] = np.nan
    kind[draw.random(n) < 0.1] = np.nan
    return {"利用率": use, "late": draw.integers(0, 9, n).astype(float), "kind": kind}


CROSSES = Crosses((("late", "kind"), ("利用率", "late")), bins=3)


def model(hidden: int = 0, seed: int = 1, spread: float = 0.7, crosses: Crosses | None = None) -> ScoreModel:
    binning = Binning.from_histogram(FEATURES, 32, 8, histogram(columns(2000), FEATURES, 32))
    width = Coding(binning, crosses).width
    vector = np.random.default_rng(seed).normal(0, spread, TowerWeights.length(width, hidden))
    card = {"plan": "ab" * 32, "auc": 0.1 + 0.2}
    return ScoreModel(FEATURES, binning, TowerWeights(vector, width, hidden), Calibration(0.9, -0.3), card, crosses)


def parts(scored: ScoreModel) -> list[np.ndarray]:
    return list(scored.weights.parts().values())


@pytest.mark.parametrize("crosses", [None, CROSSES])
@pytest.mark.parametrize("hidden", [0, 5])
def test_a_loaded_model_scores_the_same_bits(tmp_path, hidden, crosses):
    first = model(hidden, crosses=crosses)
    first.save(tmp_path)
    again = ScoreModel.load(tmp_path)
    data = columns(500, 3)
    assert np.array_equal(first.logits(data), again.logits(data))
    assert np.array_equal(first.pd(data), again.pd(data))
    assert again.binning == first.binning
    assert again.card == first.card
    assert np.array_equal(again.weights.vector, first.weights.vector)
    again.save(tmp_path / "copy")
    for name in ("model.safetensors", "card.json"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "copy" / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == ["card.json", "model.safetensors"]


def test_a_fresh_process_scores_the_same_bits(tmp_path):
    first = model(4)
    first.save(tmp_path)
    data = columns(64, 9)
    np.savez(tmp_path / "columns.npz", **data)
    code = (
        "import sys, numpy as np; from pathlib import Path; from sealscore.shared.model.score_model import ScoreModel\n"
        "folder = Path(sys.argv[1]); data = dict(np.load(folder / 'columns.npz'))\n"
        "print(ScoreModel.load(folder).pd(data).tobytes().hex())"
    )
    root = ROOT
    environment = {**os.environ, "PYTHONPATH": str(root)}
    run = [sys.executable, "-c", code, str(tmp_path)]
    found = subprocess.run(run, capture_output=True, text=True, check=True, env=environment, cwd=root).stdout.strip()
    assert found == first.pd(data).tobytes().hex()


@pytest.mark.parametrize("hidden", [0, 5])
def test_one_applicant_alone_gets_the_bits_of_the_batch(hidden):
    scored = model(hidden, spread=20.0)
    data = columns(70, 4)
    together = scored.logits(data)
    alone = [scored.logits({name: values[i : i + 1] for name, values in data.items()})[0] for i in range(70)]
    assert together.tolist() == alone


def test_a_published_model_has_the_weights_that_parties_evaluate():
    scored = model(3)
    assert np.array_equal(scored.weights.vector, admissible(scored.weights.vector))


@pytest.mark.parametrize("hidden", [0, 5])
def test_the_torch_module_gives_the_same_logits(hidden):
    import torch

    scored, data = model(hidden), columns(50)
    codes = scored.coding.encode(scored.binning.quantize(data))
    with torch.no_grad():
        found = scored.module()(torch.from_numpy(codes)).numpy()
    assert found == pytest.approx(scored.logits(data), abs=1e-9)


def test_pd_follows_from_the_logit():
    scored, data = model(), columns(10)
    assert np.allclose(scored.pd(data), 1 / (1 + np.exp(-(0.9 * scored.logits(data) - 0.3))))


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match="'late' is missing"):
        model().pd({"利用率": np.zeros(1), "kind": np.zeros(1)})


def test_weights_that_are_not_finite_are_refused():
    good = model()
    lost = replace(good.weights, vector=np.full_like(good.weights.vector, np.nan))
    with pytest.raises(ValueError, match="not finite"):
        ScoreModel(FEATURES, good.binning, lost, Calibration(), {})


def test_parts_that_do_not_fit_are_refused():
    good = model()
    with pytest.raises(ValueError, match="other features"):
        ScoreModel(FEATURES[::-1], good.binning, good.weights, Calibration(), {})
    with pytest.raises(ValueError, match="units"):
        ScoreModel(FEATURES, good.binning, TowerWeights(np.zeros(6), 5, 0), Calibration(), {})


def _rewritten(folder: Path, change_card=None, change_tensors=None) -> None:
    """Alter a saved model and fix its digest, so that only the check under test can refuse it."""
    import hashlib

    card = json.loads((folder / "card.json").read_text())
    tensors = load((folder / "model.safetensors").read_bytes())
    if change_tensors:
        change_tensors(tensors)
        (folder / "model.safetensors").write_bytes(save(tensors))
    card["weights_sha256"] = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    if change_card:
        change_card(card)
    (folder / "card.json").write_text(json.dumps(card))


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.__setitem__("extra", 1),
        lambda c: c.pop("hidden"),
        lambda c: c.__setitem__("format", "sealscore model 2"),
        lambda c: c.__setitem__("hidden", 4),
        lambda c: c.__setitem__("hidden", -1),
        lambda c: c.__setitem__("hidden", "3"),
        lambda c: c.__setitem__("card", []),
        lambda c: c["crosses"]["pairs"].append(["late", "nobody"]),
        lambda c: c["crosses"]["pairs"].append(["late", "kind"]),
        lambda c: c["crosses"].__setitem__("more", 1),
        lambda c: c["crosses"].__setitem__("scale", "0.5"),
        lambda c: c["features"].pop(),
        lambda c: c["features"][0].__setitem__("colour", "red"),
        lambda c: c["features"][1].__setitem__("upper", 2),
    ],
)
def test_an_altered_card_is_refused(tmp_path, change):
    model(3).save(tmp_path)
    _rewritten(tmp_path)
    ScoreModel.load(tmp_path)
    _rewritten(tmp_path, change_card=change)
    with pytest.raises(ModelFileError, match=str(tmp_path)):
        ScoreModel.load(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.__setitem__("extra", np.zeros(1)),
        lambda t: t.pop("edges.0"),
        lambda t: t.pop("tower.outer.weight"),
        lambda t: t.pop("calibration"),
        lambda t: t.__setitem__("calibration", np.array([-1.0, 0.0])),
        lambda t: t.__setitem__("calibration", np.zeros(3)),
        lambda t: t.__setitem__("edges.0", t["edges.0"][::-1].copy()),
        lambda t: t.__setitem__("edges.0", np.append(t["edges.0"], 4.9)),
        lambda t: t.__setitem__("reference.2", t["reference.2"] * 2),
        lambda t: t.__setitem__("tower.linear.bias", np.array([np.nan])),
        lambda t: t.__setitem__("tower.linear.bias", np.array([0.1])),
        lambda t: t.__setitem__("tower.linear.bias", np.zeros(1, dtype=np.float32)),
        lambda t: t.__setitem__("tower.linear.weight", t["tower.linear.weight"].T.copy()),
    ],
)
def test_altered_tensors_are_refused(tmp_path, change):
    model(3).save(tmp_path)
    _rewritten(tmp_path, change_tensors=change)
    with pytest.raises(ModelFileError, match=str(tmp_path)):
        ScoreModel.load(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "card.json"])
def test_files_that_are_cut_or_gone_are_refused(tmp_path, name):
    model().save(tmp_path)
    path = tmp_path / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    with pytest.raises(ModelFileError, match=str(tmp_path)):
        ScoreModel.load(tmp_path)
    path.unlink()
    with pytest.raises(ModelFileError, match="cannot be read"):
        ScoreModel.load(tmp_path)


def test_a_card_that_is_no_json_is_refused():
    good = model()
    with pytest.raises(ValueError, match="JSON"):
        ScoreModel(FEATURES, good.binning, good.weights, Calibration(), {"auc": float("nan")})


def test_points():
    odds = np.array([20.0, 40.0, 10.0])
    assert points(1 / (1 + odds)).tolist() == pytest.approx([600, 620, 580])
    assert np.isfinite(points(np.array([0.0, 1.0]))).all()
    assert (np.diff(points(np.linspace(0.001, 0.999, 50))) < 0).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 6), st.integers(0, 10**6), st.sampled_from([0.01, 0.7, 5.0]), st.sampled_from([None, CROSSES]))
def test_contributions_are_complete(hidden, seed, spread, crosses):
    scored = model(hidden, seed, spread, crosses)
    bins = scored.binning.quantize(columns(20, seed))
    found = contributions(scored, bins)
    calibrated = 0.9 * scored.logits_of_bins(bins)
    reference = scored.coding.reference()
    w, b, *network = parts(scored)
    base = w[0] @ reference + b[0]
    if hidden:
        u, c, v = network
        base += v[0] @ np.tanh(u @ reference + c)
    assert np.allclose(found.sum(axis=1), calibrated - 0.9 * base, atol=1e-9)


def test_a_contribution_is_the_integrated_gradient():
    scored = model(4)
    bins = scored.binning.quantize(columns(5))
    reference, codes = scored.coding.reference(), scored.coding.encode(bins)
    w, _, u, c, v = parts(scored)
    nodes, weights = np.polynomial.legendre.leggauss(60)
    total = np.zeros_like(codes)
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        place = reference + node * (codes - reference)
        total += weight * (w[0] + (v[0] * (1 - np.tanh(place @ u.T + c) ** 2)) @ u)
    exact = (codes - reference) * total * 0.9
    expected = np.column_stack([exact[:, place].sum(axis=1) for _, place in scored.coding.units])
    assert np.allclose(contributions(scored, bins), expected, atol=1e-9)


def test_an_applicant_at_the_reference_of_a_feature_has_no_reason_in_it():
    scored = model(3)
    bins = scored.binning.quantize(columns(1))
    code, reference = scored.coding.encode(bins)[0], scored.coding.reference()
    first = scored.coding.units[0][1]
    found = scored.weights.parts()
    found["linear.weight"][:, first] = 0.0
    found["inner.weight"][:, first] = 0.0
    assert not np.allclose(code[first], reference[first])
    assert contributions(scored, bins)[0, 0] == 0


def test_late_payers_are_told_so():
    scored = model()
    scored.weights.vector[:] = 0.0
    scored.weights.vector[scored.coding.units[1][1]] = 1.0
    worst = scored.binning.quantize({"利用率": np.zeros(1), "late": np.array([8.0]), "kind": np.zeros(1)})[0]
    found = contributions(scored, worst[None])[0]
    assert FEATURES[found.argmax()].name == "late"
    assert found.max() > 0
