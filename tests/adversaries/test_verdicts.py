"""A server that reads records from whether a node's data pass under the plans that it writes.

It chooses bounds, levels and who is a test person, and when a node is asked. What the data are checked against must
show in nothing that the node answers.
"""

from __future__ import annotations

import copy
import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from builders import PLAN, small_records
from homes import Town, new_town, running, table_of

from sealscore.shared.crypto.sealing import PlanKeys, open_signed, sign_message
from sealscore.shared.messages.codec import Address
from sealscore.shared.messages.messages import Join, Joined, Refusal
from sealscore.shared.plan.plan import SERVER, Plan

NODE = "lender-1"


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return new_town(tmp_path)


def joins(town: Town, plan: Plan, told: list[str] | None = None) -> bool:
    """Whether a node that approved the plan joins its run: what the server sees."""
    with running(town[NODE], plan, tell=(told if told is not None else []).append) as host:
        server = town.server.identity()
        header = Address(plan.hash, "run-1", "", 0, 1, SERVER, NODE)
        join = Join(header, PlanKeys.generate(server, plan.hash).certificate, int(time.time()), ())
        cards = {NODE: town[NODE].identity().card}
        return isinstance(open_signed(host.answer(sign_message(join, server)), cards, Joined, Refusal), Joined)


def bounded(town: Town, upper: float, number: int) -> Plan:
    groups = copy.deepcopy(PLAN)["groups"]
    groups["lender"]["table"]["features"][0]["upper"] = upper
    return town.signed(groups=groups, name=f"bounded-{number}", seed=number, privacy__epsilon=0.05)


def listing(town: Town, ids: tuple[str, str], number: int) -> Plan:
    text = "\n".join(ids) + "\n"
    (town[NODE].folder / "ids.txt").write_text(text, encoding="ascii")
    digest = hashlib.sha256(text.encode()).hexdigest()
    split = {"kind": "ids", "test_fraction": 0.25, "file": "ids.txt", "sha256": digest}
    split |= {"key": None, "first_test_day": None}
    return town.signed(evaluation__split=split, name=f"list-{number}", seed=100 + number, privacy__epsilon=0.05)


def test_bounds_do_not_find_the_largest_value(town: Town):
    """With a refusal, each plan would halve the interval in which the largest income lies, at no charge."""
    told: list[str] = []
    assert all(joins(town, bounded(town, upper, n), told) for n, upper in enumerate((1000.0, 300.0, 100.0, 1.0)))
    assert sum("ANSWERS WITHOUT RECORDS" in words for words in told) == 3


def test_a_list_of_test_persons_does_not_tell_a_label(town: Town):
    """X and Y are the test persons, and Y is known to be bad: the part has a good loan if X is good."""
    table = pl.read_csv(town[NODE].folder / "loans.csv", infer_schema=False)
    label = dict(zip(table["id"].to_list(), table["bad"].to_list(), strict=True))
    known = next(person for person in label if label[person] == "1")
    for wanted in ("0", "1"):
        other = next(person for person in label if label[person] == wanted and person != known)
        told: list[str] = []
        assert joins(town, listing(town, (other, known), int(wanted)), told)
        assert told == []


def test_data_that_are_at_fault_later_show_in_no_code(town: Town):
    plan, file = town.signed(name="later"), town[NODE].folder / "loans.csv"
    faults: list[Callable[[], object]] = [
        file.unlink,
        lambda: file.write_text("id,bad\n"),
        lambda: file.write_bytes(b"\xff\xfe\x00"),
        lambda: file.write_text("id,bad,income,months,sector,age,sex\n1,0,5,2,food,30,f\n1,1,5,2,food,30,f\n"),
    ]
    for number, fault in enumerate(faults):
        table_of(small_records(seed=1)).write_csv(file)
        fault()
        assert joins(town, plan.replace(seed=number, privacy__epsilon=0.05))
