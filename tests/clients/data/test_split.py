"""The split: a person is in one part with everything, and who is where follows from the plan and the person."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealscore.clients.data import DataError, split
from sealscore.shared.plan.settings import Split


def by_hash(fraction: float = 0.3, key: str = "k") -> Split:
    return Split(kind="hash", test_fraction=fraction, key=key)


BY_DATE = Split(kind="date", test_fraction=0.3, first_test_day=date(2024, 6, 1))


class TestHash:
    def test_the_fraction_is_kept(self):
        mask = split.test_mask(by_hash(0.3), [f"p{n}" for n in range(20_000)], None, Path(), "exact")
        assert abs(mask.mean() - 0.3) < 0.015

    def test_it_is_hmac_sha256_below_the_fraction(self):
        # RFC 2104, written out.
        inner = hashlib.sha256(bytes(b ^ 0x36 for b in b"k".ljust(64, b"\0")) + b"p0").digest()
        outer = hashlib.sha256(bytes(b ^ 0x5C for b in b"k".ljust(64, b"\0")) + inner).digest()
        share = int.from_bytes(outer, "big") / 2**256
        assert split.test_mask(by_hash(share + 1e-9), ["p0"], None, Path(), "exact")[0]
        assert not split.test_mask(by_hash(share - 1e-9), ["p0"], None, Path(), "exact")[0]

    @given(st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=30))
    def test_a_person_is_in_the_same_part_everywhere(self, persons):
        together = split.test_mask(by_hash(), persons, None, Path(), "exact")
        alone = [split.test_mask(by_hash(), [person], None, Path(), "exact")[0] for person in persons]
        assert list(together) == alone

    def test_another_key_is_another_split(self):
        persons = [f"p{n}" for n in range(100)]
        masks = [split.test_mask(by_hash(key=key), persons, None, Path(), "exact") for key in ("k", "l")]
        assert (masks[0] != masks[1]).any()


class TestDate:
    @given(
        st.lists(
            st.tuples(st.sampled_from("abcde"), st.dates(date(2024, 5, 1), date(2024, 7, 1))), min_size=1, max_size=30
        )
    )
    def test_whole_persons_and_nothing_late_is_learnt_from(self, rows):
        persons = [person for person, _ in rows]
        dates = np.array([day for _, day in rows], dtype="datetime64[D]")
        mask = split.test_mask(BY_DATE, persons, dates, Path(), "exact")
        for person in set(persons):
            own = [at for at, other in enumerate(persons) if other == person]
            late = any(rows[at][1] >= date(2024, 6, 1) for at in own)
            assert {bool(mask[at]) for at in own} == {late}
        assert (dates[~mask] < np.datetime64("2024-06-01")).all()

    def test_a_table_without_days(self):
        with pytest.raises(DataError, match=r"evaluation\.split is by date.*; fix: name the column"):
            split.test_mask(BY_DATE, ["a"], None, Path(), "exact")


class TestIds:
    @staticmethod
    def listed(folder: Path, content: bytes, sha256: str | None = None, name: str = "test_ids.txt") -> Split:
        (folder / "test_ids.txt").write_bytes(content)
        digest = sha256 or hashlib.sha256(content).hexdigest()
        return Split(kind="ids", test_fraction=0.3, file=name, sha256=digest)

    def test_persons_on_the_list(self, tmp_path):
        given_split = self.listed(tmp_path, b"\xef\xbb\xbf12\r\n 7 \n\nstranger\n")
        mask = split.test_mask(given_split, ["7", "8", "12", "7"], None, tmp_path, "exact")
        assert mask.tolist() == [True, False, True, True]

    def test_the_list_is_brought_to_the_normal_form_of_the_persons(self, tmp_path):
        given_split = self.listed(tmp_path, "Ab-1\n \uff21\uff22-2\n".encode())
        persons = ["ab-1", "ab-2", "ab-3"]
        assert split.test_mask(given_split, persons, None, tmp_path, "creator-id").tolist() == [True, True, False]
        assert not split.test_mask(given_split, persons, None, tmp_path, "exact").any()

    def test_another_file_than_the_plans(self, tmp_path):
        given_split = self.listed(tmp_path, b"12\n7\n", sha256="0" * 64)
        with pytest.raises(DataError) as caught:
            split.test_mask(given_split, ["7"], None, tmp_path, "exact")
        message = str(caught.value)
        assert message.startswith("test_ids.txt: the file is another than the plan's, its SHA-256 is ")
        assert hashlib.sha256(b"12\n7\n").hexdigest() in message
        assert f"fix: get the file whose SHA-256 is {'0' * 64}" in message

    def test_a_list_that_is_not_there(self, tmp_path):
        given_split = self.listed(tmp_path, b"7\n")
        with pytest.raises(DataError, match=r"test_ids\.txt: there is no such file; fix: lay the list"):
            split.test_mask(given_split, ["7"], None, tmp_path / "elsewhere", "exact")

    @pytest.mark.parametrize("name", ["../test_ids.txt", "/etc/hostname", "sub/test_ids.txt", ".."])
    def test_no_plan_reads_outside_the_folder(self, tmp_path, name):
        given_split = self.listed(tmp_path, b"7\n", name=name)
        with pytest.raises(DataError, match="is a path"):
            split.test_mask(given_split, ["7"], None, tmp_path, "exact")
