"""The server's steps on sums without noise, or with noise of known size."""

import numpy as np
import pytest
from additive_builders import binned, design, drawn, facts, sum_of
from scipy.special import expit

from sealscore.shared.dp.clipped_sum import slopes
from sealscore.shared.model.recipe.facts import LARGEST_RATE, LEAST_RATE, LEAST_RECORDS, Facts
from sealscore.shared.model.recipe.pairs import TRIED, chosen, evidence
from sealscore.shared.model.recipe.scales import scales
from sealscore.shared.model.recipe.solver import Released, descend


def world(seed: int, features: int, records: int, effects: list[float], crossed: float = 0.0):
    """Parts, bins and labels: features of these effects, and a product of the first two."""
    random = np.random.default_rng(seed)
    parts = binned(random, features, most=6)
    bins = drawn(random, parts, records)
    levels = np.array([at / max(1, part.size - 1) - 0.5 for at, part in zip(bins, parts, strict=True)])
    logits = -1.5 + np.array(effects) @ levels + crossed * np.sign(levels[0]) * np.sign(levels[min(1, features - 1)])
    return random, parts, bins, (random.random(records) < expit(logits)).astype(float)


def asker(codes, bins, labels, random, noise):
    def ask(round, weights):
        total = sum_of(codes, bins, slopes(codes.tables(weights).sums(bins), labels))
        return Released(total + noise * random.standard_normal(len(total)), noise)

    return ask


def test_without_noise_the_rounds_find_the_ridge():
    random, parts, bins, labels = world(1, 3, 4000, [2.0, -1.0, 0.5])
    found = design(parts)
    known = facts(4000, 3, labels.mean())
    start = np.zeros(found.codes.length)

    def gradient(weights):
        total = sum_of(found.codes, bins, slopes(found.codes.tables(weights).sums(bins), labels))
        return total + weights / found.variances

    fit = descend(asker(found.codes, bins, labels, random, 0.0), found, known, start, 200, 1)
    assert np.linalg.norm(gradient(fit.weights)) < 1e-2 * np.linalg.norm(gradient(start))
    quick = descend(asker(found.codes, bins, labels, random, 0.0), found, known, start, 35, 1)
    assert np.linalg.norm(gradient(quick.weights)) < 0.05 * np.linalg.norm(gradient(start))


def test_sixteen_copies_of_a_feature_stay_stable():
    random, parts, bins, labels = world(2, 1, 3000, [2.0])
    found = design(parts * 16)
    copies = np.repeat(bins, 16, axis=0)
    fit = descend(
        asker(found.codes, copies, labels, random, 0.0), found, facts(3000, 16), np.zeros(found.codes.length), 60, 20
    )
    assert np.abs(found.codes.tables(fit.weights).sums(copies)).max() < 6


def test_a_fit_that_ends_early_keeps_what_it_has():
    random, parts, bins, labels = world(3, 2, 1000, [2.0, 1.0])
    found = design(parts)
    ask = asker(found.codes, bins, labels, random, 1.0)
    start = np.zeros(found.codes.length)
    for last in (1, 5, 9, 14):
        fit = descend(
            lambda round, w, last=last: ask(round, w) if round <= last else None, found, facts(1000, 2), start, 15, 4
        )
        assert np.isfinite(fit.weights).all()
        assert np.linalg.norm(fit.weights) > 0
        assert fit.noise > 0
    with pytest.raises(ValueError, match="one round"):
        descend(lambda round, w: None, found, facts(1000, 2), start, 15, 15)


def test_more_noise_draws_the_weights_to_the_prior():
    sizes = []
    for noise in (1.0, 1e4):
        random, parts, bins, labels = world(4, 3, 3000, [2.0, -1.0, 0.5])
        found = design(parts)
        start = np.zeros(found.codes.length)
        fit = descend(asker(found.codes, bins, labels, random, noise), found, facts(3000, 3), start, 15, 15)
        sizes.append(np.abs(found.codes.tables(fit.weights).mains[0]).max())
    # Ten thousand times the noise, and the tables do not even double.
    assert sizes[1] < 2 * sizes[0]


def test_scales_tell_features_that_matter():
    random, parts, bins, labels = world(5, 6, 20_000, [4.0, 0.0, 0.0, 3.0, 0.0, 0.0])
    found, known = design(parts), facts(20_000, 6, labels.mean())
    start = np.zeros(found.codes.length)
    fit = descend(asker(found.codes, bins, labels, random, 20.0), found, known, start, 15, 15)
    told = scales(fit, found, known, 0.2)
    assert min(told.relative[0], told.relative[3]) > 2 * max(told.relative[place] for place in (1, 2, 4, 5))
    assert np.prod(told.relative) == pytest.approx(1, rel=1e-6)


def test_under_pure_noise_scales_stay_near_one_another():
    random, parts, bins, labels = world(6, 6, 500, [0.0] * 6)
    found, known = design(parts), facts(500, 6)
    fit = descend(asker(found.codes, bins, labels, random, 1e4), found, known, np.zeros(found.codes.length), 15, 15)
    told = scales(fit, found, known, 0.2)
    assert max(told.relative) < 2 * min(told.relative)
    assert 0.05 < told.common < 0.5


@pytest.mark.parametrize("crossed", [0.0, 1.5])
def test_pairs_are_chosen_where_there_are_any(crossed):
    random, parts, bins, labels = world(7, 4, 20_000, [1.0, 1.0, 0.5, 0.0], crossed)
    known = facts(20_000, 4, labels.mean())
    mains, together = design(parts), design(parts, pairs=TRIED.share, mains=False)
    noise = 30.0
    fit = descend(asker(mains.codes, bins, labels, random, noise), mains, known, np.zeros(mains.codes.length), 35, 20)
    slope = slopes(mains.codes.tables(fit.weights).sums(bins), labels)
    total = sum_of(together.codes, bins, slope)
    ratios = evidence(Released(total + noise * random.standard_normal(len(total)), noise), together, known)
    prior = chosen(ratios)
    if crossed:
        assert prior is not None
        assert TRIED.share / 100 <= prior.share <= 3 * TRIED.share
    else:
        assert prior is None


def test_no_evidence_of_a_lone_feature():
    assert chosen(np.full(1, -np.inf)) is None


def test_facts_are_cut_to_what_can_be():
    assert Facts.of(-5.0, 3.0, 2, 1.0).records == LEAST_RECORDS
    assert Facts.of(1000.0, -40.0, 2, 1.0).rate == LEAST_RATE
    assert Facts.of(1000.0, 900.0, 2, 1.0).rate == LARGEST_RATE
    assert Facts.of(1000.0, 200.0, 4, 2.0).signal_to_noise == pytest.approx(1000 * 2 * 0.16 / 4)
    assert np.isfinite(Facts.of(1000.0, 200.0, 4, np.inf).signal_to_noise)


def test_noisy_labels_tell_less():
    random = np.random.default_rng(0)
    rate, keep = 0.2, 0.88
    labels = (random.random(400_000) < rate).astype(float)
    seen = np.where(random.random(len(labels)) < keep, labels, 1 - labels)
    slope = slopes(np.full(len(labels), np.log(rate / (1 - rate))), seen, keep)
    known = Facts.of(len(labels), labels.sum(), 1, 1.0, keep)
    # The variance of the score is its information.
    assert np.mean(slope**2) == pytest.approx(known.curvature, rel=0.02)
    assert known.curvature < Facts.of(len(labels), labels.sum(), 1, 1.0).curvature
