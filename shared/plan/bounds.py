"""How large a plan may be: whoever looks at one has not agreed to it yet, and no size in it may cost time or memory."""

from __future__ import annotations

import re
import tomllib
from typing import Any

MAX_TEXT = 2**20
"""Bytes of a plan's text, canonical or TOML."""

MAX_GROUPS, MAX_PARTIES, MAX_CROSSES = 50, 1000, 1000

MAX_BANDS = 2**16
"""Combinations of bands of protected features that a platform may tell of one person."""

MOST_COUNT = 10**6
"""Invocations of one kind that are composed."""

MOST_RECORDS = 1000
"""Records of a person in one release: the weights of more are no floats."""

# tomllib walks every prefix of a dotted key, so keys of many parts would take minutes; plans have three or four.
_DOTTED = re.compile(r"""(?<![\w-])(?:(?:[\w-]++|"(?:[^"\\\n]|\\.){0,120}+"|'[^'\n]{0,120}+')[ \t]*+\.[ \t]*+){32}""")


class TooLarge(ValueError):
    """A TOML text that is not read, since it is too long or too deep."""


def read_toml(text: str) -> dict[str, Any]:
    """A TOML text as plain data.

    Raises:
        TooLarge: see the class.
        tomllib.TOMLDecodeError: it is no TOML.
    """
    if len(text) > MAX_TEXT:
        raise TooLarge(f"a text has at most {MAX_TEXT} characters, this one has {len(text)}")
    if _DOTTED.search(text):
        raise TooLarge("a dotted key has more than 32 parts")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError:
        raise TooLarge("tables or lists are nested too deep") from None
    except ValueError as error:  # a number that Python does not read
        raise TooLarge(f"a value is too large: {error}") from None
