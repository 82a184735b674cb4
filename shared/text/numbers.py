"""Numbers as readers see them. What is not known, or not finite, shows as words and never as a number."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sealscore.shared.text.catalogue import language

UNKNOWN = "not known"
LOST, UNRECORDED = "lost in noise", "no interval on record"
MINUS = "\N{MINUS SIGN}"
SPACE = "\N{NO-BREAK SPACE}"
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def known(value: float | None) -> bool:
    """Whether there is a finite number to show."""
    return value is not None and math.isfinite(value)


def fixed(value: float | None, digits: int = 3, sign: bool = False) -> str:
    """With so many digits after the point."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    text = f"{value:{'+' if sign else ''},.{digits}f}"
    if not text.strip("+-0.,"):
        text = text.lstrip("+-")
    return text.replace("-", MINUS)


def short(value: float | None, digits: int = 3) -> str:
    """With so many significant digits, without a tail of zeros; powers of ten for very small and large ones."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if value and not 1e-4 <= abs(value) < 1e15:
        mantissa, power = f"{value:.{digits - 1}e}".split("e")
        lead = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        raised = str(int(power)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        return f"{'' if lead == '1' else lead + ' · '}10{raised}".replace("-", MINUS)
    places = max(0, digits - 1 - math.floor(math.log10(abs(value)))) if value else 0
    text = f"{value:,.{places}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text).replace("-", MINUS)


def percent(value: float | None, digits: int = 0, sign: bool = False) -> str:
    """A share as percent."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    text = fixed(100 * value, digits, sign)
    return f"{text}{SPACE}%"


def share(value: float) -> float:
    """A share that noise carried beyond its range, put back into it."""
    return min(1.0, max(0.0, value))


def plus_minus(value: float | None, error: float | None, digits: int = 3, sign: bool = False) -> str:
    """A figure and half of its 95 % interval; the figure alone where there is none."""
    if not known(error):
        return fixed(value, digits, sign)
    return f"{fixed(value, digits, sign)} ± {fixed(error, digits)}"


def between(value: float, low: float, high: float, digits: int = 3) -> str:
    """A figure and its interval: "0.786 (0.774 to 0.799)"."""
    return f"{fixed(value, digits)} ({fixed(low, digits)} to {fixed(high, digits)})"


def recorded(figures: Mapping[str, Any], name: str, digits: int = 4) -> str:
    """A figure of a run's record with its interval; words where noise hides it or the record has no interval."""
    if figures.get(name) is None:
        return LOST
    ends = (figures.get("intervals") or {}).get(name)
    return UNRECORDED if ends is None else between(figures[name], ends[0], ends[1], digits)


def data_size(count: float | None) -> str:
    """A number of bytes in decimal units."""
    if count is None or not math.isfinite(count):
        return UNKNOWN
    for unit in _UNITS:
        if count < 1000 or unit == _UNITS[-1]:
            break
        count /= 1000
    return f"{fixed(count, 0 if unit == 'bytes' else 2 if count < 10 else 1 if count < 100 else 0)} {unit}"


def whole(value: float | None) -> str:
    """A count."""
    return fixed(value, 0)


def plural(count: int, one: str, many: str | None = None) -> str:
    """A count with its noun."""
    return f"{whole(count)} {one if count == 1 else many or one + 's'}"


def listed(words: Sequence[str], last: str = "and") -> str:
    """Words in a row: "a, b and c"."""
    if len(words) < 2:
        return "".join(words)
    if language() == "zh":
        return "、".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def coded(code: str) -> str:
    """A code such as "bad-cohort" as words; a text that is no code comes back as it is."""
    return code.replace("-", " ") if all(c.isascii() and (c.islower() or c in "-0123456789") for c in code) else code
