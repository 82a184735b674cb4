"""Normal forms: one person has one form however a party writes the identifier, and nobody else has it."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealscore.shared.persons.identifiers import NORMAL_FORMS, fingerprint


@pytest.mark.parametrize("form", NORMAL_FORMS)
@given(st.text(max_size=12))
def test_a_normal_form_is_its_own_normal_form(form: str, text: str):
    once = NORMAL_FORMS[form](text)
    assert NORMAL_FORMS[form](once) == once


def test_every_single_character_too():
    form = NORMAL_FORMS["creator-id"]
    characters = (chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000)
    assert not [c for c in characters if form(form(c)) != form(c)]


@pytest.mark.parametrize(
    "written",
    ["ab-c1", "AB-C1", " Ab-c1\n", "\uff21\uff22\uff0d\uff23\uff11", "\u3000ab-c1\u00a0"],
)
def test_one_creator_id_in_many_writings(written: str):
    assert NORMAL_FORMS["creator-id"](written) == "ab-c1"


@pytest.mark.parametrize(("one", "other"), [("42", "042"), ("a b", "ab"), ("a-b", "a_b"), ("\u0e01", "\u0e02")])
def test_two_identifiers_stay_two(one: str, other: str):
    assert NORMAL_FORMS["creator-id"](one) != NORMAL_FORMS["creator-id"](other)


def test_composed_and_decomposed_letters_are_one():
    assert NORMAL_FORMS["creator-id"]("\u00e9") == NORMAL_FORMS["creator-id"]("e\u0301")
    assert NORMAL_FORMS["creator-id"]("Stra\u00dfe") == NORMAL_FORMS["creator-id"]("STRASSE")


def test_exact_changes_nothing():
    assert NORMAL_FORMS["exact"](" Ab ") == " Ab "


@pytest.mark.parametrize(
    ("form", "nothing"),
    [
        ("exact", ""),
        ("creator-id", " \u3000\t"),
        ("phone", "12"),
        ("phone", "nobody"),
        ("national-id", "110105194912310021"),
        ("national-id", "11010519491231002"),
    ],
)
def test_an_identifier_that_has_no_such_form(form: str, nothing: str):
    assert NORMAL_FORMS[form](nothing) == ""


@pytest.mark.parametrize("written", ["13800138000", "+86 138-0013-8000", "0086 138 0013 8000", "\uff0b8613800138000"])
def test_a_phone_number_has_one_form_however_it_is_written(written: str):
    assert NORMAL_FORMS["phone"](written) == "+8613800138000"


@pytest.mark.parametrize("written", ["11010519491231002x", " 110105 19491231 002X "])
def test_a_national_id_has_one_form_however_it_is_written(written: str):
    assert NORMAL_FORMS["national-id"](written) == "11010519491231002X"


def test_fingerprints_tell_forms_apart(monkeypatch: pytest.MonkeyPatch):
    found = {form: fingerprint(form) for form in NORMAL_FORMS}
    assert len(set(found.values())) == len(found)
    assert all(len(bytes.fromhex(value)) == 32 for value in found.values())
    # A party that folds a little less has another fingerprint, though it calls the form by the same name.
    monkeypatch.setitem(NORMAL_FORMS, "creator-id", lambda text: text.strip().lower())
    assert fingerprint("creator-id") != found["creator-id"]
