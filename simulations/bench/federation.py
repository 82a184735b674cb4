"""A round of a deployed federation against one of a trivial app: 4 and 10 nodes over TLS on the loopback interface.

One SuperLink with its doors and one SuperNode a party run as they do in a deployment, in processes of their own.
First the server carries out a small real plan with them (real keys, seals, masks, ledgers on the disk, 2,000 invented
records a party), then a trivial app sends as many bytes over the same SuperLink and gets them back, from the same
sockets. The nodes themselves are in this process, one socket server each, as partners have one each. Each side has
two turns, of which medians of rounds are taken.

What a round is made of is seen at the nodes: `process_start` is the age of a courier's process when it asks the node,
`compute` the time in which a node was at work, `server` what passes between two rounds (step, journal), `transfer` the
difference between the trivial app with the plan's bytes and with a few. The rest, `waits`, are polls: the SuperNode's
(0.5 s by default), its executor's (0.05 s) and the server app's (a tenth of the time so far, up to 0.5 s).
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import mean, median
from typing import Any

import polars as pl

from sealscore.clients.data import load_records
from sealscore.clients.deploy.node_key import make_node_key
from sealscore.clients.deploy.pinning import allow
from sealscore.clients.deploy.supernode import SuperNode, SuperNodeSettings
from sealscore.clients.node.plan_ledger import approve
from sealscore.clients.node.plan_router import PlanRouter
from sealscore.clients.node.socket_server import serve
from sealscore.server.commands.terminal import superlink_of
from sealscore.server.deploy.certificates import make_authority, make_server_certificate
from sealscore.server.deploy.control import Control
from sealscore.server.deploy.control_answers import ControlError
from sealscore.server.deploy.superlink import SuperLink
from sealscore.server.setup.plan_making import PROFILES, made, with_cards
from sealscore.server.setup.server_dir import ServerDir
from sealscore.shared.bundle import Bundle, build_bundle, courier_bundle
from sealscore.shared.crypto.sealing import SealError, claimed_address
from sealscore.shared.identity.enrolment import Enrolment
from sealscore.shared.identity.identity import Identity
from sealscore.shared.identity.trust import TrustStore
from sealscore.shared.ledger.disclosure_store import DisclosureStore
from sealscore.shared.ledger.entries import Ceilings, Identify
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.persons.records import Records
from sealscore.shared.phases.kind import Kind
from sealscore.shared.plan.plan import SERVER, Plan
from sealscore.shared.plan.toml import load_toml
from sealscore.shared.randomness.streams import StreamSource
from sealscore.simulations.data.scenario import PLANS, Scenario
from sealscore.simulations.engine.flower_echo import echo_app
from sealscore.simulations.engine.flower_engine import free_port

NODES, ROUNDS, WARM_UP, TURNS = (4, 10), 15, 3, 2
PLAN, RECORDS, FEW_BYTES = PLANS / "synthetic_horizontal_eps2.toml", 2_000, 16
CEILINGS = Ceilings(epsilon=None, delta=1e-3)
PERSONS = Identify(column="creator_id", form="exact")
LIMIT = 1.2
_START, _RUN = 60.0, 400.0


@dataclass(frozen=True)
class _Call:
    """One request at a node: when it came and was answered (seconds since 1970), its round and its courier's age."""

    asked: float
    done: float
    round: int | None
    courier: float | None
    size: int


@dataclass
class _Party:
    """A node on its socket, or in its place an echo; notes every call."""

    router: PlanRouter
    echo: bool = False
    executor: SuperNode | None = None
    calls: list[_Call] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The party."""
        return self.router.name

    def answer(self, request: bytes) -> bytes:
        """The node's answer, or what was asked."""
        asked, courier = time.time(), _courier_age(self.executor.executor.pid if self.executor else None)
        body = request if self.echo else self.router.answer(request)
        self.calls.append(_Call(asked, time.time(), _round_of(request), courier, len(request)))
        return body


def _round_of(request: bytes) -> int | None:
    """The round of training that a sealed request is of."""
    with suppress(SealError):
        at = claimed_address(request)
        if at.phase.startswith(f"{Kind.TRAIN.value}:"):
            return at.round
    return None


def _courier_age(executor: int | None) -> float | None:
    """Seconds since the executor made the courier that asks now, by the kernel's word; None where it has none."""
    if executor is None or not sys.platform.startswith("linux"):
        return None
    try:
        (courier,) = Path(f"/proc/{executor}/task/{executor}/children").read_text("ascii").split()
        began = int(Path(f"/proc/{courier}/stat").read_text("ascii").rpartition(")")[2].split()[19])
        now = float(Path("/proc/uptime").read_text("ascii").split()[0])
    except (OSError, ValueError):
        return None
    return now - began / os.sysconf("SC_CLK_TCK")


class _Federation:
    """A SuperLink that runs, and as many parties as were asked for, with their SuperNodes."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self.server = ServerDir(folder / "server")
        self.identity = self.server.create()
        make_authority(self.server.certificates)
        make_server_certificate(self.server.certificates, ["localhost"])
        ports = f"control_port = {free_port()}\npartner_port = {free_port()}\n"
        self.server.config_file.write_text(f'hosts = ["localhost"]\n{ports}', encoding="utf-8")
        self.settings = superlink_of(self.server)
        self._link = stack.enter_context(SuperLink(self.settings))
        self.bundle, self.trivial = courier_bundle(), build_bundle(echo_app())
        self.parties: dict[str, _Party] = {}
        self._ledgers: dict[str, Ledger] = {}
        self._data: dict[str, dict[str, Records]] = {}

    def grow(self, nodes: int) -> None:
        """Have so many parties that are connected."""
        for number in range(len(self.parties) + 1, nodes + 1):
            self._add(f"lender-{number:02}")
        deadline = time.monotonic() + _START
        while not all(party.executor is not None and party.executor.connected() for party in self.parties.values()):
            if time.monotonic() > deadline:
                raise RuntimeError("not all nodes are connected")
            time.sleep(0.1)

    def _add(self, name: str) -> None:
        folder = self._folder / name
        identity, line = Identity.generate(name, "lender"), make_node_key(folder / "key")
        self.server.keep_card(Enrolment.of(identity, line))
        with Control(self.settings) as control:
            control.enrol(line, name)
        ledger = Ledger.create(folder / "ledger.db", identity, name, CEILINGS, identified=PERSONS)
        self._ledgers[name] = ledger
        self._stack.callback(ledger.close)
        disclosures = self._stack.enter_context(_closing(DisclosureStore(folder / "register.db")))
        trust = _Everybody(self)
        router = PlanRouter(
            identity, trust, ledger, disclosures, StreamSource.system(), load=lambda plan: self._load(plan, name)
        )
        self._stack.callback(router.close)
        party = self.parties[name] = _Party(router)
        sockets = self._stack.enter_context(serve([party], self._folder / "s"))
        settings = SuperNodeSettings(
            folder=folder / "supernode",
            server=f"127.0.0.1:{self.settings.partner_port}",
            authority=self.settings.authority,
            key=folder / "key",
            role="lender",
            party=name,
            node_socket=sockets[name],
            port=free_port(),
        )
        allow(settings.folder, {self.bundle.sha256: "plan", self.trivial.sha256: "trivial"})
        party.executor = self._stack.enter_context(SuperNode(settings))

    def plan(self, name: str) -> Plan:
        """A plan of all parties, signed, approved by every node, with data dealt out."""
        profile = dataclasses.replace(PROFILES["few"], rounds=ROUNDS)
        enrolled, counts = self.server.enrolments(), dict.fromkeys(self.parties, RECORDS)
        expires = datetime.now(UTC).date() + timedelta(days=1)
        draft = Plan.parse(made(load_toml(PLAN), name, profile, enrolled, {}, counts, 1, expires))
        plan = with_cards(draft, self.identity.card, enrolled, self.bundle.sha256)
        (self.server.plans / f"{name}.json").write_bytes(plan.canonical())
        self._data[plan.hash] = _dealt(plan)
        for ledger in self._ledgers.values():
            approve(ledger, plan)
        return plan

    def _load(self, plan: Plan, name: str) -> Records:
        return self._data[plan.hash][name]

    def carry_out(self, plan: Plan) -> float:
        """Run a plan; seconds of a round of training as the server app counts them, the median."""
        self._turn(echo=False)
        self._run(self.bundle, {"home": str(self.server.folder), "plan": plan.name, "action": "run"})
        rows = pl.read_parquet(self.server.run_folder(plan) / "rounds.parquet")
        rows = rows.filter(pl.col("phase").str.starts_with(f"{Kind.TRAIN.value}:") & (pl.col("round") > WARM_UP))
        if len(rows) != ROUNDS - WARM_UP or rows["attempts"].max() != 1:
            raise RuntimeError(f"the plan was not carried out in {ROUNDS} rounds of one attempt")
        return float(rows["seconds"].median())  # type: ignore[arg-type]

    def echo(self, size: int) -> list[float]:
        """Run the trivial app; when each of its rounds began, in seconds since 1970."""
        self._turn(echo=True)
        plan, output = self._folder / "echo.json", self._folder / f"echo-{time.time_ns()}"
        rounds = {"parties": list(self.parties), "rounds": ROUNDS, "bytes": size}
        plan.write_text(json.dumps(rounds), encoding="utf-8")
        self._run(self.trivial, {"plan": str(plan), "output": str(output)})
        began: list[float] = json.loads((output / "run.json").read_text("utf-8"))["began"]
        return began

    def _turn(self, echo: bool) -> None:
        for party in self.parties.values():
            party.echo = echo
            party.calls.clear()

    def _run(self, bundle: Bundle, config: Mapping[str, str]) -> None:
        with Control(self.settings) as control:
            try:
                number = control.submit(bundle, dict(config))
                run = control.wait(number, timeout=_RUN)
            except ControlError as error:
                raise RuntimeError(f"{error}\n{self._link.link.exits}\n{self._link.link.tail()}") from None
            if not run.completed:
                logs = "".join(control.logs(number))[-2000:]
                raise RuntimeError(f"the run has not ended well: {run.details}\n{logs}")


class _Everybody(TrustStore):
    """Trust in everybody who is enrolled by then; the benchmark has nobody to compare fingerprints with."""

    def __init__(self, federation: _Federation) -> None:
        super().__init__()
        self._federation = federation

    @property
    def cards(self) -> dict[str, Any]:
        """The cards of the server and of all parties."""
        enrolled = {name: one.card for name, one in self._federation.server.enrolments().items()}
        return enrolled | {SERVER: self._federation.identity.card}


@contextmanager
def _closing(disclosures: DisclosureStore) -> Iterator[DisclosureStore]:
    try:
        yield disclosures
    finally:
        disclosures.close()


def _dealt(plan: Plan) -> dict[str, Records]:
    """Invented records of each party of a plan."""
    packaged = Scenario.load(PLAN)
    settings = packaged.settings.model_copy(update={"creators": RECORDS * len(plan.parties)})
    with tempfile.TemporaryDirectory(prefix="sealscore-") as folder:
        files = Scenario(plan, settings, packaged.path).materialise(Path(folder))
        return {name: load_records(file, plan, name, Path(folder)) for name, file in files.items()}


@dataclass(frozen=True)
class _Turn:
    """One turn: seconds of a round, of the nodes' work in it, of a courier's start (medians); bytes of a request."""

    round: float
    compute: float
    start: float
    size: float


def _seen(parties: Mapping[str, _Party]) -> _Turn:
    """What the nodes saw of a plan's training, first rounds left out."""
    rounds: dict[int, list[_Call]] = defaultdict(list)
    for party in parties.values():
        for call in party.calls:
            if call.round is not None and call.round > WARM_UP:
                rounds[call.round].append(call)
    began = [min(call.asked for call in calls) for _, calls in sorted(rounds.items())]
    calls = [call for one in rounds.values() for call in one]
    couriers = [call.courier for call in calls if call.courier is not None]
    return _Turn(
        median(later - earlier for earlier, later in pairwise(began)),
        median(_busy(one) for one in rounds.values()),
        median(couriers) if couriers else 0.0,
        mean(call.size for call in calls),
    )


def _busy(calls: list[_Call]) -> float:
    """Seconds in which at least one node was at work."""
    total, until = 0.0, 0.0
    for call in sorted(calls, key=lambda call: call.asked):
        total += max(0.0, call.done - max(call.asked, until))
        until = max(until, call.done)
    return total


def _pace(began: list[float]) -> float:
    """Seconds from one round to the next, the median, first rounds left out."""
    return median(later - earlier for earlier, later in pairwise(began[WARM_UP:]))


def _measured(federation: _Federation, nodes: int) -> dict[str, float]:
    """The figures of so many nodes, each side in turns."""
    federation.grow(nodes)
    turns, waited, trivial, few = [], [], [], []
    for turn in range(TURNS):
        plan = federation.plan(f"bench-{nodes}-{turn}")
        waited.append(federation.carry_out(plan))
        turns.append(_seen(federation.parties))
        trivial.append(_pace(federation.echo(round(turns[-1].size))))
        few.append(_pace(federation.echo(FEW_BYTES)))
    whole, compute = mean(turn.round for turn in turns), mean(turn.compute for turn in turns)
    start, transfer = mean(turn.start for turn in turns), mean(trivial) - mean(few)
    return {
        "ratio": whole / mean(trivial),
        "round_seconds": whole,
        "trivial_round_seconds": mean(trivial),
        "waits": mean(waited) - compute - start - transfer,
        "process_start": start,
        "transfer": transfer,
        "compute": compute,
        "server": whole - mean(waited),
        "request_bytes": mean(turn.size for turn in turns),
    }


def run() -> dict[str, Any]:
    """`ratio_N` of a round to one of the trivial app for N nodes, and what a round is made of, in seconds."""
    result: dict[str, Any] = {}
    # the path of a socket is short, that of a folder of runs is not
    with tempfile.TemporaryDirectory(prefix="seal-", ignore_cleanup_errors=True) as folder, ExitStack() as stack:
        federation = _Federation(Path(folder), stack)
        for nodes in NODES:
            result |= {f"{name}_{nodes}": value for name, value in _measured(federation, nodes).items()}
    load = os.getloadavg()[0]
    return result | {"ratio_limit": LIMIT, "rounds": ROUNDS - WARM_UP, "turns": TURNS, "load": load}
