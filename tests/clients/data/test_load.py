"""What a node calls: file to records under a plan."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from clients.data import DataError, load_records, one_sided_parts


def test_records_are_checked_and_split(csv, plan):
    records = load_records(csv(), plan, "lender-2")
    assert len(records) == 40
    assert 0 < records.test.sum() < 40
    assert set(records.label[records.test]) == set(records.label[~records.test]) == {0, 1}
    assert not set(records.training_part().person) & set(records.test_part().person)
    assert "L001" not in repr(records)


def test_ids_lie_beside_the_table_or_in_a_folder_of_their_own(csv, plan, tmp_path):
    content = "\n".join(f"P{n:03d}" for n in range(10, 20)).encode()
    digest = hashlib.sha256(content).hexdigest()
    by_ids = plan.replace(evaluation__split={"kind": "ids", "test_fraction": 0.25, "file": "ids.txt", "sha256": digest})
    for folder in (tmp_path, tmp_path / "lists"):
        folder.mkdir(exist_ok=True)
        (folder / "ids.txt").write_bytes(content)
        records = load_records(csv(), by_ids, "lender-1", None if folder == tmp_path else folder)
        np.testing.assert_array_equal(records.test, [10 <= n < 20 for n in range(40)])
        (folder / "ids.txt").unlink()


def test_days_split_by_date(csv, plan):
    by_date = plan.replace(evaluation__split={"kind": "date", "test_fraction": 0.25, "first_test_day": "2024-09-01"})
    records = load_records(csv(), by_date, "lender-1")
    np.testing.assert_array_equal(records.test, [1 + n % 12 >= 9 for n in range(40)])


def test_a_party_that_the_plan_does_not_know(csv, plan):
    with pytest.raises(DataError, match="has no party named 'lender-4'; mend: use 'lender-"):
        load_records(csv(), plan, "lender-4")


def test_the_nominal_count_is_named_by_its_key(csv, plan):
    small = plan.replace(parties__1__nominal_records=10)
    with pytest.raises(DataError, match=r"parties\.1\.nominal_records = 10"):
        load_records(csv(), small, "lender-2")
    assert len(load_records(csv(), small, "lender-1")) == 40


def test_a_part_without_a_bad_loan_is_a_warning(csv, plan):
    """The server chooses the parts: a refusal would tell it labels."""
    everyone = load_records(csv(), plan, "lender-1")
    assert one_sided_parts(everyone) == []
    cells = {
        (at + 2, "bad"): "0" if is_test else str(label)
        for at, (is_test, label) in enumerate(zip(everyone.test, everyone.label, strict=True))
    }
    assert one_sided_parts(load_records(csv(cells), plan, "lender-1")) == ["the test part has no bad loan"]


def test_a_platform_needs_no_label(csv, plan):
    platform = {
        "role": "platform",
        "min_parties": 1,
        "max_colluding": 0,
        "table": {"id": "loan", "features": [{"name": "late", "lower": 0, "upper": 9}]},
    }
    parties = [*plan.model_dump(mode="json")["parties"], {"name": "app", "group": "video", "nominal_records": 40}]
    both = plan.replace(groups__video=platform, parties=parties, privacy__label_epsilon=1.0)
    records = load_records(csv({(2, "bad"): "no matter"}), both, "app")
    assert records.label is None
    assert list(records.columns) == ["late"]
    assert records.person == records.ids
