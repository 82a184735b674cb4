"""Calendar months as whole numbers, so that "in a row" is a difference of one."""

from __future__ import annotations

import calendar
import re
from datetime import date, timedelta

_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")


def month_number(text: str) -> int:
    """The number of the month in which a text such as 2027-03 or 2027-03-31 lies; ValueError where there is none."""
    found = _MONTH.match(text)
    if found is None:
        raise ValueError("no month such as 2027-03")
    return 12 * int(found[1]) + int(found[2]) - 1


def month_text(month: int) -> str:
    """A month as 2027-03."""
    return f"{month // 12:04d}-{month % 12 + 1:02d}"


def days_in(month: int) -> int:
    """How many days a month has."""
    return calendar.monthrange(month // 12, month % 12 + 1)[1]


def last_day(month: int) -> date:
    """The last day of a month."""
    return date(month // 12, month % 12 + 1, days_in(month))


def closing_month(start: int, days: int) -> int:
    """The month in which a window of so many days is over for all loans of a month, also those of its last day."""
    return month_number(str(last_day(start) + timedelta(days=days)))
