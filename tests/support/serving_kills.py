"""Processes that are killed at serving, and what must hold of a platform's files afterwards."""

from __future__ import annotations

import base64
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

from paths import ROOT
from processes import alive
from serving_child import ACKNOWLEDGED, PERSONS, TOKENS, Order, pair_at
from small_release import LIMITS, Pair, known_at, serving_keys

from sealscore.shared.ledger.ledger import read_ledger
from sealscore.shared.serving.serving_keys import month_of
from sealscore.shared.serving.token import Token, claimed_release, open_token
from sealscore.shared.serving.watch import end_entry, quarter_of, watch_entry

# A busy machine is slow, and a quick one does not wait.
PATIENCE = 300.0


class Children:
    """Children of one process that has imported everything."""

    def __init__(self) -> None:
        script = ROOT / "tests" / "support" / "serving_child.py"
        self._process = subprocess.Popen(
            [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )

    def killed(self, order: Order, answers: int = 0, wait: float = 0.0) -> None:
        """Carry out an order until the child is dead, by itself or, where the order names no point, after so many
        answers and a moment.
        """
        assert self._process.stdin is not None
        before = len(acknowledged(Path(order.folder)))
        self._process.stdin.write(order.text())
        self._process.stdin.flush()
        pid = int(self._line())
        end = time.monotonic() + PATIENCE
        if not order.point:
            while len(acknowledged(Path(order.folder))) < before + answers and time.monotonic() < end:
                time.sleep(0.001)
            time.sleep(wait)
            os.kill(pid, signal.SIGKILL)
        while alive(pid):
            if time.monotonic() > end:
                os.kill(pid, signal.SIGKILL)
                raise AssertionError(f"the child never came to {order.point}")
            time.sleep(0.001)
        # An error of its own would end a child otherwise.
        assert self._line() == f"ended {int(signal.SIGKILL)}"

    def close(self) -> None:
        """End it."""
        self._process.communicate()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def acknowledged(folder: Path) -> list[list[str]]:
    """What children wrote down, but for a line that was cut off."""
    path = folder / ACKNOWLEDGED
    text = path.read_text("ascii") if path.exists() else ""
    return [line.split() for line in text[: text.rfind("\n") + 1].splitlines()]


def begin(folder: Path) -> Path:
    """Ledgers and files of a pair, and one token of each person for a lender to score with."""
    folder.mkdir()
    pair = pair_at(folder)
    given = []
    for person in known_at(count=PERSONS):
        token = pair.token(person, f"begin-{person}")
        given.append((person, base64.urlsafe_b64encode(token).decode(), opened(pair, token).handle.hex()))
    assert pair.lender_ledger.state.serving.live
    pair.close()
    (folder / TOKENS).write_text(json.dumps(given), "ascii")
    return folder


def opened(pair: Pair, token: bytes, lender: str = "lender-1") -> Token:
    """The content of a token."""
    release, month = claimed_release(token)
    return open_token(token, serving_keys(lender, month), release, pair.plan.cards)


def check_platform(folder: Path) -> None:
    """No token without its charge, no charge lost, no acknowledged token gone."""
    pair = pair_at(folder)
    assert pair.store.check() is None
    list(read_ledger(folder / "wallet.db"))
    days = pair.ledger.state.serving.releases[pair.release.hash].days
    assert all(pair.store.holds(day.store_head) for kept in days.values() for day in kept)
    told = pair.release.manifest.told["wallet"]
    with sqlite3.connect(folder / "serving.db") as database:
        tokens = database.execute("SELECT lender, key, person, day, handle, token FROM tokens").fetchall()
        rows = database.execute("SELECT person, kind, what, month, value, bits, handle FROM told").fetchall()
        heads = dict(database.execute("SELECT head, seq FROM told").fetchall())
        first = dict(database.execute("SELECT handle, MIN(seq) FROM told GROUP BY handle").fetchall())
    handles = set()
    for lender, _, person, day, handle, data in tokens:
        content = opened(pair, data, lender)
        assert (content.handle, content.fits(person)) == (handle, True)
        assert handle not in handles
        handles.add(handle)
        # The day stands in the ledger, with a head from before anything of this token was told.
        (entry,) = [one for one in days[lender] if one.day == day]
        assert heads.get(bytes.fromhex(entry.store_head), 0) < first[handle]
        for kind, value in content.values.items():
            month = f"{told.definition(kind)}|{month_of(content.as_of)}"
            known = [row for row in rows if row[:3] == (person, kind, month)]
            assert {row[4] for row in known} == {value}
            assert sum(row[5] for row in known) == told.bits[kind]
    assert {row[6] for row in rows} <= handles
    for what, *said in acknowledged(folder):
        if what == "token":
            lender, key, text = said
            (data,) = [one[5] for one in tokens if one[:2] == (lender, key)]
            assert base64.urlsafe_b64decode(text) == data
    pair.close()


def check_watches(folder: Path) -> None:
    """No bit without its charge and its row, none twice, none beyond a ceiling, and what waits is what was told."""
    check_platform(folder)
    pair = pair_at(folder)
    rule, limit = pair.release.manifest.told["wallet"], LIMITS["watch"]
    with sqlite3.connect(folder / "serving.db") as database:
        rows = database.execute(
            "SELECT seq, person, what, month, value, bits, handle FROM told WHERE kind = 'watch'"
        ).fetchall()
        waiting = database.execute("SELECT entry, handle, quarter, batch FROM watch_outbox").fetchall()
        begun = dict(database.execute("SELECT handle, ended FROM subscriptions").fetchall())
    told = {(handle, quarter): value for _, _, _, quarter, value, _, handle in rows}
    assert len(told) == len(rows)
    spent: dict[tuple[str, str], int] = {}
    days = pair.ledger.state.serving.releases[pair.release.hash].days["lender-1"]
    heads = {entry.store_head for entry in days}
    charged = {quarter_of(date.fromisoformat(entry.day)) for entry in days}
    assert all(pair.store.holds(head) for head in heads)
    for _, person, what, quarter, _, bits, handle in rows:
        assert what == f"{rule.definition('watch')}|{quarter}"
        assert quarter in charged
        assert handle in begun
        spent[person, quarter] = spent.get((person, quarter), 0) + bits
    assert set(spent.values()) <= {limit.month}
    people = {person for person, _ in spent}
    assert all(sum(bits for (one, _), bits in spent.items() if one == person) <= limit.life for person in people)
    for entry, handle, quarter, batch in waiting:
        if quarter is None:
            assert (entry, begun[handle] is None) == (end_entry(handle), False)
        else:
            assert entry == watch_entry(handle, quarter, told[handle, quarter])
            # What a batch was made with stays in it until the next one is made.
            assert begun[handle] is None or batch is not None
    for what, *said in acknowledged(folder):
        if what == "watch":
            assert bytes.fromhex(said[0]) in begun
    pair.close()
