"""A self-contained page: escaping, elements, tables, sections, and the style sheet for screen and print.

Text is escaped unless it is `Html`, which only the functions here and in the figures make. So whatever a plan or a
party wrote shows as text and cannot become markup. The page loads nothing and runs nothing, and says so to the
browser by its content security policy.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sealscore.compliance.pages.style import STYLE
from sealscore.shared.text.foreign import invisible

_VOID = frozenset({"meta", "br", "line", "rect", "circle", "path", "polyline", "polygon"})
# Tables up to so many rows stay on one page in print.
_LONG = 14
# Tables of sentences, which are long with few rows.
_WORDY = ("words", "even", "kinds", "checks")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


class Html(str):
    """Markup that is safe as it is."""

    __slots__ = ()


def escape(value: object) -> Html:
    """A value as markup: `Html` as it is, all else as text.

    Characters that do not print, among them those that turn the direction of writing, are replaced: a name must not
    be able to show as another.
    """
    if isinstance(value, Html):
        return value
    text = "".join("\N{REPLACEMENT CHARACTER}" if invisible(c) and c not in "\n\u00a0" else c for c in str(value))
    return Html(html.escape(text, quote=True))


def join(parts: Iterable[object], between: str = "") -> Html:
    """Parts one after the other, each escaped where needed."""
    return Html(str(escape(between)).join(escape(part) for part in parts))


def element(tag: str, *content: object, **attributes: object) -> Html:
    """An element of HTML or SVG. An attribute's trailing _ is dropped and other _ become -; None leaves it out."""
    given = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    if tag in _VOID and not content:
        return Html(f"<{tag}{given}>" if tag in ("meta", "br") else f"<{tag}{given}/>")
    return Html(f"<{tag}{given}>{join(content)}</{tag}>")


def paragraph(*content: object, class_: str | None = None) -> Html:
    """A paragraph."""
    return element("p", *content, class_=class_)


def strong(*content: object) -> Html:
    """Emphasised words."""
    return element("strong", *content)


def soft(*content: object) -> Html:
    """Subdued words."""
    return element("span", *content, class_="soft")


def bullets(items: Iterable[object]) -> Html:
    """A list; nothing where there are no items."""
    entries = [element("li", item) for item in items]
    return element("ul", *entries) if entries else Html("")


def numbered(items: Iterable[object]) -> Html:
    """A numbered list; nothing where there are no items."""
    entries = [element("li", item) for item in items]
    return element("ol", *entries) if entries else Html("")


@dataclass(frozen=True)
class Column:
    """A column of a table: its heading, and whether it has numbers (set to the right) or words."""

    heading: object
    number: bool = False


def table(
    columns: Sequence[object], rows: Iterable[Sequence[object]], caption: object = "", class_: str | None = None
) -> Html:
    """A table whose rows have one entry a column; the first entry of a row is its heading.

    A column is a `Column`, or the heading of one that has words.

    Raises:
        ValueError: a row has another number of entries.
    """
    known = [column if isinstance(column, Column) else Column(column) for column in columns]
    kinds = ["number" if column.number else None for column in known]
    head = [element("th", column.heading, scope="col", class_=kind) for column, kind in zip(known, kinds, strict=True)]
    body: list[Html] = []
    for row in rows:
        cells = [
            element("td" if place else "th", entry, class_=kind, scope=None if place else "row")
            for place, (entry, kind) in enumerate(zip(row, kinds, strict=True))
        ]
        body.append(element("tr", *cells))
    title = element("caption", caption) if caption else ""
    inner = element("table", title, element("thead", element("tr", *head)), element("tbody", *body), class_=class_)
    return element("div", inner, class_="scroll long" if len(body) > _LONG or class_ in _WORDY else "scroll")


def pairs(entries: Iterable[tuple[object, object]]) -> Html:
    """Terms and what is to be said of them, in two columns."""
    rows = [join([element("dt", term), element("dd", text)]) for term, text in entries]
    return element("dl", *rows)


def figure(drawing: Html, title: object, *words: object, wide: bool = False) -> Html:
    """A drawing under its title, with the sentence that explains how to read it."""
    said = element("figcaption", element("b", title), " ", *words)
    return element("figure", said, drawing, class_="wide" if wide else None)


def figures(*drawn: Html) -> Html:
    """Figures side by side where there is room."""
    return element("div", *drawn, class_="figures")


def cards(entries: Iterable[tuple[object, object, object]]) -> Html:
    """Key figures: what it is, the figure, and a sentence on what it means."""
    made = [
        element(
            "div",
            element("div", name, class_="name"),
            element("div", value, class_="value"),
            element("div", sentence, class_="means"),
            class_="card",
        )
        for name, value, sentence in entries
    ]
    return element("div", *made, class_="cards four" if len(made) % 4 == 0 else "cards")


def notice(title: object, *content: object, class_: str | None = None) -> Html:
    """A box that is not to be overlooked."""
    return element("aside", element("b", title), *content, class_=class_)


def signed_line(*labels: object) -> Html:
    """Blanks to write in, each over its label."""
    return element("div", *(element("div", label) for label in labels), class_="sign")


@dataclass
class Page:
    """A page of sections; `render` gives the whole document as text."""

    title: str
    subtitle: object
    language: str = "en"
    _sections: list[tuple[str, str, Html]] = field(default_factory=list)

    def section(self, heading: str, *content: object, key: str = "") -> None:
        """Add a section; `key` is its place in links, by default its number."""
        self._sections.append((key or f"s{len(self._sections) + 1}", heading, join(content)))

    def render(self) -> str:
        """The document: one file, no scripts, nothing that is loaded from anywhere."""
        links = [element("a", heading, href=f"#{key}") for key, heading, _ in self._sections]
        body = [
            element("section", element("h2", f"{place}. ", heading), content, id=key)
            for place, (key, heading, content) in enumerate(self._sections, start=1)
        ]
        head = element(
            "head",
            element("meta", charset="utf-8"),
            element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("title", self.title),
            element("style", Html(STYLE)),
        )
        header = element("header", element("h1", self.title), element("div", self.subtitle, class_="subtitle"))
        main = element("main", header, element("nav", *links), *body)
        return f"<!DOCTYPE html>\n{element('html', head, element('body', main), lang=self.language)}\n"
