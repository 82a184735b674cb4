"""Ledgers of a party that means ill, given to a reviewer: each is checked to its end, and what is wrong is coded."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ledger_files import append_raw, copy_of, every_kind, new_ledger, spoil, stored_rows
from mutations import MEBIBYTE, ODD, TEXT_ONLY, altered, fuzz, limits, spoiled

from sealscore.compliance.figures.costs import costs, moments
from sealscore.compliance.figures.joint import joint_claims
from sealscore.compliance.figures.registry import registry_record
from sealscore.compliance.ledger_report.report import write_compliance_report
from sealscore.compliance.verify.account import Account
from sealscore.compliance.verify.anchoring import kept_anchors
from sealscore.compliance.verify.reading import Unreadable
from sealscore.compliance.verify.verification import Verification
from sealscore.compliance.verify.verify import verify_ledger
from sealscore.shared.dp.accountant import PldAccountant
from sealscore.shared.dp.effort import TooMuchWork, limited
from sealscore.shared.dp.events import (
    KINDS,
    Disclosure,
    Event,
    Gaussian,
    NoNoise,
    RandomizedResponse,
    SampledGaussian,
    merge,
)
from sealscore.shared.ledger.chain import UnknownEntry, entry_of
from sealscore.shared.plan.errors import PlanError


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with entries of every kind."""
    path = tmp_path_factory.mktemp("fuzz") / "ledger.db"
    with closing(new_ledger(path)) as made:
        every_kind(made)
        made.keep(made.head)
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode=DELETE")
    return path


COMPOSED = PldAccountant.epsilon


@pytest.fixture(autouse=True)
def _quick_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures have a test of their own; here they need not be composed some dozen times an example."""

    def quick(accountant: PldAccountant, events: Iterable[Event], delta: float) -> float:
        return float(min(5, len(merge(events))))

    monkeypatch.setattr(PldAccountant, "epsilon", quick)


def check(path: Path, memory: int = 64 * MEBIBYTE) -> Verification:
    """Verify a ledger, and read what a report and an export make of it."""
    with limits(seconds=60, memory=memory):
        found = verify_ledger(path)
        json.dumps(found.as_json())
        account = Account.read(path, found.state) if found.state else None
        if account is not None:
            costs(account, found.claims)
            moments(account)
        for claim in joint_claims([found]):
            claim.as_json()
        try:
            list(kept_anchors(path))
        except Unreadable:
            return found
    return found


def test_files(ledger: Path):
    whole, path = ledger.read_bytes(), ledger.with_name("file.db")

    def read(data: bytes) -> None:
        path.write_bytes(data)
        found = check(path)
        assert not found.ok or data == whole or found.entries == len(stored_rows(path))

    fuzz(150)(given(spoiled([whole]))(read))()


COLUMNS = ("seq", "at", "body", "nonce", "previous", "hash", "signature")
CELLS = [None, 0, 1, -1, 2**63 - 1, -(2**63), 1.5, 1e300, "", "text", "\ud7ff\0", b"", b"\xff" * 32, b"x" * 5_000]


def test_rows(ledger: Path):
    def read(changes: list[tuple[str, int, Any]]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = copy_of(ledger, Path(folder))
            # Without types and keys, as a file of other hands may be.
            with closing(sqlite3.connect(path, isolation_level=None)) as database:
                for table in ("entries", "anchors"):
                    database.execute(f"CREATE TABLE other AS SELECT * FROM {table}")
                    database.execute(f"DROP TABLE {table}")
                    database.execute(f"ALTER TABLE other RENAME TO {table}")
                for column, row, value in changes:
                    table = "anchors" if column in ("anchor", "receipt", "party") else "entries"
                    database.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (value, row))
            check(path)

    cells = st.one_of(st.sampled_from(CELLS), st.binary(max_size=40), st.text(max_size=20), st.floats(allow_nan=False))
    change = st.tuples(st.sampled_from([*COLUMNS, "anchor", "receipt", "party"]), st.integers(1, 6), cells)
    fuzz(40)(example([("anchor", 1, 2**40)])(given(st.lists(change, min_size=1, max_size=3))(read)))()


def bodies(path: Path) -> list[Any]:
    """The bodies of all entries as plain data."""
    return [json.loads(row["body"]) for row in stored_rows(path)]


def test_entries(ledger: Path):
    """Bodies that are spoiled, in a chain that is whole and signed: as a party can write its own ledger."""
    plain = bodies(ledger)

    def read(body: Any) -> None:
        text = json.dumps(body, sort_keys=True, separators=(",", ":"))
        with limits():
            try:
                entry_of(text)
            except UnknownEntry:
                return
        with tempfile.TemporaryDirectory() as folder:
            path = copy_of(ledger, Path(folder))
            append_raw(path, text)
            check(path)

    fuzz(250)(given(altered(plain, [*ODD, *TEXT_ONLY]))(read))()


def test_whole_ledgers(ledger: Path):
    """The ledger written anew with one entry spoiled."""
    rows = [(row["at"], row["body"]) for row in stored_rows(ledger)]

    def read(place: int, body: Any) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = copy_of(ledger, Path(folder))
            spoil(path, ("DELETE FROM entries", ()))
            for number, (at, text) in enumerate(rows):
                append_raw(
                    path, json.dumps(body, sort_keys=True, separators=(",", ":")) if number == place else text, at
                )
            found = check(path)
            try:
                registry_record([found])
            except (PlanError, ValueError):
                return

    spoiled_one = st.integers(0, len(rows) - 1).flatmap(
        lambda place: st.tuples(st.just(place), altered([json.loads(rows[place][1])]))
    )
    fuzz(50)(given(spoiled_one)(lambda one: read(*one)))()


VIEWS = {
    "endless": "CREATE VIEW entries AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
    "SELECT i AS seq, "
    "'' AS at, '' AS body, x'' AS nonce, x'' AS previous, x'' AS hash, x'' AS signature FROM n",
    "large": "CREATE VIEW entries AS SELECT 1 AS seq, '' AS at, '' AS body, zeroblob(900000000) AS nonce, "
    "x'' AS previous, x'' AS hash, x'' AS signature",
    "computed": "CREATE TABLE entries (seq, at, body, previous, hash, signature, nonce AS (zeroblob(900000000)))",
    "index": "CREATE VIRTUAL TABLE entries USING fts5(seq, at, body, nonce, previous, hash, signature)",
}


@pytest.mark.parametrize("what", sorted(VIEWS))
@pytest.mark.parametrize("table", ["entries", "anchors"])
def test_what_is_no_table(ledger: Path, tmp_path: Path, what: str, table: str):
    path = copy_of(ledger, tmp_path)
    made = VIEWS[what].replace("entries", table)
    if table == "anchors":
        made = made.replace(" at", " receipt", 1).replace("'' AS at", "0 AS receipt").replace("nonce", "anchor")
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute(f"DROP TABLE {table}")
        database.execute(made)
        if what == "computed" and table == "entries":
            database.execute("INSERT INTO entries (seq) VALUES (1)")
    assert check(path).exit_code == 10


def test_pages_that_are_named_many_times(ledger: Path, tmp_path: Path):
    """A tree whose inner pages name one page again and again: a few kilobytes that are 300^4 rows long."""
    path = tmp_path / "tree.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA page_size=4096")
        for made in (
            "entries (seq, at, body, nonce, previous, hash, signature)",
            "anchors (anchor, receipt, party, seq)",
        ):
            database.execute(f"CREATE TABLE {made}")
        database.execute("BEGIN")
        database.executemany(
            "INSERT INTO entries VALUES (?, '', '', x'', x'', x'', x'')", [(n,) for n in range(40_000)]
        )
        database.execute("COMMIT")
        root = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'entries'").fetchone()[0]
    data = bytearray(path.read_bytes())

    def page(number: int) -> memoryview:
        return memoryview(data)[(number - 1) * 4096 : number * 4096]

    # the root is an inner page: every cell of a chain of copies of it names the next
    chain = [root, *range(len(data) // 4096 - 3, len(data) // 4096)]
    inner = bytes(page(root))
    assert inner[0] == 5
    cells = int.from_bytes(inner[3:5], "big")
    first = int.from_bytes(inner[12:14], "big")
    leaf = int.from_bytes(inner[first : first + 4], "big")
    for number, following in zip(chain, [*chain[1:], leaf], strict=True):
        page(number)[:] = inner
        page(number)[8:12] = following.to_bytes(4, "big")
        for cell in range(cells):
            place = int.from_bytes(inner[12 + 2 * cell : 14 + 2 * cell], "big")
            page(number)[place : place + 4] = following.to_bytes(4, "big")
    path.write_bytes(data)
    assert check(path).exit_code == 10


_FLOATS = st.sampled_from([1e-320, 1e-300, 1e-12, 1e-3, 0.5, 1.0, 30.0, 1e6, 1e12, 1e160, 1.7e308])
_COUNTS = st.sampled_from([1, 2, 50, 1_000, 10**6, 10**7, 2**53])
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(Gaussian, noise_multiplier=_FLOATS, sensitivity=_FLOATS, count=_COUNTS),
    st.builds(
        SampledGaussian,
        noise_multiplier=_FLOATS,
        sample_rate=st.sampled_from([5e-324, 1e-300, 1e-9, 1e-4, 0.5, 1.0]),
        count=_COUNTS,
        multiplicity=_COUNTS,
    ),
    st.builds(RandomizedResponse, epsilon=st.sampled_from([5e-324, 1e-9, 1.0, 100.0]), count=_COUNTS),
    st.builds(Disclosure, bits=_COUNTS, recipient=st.just("lender-1"), count=_COUNTS),
    st.builds(NoNoise, count=_COUNTS, what=st.just("what")),
)


@fuzz(80)
@given(st.lists(EVENTS, min_size=1, max_size=3), st.sampled_from([1e-30, 1e-12, 1e-5, 0.5]))
@example([SampledGaussian(noise_multiplier=3e6, sample_rate=0.1, multiplicity=3, count=1000)], 1e-5)
@example([SampledGaussian(noise_multiplier=1.0, sample_rate=0.1, multiplicity=2**53, count=1)], 1e-5)
@example([SampledGaussian(noise_multiplier=1e-3, sample_rate=0.1, count=1)], 1e-5)
@example([RandomizedResponse(epsilon=5e-324, count=10**6)], 1e-5)
@example([Gaussian(noise_multiplier=1e160, count=1)], 1e-5)
def test_figures_of_odd_events(events: list[Event], delta: float):
    with limits(seconds=60, memory=512 * MEBIBYTE), limited(300_000):
        try:
            assert COMPOSED(PldAccountant(), events, delta) >= 0
        except TooMuchWork:
            return


def test_every_kind_of_event_is_among_the_odd_ones():
    assert {Gaussian, SampledGaussian, RandomizedResponse, Disclosure, NoNoise} == set(KINDS)


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: [(at, body.replace('"count":1', '"count":9007199254740992')) for at, body in rows],
        lambda rows: [(at, body.replace('"noise_multiplier":', '"noise_multiplier":1e-300,"x":')) for at, body in rows],
        lambda rows: [("0001-01-01T00:00:00Z" if n % 2 else "\x7f", body) for n, (_, body) in enumerate(rows)],
        lambda rows: [rows[0], *rows[:0:-1]],
    ],
)
def test_reports_of_odd_ledgers(
    ledger: Path, tmp_path: Path, change: Callable[[list[tuple[str, str]]], list[tuple[str, str]]]
):
    path = copy_of(ledger, tmp_path)
    rows = [(row["at"], row["body"]) for row in stored_rows(path)]
    spoil(path, ("DELETE FROM entries", ()))
    for at, body in change(rows):
        append_raw(path, body, at)
    assert check(path).exit_code != 0
    with limits(seconds=120, memory=512 * MEBIBYTE):
        assert write_compliance_report([path], tmp_path / "report.html").exists()
