"""Text that others wrote, as it may be shown: one line, nothing invisible, of bounded length; and hashes in groups.

A purpose, a column's name or a reason in a ledger may hold whatever its author likes: line feeds and terminal codes
that draw rows of their own, marks that turn the direction of writing, ten thousand characters that push the rest off
the screen. What is shown is what a reader sees, and the place of everything else is shown by an escape.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

MOST = 500
"""Characters of a foreign text that are shown where nothing else is said."""
GROUP = 8

_ACCENTS = 3  # marks above one another on one letter; no language needs more, and more reach into other lines
# Printable by their class in Unicode, and blank on a screen: fillers, joiners, variation selectors, a blank of dots.
_BLANK = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
_PLAIN = re.compile(r"[\x20-\x7e]*")


def plain(text: object, most: int = MOST) -> str:
    """A foreign text as one visible line of `most` characters at most, and how many more there are.

    Control characters, line feeds and separators, marks of direction, zero-width and unassigned characters, blanks
    after a blank and accents heaped on one letter are written as escapes, `\\x1b` or `\\u202e`.
    """
    given = str(text)
    if len(given) <= most and "  " not in given and _PLAIN.fullmatch(given):
        return given
    shown: list[str] = []
    length, before, heaped = 0, "", 0
    for place, character in enumerate(given):
        heaped = heaped + 1 if unicodedata.combining(character) else 0
        hidden = (character == before == " ") or heaped > _ACCENTS or not _seen(character)
        piece = _escape(character) if hidden else character
        if length + len(piece) > most:
            return f"{''.join(shown)}... ({len(given) - place:,} more characters)"
        shown.append(piece)
        length += len(piece)
        before = character
    return "".join(shown)


def visible(text: str) -> str:
    """The same text, all of it, with escapes for what is invisible but line feeds.

    A no-break blank, which numbers of ours have before their unit, is shown as the blank that it is.
    """
    text = text.replace("\N{NO-BREAK SPACE}", " ")
    if _PLAIN.fullmatch(text):
        return text
    return "".join(one if one == "\n" or _seen(one) else _escape(one) for one in text)


def json_line(value: Any) -> str:
    """A value as JSON on one line, for screens and programs: what is invisible in it has escapes of JSON."""
    text = json.dumps(value, ensure_ascii=False)
    if _PLAIN.fullmatch(text):
        return text
    return "".join(one if _seen(one) else json.dumps(one)[1:-1] for one in text)


def grouped(digest: str) -> str:
    """A hash in groups of eight digits, whole: to be compared by eye, and folded between groups only."""
    return " ".join(digest[at : at + GROUP] for at in range(0, len(digest), GROUP))


def ungrouped(text: str) -> str:
    """A hash as somebody typed it, in groups or not, as plain digits; a text that is none comes back as it is."""
    bare = re.sub(r"[\s-]", "", text).lower()
    return bare if re.fullmatch(r"[0-9a-f]+", bare) else text


def encodable(text: str) -> bool:
    """Whether a text has bytes in UTF-8: half of a surrogate pair, which JSON can name, has none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def invisible(character: str) -> bool:
    """Whether nothing shows a reader that the character is there, or it acts on the text around it."""
    return not _seen(character)


def _seen(character: str) -> bool:
    # The ideographic blank is a blank of Chinese text, and as wide as a letter of it.
    return character == "\u3000" or (character.isprintable() and not _BLANK.match(character))


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
