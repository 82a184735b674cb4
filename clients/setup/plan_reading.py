"""What a plan has a node read of its own table, in words: columns, persons, consents, and who is a test person."""

from __future__ import annotations

from collections.abc import Iterable

from sealscore.clients.node.plan_ledger import ALIGNMENT_DAYS, ALIGNMENTS
from sealscore.clients.setup.config import DataSection
from sealscore.shared.persons.consent import FEDERATION
from sealscore.shared.plan.plan import Plan
from sealscore.shared.plan.schema import NumericFeature, TableSchema
from sealscore.shared.plan.settings import Split
from sealscore.shared.text.foreign import grouped, plain
from sealscore.shared.text.numbers import plural

_NAME = 120

Lines = list[tuple[str, str]]


def reading(plan: Plan, party: str, data: DataSection) -> Lines:
    """(what, words) lines on what `party` would read under a plan, under its own names."""
    group = plan.party(party).group
    table = plan.groups[group].table
    return [
        ("reads", _columns(table, data, plan.monitoring is not None)),
        ("bounds", _bounds(table, data)),
        ("consents", _consents(plan, party, table, data)),
        ("person", f"{_own(table.person or table.id, data)}, in the normal form {plan.alignment.identifier!r}"),
        _of_whom(plan),
        ("a person", _limits(plan, group)),
    ]


def _of_whom(plan: Plan) -> tuple[str, str]:
    """Who is set apart, or of everybody what is counted."""
    if plan.monitoring is None:
        return "test persons", split_in_words(plan.evaluation.split)
    asked, table = plan.monitoring, plan.groups[plan.lenders].table
    columns = _listed(
        f"{plain(name, _NAME)} ({', '.join(plain(key, _NAME) for key in asked.band_keys(table, name))})"
        for name in asked.by
    )
    months = f"{asked.first_month} to {asked.last_month}"
    return "counts", f"of everybody's loans, by {asked.rows} ({months}), of {_listed(asked.events)}, by {columns}"


def split_in_words(split: Split) -> str:
    """Who is a test person, as the plan says."""
    share = f"about {split.test_fraction:.3g} of all"
    if split.kind == "ids":
        return f"who is on the list {plain(split.file, _NAME)!r} of SHA-256 {grouped(str(split.sha256))}; {share}"
    if split.kind == "hash":
        return f"whom a hash under the key {plain(split.key, _NAME)!r} chooses; {share}"
    return f"who has a record of {split.first_test_day} or later; {share}"


def _columns(table: TableSchema, data: DataSection, monitored: bool) -> str:
    special = [("id", table.id), ("person", table.person), ("label", table.label), ("date", table.date)]
    inputs = [f.name for f in table.features if getattr(f, "input_only", False)]
    read = {feature.name for feature in table.features}
    parts = [f"{what} {_own(name, data)}" for what, name in special if name]
    for what, names in (
        ("counted by" if monitored else "scored", [feature.name for feature in table.scored if feature.name in read]),
        ("to derive others", inputs),
        ("for the evaluation only", [feature.name for feature in table.protected]),
    ):
        if names:
            parts.append(f"{len(names)} {what}: {_listed(_own(name, data) for name in names)}")
    if table.derived:
        parts.append(f"{len(table.derived)} derived from these: {_listed(plain(f.name, _NAME) for f in table.derived)}")
    return "; ".join(parts)


def _bounds(table: TableSchema, data: DataSection) -> str:
    """What each number may be: to be compared with what is written of the column, and not with the data."""
    found = [
        f"{_own(feature.name, data)} {feature.lower:g} to {feature.upper:g}"
        for feature in table.features
        if isinstance(feature, NumericFeature)
    ]
    return "; ".join(found) or "no numbers are read"


def _consents(plan: Plan, party: str, table: TableSchema, data: DataSection) -> str:
    lender = plan.party(party).group == plan.lenders
    others = [other.name for other in plan.parties if (other.group == plan.lenders) != lender]
    kinds = f"{FEDERATION!r} for sums"
    if others:
        kinds += f", and the name of whom a person may be joined with: {', '.join(others)}"
    needed = f"{plural(1 + len(others), 'kind')} for {plan.purpose_code}: {kinds}"
    if data.consents is not None:
        return f"read in {_place(data)}, whatever the plan says; {needed}"
    if data.consents_in is not None:
        return f"read in the column {plain(data.consents_in, _NAME)!r}, whatever the plan says; {needed}"
    if table.consent is not None:
        return f"read in {_own(table.consent, data)}, as the plan says (node.toml has consent = 'none'); {needed}"
    return "NOBODY'S CONSENT IS READ: node.toml has consent = 'none', and the plan names no column of consents"


def _place(data: DataSection) -> str:
    consents = data.consents
    assert consents is not None
    where = consents.file.name if consents.file is not None else consents.table or "a query"
    return f"a table of their own, {plain(where, _NAME)}"


def _limits(plan: Plan, group: str) -> str:
    privacy, members = plan.privacy, len(plan.members(group))
    parties = min(privacy.max_parties_per_person or members, members)
    words = [
        f"has at most {plural(privacy.max_records_per_person, 'record')} in what is computed",
        f"is taken for one at {parties} of the {members} {group} parties at most",
    ]
    if plan.platforms:
        words.append(f"{privacy.signal_bits} bits of signal at most over the life of the platform's data set")
        words.append(f"a lender and a platform align {ALIGNMENTS} times within {ALIGNMENT_DAYS} days at most")
    return "; ".join(words)


def _own(name: str, data: DataSection) -> str:
    """A column by the plan's name, with the own name beside it where that is another."""
    own = data.columns.get(name, name)
    return plain(name, _NAME) if own == name else f"{plain(name, _NAME)} (your {plain(own, _NAME)})"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
