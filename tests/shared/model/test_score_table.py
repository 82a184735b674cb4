import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealscore.shared.model.score_grid import cell_edges, cell_logits
from sealscore.shared.model.score_table import score_table


def test_every_record_stands_in_one_cell_of_its_label():
    edges = cell_edges(9)
    assert np.allclose(edges, np.arange(-4, 4))
    table = score_table(np.array([-99.0, -4.0, np.nextafter(-4.0, 0), 3.0, 99.0]), np.array([0, 0, 0, 1, 1]), 9)
    assert table.dtype == np.int64
    assert table.tolist() == [2, 1, *[0] * 14, 1, 1]
    assert np.allclose(cell_logits(9), np.arange(-4.5, 4))


@given(st.lists(st.tuples(st.floats(), st.integers(0, 1)), min_size=1, max_size=30), st.integers(2, 64))
def test_one_record_changes_one_cell_by_one(records, cells):
    logits, labels = np.array([r[0] for r in records]), np.array([r[1] for r in records], dtype=np.int8)
    difference = score_table(logits, labels, cells) - score_table(logits[1:], labels[1:], cells)
    assert sorted(difference) == [0] * (2 * cells - 1) + [1]


def test_an_empty_part_has_an_empty_table():
    assert score_table(np.zeros(0), np.zeros(0, dtype=np.int8), 8).tolist() == [0] * 16


@pytest.mark.parametrize(
    ("logits", "labels", "word"), [(np.zeros(2), np.zeros(3), "one length"), (np.zeros(2), np.array([0, 2]), "good")]
)
def test_faulty_input_is_refused(logits, labels, word):
    with pytest.raises(ValueError, match=word):
        score_table(logits, labels, 8)
