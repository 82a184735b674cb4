"""A draft as the TOML of a scenario, with the reason for each guess beside it, and the same as lines for a console."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from pydantic import ValidationError

from sealscore.shared.plan.settings import Training
from sealscore.shared.text.foreign import plain
from sealscore.simulations.draft.columns import ColumnGuess
from sealscore.simulations.draft.draft import Draft, Wishes
from sealscore.simulations.draft.identifiers import RECORD

TEST_FRACTION = 0.2
WINDOW_DAYS = 365
MOST_GROUPS = 4
"""Protected columns of which figures are reported: every further table is noise in all of them."""
TABLE_CELLS, OVERALL_SHARE = 16, 0.6
MOST_OVERLAP = 100
_WORDS = 400

LOOK = (
    "bounds, levels, flags and the bad rate were read from the records: a look at the data that no epsilon pays for",
    "good for public or simulated tables, or where they are from one party's own documentation",
)


def toml(draft: Draft, wishes: Wishes, today: date) -> str:
    """The scenario's file; `today` stands in for the cut-off."""
    return "\n".join([*_head(draft, wishes, today), *_sides(draft), *_simulation(draft)]) + "\n"


def guesses(draft: Draft) -> list[tuple[str, str, str]]:
    """What was guessed, as (what, value, why) for a console."""
    label = draft.label
    found = [
        ("label", label.column, f"{label.why}; bad is {label.bad!r}, {label.bads:,} of {label.bads + label.goods:,}"),
        ("identifier", draft.lenders.identifiers.column, draft.lenders.identifiers.why),
    ]
    if draft.lenders.identifiers.person:
        found.append(("person", draft.lenders.identifiers.person, f"{draft.persons:,} persons"))
    for side in draft.sides:
        for column in side.columns:
            where = f"{side.group} column" if draft.platforms else "column"
            found.append((where, column.name, column.why if column.feature else f"left out: {column.why}"))
        derived = f"{side.group} derived" if draft.platforms else "derived"
        found += [(derived, column.name, column.why) for column in side.derived]
    return found


def _head(draft: Draft, wishes: Wishes, today: date) -> Iterator[str]:
    label = draft.label
    yield _comment(f"Drafted from {', '.join(draft.sources)}. Every value is a guess: correct what you know better.")
    for told in draft.told:
        yield _comment(told)
    yield "version = 1"
    yield f"name = {_value(draft.name)}"
    yield f"purpose = {_value(f'try in simulation what a federation gives on {plain(draft.sources[0], 60)}')}"
    yield "seed = 1"
    if _auto_known():
        yield 'training = "auto"  # nothing to tune'
    yield ""
    yield "[outcome]"
    definition = f"{plain(label.column, 80)} is {plain(label.bad, 80)}"
    yield f"definition = {_value(definition)}"
    yield _comment(
        "Nobody has said how long a loan is watched, nor until when: placeholders, which a real node refuses."
    )
    yield f"window_days = {WINDOW_DAYS}"
    yield f"cutoff = {today.isoformat()}"
    yield "placeholder = true"
    yield f"bad_rate = {_value(float(f'{min(max(label.bad_rate, 0.001), 0.999):.2g}'))}  # for the warning before a run"
    yield ""
    yield "[privacy]"
    yield f"epsilon = {_value(wishes.epsilon)}"
    yield f"delta = {_value(draft.delta)}  # below 1 / {draft.persons:,}, or it would allow to give one person away"
    if draft.platforms:
        yield f"label_epsilon = {_value(wishes.label_epsilon)}"
    dropped = f"leaves out {draft.dropped:,} of {draft.records:,} rows: further ones of a person"
    yield f"max_records_per_person = 1  # {dropped if draft.dropped else 'each person has one row'}"
    why = (
        "a row is one person at one lender; left out, it is all of them, and the noise grows as much"
        if draft.spread == 1
        else "some persons are at so many lenders"
    )
    yield f"max_parties_per_person = {draft.spread}  # {why}"
    yield ""
    if draft.platforms:
        yield "[alignment]"
        yield f"min_overlap = {max(1, min(MOST_OVERLAP, draft.overlap // 2))}"
        yield ""
    yield "[evaluation]"
    key = f"{draft.name} test persons"
    yield f'split = {{ kind = "hash", test_fraction = {TEST_FRACTION}, key = {_value(key)} }}'
    groups = _groups(draft)
    if groups:
        yield _comment("Figures by these groups, guessed as the columns below are: CONFIRM.")
        yield f"groups = {{ {', '.join(f'{_key(name)} = {_value(list(edges))}' for name, edges in groups.items())} }}"
        yield f"overall_share = {OVERALL_SHARE}  # of the figures' budget: the AUC of all does not pay for every group"
    yield f"table_cells = {TABLE_CELLS}  # each cell has noise, so few give figures that are surer"
    yield ""


def _groups(draft: Draft) -> dict[str, tuple[float, ...]]:
    found: dict[str, tuple[float, ...]] = {}
    for column in (column for side in draft.sides for column in side.protected):
        categorical = column.feature is not None and "levels" in column.feature
        if (categorical or column.bands) and len(found) < MOST_GROUPS:
            found.setdefault(column.name, column.bands)
    return found


def _sides(draft: Draft) -> Iterator[str]:
    for side in draft.sides:
        count = len(side.parties)
        lender = side is draft.lenders
        yield f"[groups.{side.group}]"
        yield f"role = {_value('lender' if lender else 'platform')}"
        yield f"min_parties = {count}"
        yield f"max_colluding = {1 if count > 2 else 0}"
        yield ""
        yield f"[groups.{side.group}.table]"
        yield f"id = {_value(side.identifiers.column)}  # {_short(side.identifiers.why)}"
        if side.identifiers.person:
            yield f"person = {_value(side.identifiers.person)}"
        if lender:
            yield f"label = {_value(draft.label.column)}  # {_short(draft.label.why)}"
            yield f"label_bad = {_value(draft.label.bad)}"
            yield f"label_good = {_value(draft.label.good)}"
        for told in LOOK:
            yield _comment(f"{told[0].upper()}{told[1:]}.")
        yield "read_from_data = true"
        yield "features = ["
        yield from _features(side.columns)
        yield "]"
        if side.derived:
            yield "derived = ["
            yield from _features(side.derived)
            yield "]"
        yield ""
    for side in draft.sides:
        for party, records in side.parties.items():
            yield "[[parties]]"
            yield f"name = {_value(party)}"
            yield f"group = {_value(side.group)}"
            yield f"nominal_records = {records}"
            yield ""


def _features(columns: Sequence[ColumnGuess]) -> Iterator[str]:
    for column in columns:
        if column.feature is None:
            yield f"    # {plain(repr(column.name), 80)} is left out: {_short(column.why)}"
            continue
        keys = ", ".join(f"{key} = {_value(value)}" for key, value in column.feature.items())
        yield f"    # {_short(column.why)}"
        yield f"    {{ {keys} }},"


def _simulation(draft: Draft) -> Iterator[str]:
    yield "[simulation]"
    yield f"dataset = {_value(draft.dataset)}"
    if draft.tables:
        yield f"tables = {{ {', '.join(f'{_key(name)} = {_value(file)}' for name, file in draft.tables.items())} }}"
    if draft.numbered:
        yield f"record_numbers = {_value(RECORD)}"
    if draft.label.others:
        yield f"labelled_only = true  # {draft.label.others:,} rows have neither word in the label"


def _auto_known() -> bool:
    """Whether the plan language has the way of training that needs no keys."""
    try:
        Training.model_validate("auto")
    except ValidationError:
        return False
    return True


def _short(text: str) -> str:
    return plain(text, _WORDS)


def _comment(text: str) -> str:
    return f"# {_short(text)}"


def _key(name: str) -> str:
    return _value(name)


def _value(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{_key(key)} = {_value(inner)}' for key, inner in value.items())} }}"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
