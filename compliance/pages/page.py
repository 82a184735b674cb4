"""Parts of a self-contained page: paragraphs, tables, cards, figures, sections; see `engine` for how they are escaped.

The page loads nothing and runs nothing, and says so to the browser by its content security policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sealscore.compliance.pages.engine import Html, document, element, escape, join, part
from sealscore.compliance.pages.style import STYLE

__all__ = ["Html", "element", "escape", "join"]

# Tables up to so many rows stay on one page in print.
_LONG = 14
# Tables of sentences, which are long with few rows.
_WORDY = ("words", "even", "kinds", "checks")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


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
    entries = list(items)
    return part("listing", "ul", entries) if entries else Html("")


def numbered(items: Iterable[object]) -> Html:
    """A numbered list; nothing where there are no items."""
    entries = list(items)
    return part("listing", "ol", entries) if entries else Html("")


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
    body = [list(row) for row in rows]
    for row in body:
        if len(row) != len(known):
            raise ValueError(f"a row of a table has {len(row)} entries, and the table {len(known)} columns")
    return part("table", known, body, caption, class_, len(body) > _LONG or class_ in _WORDY)


def pairs(entries: Iterable[tuple[object, object]]) -> Html:
    """Terms and what is to be said of them, in two columns."""
    return part("pairs", list(entries))


def figure(drawing: Html, title: object, *words: object, wide: bool = False) -> Html:
    """A drawing under its title, with the sentence that explains how to read it."""
    return part("figure", drawing, title, words, wide)


def figures(*drawn: Html) -> Html:
    """Figures side by side where there is room."""
    return element("div", *drawn, class_="figures")


def cards(entries: Iterable[tuple[object, object, object]]) -> Html:
    """Key figures: what it is, the figure, and a sentence on what it means."""
    return part("cards", list(entries))


def notice(title: object, *content: object, class_: str | None = None) -> Html:
    """A box that is not to be overlooked."""
    return part("notice", title, content, class_)


def signed_line(*labels: object) -> Html:
    """Blanks to write in, each over its label."""
    return part("sign", labels)


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
        sections = [{"key": key, "heading": heading, "content": made} for key, heading, made in self._sections]
        return document(
            title=self.title,
            subtitle=self.subtitle,
            language=self.language,
            style=Html(STYLE),
            policy=_POLICY,
            sections=sections,
        )
