"""What a verifier says of serving: bits of a person by kind and lender, and entries that do not fit."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from ledger_files import CEILINGS, PARTY, append_raw, approval, enrolled_plan, new_ledger
from pages import Reader, sound
from serving_entries import HEAD, LENDERS, LIMITS, OTHER, admit, corrected, manifest, platform_ledger, served

from sealscore.compliance.ledger_report.report import write_compliance_report
from sealscore.compliance.verify.verification import Verification
from sealscore.compliance.verify.verify import verify_ledger
from sealscore.shared.ledger.entries import AdmitRelease, EndRelease, Entry, LogDay, ServeWithdraw, TellLimit
from sealscore.shared.serving.manifest import Capacity

FIRST = manifest()
JANUARY = ("2031-01-05", "2031-01-06")


def verified(tmp_path: Path, *entries: Entry) -> Verification:
    return verify_ledger(platform_ledger(tmp_path / "video.db", *entries))


def codes(found: Verification) -> list[str]:
    return [finding.code for finding in found.findings]


class TestBits:
    def test_days_of_a_month_count_once_and_months_add_up(self, tmp_path: Path):
        days = [served(FIRST, day) for day in (*JANUARY, "2031-02-01")]
        found = verified(tmp_path, admit(FIRST), *days)
        assert found.ok
        assert (dict(found.scoring.bits), found.scoring.days) == ({"signal": 6, "capacity": 6}, 3)

    def test_lenders_are_told_the_same_level_and_each_is_counted(self, tmp_path: Path):
        days = [served(FIRST, JANUARY[0]), served(FIRST, JANUARY[0], LENDERS[1]), served(FIRST, "2031-02-01")]
        found = verified(tmp_path, admit(FIRST), *days)
        assert found.ok
        assert found.scoring.bits["signal"] == 6
        by_lender = {lender: told.bits["signal"] for lender, told in found.scoring_by_lender.items()}
        assert by_lender == {LENDERS[0]: 6, LENDERS[1]: 3}
        assert found.as_json()["scoring"] == {
            "bits": {"signal": 6, "capacity": 6},
            "days_charged": 2,
            "corrections": 0,
            "lenders": {
                LENDERS[0]: {"bits": {"signal": 6, "capacity": 6}, "days_charged": 2, "corrections": 0},
                LENDERS[1]: {"bits": {"signal": 3, "capacity": 3}, "days_charged": 1, "corrections": 0},
            },
        }

    def test_a_life_is_capped_by_the_approval(self, tmp_path: Path):
        days = [served(FIRST, f"2031-{month:02}-01") for month in range(1, 8)]
        found = verified(tmp_path, admit(FIRST), *days)
        assert dict(found.scoring.bits) == {"signal": 12, "capacity": 21}

    def test_two_releases_of_one_tower_tell_a_level_once_a_month(self, tmp_path: Path):
        second = manifest("second")
        days = [served(FIRST, JANUARY[0]), served(second, JANUARY[0])]
        assert verified(tmp_path, admit(FIRST), admit(second), *days).scoring.bits["signal"] == 3

    @pytest.mark.parametrize(("month", "bits"), [(3, 3), (4, 4), (6, 6), (64, 6)])
    def test_two_towers_of_a_month_add_up_within_its_limit(self, tmp_path: Path, month: int, bits: int):
        """The second tower was never told in training, and is a finding; what was charged under it counts."""
        second = manifest("second", OTHER)
        limits = LIMITS | {"signal": TellLimit(month=month, life=64)}
        days = [served(FIRST, JANUARY[0]), served(second, JANUARY[0])]
        found = verified(tmp_path, admit(FIRST, limits), admit(second, limits), *days)
        assert codes(found) == ["tower"]
        assert found.scoring.bits["signal"] == bits
        assert found.uncounted == 0

    def test_a_correction_counts_beyond_the_limits_for_every_lender_and_once_a_month(self, tmp_path: Path):
        days = [served(FIRST, JANUARY[0], lender) for lender in LENDERS]
        again = [corrected(FIRST, JANUARY[0]), corrected(FIRST, JANUARY[0], LENDERS[1])]
        found = verified(tmp_path, admit(FIRST), *days, *again)
        assert found.ok
        assert dict(found.scoring.bits) == {"signal": 6, "capacity": 3}
        assert {told.bits["signal"] for told in found.scoring_by_lender.values()} == {6}
        assert found.as_json()["scoring"]["corrections"] == 2

    def test_corrections_add_to_a_life_that_is_full(self, tmp_path: Path):
        days = [f"2031-{month:02}-01" for month in range(1, 8)]
        entries = [entry for day in days for entry in (served(FIRST, day), corrected(FIRST, day))]
        assert verified(tmp_path, admit(FIRST), *entries).scoring.bits["signal"] == 12 + 7 * 3

    def test_bands_under_other_edges_are_told_beside_each_other(self, tmp_path: Path):
        """What a node tells of a person under two releases of one tower, where the month allows both bands."""
        edges = FIRST.told["video"].model_copy(update={"capacity": Capacity(column="views", edges=(5.0,))})
        second, limits = manifest("second", told={"video": edges}), LIMITS | {"capacity": TellLimit(month=6, life=30)}
        days = [served(FIRST, JANUARY[0]), served(second, JANUARY[0])]
        found = verified(tmp_path, admit(FIRST, limits), admit(second, limits), *days)
        assert dict(found.scoring.bits) == {"signal": 3, "capacity": 6}

    def test_training_counts_apart(self, tmp_path: Path):
        found = verified(tmp_path, admit(FIRST), served(FIRST, JANUARY[0]))
        assert found.signal_bits == enrolled_plan().model.signal_bits
        assert found.scoring.bits["signal"] == 3


class TestWhatDoesNotFit:
    @pytest.mark.parametrize(
        ("entry", "code"),
        [
            (served(FIRST, JANUARY[1], bits={"signal": 4, "capacity": 3}), "serving"),
            (served(FIRST, JANUARY[1], most=FIRST.most_a_day + 1), "serving"),
            (served(FIRST, JANUARY[1], "lender-9"), "serving"),
            (served(FIRST, JANUARY[0]), "order"),
            (served(FIRST, "2032-01-01"), "serving"),
            (served(manifest("other"), JANUARY[1]), "release"),
            (corrected(FIRST, JANUARY[1]), "serving"),
            (corrected(FIRST, JANUARY[0], LENDERS[1]), "serving"),
            (corrected(FIRST, JANUARY[0], bits={"signal": 9}), "serving"),
            (corrected(FIRST, JANUARY[0], bits={"reasons": 8}), "serving"),
            (corrected(manifest("other"), JANUARY[0]), "release"),
            (admit(FIRST, LIMITS | {"signal": TellLimit(month=9, life=90)}), "release"),
            (admit(manifest("second"), {"signal": LIMITS["signal"]}), "release"),
            (admit(manifest("second", OTHER)), "tower"),
            (admit(manifest("second", plan=OTHER)), "release"),
            (admit(manifest("second")).model_copy(update={"text": FIRST.canonical()}), "release"),
            (EndRelease(release=OTHER, why="x"), "release"),
        ],
    )
    def test_is_a_finding(self, tmp_path: Path, entry: Entry, code: str):
        found = verified(tmp_path, admit(FIRST), served(FIRST, JANUARY[0]), entry)
        assert codes(found) == [code]
        assert found.findings[0].seq == found.entries
        assert found.exit_code == found.findings[0].fault.value

    def test_a_day_under_an_ended_release_is_found_and_counts(self, tmp_path: Path):
        entries = [admit(FIRST), served(FIRST, JANUARY[0]), EndRelease(release=FIRST.hash, why="x")]
        found = verified(tmp_path, *entries, served(FIRST, "2031-02-01"))
        assert codes(found) == ["release"]
        assert (found.scoring.bits["signal"], found.uncounted) == (6, 0)

    def test_more_bits_than_the_release_tells_are_in_the_figure(self, tmp_path: Path):
        found = verified(tmp_path, admit(FIRST), served(FIRST, JANUARY[0], bits={"signal": 3, "reasons": 8}))
        assert codes(found) == ["serving"]
        assert dict(found.scoring.bits) == {"signal": 3, "reasons": 8}

    def test_a_correction_on_a_day_without_a_charge_is_in_the_figure(self, tmp_path: Path):
        found = verified(tmp_path, admit(FIRST), served(FIRST, JANUARY[0]), corrected(FIRST, "2031-02-01"))
        assert (codes(found), found.uncounted) == (["serving"], 0)
        assert found.scoring.bits["signal"] == 6

    def test_a_correction_of_an_unknown_release_is_not_in_the_figures(self, tmp_path: Path):
        found = verified(tmp_path, corrected(FIRST, JANUARY[0]))
        assert (codes(found), found.uncounted, bool(found.scoring)) == (["release"], 1, False)

    def test_a_day_of_an_unknown_release_is_not_in_the_figures(self, tmp_path: Path):
        found = verified(tmp_path, served(FIRST, JANUARY[0]))
        assert (codes(found), found.uncounted, bool(found.scoring)) == (["release"], 1, False)

    def test_batches_and_days_of_the_log_do_not_go_back(self, tmp_path: Path):
        passed: dict[str, Any] = {"peer": LENDERS[0], "direction": "passed", "persons": 1}
        entries = [ServeWithdraw(batch=2, **passed), ServeWithdraw(batch=1, **passed)]
        entries += [LogDay(day=day, head=HEAD) for day in reversed(JANUARY)]
        assert codes(verified(tmp_path, *entries)) == ["order", "order"]


class TestALender:
    def approved(self, tmp_path: Path, *entries: Entry) -> Verification:
        ledger = new_ledger(tmp_path / "lender.db", PARTY, CEILINGS)
        ledger.append(lambda state: approval(enrolled_plan()))
        ledger.close()
        for entry in entries:
            append_raw(tmp_path / "lender.db", entry)
        return verify_ledger(tmp_path / "lender.db")

    def test_tells_nothing(self, tmp_path: Path):
        found = self.approved(tmp_path, admit(FIRST, {}), LogDay(day=JANUARY[0], head=HEAD))
        assert found.ok
        assert (found.scoring.bits, found.scoring_by_lender) == ({}, {})

    @pytest.mark.parametrize(
        ("entry", "code"),
        [
            (admit(FIRST), "release"),
            (admit(manifest(lenders=("lender-2",)), {}), "release"),
        ],
    )
    def test_an_approval_that_does_not_fit(self, tmp_path: Path, entry: AdmitRelease, code: str):
        assert codes(self.approved(tmp_path, entry)) == [code]

    def test_charges_nothing(self, tmp_path: Path):
        assert codes(self.approved(tmp_path, admit(FIRST, {}), served(FIRST, JANUARY[0]))) == ["serving"]


def test_a_release_is_charged_until_its_last_day(tmp_path: Path):
    short = manifest(expires=date(2031, 1, 5))
    assert verified(tmp_path, admit(short), served(short, "2031-01-05")).ok


class TestReport:
    def page(self, tmp_path: Path, *entries: Entry) -> Reader:
        path = platform_ledger(tmp_path / "video.db", *entries)
        document = write_compliance_report([path], tmp_path / "report.html").read_text(encoding="utf-8")
        sound(document)
        return Reader(document)

    def words(self, tmp_path: Path, *entries: Entry) -> str:
        return self.page(tmp_path, *entries).text

    def test_says_what_release_for_whom_and_what_was_told(self, tmp_path: Path):
        passed: dict[str, Any] = {"peer": LENDERS[0], "direction": "passed"}
        page = self.page(
            tmp_path,
            admit(FIRST),
            *(served(FIRST, day) for day in (*JANUARY, "2031-02-01")),
            ServeWithdraw(batch=1, persons=4, **passed),
            ServeWithdraw(batch=2, persons=3, **passed),
            EndRelease(release=FIRST.hash, why="a newer one"),
        )
        assert "a newer one" in page.section("timeline")
        told = page.section("scoring")
        for expected in (LENDERS[0], LENDERS[1], "signal 6 bits", "capacity 6 bits", "2031-01-05 to 2031-02-01"):
            assert expected in told
        assert "shifted" not in told
        withdrawn = told.split("Withdrawn consents to be scored")[1]
        assert withdrawn.index(LENDERS[0]) < withdrawn.index(" 7")
        assert "12 bits" in page.section("glance")

    def test_lists_each_correction_with_cause_and_words(self, tmp_path: Path):
        entries = [entry for day in JANUARY for entry in (served(FIRST, day), corrected(FIRST, day, why=f"of {day}"))]
        rows = self.page(tmp_path, admit(FIRST), *entries).section("scoring")
        for day in JANUARY:
            assert day in rows
            assert f"of {day}" in rows
        assert rows.count(" wrong rows ") == 2

    def test_words_of_a_ledger_do_no_harm(self, tmp_path: Path):
        hostile = "<script>alert(1)</script>"
        words = self.words(tmp_path, admit(FIRST), EndRelease(release=FIRST.hash, why=hostile))
        assert hostile in words  # as text: `sound` refuses a document with a script
