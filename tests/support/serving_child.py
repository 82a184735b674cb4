"""A process that makes tokens, scores or serves a platform's API until it is killed; what it acknowledges in a loop it
writes down first.

`python serving_child.py` reads one order a line from its input (`Order` as JSON), forks, and says the child's id and,
when it is gone, `ended` and its status. So what takes long to import is imported once for any number of kills.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from platform_desk import Desk
from platform_http import api_of
from small_release import TEXT, TODAY, Pair, agreed, application, known_at, request, watched_release

from sealscore.clients.http.binding import Binding
from sealscore.clients.http.server import HttpServer
from sealscore.clients.scoring import batches, log_days, score_log, serving_store, tokens
from sealscore.clients.warning import watching
from sealscore.shared.ledger import ledger as ledgers

ACKNOWLEDGED, TOKENS, SOCKET = "acknowledged.txt", "tokens.json", "api.sock"
PERSONS = 12
POINTS: dict[str, tuple[Any, str]] = {
    "charge": (ledgers.Ledger, "append"),
    "tell": (serving_store.Transaction, "tell"),
    "register": (serving_store.Transaction, "keep"),
    "seal": (tokens, "seal_token"),
    "wait": (watching, "put"),
    "batch": (serving_store.Transaction, "take_batch"),
    "note": (batches, "_note"),
    "use": (score_log.Batch, "use"),
    "write": (score_log.Batch, "write"),
    "sign": (score_log.Batch, "sign"),
    "retain": (score_log.Batch, "withdraw"),
    "erase": (score_log.Batch, "erase"),
    "days": (log_days, "_log_day"),
}


@dataclass(frozen=True)
class Order:
    """What a child does in which folder. At a `point`, before it or `after` it, the `count`-th time it kills itself as
    kill -9 does; a point that is a file's name is that file's commit.
    """

    folder: str
    work: str
    seed: int
    point: str = ""
    after: bool = False
    count: int = 1

    def text(self) -> str:
        """As one line."""
        return json.dumps(asdict(self)) + "\n"


def pair_at(folder: str | Path) -> Pair:
    """The platform and the lender whose files are in a folder."""
    return Pair(watched_release(), folder=Path(folder))


def _die(order: Order) -> None:
    owner, name = POINTS[order.point]
    whole: Callable[..., Any] = getattr(owner, name)
    reached = [0]

    def deadly(*args: Any, **more: Any) -> Any:
        reached[0] += 1
        if reached[0] < order.count:
            return whole(*args, **more)
        if order.after:
            whole(*args, **more)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, deadly)


def _die_at_commit(order: Order) -> None:
    """Where all is written and nothing of it holds yet, or where it holds and nobody was told."""
    reached, connect = [0], sqlite3.connect

    class Deadly(sqlite3.Connection):
        def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
            reached[0] += sql == "COMMIT"
            fatal = sql == "COMMIT" and reached[0] >= order.count
            if fatal and not order.after:
                os.kill(os.getpid(), signal.SIGKILL)
            found = super().execute(sql, *args)
            if fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            return found

    def connected(path: Any, *args: Any, **more: Any) -> sqlite3.Connection:
        return connect(path, *args, **more, **({"factory": Deadly} if Path(str(path)).name == order.point else {}))

    sqlite3.connect = connected  # type: ignore[assignment]


class Child:
    """What is done in the child until it dies."""

    def __init__(self, order: Order) -> None:
        self._pair, self._random = pair_at(order.folder), np.random.default_rng(order.seed)
        self._out = os.open(Path(order.folder) / ACKNOWLEDGED, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._folder = Path(order.folder)

    def _said(self, *words: object) -> None:
        os.write(self._out, (" ".join(map(str, words)) + "\n").encode())

    def tokens(self) -> None:
        """Consents of known persons at both lenders, some asked again or withdrawn; batches; day after day."""
        pair, chance, persons = self._pair, self._random.random, known_at(count=PERSONS)
        charged = pair.ledger.state.serving.releases[pair.release.hash].days.values()
        day = max([TODAY, *(date.fromisoformat(days[-1].day) for days in charged)])
        while True:
            person, lender = persons[self._random.integers(PERSONS)], f"lender-{self._random.integers(1, 3)}"
            key = f"{person}-{day}-{self._random.integers(2)}"
            kinds = frozenset({"signal", "capacity"} if chance() < 0.5 else {"signal"})
            try:
                token = pair.maker(day).make(request(person, key, lender, kinds=kinds), day)
            except tokens.NoToken as error:
                self._said("refused", error.code)
            else:
                self._said("token", lender, key, base64.urlsafe_b64encode(token).decode())
            if chance() < 0.1:
                with pair.store.transaction() as own:
                    own.withdraw(person, lender, str(day))
            if chance() < 0.2:
                batches.batch_for(pair.identity(), pair.ledger, pair.store, pair.release, pair.peer(day, lender), day)
            if chance() < 0.2:
                day += timedelta(days=1)

    def watches(self) -> None:
        """Consents to be watched, bits quarter by quarter, batches, and now and then an end."""
        pair, persons = self._pair, known_at(count=PERSONS)
        charged = pair.ledger.state.serving.releases[pair.release.hash].days.values()
        day = max([TODAY, *(date.fromisoformat(days[-1].day) for days in charged)])
        records = agreed(pair.platform)
        desk = watching.Watching(pair.platform, pair.ledger, pair.store, pair.release, records)
        while True:
            for person in persons:
                asked = watching.WatchRequest("lender-1", person, f"begin-{person}", TEXT, "en", 6)
                with suppress(tokens.NoToken):
                    self._said("watch", desk.begin(asked, day).handle.hex())
            if self._random.random() < 0.3:
                person = persons[self._random.integers(PERSONS)]
                watching.stop_watching(pair.store, person, "lender-1", day)
            day += timedelta(days=23)
            self._said("told", day, desk.tell(day).told)
            batches.batch_for(pair.identity(), pair.ledger, pair.store, pair.release, pair.peer(day), day)

    def scores(self) -> None:
        """Applications with and without tokens, some sent again; withdrawals and erasures; day after day."""
        pair, chance = self._pair, self._random.random
        given = json.loads((self._folder / TOKENS).read_text("ascii"))
        service, noted = pair.service(), pair.lender_ledger.state.serving.log_days
        day = max([TODAY, *(date.fromisoformat(one.day) + timedelta(days=1) for one in noted)])
        while True:
            log_days.note_days(pair.lender_ledger, pair.log, day)
            person, token, handle = given[self._random.integers(len(given))]
            held = (base64.urlsafe_b64decode(token),) if chance() < 0.7 else ()
            number = self._random.integers(3)
            body = application(person, *held, application_id=f"app-{person}-{number}")
            try:
                answer = service.score(body, "child", TODAY)
            except ValueError as error:
                self._said("refused", getattr(error, "code", ""))
            else:
                self._said("score", answer["score_id"], answer["pd"], answer["points"])
            if chance() < 0.1:
                with pair.log.commit() as batch:
                    batch.erase(person, "asked for it")
            if chance() < 0.1:
                with pair.log.commit() as batch:
                    batch.withdraw([bytes.fromhex(handle)], pair.platform, str(day), "2035-01-01")
            if chance() < 0.2:
                day += timedelta(days=1)

    def serve(self) -> None:
        """The platform's API at a Unix socket in the folder, by the callers of the folder."""
        desk = Desk(self._pair)
        HttpServer(api_of(desk, self._folder), Binding(path=self._folder / SOCKET)).serve_forever()


def main() -> None:
    """See the module."""
    watched_release()
    for line in sys.stdin:
        order = Order(**json.loads(line))
        pid = os.fork()
        if pid == 0:
            sys.stdin = open(os.devnull)  # noqa: SIM115 - for the life of the process
            if order.point in POINTS:
                _die(order)
            elif order.point:
                _die_at_commit(order)
            try:
                getattr(Child(order), order.work)()
            finally:
                os._exit(3)
        print(pid, flush=True)
        print(f"ended {os.waitpid(pid, 0)[1]}", flush=True)


if __name__ == "__main__":
    main()
