"""The platform's API as a process of its own beside the running node: they share the files of ledger and store.

Each charge is one transaction of those files, so nothing waits for training, and training waits for nothing here but
the moment of a commit.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Hashable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

from sealscore.clients.applicant.desk import ApplicantDesk
from sealscore.clients.data import in_words
from sealscore.clients.http.binding import Binding
from sealscore.clients.http.callers import Callers
from sealscore.clients.http.rates import CallerRates, LimitedCallers
from sealscore.clients.http.server import HttpLimits, HttpServer
from sealscore.clients.platform_api.app import PlatformApi, caller_file
from sealscore.clients.platform_api.applicants import made_at_platform
from sealscore.clients.platform_api.description import description
from sealscore.clients.platform_api.desk import ConsentDesk, DeskSources
from sealscore.clients.scoring.daily import Daily, platform_chores
from sealscore.clients.setup.config import NodeConfig
from sealscore.clients.setup.node_dir import NodeDir
from sealscore.clients.setup.plan_data import loader
from sealscore.clients.setup.serving_dir import ServingDir, today
from sealscore.shared.ledger.ledger import LedgerError
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.plan import Plan

log = logging.getLogger("sealscore.platform_api")
LOOK = 1.0  # seconds between two looks at releases, keys and data


def desk_sources(node_dir: NodeDir, config: NodeConfig) -> DeskSources:
    """A node's folder as the desk reads it."""
    serving, load = ServingDir(node_dir), loader(node_dir, config)
    sections = [config.data, *([config.data.consents] if config.data.consents else [])]
    files = [node_dir.folder / section.file for section in sections if section.file is not None]

    def records(plan: Plan) -> Records:
        return in_words(load, plan)

    def peers_seen() -> Hashable:
        return _seen(sorted((node_dir.folder / "serving-keys").glob("*.txt")))

    return DeskSources(
        release=serving.release,
        records=records,
        state=lambda: _seen(files),
        keys_state=peers_seen,
        peers=lambda cards, month: serving.peers(dict(cards), month),
        today=today,
    )


class PlatformService:
    """The service of one node, from its folder. `close` ends what `serve_forever` leaves.

    `rates` are what units of currencies in creators' raw rows are worth, CNY alone where none are given;
    `most_a_second` is how many requests each caller may send in a second, None for any.
    """

    def __init__(
        self,
        node_dir: NodeDir,
        binding: Binding,
        limits: HttpLimits | None = None,
        rates: Mapping[str, float] | None = None,
        most_a_second: float | None = None,
    ) -> None:
        config, identity = node_dir.config(), node_dir.identity()
        self._ledger = node_dir.ledger(identity, config)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="desk")
        self._ended, self._again = threading.Event(), threading.Event()
        try:
            # Where a thread opens it, SQLite wants it used.
            self._store = self._worker.submit(ServingDir(node_dir).store).result()
            self.desk = ConsentDesk(
                identity,
                self._ledger,
                self._store,
                desk_sources(node_dir, config),
                config.data.form,
                asking_consents=config.serving.consents == "request",
            )
            # Also where no node runs beside it: a day on which nobody agrees has its block, too.
            self._daily = Daily(self._ledger, platform_chores(self._ledger, ServingDir(node_dir).store), log.warning)
            callers = LimitedCallers(Callers(caller_file(node_dir.folder), log.warning), CallerRates(most_a_second))
            self._applicants = ApplicantDesk(made_at_platform(rates or {"CNY": 1.0}, config.data.zone), today)
            said = description(version("sealscore"))
            api = PlatformApi(self.desk, self._worker, self._applicants, callers, said)
            self.server = HttpServer(api, binding, limits, ready=self._ready)
        except BaseException:
            self.close()
            raise
        self._told: tuple[str, ...] = ()

    def reload(self) -> None:
        """Have the data read again, soon."""
        self._again.set()

    def serve_forever(self) -> None:
        """Read what is needed, and serve until SIGTERM or SIGINT.

        Raises:
            BindingError: nothing can listen there.
            LedgerError: the ledger cannot be read.
        """
        self._look()
        looking = threading.Thread(target=self._watch, name="desk-look", daemon=True)
        looking.start()
        try:
            self.server.serve_forever()
        finally:
            self._ended.set()
            looking.join()

    def close(self) -> None:
        """Close files, when all that was asked is done."""
        if "_applicants" in vars(self):
            self._applicants.stop()
        if "_store" in vars(self):
            self._worker.submit(self._store.close).result()
        self._worker.shutdown()
        self._ledger.close()

    def _watch(self) -> None:
        while not self._ended.wait(LOOK):
            try:
                self._look()
            except LedgerError as error:
                self._tell((str(error),))
            except BaseException as error:
                # Its text can have cells. What was read before is still used, whatever a library ends with.
                self._tell((f"looking at the data failed ({type(error).__name__}); see sealscore-node check",))

    def _look(self) -> None:
        again = self._again.is_set()
        self._again.clear()
        self._worker.submit(self._daily.look).result()
        if self.desk.look(self._worker, again):
            ready = self._worker.submit(self.desk.ready).result()
            log.info("tokens can be made under %d live releases", len(ready))
        self._tell(self.desk.undone)

    def _tell(self, undone: tuple[str, ...]) -> None:
        for line in undone if undone != self._told else ():
            log.warning("not read, and what was there before is used: %s", line)
        self._told = undone

    def _ready(self, place: str) -> None:
        log.info("the platform's API listens at %s", place)


def _seen(files: Iterable[Path]) -> Hashable:
    found = []
    for path in files:
        try:
            status = os.stat(path)
        except OSError:
            found.append((path.name, 0, 0, 0))
            continue
        found.append((path.name, status.st_mtime_ns, status.st_size, status.st_ino))
    return tuple(found)
