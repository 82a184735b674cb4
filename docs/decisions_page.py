"""Write answers of a scorer into docs/decisions.md: `python docs/decisions_page.py ANSWERS`.

ANSWERS is a JSON file with a list of answers, one for each command of "Over HTTP" that has a place for one; the test of
the page types those commands, and writes such a file where SEALSCORE_ANSWERS names one. The page's own text stands
outside the markers and is left alone.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("decisions.md")
SHOWN_DAY = date(2026, 11, 30)
_ID = re.compile(r"\b[0-9a-f]{32}\b")
_DAY = re.compile(r"\b20\d\d-\d\d-\d\d\b")
_PLACE = re.compile(r"(<!-- answer -->\n).*?(<!-- end -->)", re.DOTALL)
_WIDTH = 118


class Settled:
    """Ids and days of a run as the page shows them: always the same, and the same one for the same one."""

    def __init__(self, today: date) -> None:
        self._shift = SHOWN_DAY - today
        self._ids: dict[str, str] = {}

    def text(self, text: str) -> str:
        """A text with the page's ids and days."""
        return _DAY.sub(self._day, _ID.sub(lambda found: self._id(found[0]), text))

    def _id(self, id: str) -> str:
        return self._ids.setdefault(id, sha256(f"{len(self._ids)}".encode()).hexdigest()[:32])

    def _day(self, found: re.Match[str]) -> str:
        return str(date.fromisoformat(found[0]) + self._shift)


def refresh(page: str, answers: Sequence[Any], today: date) -> str:
    """The page with answers of a run on a day between its markers; ValueError where there are more or fewer of them."""
    settled, left = Settled(today), iter(answers)
    places = len(_PLACE.findall(page))
    if places != len(answers):
        raise ValueError(f"the page has {places} places for {len(answers)} answers")

    def written(found: re.Match[str]) -> str:
        return f"{found[1]}```json\n{settled.text(shown(next(left)))}\n```\n{found[2]}"

    return _PLACE.sub(written, page)


def shown(answer: Any) -> str:
    """An answer as lines of the page: short keys together, an object of a list a line, of rules those that hit."""
    if "rules" in answer:
        answer = {**answer, "rules": [rule for rule in answer["rules"] if rule["hit"]]}
    return "{" + "\n ".join(_lines(_parts(answer))) + "}"


def _parts(answer: dict[str, Any]) -> Iterable[str]:
    """The keys with their values, each with what comes after it; a list of objects has lines of its own."""
    for number, (key, value) in enumerate(answer.items(), 1):
        end = "," if number < len(answer) else ""
        if isinstance(value, list) and value and isinstance(value[0], dict):
            rows = ",\n ".join(json.dumps(row, ensure_ascii=False) for row in value)
            yield f"\n{json.dumps(key)}: [\n {rows}]{end}"
        else:
            yield f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}{end}"


def _lines(parts: Iterable[str]) -> list[str]:
    lines = [""]
    for part in parts:
        first, *rest = part.split("\n")
        if first:
            if lines[-1] and len(lines[-1]) + len(first) > _WIDTH:
                lines.append("")
            lines[-1] += (" " if lines[-1] else "") + first
        for line in rest:
            lines.append(line)
    return [line for line in lines if line]


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    text = refresh(PAGE.read_text("utf-8"), given["answers"], date.fromisoformat(given["today"]))
    PAGE.write_text(text, "utf-8")
