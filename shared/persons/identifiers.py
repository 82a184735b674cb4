"""Normal forms of identifiers: one person must have one form at every party, or nobody is found."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable

# Written in ways that a normal form may or may not tell apart; see `fingerprint`.
_SAMPLES = (
    *("42", " 42", "042", "Ab-c", "AB-C", "Stra\u00dfe", "\uff21\uff22\uff11", "e\u0301", "\u00e9", "a b", "a\u00a0b"),
    *("13800138000", "+86 138-0013-8000", "11010519491231002x", "11010519491231002X"),
)


def _exact(identifier: str) -> str:
    return identifier


def _creator_id(identifier: str) -> str:
    """NFKC and case folding twice over (the second undoes what the first leaves open), no white space around."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", identifier).casefold())
    return folded.strip()


def _phone(identifier: str) -> str:
    """E.164, as "+8613800138000"; a number without a country's code is one of mainland China."""
    import phonenumbers  # its tables take a while to load

    try:
        number = phonenumbers.parse(unicodedata.normalize("NFKC", identifier), "CN")
    except phonenumbers.NumberParseException:
        return ""
    if not phonenumbers.is_valid_number(number):
        return ""
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def _national_id(identifier: str) -> str:
    """A resident identity number of China: 17 digits and the check character of GB 11643-1999 (ISO 7064 MOD 11-2)."""
    found = "".join(unicodedata.normalize("NFKC", identifier).split()).upper()
    if len(found) != 18 or not (found[:17].isascii() and found[:17].isdigit()):
        return ""
    weights = [2 ** (17 - place) % 11 for place in range(17)]
    total = sum(weight * int(digit) for weight, digit in zip(weights, found, strict=False))
    return found if "10X98765432"[total % 11] == found[17] else ""


NORMAL_FORMS: dict[str, Callable[[str], str]] = {
    "exact": _exact,
    "creator-id": _creator_id,
    "phone": _phone,
    "national-id": _national_id,
}
"""Each gives the identifier in its form, and empty text where it is none of that kind or nothing is left of it."""


def fingerprint(form: str) -> str:
    """What a normal form does to fixed samples, as 64 hexadecimal digits: parties compare it before they align."""
    results = [NORMAL_FORMS[form](sample) for sample in _SAMPLES]
    return hashlib.sha256("\0".join([form, *results]).encode()).hexdigest()
