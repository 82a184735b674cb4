"""The engine of all pages: jinja2 templates in which every value is escaped unless it is markup.

Markup is `Html`, which only the templates, `element` and the figures make. So whatever a plan or a party wrote shows as
text and cannot become markup.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from markupsafe import escape as escaped

from sealscore.shared.text.foreign import invisible

_FOLDER = Path(__file__).parent / "templates"
_VOID = frozenset({"meta", "br", "line", "rect", "circle", "path", "polyline", "polygon"})


class Html(Markup):
    """Markup that is safe as it is; text that is added to it is escaped."""

    __slots__ = ()

    @classmethod
    def escape(cls, value: object) -> Html:
        """See `escape`."""
        return escape(value)


def escape(value: object) -> Html:
    """A value as markup: markup as it is, all else as text.

    Characters that do not print, among them those that turn the direction of writing, are replaced: a name must not
    be able to show as another.
    """
    if isinstance(value, Markup):
        return value if isinstance(value, Html) else Html(value)
    text = "".join("\N{REPLACEMENT CHARACTER}" if invisible(c) and c not in "\n\u00a0" else c for c in str(value))
    return Html(str(escaped(text)))


def join(parts: Iterable[object], between: str = "") -> Html:
    """Parts one after the other, each escaped where needed."""
    return Html(str(escape(between)).join(str(escape(part)) for part in parts))


def element(tag: str, *content: object, **attributes: object) -> Html:
    """An element of SVG, or a small one of HTML. An attribute's trailing _ is dropped and other _ become -.

    An attribute that is None is left out.
    """
    given = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    if tag in _VOID and not content:
        return Html(f"<{tag}{given}>" if tag in ("meta", "br") else f"<{tag}{given}/>")
    return Html(f"<{tag}{given}>{join(content)}</{tag}>")


def part(name: str, *values: object) -> Html:
    """One of the macros of parts.html with its values."""
    return Html(str(getattr(_environment().get_template("parts.html").module, name)(*values)).strip())


def document(**values: object) -> str:
    """The whole page, by page.html."""
    return _environment().get_template("page.html").render(**values)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=escape,
    )
