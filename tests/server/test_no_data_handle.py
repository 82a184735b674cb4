"""No data can be reached from the coordinator, and it runs where neither clients nor data exist."""

from __future__ import annotations

import gc
import queue
import subprocess
import sys
import threading
import types
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders import LENDERS, small_federation, small_plan, small_records
from doubles import DirectExchange, Quiet, nodes_of
from paths import ROOT

from sealscore.clients.node.node import Node
from sealscore.server.run.coordinator import Coordinator
from sealscore.server.transport.exchange import ClearMessenger, Delivered, Traffic
from sealscore.shared.crypto.aggregation import PlainSum
from sealscore.shared.model.score_model import ScoreModel
from sealscore.shared.persons.records import Records

PLAN = small_plan(privacy__noise="none", training__rounds=8)


class BytesExchange:
    """An exchange that holds two queues and nothing else; the nodes live behind them, in another thread."""

    def __init__(self, parties: Iterable[str]) -> None:
        self.traffic = Traffic()
        self.outbox: queue.Queue[dict[str, bytes] | None] = queue.Queue()
        self.inbox: queue.Queue[dict[str, bytes]] = queue.Queue()
        self._parties = frozenset(parties)

    def online(self) -> frozenset[str]:
        return self._parties

    def send(self, requests: Mapping[str, bytes], timeout: float | None = None) -> dict[str, Delivered]:
        self.outbox.put(dict(requests))
        return dict(self.inbox.get(timeout=30))


@contextmanager
def behind_queues(nodes: Mapping[str, Node]) -> Iterator[BytesExchange]:
    exchange = BytesExchange(nodes)

    def serve(outbox: Any, inbox: Any) -> None:
        while (requests := outbox.get()) is not None:
            inbox.put({party: nodes[party].answer(body) for party, body in requests.items()})

    server = threading.Thread(target=serve, args=(exchange.outbox, exchange.inbox), daemon=True)
    server.start()
    try:
        yield exchange
    finally:
        exchange.outbox.put(None)
        server.join(10)


def reachable(root: object) -> list[object]:
    """Every object that an object leads to, by any reference, but for code: modules, classes and their globals."""
    code = (types.ModuleType, type, types.CodeType, types.BuiltinFunctionType, types.FrameType)
    seen: dict[int, object] = {}
    pending = [root]
    while pending:
        thing = pending.pop()
        if id(thing) in seen or isinstance(thing, code):
            continue
        seen[id(thing)] = thing
        if isinstance(thing, types.FunctionType):
            pending += [cell.cell_contents for cell in thing.__closure__ or ()]
            pending += [*(thing.__defaults__ or ()), *(thing.__kwdefaults__ or {}).values()]
        else:
            pending += gc.get_referents(thing)
    return list(seen.values())


# Numbers of records that nothing public has: no weight vector, histogram or table is that long.
SIZES = (1013, 1019, 1021)


def is_data(thing: object, sizes: set[int]) -> bool:
    """A node, records, or an array with as many rows as a party has records, training records or test records."""
    if isinstance(thing, Records | Node):
        return True
    return isinstance(thing, np.ndarray | torch.Tensor) and any(size in sizes for size in thing.shape)


class TestNoHandleOnData:
    @pytest.fixture
    def records(self) -> dict[str, Records]:
        return {name: small_records(size, seed=size) for name, size in zip(LENDERS, SIZES, strict=True)}

    @pytest.fixture
    def sizes(self, records: dict[str, Records]) -> set[int]:
        parts = [part for held in records.values() for part in (held, held.training_part(), held.test_part())]
        return {len(part) for part in parts}

    def test_nothing_of_a_party_can_be_reached_from_it(self, records, sizes):
        found: list[type] = []
        holder: list[Coordinator] = []

        class Looking(Quiet):
            def round(self, row: dict[str, Any]) -> None:
                super().round(row)
                found.extend(type(thing) for thing in reachable(holder[0]) if is_data(thing, sizes))

        with behind_queues(nodes_of(PLAN, records)[0]) as exchange:
            observer = Looking()
            holder.append(Coordinator(PLAN, "run-1", ClearMessenger(exchange), PlainSum(), observer, patience=0.0))
            outcome = holder[0].run()
        assert len(observer.rows) == 11
        found.extend(type(thing) for thing in reachable((holder[0], outcome)) if is_data(thing, sizes))
        assert found == []
        assert outcome.tables.tables["all"].sum() > 0

    def test_the_search_would_find_them(self, records, sizes):
        """Teeth: with an exchange that holds the nodes themselves, the same search finds their records."""
        exchange = DirectExchange(nodes_of(PLAN, records)[0])
        coordinator = Coordinator(PLAN, "run-1", ClearMessenger(exchange), PlainSum(), Quiet(), patience=0.0)
        coordinator.run()
        found = {type(thing) for thing in reachable(coordinator) if is_data(thing, sizes)}
        assert {Node, Records, np.ndarray, torch.Tensor} <= found

    def test_it_runs_in_a_process_that_has_no_clients_and_no_data(self, tmp_path: Path):
        """The coordinator in a process of its own, where clients and simulations cannot even be imported."""
        nodes, _ = nodes_of(PLAN, small_federation())
        (tmp_path / "plan").write_bytes(PLAN.canonical())
        process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT), "PATH": "", "OMP_NUM_THREADS": "1", "HOME": str(tmp_path)},
        )
        try:
            while line := process.stdout.readline():
                party, body = line.split()
                answer = nodes[party.decode()].answer(bytes.fromhex(body.decode()))
                process.stdin.write(answer.hex().encode() + b"\n")
                process.stdin.flush()
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()
        remote = ScoreModel.load(tmp_path / "run" / "model")
        exchange = DirectExchange(nodes_of(PLAN, small_federation())[0])
        here = Coordinator(
            PLAN, f"run-{PLAN.hash[:16]}", ClearMessenger(exchange), PlainSum(), Quiet(), patience=0.0
        ).run()
        assert np.array_equal(remote.weights.vector, here.model.weights.vector)


SERVER = """
import sys
from pathlib import Path

sys.modules["clients"] = sys.modules["simulations"] = sys.modules["flwr"] = None
import torch

torch.set_num_threads(1)
from sealscore.server.run.run import run_coordinator
from sealscore.server.transport.exchange import Traffic


class Pipe:
    def __init__(self):
        self.traffic = Traffic()

    def online(self):
        return frozenset({"lender-1", "lender-2", "lender-3"})

    def send(self, requests, timeout=None):
        replies = {}
        for party, body in requests.items():
            print(party, body.hex(), flush=True)
            replies[party] = bytes.fromhex(sys.stdin.readline())
        return replies


folder = Path(sys.argv[1])
run_coordinator((folder / "plan").read_bytes(), Pipe(), folder / "run")
"""
