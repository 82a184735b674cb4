"""Released score tables: what a sum holds, and the counts of all persons that all tables give together."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sealscore.shared.model.released.score_tables import ScoreTables

BANDS = {"sex": ("1", "2", "missing"), "age": ("up to 40", "above 40")}
CELLS = 8


def split_up(random: np.random.Generator) -> ScoreTables:
    """Exact tables of the same persons, with the noise that is added later."""
    overall = random.integers(0, 200, 2 * CELLS).astype(np.float64)
    first = np.floor(overall * 0.4)
    rest = np.floor((overall - first) * 0.9)
    bands = {
        "sex": {"1": first, "2": rest, "missing": overall - first - rest},
        "age": {"up to 40": rest, "above 40": overall - rest},
    }
    return ScoreTables(overall, bands, 4.0, 9.0)


def test_a_sum_is_parted_and_its_weights_taken_off():
    values = np.arange(2 * CELLS * 6, dtype=np.float64)
    found = ScoreTables.of_sum(values, BANDS, (1.0, 0.25), 3.0)
    assert found.overall.tolist() == values[:16].tolist()
    assert found.bands["sex"]["2"].tolist() == (4 * values[32:48]).tolist()
    assert found.bands["age"]["above 40"].tolist() == (4 * values[80:]).tolist()
    assert (found.noise_std, found.band_noise_std) == (3.0, 12.0)


def test_a_sum_of_another_length_is_refused():
    with pytest.raises(ValueError, match="equal division"):
        ScoreTables.of_sum(np.zeros(97), BANDS, (1.0, 1.0), 1.0)


def test_the_best_counts_are_unbiased_and_as_noisy_as_they_say():
    random = np.random.default_rng(0)
    exact, found = split_up(random), []
    for _ in range(3000):
        noise = {
            name: {k: t + random.normal(0, 9.0, 16) for k, t in bands.items()} for name, bands in exact.bands.items()
        }
        found.append(ScoreTables(exact.overall + random.normal(0, 4.0, 16), noise, 4.0, 9.0).best)
    stated = {std for _, std in found}
    assert len(stated) == 1
    counts = np.array([table for table, _ in found]) - exact.overall
    assert counts.std() == pytest.approx(stated.pop(), rel=0.02)
    assert abs(counts.mean()) < 0.06
    assert found[0][1] < 4.0


def test_without_noise_the_overall_table_is_the_best():
    exact = split_up(np.random.default_rng(1))
    table, std = ScoreTables(exact.overall, exact.bands, 0.0, 0.0).best
    assert std == 0
    assert np.array_equal(table, exact.overall)


def test_a_record_keeps_all_of_it():
    exact = split_up(np.random.default_rng(2))
    record = json.loads(json.dumps(exact.as_record()))
    found = ScoreTables.of_record(record, {name: tuple(tables) for name, tables in exact.bands.items()})
    assert found.as_record() == exact.as_record()
    assert (found.noise_std, found.band_noise_std) == (4.0, 9.0)


def test_a_record_from_before_bands_had_noise_of_their_own_is_read():
    exact = split_up(np.random.default_rng(2))
    record = exact.as_record()
    del record["band_noise_std"]
    found = ScoreTables.of_record(record, {name: tuple(tables) for name, tables in exact.bands.items()})
    assert (found.noise_std, found.band_noise_std) == (4.0, 4.0)
