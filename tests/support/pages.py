"""Pages of reports for tests: a strict reader, and what holds for every page."""

from __future__ import annotations

import re
from html.parser import HTMLParser

VOID = {"meta", "br", "line", "rect", "circle", "path", "polyline", "polygon"}


class Reader(HTMLParser):
    """Reads a page; an element that is not closed, or closed out of its order, is an error."""

    def __init__(self, document: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.pieces: list[str] = []
        self.parts: dict[str, list[str]] = {}
        self._section = ""
        self.feed(document)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "section":
            self._section = dict(attrs).get("id") or ""
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.pieces.append(data)
            self.parts.setdefault(self._section, []).append(data)

    @property
    def text(self) -> str:
        """All words of the page, with single spaces."""
        return " ".join(" ".join(self.pieces).split())

    def section(self, key: str) -> str:
        """The words of one section, with single spaces."""
        return " ".join(" ".join(self.parts[key]).split())

    def classes(self, tag: str) -> list[str]:
        """The classes of all elements of that name."""
        return [attributes.get("class") or "" for name, attributes in self.tags if name == tag]

    def count(self, tag: str) -> int:
        """How many elements of that name there are."""
        return sum(name == tag for name, _ in self.tags)


def sound(document: str) -> str:
    """The words of a page that is well-formed, loads nothing and shows nothing that is no number."""
    found = Reader(document)
    assert {tag for tag, _ in found.tags}.isdisjoint({"script", "img", "link", "iframe", "object", "base", "form"})
    for tag, attributes in found.tags:
        assert "style" not in attributes, tag
        assert not any(name.startswith("on") for name in attributes), tag
        for name in ("src", "href"):
            assert (attributes.get(name) or "#").startswith("#"), tag
    assert not re.search(r"https?://|url\(|@import", document)
    assert not re.search(r"\b(None|nan|NaN|inf|True|False)\b", found.text), re.findall(
        r".{40}\b(?:None|nan|inf)\b.{20}", found.text
    )
    assert not re.search(r'="[^"]*\b(nan|inf|None)\b[^"]*"', document)
    return found.text
