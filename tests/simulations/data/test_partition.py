"""Dealing rows out: each to exactly one party, by the seed and by nothing else."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealscore.clients.data import DataError
from sealscore.shared.plan.plan import Party, Plan
from sealscore.simulations.data.partition import overlapping, partition, split_columns

METHODS = ["equal", "quantity", "label-skew"]


def parties(count: int) -> list[Party]:
    return [Party(name=f"p{n}", group="lender", nominal_records=100) for n in range(count)]


def table(rows: int, bad: float = 0.3, persons: int | None = None) -> pl.DataFrame:
    random = np.random.default_rng(1)
    return pl.DataFrame(
        {
            "id": np.arange(rows),
            "person": random.integers(0, persons or rows, rows) if persons else np.arange(rows),
            "bad": (np.arange(rows) < bad * rows).astype(int),
        }
    )


def deal(frame, count=3, method="equal", *, alpha=None, seed=1, label="bad", **more):
    return partition(frame, parties(count), method, alpha=alpha, seed=seed, label=label, **more)


@given(st.integers(60, 300), st.integers(1, 6), st.sampled_from(METHODS), st.floats(0.5, 50), st.integers(0, 2**62))
@settings(max_examples=60, deadline=None)
def test_each_row_goes_to_exactly_one_party(rows, count, method, alpha, seed):
    frame = table(rows)
    try:
        shares = deal(frame, count, method, alpha=None if method == "equal" else alpha, seed=seed, least=3)
    except DataError:
        return  # too few rows for so many parties: see below
    assert list(shares) == [f"p{n}" for n in range(count)]
    assert sorted(i for share in shares.values() for i in share["id"]) == list(range(rows))
    for share in shares.values():
        assert share["id"].is_sorted()
        assert min(share.filter(pl.col("bad") == value).height for value in (0, 1)) >= 3
    if method == "equal":
        sizes = [share.height for share in shares.values()]
        assert max(sizes) - min(sizes) <= 1


@given(st.sampled_from(METHODS), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_the_seed_and_nothing_else_decides(method, seed):
    frame = table(600)
    alpha = None if method == "equal" else 1.0
    first, again, other = (
        deal(frame, method=method, alpha=alpha, seed=s)["p0"]["id"].to_list() for s in (seed, seed, seed + 1)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize("method", METHODS)
def test_rows_of_a_person_stay_together(method):
    frame = table(2000, persons=500)
    shares = deal(frame, method=method, alpha=None if method == "equal" else 5.0, person="person")
    owners = [set(share["person"]) for share in shares.values()]
    assert sum(len(persons) for persons in owners) == len(set.union(*owners)) == frame["person"].n_unique()


def test_small_alpha_skews_sizes_and_labels():
    frame = table(6000)
    even, skewed = (
        [share["bad"].mean() for share in deal(frame, 5, "label-skew", alpha=alpha).values()] for alpha in (1e4, 0.3)
    )
    assert np.ptp(even) < 0.05
    assert np.ptp(skewed) > 0.2
    even, skewed = ([s.height for s in deal(frame, 5, "quantity", alpha=alpha).values()] for alpha in (1e4, 0.3))
    assert np.ptp(even) < 200
    assert np.ptp(skewed) > 1000


def test_text_labels_skew_as_well():
    frame = table(3000).with_columns(bad=pl.when(pl.col("bad") == 1).then(pl.lit("bad")).otherwise(pl.lit("good")))
    shares = deal(frame, 3, "label-skew", alpha=0.5)
    assert all(set(share["bad"]) == {"bad", "good"} for share in shares.values())


def test_the_label_decides_nothing_where_labels_are_not_skewed():
    frame = table(600)
    shares = [deal(frame, label=label)["p0"]["id"].to_list() for label in ("bad", None)]
    assert shares[0] == shares[1]


@pytest.mark.parametrize("method", METHODS)
def test_too_few_rows_are_an_error_with_a_fix(method):
    with pytest.raises(DataError) as caught:
        deal(table(30), 3, method, alpha=None if method == "equal" else 0.5, least=10)
    message = str(caught.value)
    assert (
        f"partition {method!r} of 30 rows over 3 parties, column 'bad': some party gets fewer than 10 rows" in message
    )
    assert "fix: take fewer parties or more rows" in message


def test_a_table_without_rows():
    with pytest.raises(DataError, match="of 0 rows"):
        deal(table(10).clear())


@pytest.mark.parametrize(
    ("method", "alpha", "label", "said"),
    [
        ("even", None, "bad", "method 'even'"),
        ("quantity", None, "bad", "alpha = None"),
        ("quantity", 0.0, "bad", "alpha = 0.0"),
        ("label-skew", 1.0, None, "needs a label"),
    ],
)
def test_settings_that_make_no_sense(method, alpha, label, said):
    with pytest.raises(ValueError, match=said):
        deal(table(100), 3, method, alpha=alpha, label=label)


class TestOverlapping:
    def draw(self, frame, count=3, share=0.5, seed=1, **more):
        return overlapping(frame, parties(count), share, seed=seed, person="person", **more)

    def test_parties_know_persons_whoever_else_does(self):
        frame = table(4000)
        shares = {name: set(share["person"]) for name, share in self.draw(frame, share=0.4).items()}
        assert all(abs(len(known) - 1600) < 100 for known in shares.values())
        both = shares["p0"] & shares["p1"]
        assert abs(len(both) - 640) < 80  # 0.4 squared: who knows a person says nothing of who else does
        nobody = set(frame["person"]) - set.union(*shares.values())
        assert abs(len(nobody) - 864) < 90

    @given(st.integers(1, 5), st.integers(1, 5), st.floats(0.3, 1), st.integers(0, 1000))
    @settings(max_examples=30, deadline=None)
    def test_nobody_is_at_more_parties_than_may_be(self, count, most, share, seed):
        drawn = self.draw(table(300), count, share, seed, most=most)
        persons = [person for part in drawn.values() for person in part["person"]]
        assert max(np.unique(persons, return_counts=True)[1]) <= min(most, count)
        assert all(part["person"].n_unique() == part.height for part in drawn.values())

    def test_a_limit_favours_no_party(self):
        sizes = [part.height for part in self.draw(table(6000), 3, 1.0, most=1).values()]
        assert sum(sizes) == 6000
        assert all(abs(size - 2000) < 150 for size in sizes)

    def test_a_person_with_several_rows_brings_each_party_another_one(self):
        one = table(500)
        frame = pl.concat([one, one.with_columns(id=pl.col("id") + 1000)])
        shares = self.draw(frame, 3, 0.8)
        rows: dict[int, list[int]] = {}
        for part in shares.values():
            assert part["id"].is_sorted()
            for row, person in part.select("id", "person").rows():
                rows.setdefault(person, []).append(row)
        assert {len(held) for held in rows.values()} == {1, 2, 3}
        for held in rows.values():
            assert len(set(held)) == min(2, len(held))

    def test_the_seed_and_the_party_decide(self):
        one, again, other = (self.draw(table(500), seed=seed)["p1"]["id"].to_list() for seed in (1, 1, 2))
        assert one == again != other
        assert self.draw(table(500), count=2)["p1"]["id"].to_list() == one

    def test_a_party_that_knows_nobody_is_an_error_with_a_fix(self):
        with pytest.raises(DataError, match=r"coverage of lender = 0\.001 over 5 persons: p\d knows nobody; fix: take"):
            self.draw(table(5), share=0.001)


VERTICAL = """
name = "vertical"
purpose = "testing"
seed = 1
outcome = { definition = "default", window_days = 30, cutoff = 2024-01-01 }
privacy = { epsilon = 1, delta = 1e-5, label_epsilon = 1 }
training = { rounds = 1, sample_rate = 0.1 }
evaluation.split = { kind = "hash", key = "k", test_fraction = 0.2 }
parties = [
    { name = "l", group = "lender", nominal_records = 10 },
    { name = "v", group = "video", nominal_records = 10 },
]
[groups.lender]
role = "lender"
min_parties = 1
max_colluding = 0
table = { id = "id", label = "bad", features = [{ name = "a", lower = 0, upper = 1 }] }
[groups.video]
role = "platform"
min_parties = 1
max_colluding = 0
table = { id = "id", features = [{ name = "b", lower = 0, upper = 1 }] }
"""


def test_columns_go_to_the_group_whose_table_has_them():
    plan = Plan.loads(VERTICAL)
    frame = pl.DataFrame({"id": [1, 2], "bad": [0, 1], "a": [0.1, 0.2], "b": [0.3, 0.4], "spare": [9, 9]})
    parts = split_columns(frame, plan, tuple(plan.groups))
    assert parts["lender"].columns == ["id", "bad", "a"]
    assert parts["video"].columns == ["id", "b"]
    assert parts["lender"]["id"].to_list() == parts["video"]["id"].to_list()
    with pytest.raises(DataError, match=r"column 'b': the column is missing; groups\.video\.table of the plan has it"):
        split_columns(frame.drop("b"), plan, tuple(plan.groups))
