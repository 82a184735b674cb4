"""Normal forms of identifiers: one person must have one form at every party, or nobody is found."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable

# Written in ways that a normal form may or may not tell apart; see `fingerprint`.
_SAMPLES = (
    "42",
    " 42",
    "042",
    "Ab-c",
    "AB-C",
    "Stra\u00dfe",
    "\uff21\uff22\uff11",
    "e\u0301",
    "\u00e9",
    "a b",
    "a\u00a0b",
)


def _exact(identifier: str) -> str:
    return identifier


def _creator_id(identifier: str) -> str:
    """NFKC and case folding twice over (the second undoes what the first leaves open), no white space around."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", identifier).casefold())
    return folded.strip()


NORMAL_FORMS: dict[str, Callable[[str], str]] = {"exact": _exact, "creator-id": _creator_id}


def normalise(form: str, identifier: str) -> str:
    """An identifier in the normal form of that name.

    Raises:
        KeyError: there is no such form.
        ValueError: nothing is left of the identifier.
    """
    found = NORMAL_FORMS[form](identifier)
    if not found:
        raise ValueError(f"an identifier is empty in the normal form {form!r}")
    return found


def fingerprint(form: str) -> str:
    """What a normal form does to fixed samples, as 64 hexadecimal digits: parties compare it before they align."""
    results = [NORMAL_FORMS[form](sample) for sample in _SAMPLES]
    return hashlib.sha256("\0".join([form, *results]).encode()).hexdigest()
