"""A ledger that cannot be written says so in plain words, and what was not written is not charged."""

import contextlib
import os
import resource
import shutil
import tempfile
from pathlib import Path

import pytest
from builders import TRAIN, small_plan
from ledger_entries import UNLIMITED, approval, refusal, reserve

from sealscore.shared.identity.identity import Identity
from sealscore.shared.ledger.ledger import Ledger, LedgerError, read_ledger
from sealscore.shared.ledger.state import LedgerFault

PLAN = small_plan()
IDENTITY = Identity.generate("lender-1", "lender")
NOBODY = 65534


@contextlib.contextmanager
def room_for(size):
    """No file can grow beyond `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def folder():
    """A folder that others can reach too: the superuser writes where it must not, so tests of that step down."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    yield made
    made.chmod(0o755)
    shutil.rmtree(made)


@contextlib.contextmanager
def unprivileged():
    """As a user for whom the permissions of files hold."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def opened(folder):
    ledger = Ledger.create(folder / "ledger.db", IDENTITY, "loans", UNLIMITED)
    ledger.append(lambda state: approval(PLAN))
    return ledger


def test_a_full_disk_charges_nothing_and_the_ledger_goes_on_when_there_is_room(folder):
    ledger = opened(folder)
    log = folder / "ledger.db-wal"
    acknowledged = 0

    def reserving():
        nonlocal acknowledged
        for round in range(1, 7):
            ledger.append(lambda state, round=round: reserve(PLAN, TRAIN, round))
            acknowledged += 1

    with room_for(log.stat().st_size + 30_000), pytest.raises(LedgerError) as failed:
        reserving()
    assert str(ledger.path) in str(failed.value)
    assert "see that the disk has room" in str(failed.value)
    assert 0 < acknowledged < 6
    # In this object, in another, and in one that has still no room.
    assert ledger.state.plans[PLAN.hash].spent == {TRAIN: acknowledged}
    assert ledger.head.seq == 2 + acknowledged
    other = Ledger(ledger.path, IDENTITY)
    assert other.state.plans[PLAN.hash].spent == {TRAIN: acknowledged}
    other.close()
    with room_for(log.stat().st_size), pytest.raises(LedgerError, match="disk has room"):
        ledger.append(lambda state: reserve(PLAN, TRAIN, acknowledged + 1))
    assert ledger.append(lambda state: reserve(PLAN, TRAIN, acknowledged + 1)) == 3 + acknowledged
    ledger.close()
    assert len(list(read_ledger(folder / "ledger.db"))) == 3 + acknowledged


@pytest.mark.parametrize("step", ["INSERT", "COMMIT"])
def test_a_failing_step_leaves_the_ledger_as_it_was(folder, step):
    ledger = opened(folder)

    class Failing:
        """The connection, but for one statement, before which the disk fills up."""

        def __init__(self, inner):
            self._inner = inner

        def __getattr__(self, name):
            return getattr(self._inner, name)

        def execute(self, statement, *values):
            if not statement.startswith(step):
                return self._inner.execute(statement, *values)
            with room_for(0):
                self._inner.execute(statement, *values)
                return self._inner.execute("COMMIT")

    sound, ledger._database = ledger._database, Failing(ledger._database)
    with pytest.raises(LedgerError, match="disk has room"):
        ledger.append(lambda state: reserve(PLAN, TRAIN))
    ledger._database = sound
    assert ledger.head.seq == 2
    assert ledger.state.plans[PLAN.hash].spent == {}
    assert ledger.append(lambda state: reserve(PLAN, TRAIN)) == 3
    ledger.close()


def test_a_full_disk_makes_no_ledger(folder):
    with room_for(0), pytest.raises(LedgerError, match="no ledger can be created there"):
        Ledger.create(folder / "ledger.db", IDENTITY, "loans", UNLIMITED)


def test_a_read_only_ledger_is_named_and_not_taken_for_a_damaged_one(folder):
    ledger = opened(folder)
    path = ledger.path
    ledger.close()
    path.chmod(0o444)
    folder.chmod(0o555)
    with unprivileged():
        with pytest.raises(LedgerError, match="the file and its folder can be written") as refused:
            Ledger(path, IDENTITY).append(lambda state: refusal(PLAN))
        with pytest.raises(LedgerError, match="no ledger can be created there"):
            Ledger.create(folder / "another.db", IDENTITY, "loans", UNLIMITED)
    assert str(path) in str(refused.value)
    path.chmod(0o600)
    folder.chmod(0o755)
    assert len(list(read_ledger(path))) == 2


def test_a_read_only_file_in_a_folder_that_can_be_written(folder):
    ledger = opened(folder)
    path = ledger.path
    ledger.close()
    path.chmod(0o444)
    folder.chmod(0o777)
    with unprivileged(), pytest.raises(LedgerError, match="the file and its folder can be written"):
        Ledger(path, IDENTITY).append(lambda state: reserve(PLAN, TRAIN))
    path.chmod(0o600)
    ledger = Ledger(path, IDENTITY)
    assert ledger.state.plans[PLAN.hash].spent == {}
    ledger.close()


def test_a_fault_of_an_entry_is_told_from_one_of_the_disk(folder):
    ledger = opened(folder)
    with room_for(0), pytest.raises(LedgerFault):
        ledger.append(lambda state: reserve(PLAN, "bin:nobody"))
    ledger.close()
