"""Text of others is shown on one line, visible and bounded; hashes are shown whole, in groups."""

from __future__ import annotations

import hashlib
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealscore.shared.text.foreign import MOST, grouped, invisible, json_line, plain, ungrouped, visible

HASH = hashlib.sha256(b"a plan").hexdigest()


@pytest.mark.parametrize("text", ["", "a plan for tests", "消费贷 违约", "Nguyễn", "a\u3000b", "[bold]x[/]"])
def test_plain_words_are_left_as_they_are(text: str):
    assert plain(text) == visible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\rc\td", "a\\x0ab\\x0dc\\x09d"),
        ("\x1b[8mhidden\x9b1m\x7f", "\\x1b[8mhidden\\x9b1m\\x7f"),
        ("\u202ereversed\u2066\u2069\u200e\u200f\u061c", "\\u202ereversed\\u2066\\u2069\\u200e\\u200f\\u061c"),
        ("zero\u200bwidth\ufeff\u2060", "zero\\u200bwidth\\ufeff\\u2060"),
        ("line\u2028par\u2029next\x85", "line\\u2028par\\u2029next\\x85"),
        (
            "tag\U000e0041 filler\u3164 blank\u2800 select\ufe0f",
            "tag\\U000e0041 filler\\u3164 blank\\u2800 select\\ufe0f",
        ),
        ("cost" + " " * 4 + "nothing", "cost \\x20\\x20\\x20nothing"),
        ("broken \ud800", "broken \\ud800"),
        ("a" + "\u0301" * 5, "a\u0301\u0301\u0301\\u0301\\u0301"),
    ],
)
def test_what_is_invisible_is_written_as_an_escape(text: str, shown: str):
    assert plain(text) == shown


def test_a_number_and_its_unit_are_shown_with_a_blank_between():
    assert visible("88.1\xa0% of persons") == "88.1 % of persons"
    assert plain("88.1\xa0%") == "88.1\\xa0%"


def test_a_long_text_is_cut_and_says_by_how_much():
    assert plain("x" * 10_000) == "x" * MOST + "... (9,500 more characters)"
    assert plain("x" * 10_000, 20) == "x" * 20 + "... (9,980 more characters)"
    assert plain("\n" * 10_000, 20) == "\\x0a" * 5 + "... (9,995 more characters)"
    assert plain("x" * MOST) == "x" * MOST


@given(st.text(max_size=2000), st.integers(1, 700))
def test_whatever_it_is_given_it_is_one_short_visible_line(text: str, most: int):
    shown = plain(text, most)
    assert len(shown) <= most + 40
    assert len(shown.splitlines()) <= 1
    assert not any(unicodedata.category(one) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") for one in shown)
    shown.encode("utf-8")
    assert set(visible(text)) - {"\n"} <= {one for one in visible(text) if one.isprintable() or one == "\u3000"}


def test_a_hash_is_shown_whole_and_taken_back_however_it_is_grouped():
    assert grouped(HASH).replace(" ", "") == HASH
    assert {len(group) for group in grouped(HASH).split(" ")} == {8}
    assert len(grouped(HASH)) < 80
    for written in (HASH, grouped(HASH), grouped(HASH).replace(" ", "-"), HASH.upper(), f" {HASH}\n"):
        assert ungrouped(written) == HASH
    assert ungrouped("my plan-1") == "my plan-1"


@given(st.text() | st.sampled_from(["\x1b[2J\r\n", "\x9b2J", "\u202eevil", "\U000e0041", "\ud800", "消费贷 违约"]))
def test_a_line_of_json_shows_all_and_means_the_same(text: str):
    line = json_line({"application_id": text})
    assert not any(map(invisible, line))
    assert json.loads(line) == {"application_id": text}
    if not any(map(invisible, text)):
        assert line == json.dumps({"application_id": text}, ensure_ascii=False)
