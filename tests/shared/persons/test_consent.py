"""Consents: when one holds and for what, how a cell lists them, and which records and persons they let through."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from datetime import date, timedelta

import numpy as np
import pytest
from builders import small_records
from hypothesis import given
from hypothesis import strategies as st

from sealscore.shared.persons.consent import FEDERATION, Consent, ConsentError, may, parse_consents
from sealscore.shared.persons.records import Records

DAY, PURPOSE = date(2031, 1, 6), "credit-scoring"
ONE = timedelta(days=1)
days = st.dates(date(2030, 12, 1), date(2031, 2, 28))
consents = st.builds(
    Consent,
    st.sampled_from(["video-1", "lender-2", FEDERATION]),
    st.sampled_from([None, PURPOSE, "marketing"]),
    st.none() | days,
    st.none() | days,
    st.none() | days,
)


class TestState:
    @pytest.mark.parametrize(
        ("consent", "state"),
        [
            (Consent("x"), "live"),
            (Consent("x", PURPOSE), "live"),
            (Consent("x", "marketing"), "other-purpose"),
            (Consent("x", given=DAY), "live"),
            (Consent("x", given=DAY + ONE), "not-yet"),
            (Consent("x", expires=DAY), "live"),
            (Consent("x", expires=DAY - ONE), "expired"),
            (Consent("x", withdrawn=DAY), "withdrawn"),
            (Consent("x", withdrawn=DAY + ONE), "live"),
            (Consent("x", withdrawn=DAY - ONE, expires=DAY - ONE), "withdrawn"),
            (Consent("x", "marketing", withdrawn=DAY - ONE), "other-purpose"),
        ],
    )
    def test_on_a_day(self, consent: Consent, state: str):
        assert consent.state(PURPOSE, DAY) == state
        assert may([consent], "x", PURPOSE, DAY) == (state == "live")

    @given(consents, days)
    def test_one_that_is_withdrawn_never_comes_back(self, consent: Consent, day: date):
        gone = dataclasses.replace(consent, withdrawn=day)
        assert not any(gone.state(PURPOSE, day + n * ONE) == "live" for n in range(60))

    @given(consents, days)
    def test_it_is_live_where_each_of_its_limits_lets_it(self, consent: Consent, day: date):
        live = (
            consent.purpose in (None, PURPOSE)
            and (consent.given is None or consent.given <= day)
            and (consent.expires is None or day <= consent.expires)
            and (consent.withdrawn is None or day < consent.withdrawn)
        )
        assert (consent.state(PURPOSE, day) == "live") == live

    @given(st.lists(consents, max_size=5), days)
    def test_one_that_no_withdrawal_has_ended_is_enough_and_none_is_not(self, given: list[Consent], day: date):
        told = [c for c in given if c.recipient == "video-1" and c.purpose in (None, PURPOSE)]
        gone = [c.withdrawn for c in told if c.withdrawn and c.withdrawn <= day]
        live = [c for c in told if c.state(PURPOSE, day) == "live"]
        assert may(given, "video-1", PURPOSE, day) == any(
            (c.given or date.min) > max(gone, default=date.min) or not gone for c in live
        )

    @pytest.mark.parametrize(
        ("cell", "holds"),
        [
            ("x; x withdrawn 2031-01-05", False),
            ("x withdrawn 2031-01-05; x", False),
            ("x from 2031-01-05; x withdrawn 2031-01-05", False),
            ("x withdrawn 2031-01-05; x from 2031-01-06", True),
            ("x; x withdrawn 2031-01-07", True),
            ("x; y withdrawn 2031-01-05", True),
            ("x; x for marketing withdrawn 2031-01-05", True),
            ("x for credit-scoring; x withdrawn 2031-01-05", False),
            ("x; x for credit-scoring withdrawn 2031-01-05", False),
        ],
    )
    def test_a_withdrawal_counts_where_it_stands_by_itself(self, cell: str, holds: bool):
        assert may(parse_consents(cell), "x", PURPOSE, DAY) == holds


class TestCells:
    @pytest.mark.parametrize(
        ("cell", "found"),
        [
            ("", ()),
            (" ; ", ()),
            ("video-1", (Consent("video-1"),)),
            ("video-1;federation", (Consent("video-1"), Consent(FEDERATION))),
            ("video-1 | lender-2 , wallet", (Consent("video-1"), Consent("lender-2"), Consent("wallet"))),
            (
                "video-1 for credit-scoring from 2030-01-01 until 2031-12-31 withdrawn 2031-01-05",
                (Consent("video-1", PURPOSE, date(2030, 1, 1), date(2031, 12, 31), date(2031, 1, 5)),),
            ),
            ("video-1 until 2031-12-31 for x", (Consent("video-1", "x", None, date(2031, 12, 31)),)),
        ],
    )
    def test_as_they_are_written(self, cell: str, found: tuple[Consent, ...]):
        assert parse_consents(cell) == found

    @pytest.mark.parametrize(
        ("cell", "what"),
        [
            ("Video-1", "begins with the name of a party"),
            ("-", "begins with the name of a party"),
            ("video-1 until", "the last word of a consent has no value"),
            ("video-1 since 2031-01-01", "after the recipient come for, from, until, withdrawn"),
            ("video-1 until 2031-01-01 until 2031-01-02", "each once at most"),
            ("video-1 until 1.2.2031", "written 2027-03-31"),
            ("video-1 until 2031-02-30", "written 2027-03-31"),
            ("video-1 for Scoring!", "a purpose is of a-z, 0-9 and hyphens"),
        ],
    )
    def test_what_is_none_is_said_without_the_cell(self, cell: str, what: str):
        with pytest.raises(ConsentError, match=what) as caught:
            parse_consents(cell)
        assert cell not in str(caught.value)

    @given(st.lists(consents, max_size=4))
    def test_what_is_written_is_read_again(self, given: list[Consent]):
        assert parse_consents(";".join(consent.text for consent in given)) == tuple(given)

    @given(st.text(max_size=60))
    def test_any_text_is_a_list_of_consents_or_an_error(self, cell: str):
        with suppress(ConsentError):
            assert all(isinstance(consent, Consent) for consent in parse_consents(cell))


class TestRecords:
    @staticmethod
    def records(*given: tuple[Consent, ...], persons: str = "") -> Records:
        part = small_records(len(given))
        return dataclasses.replace(part, person=tuple(persons) or part.person, consent=given)

    def test_without_a_column_everybody_consents(self):
        part = small_records(5)
        assert part.live("video-1", PURPOSE).all()
        assert part.consenting("video-1", PURPOSE) == part.person

    def test_the_recipient_and_the_purpose_count(self):
        part = self.records(
            (Consent("video-1"),),
            (Consent("lender-2"),),
            (Consent("video-1", "marketing"),),
            (),
            (Consent(FEDERATION),),
        )
        assert part.live("video-1", PURPOSE, DAY).tolist() == [True, False, False, False, False]
        assert part.live("video-1", "marketing", DAY).tolist() == [True, False, True, False, False]
        assert part.live(FEDERATION, PURPOSE, DAY).tolist() == [False, False, False, False, True]

    def test_a_person_consents_with_all_records_or_not_at_all(self):
        yes, no = (Consent("video-1"),), (Consent("video-1", withdrawn=DAY),)
        part = self.records(yes, no, yes, yes, yes, persons="aabcb")
        assert part.consenting("video-1", PURPOSE, DAY) == ("b", "c")
        assert part.consenting("video-1", PURPOSE, DAY - ONE) == ("a", "b", "c")

    def test_today_is_the_day_in_utc(self):
        part = self.records((Consent("video-1", expires=date(2020, 1, 1)),), (Consent("video-1"),))
        assert part.live("video-1", PURPOSE).tolist() == [False, True]

    def test_consents_go_along_with_chosen_records(self):
        part = self.records((Consent("a"),), (Consent("b"),), (Consent("c"),)).take(np.array([2, 0]))
        assert part.consent == ((Consent("c"),), (Consent("a"),))
