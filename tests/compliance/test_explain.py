"""What an epsilon means, in words and figures that agree."""

from __future__ import annotations

import pytest

from sealscore.compliance.figures.explain import SOURCES, chances, in_words


def test_the_table_is_of_the_stated_base_rates():
    found = chances(1.0, 1e-5)
    assert [one.rate for one in found] == [0.01, 0.1, 0.5]
    assert [round(one.most, 4) for one in found] == [0.0267, 0.232, 0.7311]
    assert [round(one.least, 4) for one in found] == [0.0037, 0.0393, 0.2689]
    assert [one.blind for one in found] == [0.99, 0.9, 0.5]
    # Where hardly anybody is among the records, guessing "absent" cannot be beaten.
    assert found[0].right == pytest.approx(0.99, abs=1e-6)
    assert found[2].right == pytest.approx(0.7311, abs=1e-4)
    assert all(one.precise > one.most for one in found)
    assert all(one.precise == pytest.approx(one.most) for one in chances(1.0, 0.0))


def test_epsilon_zero_tells_nothing():
    for one in chances(0.0, 0.0):
        assert (one.most, one.least, one.right) == (one.rate, pytest.approx(one.rate), one.blind)


def test_the_words_hold_the_figures():
    words = " ".join(in_words(1.0, 1e-5))
    assert "2.72" in words
    assert "73.1" in words
    assert "10⁻⁵" in words
    assert "Delta" not in " ".join(in_words(1.0, 0.0))
    assert len({in_words(epsilon, 0.0)[-1] for epsilon in (0.5, 2.0, 5.0, 12.0)}) == 4
    assert all("(20" in source for source in SOURCES)
