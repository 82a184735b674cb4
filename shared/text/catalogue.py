"""Texts for people in their language: written in English in the code, and in other languages in one catalogue.

`tr` looks its text up in the language that `speaking` has set, English where none is. Values are put in after the
lookup, so that a sentence is translated whole and its parts may change places.
"""

from __future__ import annotations

import gettext
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path

FOLDER = Path(__file__).parent / "locale"
DOMAIN = "sealscore"
LANGUAGES = ("en", "zh")

_language: ContextVar[str] = ContextVar("language", default="en")


def tr(text: str, /, **values: object) -> str:
    """The text in the language in force, with `{name}` replaced by values; in English where it has no translation."""
    found = text if _language.get() == "en" else translations(_language.get()).gettext(text)
    return found.format(**values) if values else found


def trn(one: str, many: str, count: int, /, **values: object) -> str:
    """`tr` of a text that depends on a number; it is `{count}` where no such value is given."""
    if _language.get() == "en":
        found = one if count == 1 else many
    else:
        found = translations(_language.get()).ngettext(one, many, count)
    return found.format(**{"count": count} | values)


def marked(text: str) -> str:
    """The text as it is, noted for the catalogue: for constants, which `tr` looks up when they are shown."""
    return text


def language() -> str:
    """The language in force, as "en"."""
    return _language.get()


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Texts within are in this language; ValueError where there is no catalogue of it."""
    if language not in LANGUAGES:
        raise ValueError(f"no texts in the language {language!r}; there are {', '.join(LANGUAGES)}")
    token = _language.set(language)
    try:
        yield
    finally:
        _language.reset(token)


@lru_cache(maxsize=4)
def translations(language: str) -> gettext.NullTranslations:
    """The catalogue of a language other than English."""
    with (FOLDER / language / "LC_MESSAGES" / f"{DOMAIN}.mo").open("rb") as file:
        return gettext.GNUTranslations(file)
