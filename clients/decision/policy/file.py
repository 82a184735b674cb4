"""Reading policy.toml: each fault with its line, and what differs between two policies."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sealscore.clients.decision.policy.faults import faults
from sealscore.clients.decision.policy.model import DecisionPolicy
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.toml import load_toml

_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")
_STEP = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
_PLACE = re.compile(r"^([A-Za-z0-9_.\-]+)(?= = |: )")


class PolicyError(PlanError):
    """A policy that cannot be used; one line for each problem, with the file, the line and the fix."""


def load_policy(path: Path) -> DecisionPolicy:
    """Read a policy.toml.

    Raises:
        PlanError: it cannot be read, or is no TOML.
        PolicyError: keys, values or what they say together are not allowed.
    """
    data = load_toml(path, "docs/decisions.md has one to begin with")
    lines = key_lines(path.read_text("utf-8"))
    try:
        policy = DecisionPolicy.parse(data, str(path))
    except PlanError as error:
        raise PolicyError(str(path), [_with_line(problem, lines) for problem in error.problems]) from None
    wrong = faults(policy)
    if wrong:
        raise PolicyError(str(path), [_with_line(f"{place}: {what}", lines) for place, what in wrong])
    return policy


def key_lines(text: str) -> dict[str, int]:
    """The line of each table and key of a TOML text, by its dotted place; arrays of tables count from 0."""
    found: dict[str, int] = {}
    tables: Counter[str] = Counter()
    within = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            within = _placed(_steps(header[2]), tables)
            if header[1] == "[[":
                tables[within] += 1
                within = f"{within}.{tables[within] - 1}"
            found.setdefault(within, number)
        elif key := _KEY.match(line):
            found.setdefault(".".join((*([within] if within else []), *_steps(key[1]))), number)
    return found


def _steps(key: str) -> list[str]:
    return [step.strip("\"'") for step in _STEP.findall(key)]


def _placed(steps: list[str], tables: Counter[str]) -> str:
    """The place of a header: what lies in an array of tables lies in its last one."""
    place = ""
    for number, step in enumerate(steps):
        place = f"{place}.{step}" if place else step
        if number < len(steps) - 1 and tables[place]:
            place = f"{place}.{tables[place] - 1}"
    return place


def _with_line(problem: str, lines: dict[str, int]) -> str:
    found = _PLACE.match(problem)
    place = found[1] if found else ""
    while place and place not in lines:
        place = place.rpartition(".")[0]
    return f"line {lines[place]}: {problem}" if place else problem


def differences(one: DecisionPolicy, other: DecisionPolicy) -> list[tuple[str, str, str]]:
    """What two policies say otherwise: the dotted place, and both values as text ("" where there is none).

    Rules, bands and caps are named by their id, so that one that was put in before others moves none.
    """
    before, after = dict(_flat(one.model_dump(mode="json"))), dict(_flat(other.model_dump(mode="json")))
    places = sorted({*before, *after})
    return [
        (place, before.get(place, ""), after.get(place, ""))
        for place in places
        if before.get(place) != after.get(place)
    ]


def _flat(data: Any, at: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(data, list) and data and all(isinstance(one, dict) for one in data):
        data = {str(one.get("id") or one.get("name") or number): one for number, one in enumerate(data)}
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _flat(value, f"{at}.{key}" if at else str(key))
    elif data is not None:
        yield at, ", ".join(map(str, data)) if isinstance(data, list) else str(data)
