"""What a node calls: file to records under a plan."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from vertical_builders import people, vertical_plan

from sealscore.clients.data import DataError, load_records, one_sided_parts
from sealscore.shared.crypto.alignment import padded_size


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
    with pytest.raises(DataError, match="has no party named 'lender-4'; fix: use 'lender-"):
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


class TestMessages:
    """Whoever does not fit into the padded messages of a pair is found here: in a run the server would see it."""

    @staticmethod
    def table(folder: Path, party: str, persons: int, consents: int | None = None) -> Path:
        """A party's table under the vertical plan, of which the first ones consent to the other side."""
        everybody, file = people(persons), folder / f"{party}.csv"
        schema = vertical_plan().groups["lender" if party == "lender-1" else "wallet"].table
        names = [feature.name for feature in schema.features]
        lines = [",".join([schema.id, "who", *names, *(["bad"] if schema.label else []), "consent"])]
        for row in range(persons):
            cells = [f"R{row}", f"p{row:05d}"]
            for name in names:
                value = everybody[name][row]
                cells.append(["coast", "inland"][int(value)] if name == "region" else f"{value:g}")
            consent = "wallet;lender-1" if consents is None or row < consents else ""
            lines.append(",".join([*cells, *([f"{everybody['bad'][row]:g}"] if schema.label else []), consent]))
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return file

    @pytest.mark.parametrize("method", ["exact", "private"])
    @pytest.mark.parametrize("party", ["lender-1", "wallet"])
    def test_as_many_persons_as_the_messages_hold_and_one_more(self, tmp_path: Path, party: str, method: str):
        plan = vertical_plan(alignment__method=method)
        place = [one.name for one in plan.parties].index(party)
        size = padded_size(plan.party(party).nominal_records)
        assert size == 512
        assert len(load_records(self.table(tmp_path, party, size), plan, party)) == size
        with pytest.raises(DataError) as caught:
            load_records(self.table(tmp_path, party, size + 1), plan, party)
        words = str(caught.value)
        assert "513 persons do not fit into messages of 512 entries" in words
        assert f"have parties.{place}.nominal_records of the plan raised to about 513" in words

    @pytest.mark.parametrize("party", ["lender-1", "wallet"])
    def test_consents_do_not_make_them_fit(self, tmp_path: Path, party: str):
        """They come and go with the day, and nobody looks at the table again when they do."""
        plan, group = vertical_plan(), "lender" if party == "lender-1" else "wallet"
        with_consent = plan.groups[group].table.model_dump(mode="json") | {"consent": "consent"}
        plan = plan.replace(**{f"groups__{group}__table": with_consent})
        assert len(load_records(self.table(tmp_path, party, 512, consents=100), plan, party)) == 512
        with pytest.raises(DataError, match="513 persons do not fit"):
            load_records(self.table(tmp_path, party, 513, consents=100), plan, party)

    def test_without_platforms_there_are_no_such_messages(self, csv, plan):
        assert len(load_records(csv(), plan.replace(parties__1__nominal_records=30), "lender-2")) == 40
