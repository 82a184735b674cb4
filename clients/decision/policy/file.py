"""Reading policy.toml: each fault with its line, and what differs between two policies."""

from __future__ import annotations

import json
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

    Rules, bands and caps are named by their id, so that one that was put in before others moves none; where those that
    both have are in another order, that is a place of its own, `PLACE.order`.
    """
    before, after = dict(_flat(one.model_dump(mode="json"))), dict(_flat(other.model_dump(mode="json")))
    found = []
    for place in sorted({*before, *after}):
        values = before.get(place), after.get(place)
        if isinstance(values[0], _Order) and isinstance(values[1], _Order):
            both = {*values[0]} & {*values[1]}
            same = [id for id in values[0] if id in both] == [id for id in values[1] if id in both]
        elif isinstance(values[0] or values[1], _Order):
            # The entries themselves say what is there in one alone.
            same = True
        else:
            # As JSON, since yes and the text "True" are two values, and so are 1 and yes.
            same = json.dumps(values[0]) == json.dumps(values[1])
        if not same:
            found.append((place, _shown(values[0]), _shown(values[1])))
    return found


class _Order(tuple[str, ...]):
    """The ids of a list, in its order."""


def _shown(value: Any) -> str:
    return "" if value is None else ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _flat(data: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(data, list) and data and all(isinstance(one, dict) for one in data):
        data = {str(one.get("id") or one.get("name") or number): one for number, one in enumerate(data)}
        yield f"{at}.order", _Order(data)
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _flat(value, f"{at}.{key}" if at else str(key))
    elif data is not None and data != []:
        yield at, data
