"""The page: nothing that is not ours becomes markup, and nothing is loaded from anywhere."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealscore.compliance.pages.page import (
    Column,
    Html,
    Page,
    bullets,
    cards,
    element,
    escape,
    figure,
    join,
    pairs,
    table,
)

HOSTILE = '<script>alert("x")</script> & <img src=x onerror=y>'


def test_text_is_escaped_and_markup_is_not():
    assert escape(HOSTILE).startswith("&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt; &amp; ")
    assert escape(Html("<b>")) == "<b>"
    assert Html("<b>") + "<i>" == "<b>&lt;i&gt;"
    assert escape(1.5) == "1.5"
    assert isinstance(escape("a"), Html)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_no_text_becomes_markup(text: str):
    """Whatever is put in, the reader finds the elements of the page and no others."""

    def shape(content: str) -> list[str]:
        made = [element("p", content, title=content), table([content], [[content]], "x"), cards([(content,) * 3])]
        return [piece.split()[0].rstrip(">") for piece in join(made).split("<")[1:]]

    assert shape(text) == shape("")


@pytest.mark.parametrize("sly", ["\u202e", "\u200b", "\x00", "\x1b", "\u2066"])
def test_characters_that_do_not_print_are_replaced(sly: str):
    assert escape(f"a{sly}b") == "a\N{REPLACEMENT CHARACTER}b"
    assert escape("信贷 é\nü\u00a0%") == "信贷 é\nü\u00a0%"


def test_attributes():
    assert element("a", "x", href='"><script>') == '<a href="&#34;&gt;&lt;script&gt;">x</a>'
    assert element("td", "x", class_="number", data_x=1, scope=None) == '<td class="number" data-x="1">x</td>'
    assert element("line", x1=1) == '<line x1="1"/>'
    assert element("meta", charset="utf-8") == '<meta charset="utf-8">'


def test_tables():
    made = table(["a", Column("b", number=True)], [["x", 1], ["y", 2]], "what it is")
    assert made.count("<tr>") == 3
    assert "<caption>what it is</caption>" in made
    assert '<th scope="row">x</th><td class="number">1</td>' in made
    with pytest.raises(ValueError, match="columns"):
        table(["a", "b"], [["x"]])


def test_long_tables_may_break_in_print():
    short, long = table(["a"], [["x"]] * 3), table(["a"], [["x"]] * 40)
    assert 'class="scroll"' in short
    assert 'class="scroll long"' in long


def test_nothing_stands_for_an_empty_list():
    assert bullets([]) == ""


def test_a_page(read: Any):
    page = Page(HOSTILE, f"sub {HOSTILE}")
    page.section("First", element("p", HOSTILE))
    page.section(HOSTILE, pairs([(HOSTILE, HOSTILE)]), figure(element("svg"), HOSTILE, HOSTILE))
    document = page.render()
    found = read(document)
    assert document.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert found.count("script") == found.count("img") == 0
    assert found.count("section") == 2
    assert found.text.count('alert("x")') == 10
    links = {attributes["href"] for tag, attributes in found.tags if tag == "a"}
    sections = {f"#{attributes['id']}" for tag, attributes in found.tags if tag == "section"}
    assert links == sections == {"#s1", "#s2"}


def test_a_page_loads_and_runs_nothing(read: Any):
    page = Page("title", "subtitle")
    page.section("First", "text")
    document = page.render()
    assert "http" not in document.replace("http-equiv", "")
    assert "url(" not in document
    assert "@import" not in document
    policy = next(a["content"] for tag, a in read(document).tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"
