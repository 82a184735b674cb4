"""A lender that wants to know which of its applicants are at another lender, and a server that wants to know anything.

Two worlds differ in who is a customer of the rival, whom a platform told levels before. What the lender that comes
later sees must be the same: answers, sizes, codes, and how many entries a ledger has. A lender and a server in league
choose the tower, and so know what level a person should get: here, everybody the same.
"""

from __future__ import annotations

import numpy as np
from defences import Defences
from vertical_builders import Wire, federation_of, only, vertical_plan

from sealscore.clients.roles.lifetime import Lifetime
from sealscore.shared.crypto.payloads import unpack_numbers
from sealscore.shared.messages.messages import PairAnswer
from sealscore.shared.messages.parts import edges_to_bytes, weights_to_bytes
from sealscore.shared.persons.records import Records
from sealscore.shared.phases.kind import Kind
from sealscore.shared.plan.plan import Plan
from sealscore.shared.randomness.streams import StreamSource

RIVAL, LENDER, PLATFORM = "lender-1", "lender-2", "wallet"
FULL = vertical_plan()
EARLIER = only(FULL, RIVAL, PLATFORM).replace(name="earlier", alignment__min_overlap=1)
LATER = only(FULL, LENDER, PLATFORM).replace(name="later", alignment__min_overlap=1)
RECORDS = federation_of(FULL)
SHARED = sorted(set(RECORDS[LENDER].person) & set(RECORDS[PLATFORM].person))
OF_BOTH = sorted(set(SHARED) & set(RECORDS[RIVAL].person))


def among(records: Records, persons: set[str]) -> Records:
    return records.take(np.array([person in persons for person in records.person]))


def levels_for_all(wire: Wire) -> dict[str, bytes]:
    """A tower and edges under which everybody has one level, the second."""
    parts = wire.tower(PLATFORM)
    weights = np.zeros(len(parts["tower"]) // 8)
    edges = np.linspace(-1.0, 1.0, wire.plan.model.signal_levels - 1) + 0.5
    weights[-1] = float(edges[:2].mean())
    return parts | {"tower": weights_to_bytes(weights), "edges": edges_to_bytes(edges)}


def seen(customers: set[str], crafted: bool = False) -> tuple[bytes, dict[str, int], int, list[str]]:
    """What the later lender and the server see, where the rival has these customers.

    The answer, its levels by person, the entries of the platform's ledger, and the platform's words to its operator.
    """
    life = {
        name: Lifetime.fresh(StreamSource.seeded(0, f"{name} labels"), signal_bits=3)
        for name in (RIVAL, LENDER, PLATFORM)
    }
    first = run(EARLIER, {RIVAL: among(RECORDS[RIVAL], customers), PLATFORM: RECORDS[PLATFORM]}, life)
    assert isinstance(first.signal(PLATFORM, RIVAL, seed=1), PairAnswer)
    second = run(LATER, {name: RECORDS[name] for name in (LENDER, PLATFORM)}, life)
    parts = levels_for_all(second) if crafted else second.tower(PLATFORM, 2)
    body = second.give(Kind.SIGNAL, PLATFORM, LENDER, 1, parts=second.publish(PLATFORM, **parts))
    pair = second.aligned(PLATFORM, LENDER)
    levels = dict(zip(pair.persons, unpack_numbers(pair, body, 5).tolist(), strict=True))
    return body, levels, second.nodes[PLATFORM].plan_ledger.ledger.head.seq, second.told


def run(plan: Plan, records: dict[str, Records], life: dict[str, Lifetime]) -> Wire:
    wire = Wire(plan, records, {name: life[name] for name in records}, run=plan.name)
    wire.align(next(name for name in records if name != PLATFORM), PLATFORM)
    return wire


def advantage(crafted: bool) -> float:
    """How much oftener a rival's customer is named as one than others, by a level that is not as it should be."""
    customers = set(OF_BOTH[::2])
    _, levels, _, _ = seen(customers, crafted)
    named = {person for person in SHARED if levels[person] != 1}
    others = set(SHARED) - customers
    return len(named & customers) / len(customers) - len(named & others) / len(others)


def test_neither_answer_nor_size_nor_ledger_depends_on_whom_a_rival_was_told_of():
    target, *others = OF_BOTH
    worlds = [seen(set(customers)) for customers in (OF_BOTH, others, [target], [])]
    assert len({(body, entries) for body, _, entries, _ in worlds}) == 1
    # The operator, and nobody else, is told that the tower is one too many.
    assert all(len([words for words in told if "made-up numbers" in words]) == 1 for *_, told in worlds)


def test_a_level_that_all_should_have_names_no_customer_of_a_rival(defences: Defences):
    # Of a fill of five levels one is the right one by chance.
    error = np.sqrt(0.16 * 2 / len(OF_BOTH[::2]))
    assert abs(advantage(crafted=True)) < 4 * error
    with defences.without("limit by meaning"):
        assert advantage(crafted=True) > 0.8 - 4 * error


def test_with_no_limit_of_bits_both_are_told_all(defences: Defences):
    with defences.without("limit of bits"):
        _, levels, _, told = seen(set(OF_BOTH), crafted=True)
        assert set(levels.values()) == {1}
        assert not told
