"""Whatever an operator changes in a ledger is found, with its code and its entry, or takes anchors to be found."""

from __future__ import annotations

import json
import math
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from independent import composed
from ledger_files import (
    CEILINGS,
    COLUMNS,
    IDENTIFIED,
    LAST,
    PARTY,
    PLATFORM,
    answer,
    append_raw,
    approval,
    copy_of,
    disclose,
    enrolled_plan,
    every_kind,
    kinds,
    mechanisms_of,
    members,
    new_ledger,
    reserve,
    rewrite,
    spoil,
    stored_rows,
)

from sealscore.compliance.verify.verification import CODES, Fault
from sealscore.compliance.verify.verify import LISTED, Verification, verify_ledger
from sealscore.shared.dp.events import Disclosure, RandomizedResponse
from sealscore.shared.identity.identity import Identity
from sealscore.shared.ledger.chain import Head, Receipt
from sealscore.shared.ledger.entries import Ceilings, Limit
from sealscore.shared.ledger.ledger import Ledger, copy_ledger
from sealscore.shared.phases.kind import Kind
from sealscore.shared.plan.plan import SERVER

KINDS = (
    *("open", "identify", "limit", "approve", "reserve", "answer", "abort", "disclose", "refuse", "settle", "revoke"),
    "withdraw",
)
PARTS_OF = {Kind.BIN: "training", Kind.TRAIN: "training", Kind.EVALUATE: "test"}
# A field of every kind of entry, and what it is changed to, so that the body is still an entry.
CHANGED: dict[str, tuple[str, Any]] = {
    "open": ("data_set", "other"),
    "identify": ("column", "other"),
    "limit": ("why", "for no reason"),
    "approve": ("plan", "ab" * 32),
    "reserve": ("cohort", 1),
    "answer": ("request", "ab" * 32),
    "abort": ("why", "other"),
    "disclose": ("persons", 41),
    "refuse": ("code", "budget"),
    "settle": ("why", "other"),
    "revoke": ("why", "other"),
    "withdraw": ("persons", 1),
}


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with every kind of entry, as a node writes it."""
    path = tmp_path_factory.mktemp("ledger") / "clean.db"
    ledger = new_ledger(path)
    every_kind(ledger)
    ledger.close()
    return path


@pytest.fixture
def mine(clean: Path, tmp_path: Path) -> Path:
    """A copy of it to be spoilt."""
    return copy_of(clean, tmp_path)


def codes(found: Verification) -> list[tuple[str, int]]:
    return [(finding.code, finding.seq) for finding in found.findings]


def body_with(body: str, field: str, value: Any) -> str:
    return json.dumps(json.loads(body) | {field: value}, sort_keys=True, separators=(",", ":"))


class TestACleanLedger:
    def test_it_verifies(self, clean: Path):
        seen: list[tuple[int, int]] = []
        found = verify_ledger(clean, progress=lambda done, total: seen.append((done, total)))
        assert found.ok
        assert (found.exit_code, found.findings, found.warnings, found.dropped) == (0, (), (), 0)
        assert (found.party, found.data_set, found.entries) == (PARTY, "loans", LAST)
        assert found.card == members()[PARTY].card
        assert found.ceilings == CEILINGS
        assert seen[-1] == (LAST, LAST)
        assert set(kinds(clean)) == set(KINDS)

    def test_its_figures_are_those_of_its_releases(self, clean: Path):
        plan = enrolled_plan()
        made = mechanisms_of(plan)
        given = {"bin:lender": 1, "train_tower:lender": 2}
        found = {claim.name: claim for claim in verify_ledger(clean).claims}
        # What the group of platforms that something was exchanged with may have answered counts as well.
        spent = made.claim(lambda phase: phase.attempts if phase.group == "video" else given.get(phase.name, 0))
        assert found[plan.hash].epsilon == pytest.approx(spent, rel=1e-9)
        assert found[plan.hash].ceiling == 2.0
        assert found["loans"].epsilon == pytest.approx(spent, rel=1e-2)
        assert (found["loans"].ceiling, found["credit-scoring"].ceiling) == (5.0, 4.0)
        assert found[enrolled_plan("revoked").hash].epsilon == 0.0
        # Of two lenders each adds the whole noise, since the other knows its own.
        assert found[plan.hash].epsilon_alone == pytest.approx(spent, rel=1e-9)

    def test_entries_of_earlier_versions_count_on_nobody_knowing_its_own_noise(self, tmp_path: Path):
        plan = enrolled_plan()
        found = verify_ledger(_written(tmp_path, plan, reserve(plan, Kind.BIN, max_colluding=0, own_noise=2**-0.5)))
        assert not found.findings
        (claim,) = (claim for claim in found.claims if claim.name == plan.hash)
        # They shared it: one alone has half of its variance.
        assert claim.epsilon < claim.epsilon_alone < 2 * claim.epsilon

    def test_what_was_told_to_peers_is_summed_up(self, clean: Path):
        found = verify_ledger(clean)
        assert found.label_epsilon == 1.0
        assert found.signal_bits == 0  # what a lender was told is the platform's to count
        json.dumps(found.as_json(), allow_nan=False)

    def test_it_is_not_written_to(self, mine: Path):
        before = mine.read_bytes()
        verify_ledger(mine)
        assert mine.read_bytes() == before

    def test_it_can_be_read_while_its_node_writes(self, tmp_path: Path):
        ledger = new_ledger(tmp_path / "live.db")
        ledger.append(lambda state: approval(enrolled_plan()))
        assert verify_ledger(tmp_path / "live.db").entries == 3
        ledger.close()


class TestACopyWithoutItsLog:
    """A node's last entries are in the write-ahead log beside its ledger until they are written over."""

    def test_that_has_no_entries_is_called_that(self, tmp_path: Path):
        with sqlite3.connect(tmp_path / "raw.db") as database:
            database.execute("PRAGMA journal_mode=WAL")
        database.close()
        found = verify_ledger(tmp_path / "raw.db")
        assert [finding.code for finding in found.findings] == ["unreadable"]
        assert "raw.db-wal" in found.findings[0].what

    def test_that_lacks_the_last_entries_is_named_as_one_cause(self, tmp_path: Path):
        ledger = new_ledger(tmp_path / "live.db")
        ledger.append(lambda state: approval(enrolled_plan()))
        (tmp_path / "copy").mkdir()
        copy, head = tmp_path / "copy" / "live.db", ledger.head
        shutil.copy(tmp_path / "live.db", copy)
        found = verify_ledger(copy, [head])
        ledger.close()
        assert found.without_log
        assert (found.entries, head.seq) == (2, 3)
        assert [finding.code for finding in found.findings] == ["anchor"]
        assert "live.db-wal" in found.findings[0].what
        # Nothing is left beside what was read.
        assert [path.name for path in copy.parent.iterdir()] == ["live.db"]

    def test_a_whole_one_is_made_while_the_node_writes(self, tmp_path: Path):
        ledger = new_ledger(tmp_path / "live.db")
        ledger.append(lambda state: approval(enrolled_plan()))
        assert copy_ledger(tmp_path / "live.db", tmp_path / "whole.db") == 3
        found = verify_ledger(tmp_path / "whole.db", [ledger.head])
        with pytest.raises(FileExistsError):
            copy_ledger(tmp_path / "live.db", tmp_path / "whole.db")
        ledger.close()
        assert found.ok
        assert not found.without_log
        assert (tmp_path / "whole.db").stat().st_mode & 0o777 == 0o600


class TestTampering:
    """Every column of every kind of entry."""

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("column", COLUMNS)
    def test_a_changed_column_is_found(self, mine: Path, kind: str, column: str):
        seq = kinds(mine)[kind]
        row = stored_rows(mine)[seq - 1]
        changed: Any = {
            "seq": seq + 1000,
            "at": "2019-01-01T00:00:00Z",
            "body": body_with(row["body"], *CHANGED[kind]),
            **{name: bytes([row[name][0] ^ 1]) + row[name][1:] for name in COLUMNS[3:]},
        }[column]
        assert changed != row[column]
        spoil(mine, (f"UPDATE entries SET {column} = ? WHERE seq = ?", (changed, seq)))
        found = verify_ledger(mine)
        expected = {"seq": "gap", "previous": "link", "signature": "signature"}.get(column, "hash")
        where = seq if column != "seq" else seq + 1 if seq < LAST else 1000 + LAST
        assert (expected, where) in codes(found)
        assert found.exit_code == (12 if column == "signature" else 11)

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_body_that_is_hashed_again_lacks_a_signature(self, mine: Path, kind: str):
        seq = kinds(mine)[kind]
        rows = stored_rows(mine)
        rewrite(
            mine, lambda told: [(at, body_with(b, *CHANGED[kind]) if n == seq else b) for n, (at, b) in count(told)]
        )
        for row in rows:
            spoil(mine, ("UPDATE entries SET signature = ? WHERE seq = ?", (row["signature"], row["seq"])))
        assert ("signature", seq) in codes(verify_ledger(mine))

    @pytest.mark.parametrize("kind", KINDS)
    def test_an_entry_of_any_kind_cannot_be_taken_out(self, mine: Path, kind: str):
        seq = kinds(mine)[kind]
        spoil(mine, ("DELETE FROM entries WHERE seq = ?", (seq,)))
        found = codes(verify_ledger(mine))
        # The last entry leaves no gap: see TestAnchors.
        assert found == [] if seq == LAST else ("gap", seq + 1) in found

    def test_entries_cannot_change_places(self, mine: Path):
        for old, new in ((10, 100), (11, 10), (100, 11)):
            spoil(mine, ("UPDATE entries SET seq = ? WHERE seq = ?", (new, old)))
        found = verify_ledger(mine)
        assert ("link", 10) in codes(found)
        assert found.exit_code == 11

    def test_an_entry_that_was_put_before_the_first_is_found(self, mine: Path):
        spoil(mine, ("UPDATE entries SET seq = -5 WHERE seq = ?", (LAST,)))
        assert ("gap", -5) in codes(verify_ledger(mine))

    def test_values_of_another_type_are_found(self, mine: Path, tmp_path: Path):
        copy = tmp_path / "loose.db"
        with sqlite3.connect(copy) as database:
            database.execute("ATTACH DATABASE ? AS old", (str(mine),))
            database.execute("CREATE TABLE entries AS SELECT * FROM old.entries")
            database.execute("CREATE TABLE anchors AS SELECT * FROM old.anchors")
            database.execute("UPDATE entries SET nonce = 5 WHERE seq = 3")
            database.execute("UPDATE entries SET body = 'é' WHERE seq = 4")
            database.execute("INSERT INTO anchors (party, seq, anchor, receipt) VALUES ('x', 1, 7, 0)")
        database.close()
        found = verify_ledger(copy)
        assert {("unreadable", 3), ("unreadable", 4), ("anchor-unreadable", 0)} <= set(codes(found))
        assert found.exit_code == 10

    @pytest.mark.parametrize("content", [None, b"", b"no database", b"SQLite format 3\0" + bytes(500)])
    def test_what_is_no_ledger_is_unreadable(self, tmp_path: Path, content: bytes | None):
        path = tmp_path / "x.db"
        if content is not None:
            path.write_bytes(content)
        found = verify_ledger(path)
        assert codes(found) == [("unreadable", 0)]
        assert found.exit_code == 10

    def test_a_ledger_without_entries_is_unreadable(self, mine: Path):
        spoil(mine, ("DELETE FROM entries", ()))
        assert codes(verify_ledger(mine)) == [("unreadable", 0)]

    def test_findings_of_one_code_are_listed_so_often_and_counted(self, mine: Path):
        for _ in range(LISTED + 5):
            append_raw(mine, "{}")
        found = verify_ledger(mine)
        assert codes(found) == [("unknown-entry", LAST + n) for n in range(1, LISTED + 1)]
        assert found.dropped == 5


def count(rows: list[tuple[str, str]]) -> enumerate[tuple[str, str]]:
    return enumerate(rows, start=1)


class TestSignedWithTheOwnKey:
    """What the party's own code could have written, and no node of ours does."""

    @pytest.mark.parametrize(
        "body",
        ['{"kind":"gift"}', "{}", "[]", "no json", '{"kind": "abort"}', "[" * 5000],
        ids=["kind", "empty", "list", "text", "form", "depth"],
    )
    def test_an_unknown_entry_is_not_skipped(self, mine: Path, body: str):
        found = verify_ledger(_with(mine, body))
        assert codes(found) == [("unknown-entry", LAST + 1)]
        assert found.exit_code == 13

    def test_what_the_figures_leave_out_is_counted(self, tmp_path: Path):
        plan = enrolled_plan()
        path = _written(tmp_path, plan, "{}", reserve(enrolled_plan("other"), Kind.BIN), reserve(plan, Kind.BIN))
        found = verify_ledger(path)
        assert codes(found) == [("unknown-entry", 4), ("not-approved", 5)]
        assert found.uncounted == 2
        assert found.claims[0].epsilon == pytest.approx(
            mechanisms_of(plan).claim(lambda phase: int(phase.name == "bin:lender")), rel=0.05
        )

    def test_labels_that_may_not_stand_are_counted(self, tmp_path: Path):
        plan = enrolled_plan()
        path = _written(tmp_path, plan, reserve(plan, Kind.BIN), disclose(plan, Kind.LABELS, 1))
        found = verify_ledger(path)
        assert (codes(found), found.uncounted, found.label_epsilon) == ([("order", 5)], 0, 1.0)

    def test_an_entry_not_in_canonical_form(self, mine: Path):
        spaced = json.dumps(json.loads(stored_rows(mine)[13]["body"]), sort_keys=True)
        assert codes(verify_ledger(_with(mine, spaced))) == [("unknown-entry", LAST + 1)]

    def test_another_key_signs(self, mine: Path):
        append_raw(mine, stored_rows(mine)[13]["body"], party="lender-2")
        found = verify_ledger(mine)
        assert codes(found) == [("signature", LAST + 1)]
        assert found.exit_code == 12

    def test_a_second_opening(self, mine: Path):
        assert codes(verify_ledger(_with(mine, stored_rows(mine)[0]["body"]))) == [("opening", LAST + 1)]

    def test_no_opening(self, mine: Path):
        rewrite(mine, lambda told: told[1:])
        found = verify_ledger(mine)
        assert ("opening", 1) in codes(found)
        assert found.card is None
        assert found.exit_code == 14

    def test_more_attempts_than_the_budget_holds(self, tmp_path: Path):
        plan = enrolled_plan()
        path = _written(tmp_path, plan)
        phase = next(p for p in mechanisms_of(plan).phases if p.kind is Kind.BIN and p.group == "lender")
        extra = [append_raw(path, reserve(plan, Kind.BIN, attempt=n + 1)) for n in range(phase.attempts + 1)][-1]
        found = verify_ledger(path)
        assert codes(found) == [("attempts", extra)]
        assert found.exit_code == 14
        # It can have been answered all the same.
        spent = mechanisms_of(plan).claim(lambda p: phase.attempts + 1 if p is phase or p == phase else 0)
        assert next(c for c in found.claims if c.name == plan.hash).epsilon == pytest.approx(spent, rel=1e-9)

    def test_an_answer_twice_at_one_place(self, tmp_path: Path):
        plan = enrolled_plan()
        path = _written(tmp_path, plan, reserve(plan, Kind.BIN))
        assert codes(verify_ledger(_with(path, reserve(plan, Kind.BIN)))) == [("order", 5)]

    def test_under_a_plan_that_was_revoked(self, mine: Path):
        append_raw(mine, reserve(enrolled_plan("revoked"), Kind.BIN))
        assert codes(verify_ledger(mine))[0] == ("not-approved", LAST + 1)

    def test_an_abort_of_what_had_left(self, tmp_path: Path):
        plan = enrolled_plan()
        path = _written(tmp_path, plan, reserve(plan, Kind.BIN))
        append_raw(path, answer(reserve(plan, Kind.BIN), 4))
        append_raw(path, '{"count":1,"kind":"abort","reserve":4,"why":"not-asked"}')
        assert codes(verify_ledger(path)) == [("abort", 6)]

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"own_noise": 0.5}, "own-noise"),
            ({"own_noise": 0.7071}, "own-noise"),
            ({"own_noise": 1.5}, "own-noise"),
            ({"own_noise": 0.0}, "own-noise"),
            ({"max_colluding": 2, "own_noise": 1.0}, "colluding"),
            ({"part": "test"}, "part"),
            ({"round": 2}, "round"),
            ({"round": 0}, "round"),
        ],
    )
    def test_a_reservation_that_is_not_as_the_plan_says(self, tmp_path: Path, changes: dict[str, Any], code: str):
        plan = enrolled_plan()
        found = verify_ledger(_written(tmp_path, plan, reserve(plan, Kind.BIN, **changes)))
        assert codes(found) == [(code, 4)]
        assert found.exit_code == 15

    @pytest.mark.parametrize("cohort", [1, 3])
    def test_a_cohort_below_the_least_or_beyond_the_group(self, tmp_path: Path, cohort: int):
        plan = enrolled_plan()
        entry = reserve(plan, Kind.BIN, cohort=cohort, own_noise=max(1, cohort - 1) ** -0.5)
        assert codes(verify_ledger(_written(tmp_path, plan, entry))) == [("cohort", 4)]

    @pytest.mark.parametrize(
        "field", ["noise_multiplier", "sample_rate", "count", "multiplicity", "sensitivity", "kind"]
    )
    def test_a_forged_event(self, tmp_path: Path, field: str):
        plan = enrolled_plan()
        kind = Kind.BIN if field == "sensitivity" else Kind.TRAIN
        event = reserve(plan, kind).event
        if field == "kind":
            forged: Any = reserve(plan, Kind.CALIBRATE).event
        else:
            forged = event.model_copy(update={field: type(getattr(event, field))(getattr(event, field) * 2)})
        if field == "sample_rate":
            forged = event.model_copy(update={field: 0.25})
        found = verify_ledger(_written(tmp_path, plan, reserve(plan, kind, event=forged)))
        assert codes(found) == [("event", 4)]
        assert found.exit_code == 15

    def test_smaller_noise_is_found_and_charged_as_what_it_is(self, tmp_path: Path):
        plan = enrolled_plan()
        honest = reserve(plan, Kind.BIN)
        forged = honest.event.model_copy(update={"noise_multiplier": honest.event.noise_multiplier / 20})  # type: ignore[union-attr]
        found = verify_ledger(_written(tmp_path, plan, reserve(plan, Kind.BIN, event=forged)))
        assert codes(found) == [("event", 4), ("plan-budget", 4)]
        assert next(c for c in found.claims if c.name == plan.hash).epsilon > 2.0

    def test_a_sum_of_another_group(self, tmp_path: Path):
        plan = enrolled_plan()
        found = verify_ledger(_written(tmp_path, plan, reserve(plan, Kind.BIN, group="video")))
        assert codes(found) == [("group", 4)]

    @pytest.mark.parametrize(
        ("kind", "step", "changes", "code"),
        [
            (Kind.ALIGN, 3, {"event": Disclosure(bits=2, recipient=PLATFORM, count=1)}, "disclosed"),
            (Kind.ALIGN, 3, {"event": Disclosure(bits=1, recipient="lender-2", count=1)}, "disclosed"),
            (Kind.ALIGN, 3, {"fresh": 41}, "disclosed"),
            (Kind.LABELS, 1, {"event": RandomizedResponse(epsilon=1.5, count=1)}, "disclosed"),
            (Kind.LABELS, 1, {"event": Disclosure(bits=1, recipient=PLATFORM, count=1)}, "disclosed"),
            (Kind.SIGNAL, 2, {"event": Disclosure(bits=1, recipient=PARTY, count=1)}, "disclosed"),
            (Kind.LABELS, 1, {"peer": "lender-2"}, "peer"),
            (Kind.LABELS, 1, {"peer": "wallet"}, "peer"),
            (Kind.LABELS, 1, {"peer": "nobody"}, "peer"),
        ],
    )
    def test_a_disclosure_that_is_not_as_the_plan_says(
        self, tmp_path: Path, kind: Kind, step: int, changes: dict[str, Any], code: str
    ):
        plan = enrolled_plan()
        found = verify_ledger(_written(tmp_path, plan, disclose(plan, kind, step, **changes)))
        assert (code, 4) in codes(found)
        assert found.exit_code == 15

    def test_a_plan_with_another_card_of_this_party(self, tmp_path: Path):
        data = enrolled_plan().model_dump(mode="json")
        card = Identity.generate(PARTY, "lender").card.text
        data["parties"] = [p | ({"card": card} if p["name"] == PARTY else {}) for p in data["parties"]]
        plan = type(enrolled_plan()).parse(data)
        found = verify_ledger(_written(tmp_path, plan))
        assert codes(found) == [("card", 3)]
        assert found.exit_code == 15

    def test_a_plan_without_cards_or_noise(self, tmp_path: Path):
        data = enrolled_plan().model_dump(mode="json")
        data["privacy"] |= {"noise": "none"}
        data["server_card"] = None
        data["parties"] = [p | {"card": None} for p in data["parties"]]
        plan = type(enrolled_plan()).parse(data)
        assert codes(verify_ledger(_written(tmp_path, plan))) == [("card", 3), ("noise", 3)]


class TestASplitByDate:
    """Ledgers of versions that took the parts of such a plan for two, where a person was at one party only."""

    def test_in_two_parts_is_found_and_composed_as_one(self, tmp_path: Path):
        plan = enrolled_plan()
        changes: dict[str, Any] = {
            f"groups__{name}__table": group.table.model_dump(mode="json") | {"date": "day"}
            for name, group in plan.groups.items()
        }
        changes["evaluation__split"] = {"kind": "date", "first_test_day": "2020-01-01", "test_fraction": 0.25}
        dated = plan.replace(**changes)
        # As they were written: with the noise of two parts.
        old = [reserve(plan, kind).model_copy(update={"plan": dated.hash, "part": of}) for kind, of in PARTS_OF.items()]
        found = verify_ledger(_written(tmp_path, dated, *old))
        assert [code for code, _ in codes(found) if code != "plan-budget"] == ["part"] * len(old)
        assert found.exit_code == 15
        events = [(entry.event.model_dump(), 1) for entry in old]
        read = next(claim.epsilon for claim in found.claims if claim.name == dated.hash)
        assert read == pytest.approx(composed(events, 1e-5), rel=1e-2)
        assert read > composed(events[:-1], 1e-5)


class TestWhatNamesAPerson:
    def test_is_said_in_every_ledger_with_a_plan(self, tmp_path: Path):
        new_ledger(tmp_path / "empty.db", identified=None).close()
        assert verify_ledger(tmp_path / "empty.db").ok
        path = _written(tmp_path, enrolled_plan(), identified=None)
        found = verify_ledger(path)
        assert codes(found) == [("identifier", 2)]
        assert found.exit_code == 15
        append_raw(path, IDENTIFIED)
        assert verify_ledger(path).ok

    def test_a_plan_that_names_persons_otherwise_is_found_and_counted(self, tmp_path: Path):
        plan = enrolled_plan("other-form", alignment__identifier="creator-id")
        found = verify_ledger(_written(tmp_path, plan, reserve(plan, Kind.BIN)))
        assert codes(found) == [("identifier", 3)]
        assert found.uncounted == 0
        assert next(claim for claim in found.claims if claim.name == plan.hash).epsilon > 0

    def test_it_is_not_said_twice(self, mine: Path):
        assert codes(verify_ledger(_with(mine, IDENTIFIED))) == [("identifier", LAST + 1)]


class TestRandomSources:
    @pytest.mark.parametrize("what", ["sum", "payload"])
    def test_a_seeded_source_of_a_real_party(self, tmp_path: Path, what: str):
        plan = enrolled_plan()
        entry = (
            reserve(plan, Kind.BIN, source="seeded")
            if what == "sum"
            else disclose(plan, Kind.LABELS, 1, source="seeded")
        )
        path = _written(tmp_path, plan, entry)
        for simulation in (False, True):
            found = verify_ledger(path, simulation=simulation)
            assert codes(found) == [("source", 4)]
            assert found.exit_code == 16

    def test_a_simulations_ledger_verifies_as_one_and_not_otherwise(self, tmp_path: Path):
        identity = Identity.simulated(7, PARTY, "lender")
        Ledger.create(tmp_path / "s.db", identity, "loans", CEILINGS).close()
        assert codes(verify_ledger(tmp_path / "s.db")) == [("source", 1)]
        found = verify_ledger(tmp_path / "s.db", simulation=True)
        assert found.ok
        assert found.simulation


class TestBudgets:
    def spent(self, folder: Path, **ceilings: Any) -> Path:
        """A ledger with one sum and released labels, and these ceilings, which nobody looked at."""
        plan = enrolled_plan()
        open_to = Ceilings.model_validate({"epsilon": None, "delta": 1e-5} | ceilings)
        entries = [disclose(plan, Kind.LABELS, 1), reserve(plan, Kind.BIN)]
        return _written(folder, plan, *entries, ceilings=open_to)

    @pytest.mark.parametrize(
        ("ceilings", "code"),
        [
            ({"epsilon": 0.05}, "data-set-budget"),
            ({"purposes": {"credit-scoring": 0.05}}, "purpose-budget"),
            ({"label_epsilon": 0.5}, "label-budget"),
        ],
    )
    def test_over_a_ceiling(self, tmp_path: Path, ceilings: dict[str, Any], code: str):
        found = verify_ledger(self.spent(tmp_path, **ceilings))
        assert codes(found) == [(code, 5)]
        assert found.exit_code == 17

    def test_a_purpose_of_its_own_has_its_own_ceiling(self, tmp_path: Path):
        assert verify_ledger(self.spent(tmp_path, purposes={"fraud": 0.05})).ok

    def test_a_ceiling_that_was_raised_later_excuses_nothing(self, tmp_path: Path):
        path = self.spent(tmp_path, epsilon=0.05)
        append_raw(path, Limit(ceilings=CEILINGS, why="after the fact"))
        assert codes(verify_ledger(path)) == [("data-set-budget", 5)]

    def test_a_ceiling_may_be_set_below_what_is_spent_if_nothing_more_is(self, tmp_path: Path):
        path = self.spent(tmp_path)
        append_raw(path, Limit(ceilings=Ceilings(epsilon=0.05, delta=1e-5), why="enough"))
        assert verify_ledger(path).ok
        append_raw(path, reserve(enrolled_plan(), Kind.TRAIN))
        assert codes(verify_ledger(path)) == [("data-set-budget", 7)]

    def test_signals_of_two_towers_add_up_and_one_told_twice_does_not(self, tmp_path: Path):
        plan = enrolled_plan()

        def told(peer: str, what: str) -> Any:
            event = Disclosure(bits=plan.model.signal_bits, recipient=peer, count=1)
            return disclose(plan, Kind.SIGNAL, 1, peer=peer, event=event, what=what)

        ceilings = Ceilings(epsilon=None, delta=1e-5, signal_bits=4)
        entries = [told("lender-1", "tower"), told("lender-2", "tower")]
        found = verify_ledger(_written(tmp_path, plan, *entries, ceilings=ceilings, party=PLATFORM))
        assert (found.ok, found.signal_bits) == (True, 3)
        path = _written(tmp_path / "2", plan, entries[0], told("lender-2", "other"), ceilings=ceilings, party=PLATFORM)
        found = verify_ledger(path)
        assert (codes(found), found.signal_bits) == ([("signal-budget", 5)], 6)


class TestAnchors:
    @pytest.fixture
    def head(self, clean: Path) -> Head:
        """The party's last head, as somebody else keeps it."""
        ledger = Ledger(clean, members()[PARTY])
        try:
            ledger.state  # noqa: B018 (reads the file)
            return ledger.head
        finally:
            ledger.close()

    def test_it_agrees_with_the_ledger(self, clean: Path, head: Head):
        found = verify_ledger(clean, [head, Receipt.sign(members()[SERVER], head, 1)])
        assert found.ok
        assert (found.anchored.given, found.anchored.up_to) == (2, LAST)

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param(lambda told: told[:-1], id="truncated"),
            pytest.param(lambda told: told[:3], id="an old copy"),
            pytest.param(lambda told: [*told[:12], *told[13:]], id="an entry left out"),
            pytest.param(
                lambda told: [*told[:12], (told[12][0], body_with(told[12][1], "why", "x")), *told[13:]], id="edited"
            ),
            pytest.param(
                lambda told: [(told[0][0], body_with(told[0][1], "data_set", "x")), *told[1:]], id="begun anew"
            ),
            pytest.param(lambda told: told, id="the same written again"),
        ],
    )
    def test_written_anew_with_the_own_key_is_found_by_anchors_only(
        self, mine: Path, head: Head, change: Callable[[list[tuple[str, str]]], list[tuple[str, str]]]
    ):
        rewrite(mine, change)
        assert verify_ledger(mine).ok
        found = verify_ledger(mine, [head])
        assert codes(found) == [("anchor", LAST)]
        assert found.exit_code == 18
        assert codes(verify_ledger(mine, [Receipt.sign(members()[SERVER], head, 1)])) == [("anchor", LAST)]

    def test_an_old_copy_byte_for_byte(self, clean: Path, tmp_path: Path):
        path = copy_of(clean, tmp_path)
        ledger = Ledger(path, members()[PARTY])
        ledger.append(lambda state: approval(enrolled_plan("third")))
        later = ledger.head
        ledger.close()
        assert verify_ledger(path, [later]).ok
        assert verify_ledger(clean).ok
        assert codes(verify_ledger(clean, [later])) == [("anchor", LAST + 1)]

    def test_receipts_that_were_kept_in_the_file_count_too(self, mine: Path, head: Head):
        ledger = Ledger(mine, members()[PARTY])
        ledger.keep(Receipt.sign(members()[SERVER], head, 1))
        ledger.close()
        found = verify_ledger(mine)
        assert (found.ok, found.anchored.kept, found.anchored.given) == (True, 1, 0)
        rewrite(mine, lambda told: told[:-1])
        assert codes(verify_ledger(mine)) == [("anchor", LAST)]

    def test_a_forged_head_and_a_forged_receipt(self, clean: Path, head: Head):
        stranger = Identity.generate(PARTY, "lender")
        forged = Head.sign(stranger, head.ledger, head.seq, head.hash)
        assert codes(verify_ledger(clean, [forged])) == [("anchor-signature", LAST)]
        other = Receipt.sign(Identity.generate(SERVER, "server"), head, 1)
        assert codes(verify_ledger(clean, [other])) == [("anchor-signature", LAST)]
        card = members()["wallet"].card
        assert codes(verify_ledger(clean, [Receipt.sign(members()[SERVER], head, 1)], server_card=card)) == [
            ("anchor-signature", LAST)
        ]

    def test_those_of_other_parties_say_nothing_and_are_passed_on(self, mine: Path, tmp_path: Path):
        other = new_ledger(tmp_path / "other.db", "lender-2")
        ledger = Ledger(mine, members()[PARTY])
        ledger.keep(other.head)
        found = verify_ledger(mine, [other.head])
        assert found.ok
        assert [head.party for head in found.others] == ["lender-2"]
        assert found.anchored.given == 0
        assert "none of the anchors given" in found.warnings[0]
        other.close()
        ledger.close()

    def test_one_partys_file_convicts_anothers_ledger(self, clean: Path, head: Head, tmp_path: Path):
        witness = new_ledger(tmp_path / "witness.db", "lender-2")
        witness.keep(head)
        witness.close()
        evidence = verify_ledger(tmp_path / "witness.db").others
        cut = copy_of(clean, tmp_path)
        spoil(cut, ("DELETE FROM entries WHERE seq = ?", (LAST,)))
        assert verify_ledger(cut).ok
        assert codes(verify_ledger(cut, evidence)) == [("anchor", LAST)]


def test_a_clock_that_was_set_back_is_a_warning(tmp_path: Path):
    times = iter([2e9, 2e9, 1e9])
    ledger = new_ledger(tmp_path / "clock.db", clock=lambda: next(times))
    ledger.append(lambda state: approval(enrolled_plan()))
    ledger.close()
    found = verify_ledger(tmp_path / "clock.db")
    assert found.ok
    assert "entry 3" in found.warnings[0]


def test_the_exit_code_is_that_of_the_lowest_kind(mine: Path):
    append_raw(mine, "{}")
    spoil(mine, ("UPDATE entries SET signature = ? WHERE seq = 3", (bytes(64),)))
    assert verify_ledger(mine).exit_code == 12
    spoil(mine, ("UPDATE entries SET at = '' WHERE seq = 9", ()))
    assert verify_ledger(mine).exit_code == 11


def test_every_kind_of_failure_has_its_own_exit_code():
    assert [fault.value for fault in Fault] == list(range(10, 19))
    assert set(CODES.values()) == set(Fault)
    assert not math.isnan(sum(fault.value for fault in CODES.values()))


def _with(path: Path, entry: Any) -> Path:
    append_raw(path, entry)
    return path


def _written(
    folder: Path, plan: Any, *entries: Any, ceilings: Ceilings = CEILINGS, party: str = PARTY, **more: Any
) -> Path:
    """A ledger in which the plan is approved, with these entries, whatever they are."""
    folder.mkdir(exist_ok=True)
    path = folder / "written.db"
    new_ledger(path, party, ceilings, **more).close()
    for entry in (approval(plan), *entries):
        append_raw(path, entry, party=party)
    return path
