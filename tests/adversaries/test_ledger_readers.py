"""Who is given a ledger, receipts or a run's folder learns plans, times and counts, and nobody's name."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from vertical import LENDER, PARTIES, vertical_plan, vertical_records

from sealscore.shared.ledger.entries import Disclose
from sealscore.shared.ledger.ledger import read_ledger
from sealscore.shared.persons.records import Records
from sealscore.simulations.engine.federation import Federation


def long_names(records: Records) -> Records:
    """The same people under names that stand in no file by chance."""
    persons = tuple(f"creator {person} of the test" for person in records.person)
    return dataclasses.replace(records, ids=tuple(f"row {name}" for name in persons), person=persons)


@pytest.mark.parametrize("method", ["exact", "private"])
def test_nothing_that_is_given_away_names_a_person(tmp_path: Path, method: str):
    plan = vertical_plan(training__rounds=2, alignment__method=method)
    records = {name: long_names(part) for name, part in vertical_records(plan).items()}
    federation = Federation.of(plan, records, None, tmp_path / "ledgers")
    federation.run(tmp_path / "run")
    files = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {Path(name).suffix for name in files} >= {".db", ".json", ".jsonl", ".safetensors"}
    persons = {person for part in records.values() for person in part.person}
    pairs = federation.nodes[LENDER].disclosure_store.pairs(federation.plan.hash)
    handles = [handle for held, _ in pairs.values() for handle in held]
    assert len(handles) > 100
    for word in (*(person.encode() for person in persons), *handles, *(handle.hex().encode() for handle in handles)):
        assert not [name for name, content in files.items() if word in content]
    # Of persons there are counts.
    entries = [row.entry for party in PARTIES for row in read_ledger(tmp_path / "ledgers" / f"{party}.db")]
    assert sum(entry.persons for entry in entries if isinstance(entry, Disclose)) > 100
