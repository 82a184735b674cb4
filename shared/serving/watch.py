"""The watch bit: once a calendar quarter, whether a borrower's channel is scored among the worst.

It is told in the day's batch, of which an entry is 16 bytes like the handle of a withdrawn token: a keyed tag, whose
key is the handle of the token that the lender used. Formal guarantee, as far as HMAC-SHA256 is a pseudorandom function:
to whoever does not know the handle a bit of 0, a bit of 1, an end and a dummy look alike, so a batch has one form
whatever it tells; and an entry is read as another one with probability 2^-128 each.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import date, timedelta

from sealscore.shared.fields import pack_fields
from sealscore.shared.serving.serving_keys import month_of

WATCH = "watch"
MOST_QUARTERS = 12
ENTRY_BYTES = 16
LONGEST_QUARTER = timedelta(days=92)
"""No calendar quarter has more days."""
_LABEL = b"sealscore watch 1"
_ENDED = "ended"
_QUARTER = re.compile(r"([0-9]{4})-q([1-4])")


def quarter_of(day: date) -> str:
    """The calendar quarter of a day, as 2027-q1: texts of later quarters are greater."""
    return f"{day.year:04}-q{(day.month + 2) // 3}"


def quarter_after(quarter: str, count: int) -> str:
    """The quarter that comes `count` after one, or before it where that is negative; ValueError for what is none."""
    year, place = _parts(quarter)
    place += count - 1
    return f"{year + place // 4:04}-q{place % 4 + 1}"


def first_day(quarter: str) -> date:
    """The first day of a quarter; ValueError for what is none."""
    year, place = _parts(quarter)
    return date(year, 3 * place - 2, 1)


def last_day(quarter: str) -> date:
    """The last day of a quarter; ValueError for what is none."""
    return first_day(quarter_after(quarter, 1)) - timedelta(days=1)


def period_of(kind: str, day: date) -> str:
    """The calendar period in which a kind is told once, and which a limit is for: a month; of the watch a quarter."""
    return quarter_of(day) if kind == WATCH else month_of(day)


def period_name(kind: str) -> str:
    """What that period is called."""
    return "quarter" if kind == WATCH else "month"


def watch_entry(handle: bytes, quarter: str, bit: int) -> bytes:
    """What stands in a batch for the bit of a quarter."""
    return _entry(handle, quarter, bit)


def end_entry(handle: bytes) -> bytes:
    """What stands in a batch where a creator agrees to be watched no more."""
    return _entry(handle, _ENDED, 0)


def _entry(handle: bytes, what: str, bit: int) -> bytes:
    body = pack_fields(_LABEL, what.encode(), bytes([bit]))
    return hmac.digest(handle, body, hashlib.sha256)[:ENTRY_BYTES]


def _parts(quarter: str) -> tuple[int, int]:
    found = _QUARTER.fullmatch(quarter)
    if found is None:
        raise ValueError("a quarter is written 2027-q1")
    return int(found[1]), int(found[2])
