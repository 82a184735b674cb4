"""The invented set: declared, seeded, quick, within its own schemas, and worth training on."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from sealscore.clients.data import Table, check_table, columns_of
from sealscore.shared.plan.schema import TableSchema
from sealscore.simulations.world import synthetic
from sealscore.simulations.world.synthetic import LENDER_TABLE, PLATFORM_TABLE, TABLES, WALLET_TABLE


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    return synthetic.generate(12_000, seed=3)


def columns(frame: pl.DataFrame, table: TableSchema):
    lender = table.label is not None
    return check_table(Table.of(frame, "synthetic"), table, label_required=lender, max_records_per_person=1).records


def test_it_fits_its_schemas(frame):
    lender, platform, wallet = (columns(frame, table) for table in TABLES)
    assert len(lender) == len(platform) == len(wallet) == 12_000
    assert lender.person == platform.ids == wallet.person
    assert set(frame.columns) == {
        "application_id", "account_id", "creator_id", "applied", "defaulted",
        *(f.name for table in TABLES for f in table.features),
    }  # fmt: skip


def test_the_default_rate_is_near_a_fifth(frame):
    assert 0.18 < frame["defaulted"].mean() < 0.22


def test_it_has_gaps_and_heavy_tails(frame):
    for name in ("bureau_score", "utilisation", "monthly_income", "employment", "sentiment_mean", "refund_share"):
        assert 0.01 < frame[name].null_count() / frame.height < 0.3
    for name in ("views_30d", "followers", "turnover_30d", "loan_amount"):
        assert frame[name].mean() > 1.3 * frame[name].median()
    assert frame["views_30d"].dtype == pl.Int64


def test_ratios_of_likes_and_comments_to_views(frame):
    seen = frame.filter(pl.col("views_30d") > 10_000)
    assert 0.02 < (seen["likes_30d"] / seen["views_30d"]).median() < 0.04
    assert 0.0025 < (seen["comments_30d"] / seen["views_30d"]).median() < 0.005


def test_each_side_knows_a_part_of_the_risk(frame):
    label = frame["defaulted"].to_numpy()

    def auc(*tables: TableSchema) -> float:
        parts = [columns(frame, table).columns for table in tables]
        features = [
            np.nan_to_num(feature.transform(part[feature.name]) if feature.kind == "numeric" else part[feature.name])
            for table, part in zip(tables, parts, strict=True)
            for feature in table.scored
        ]
        x = np.column_stack([(f - f.mean()) / f.std() for f in features])
        model = LogisticRegression().fit(x[:9000], label[:9000])
        return float(roc_auc_score(label[9000:], model.decision_function(x[9000:])))

    lender, platform, both = auc(LENDER_TABLE), auc(PLATFORM_TABLE), auc(LENDER_TABLE, PLATFORM_TABLE)
    assert lender > 0.68
    assert platform > 0.62
    assert both > max(lender, platform) + 0.02
    assert auc(WALLET_TABLE) > 0.6
    assert auc(*TABLES) > both


class TestFurtherLoans:
    def test_another_loan_of_the_same_creators(self, frame):
        first = frame.select(columns_of(LENDER_TABLE))
        second = synthetic.further_loans(2, 12_000, seed=3).select(first.columns)
        columns(second, LENDER_TABLE)
        assert set(second["application_id"]).isdisjoint(first["application_id"])
        same = ["creator_id", "bureau_score", "months_on_file", "late_24m", "net_worth", "age", "gender"]
        assert second.select(same).equals(first.select(same))
        for own in ("applied", "loan_amount", "term_months", "defaulted"):
            assert not second[own].equals(first[own])

    def test_its_outcome_is_the_persons_and_its_own(self, frame):
        second = synthetic.further_loans(2, 12_000, seed=3)["defaulted"].to_numpy()
        first = frame["defaulted"].to_numpy()
        assert 0.18 < second.mean() < 0.22
        assert second[first == 1].mean() > second[first == 0].mean() + 0.1
        assert 0.1 < (first != second).mean() < 0.4

    def test_each_number_is_another_loan(self):
        second, third = (synthetic.further_loans(number, 500, seed=1) for number in (2, 3))
        assert not second["loan_amount"].equals(third["loan_amount"])
        with pytest.raises(ValueError, match="first loan"):
            synthetic.further_loans(1, 500)


def test_it_is_seeded(frame):
    assert synthetic.generate(12_000, seed=3).equals(frame)
    assert not synthetic.generate(12_000, seed=4).equals(frame)
