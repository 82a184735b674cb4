"""The benchmark of a deployed round: what it makes of the calls that nodes saw, and a short live run."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from sealscore.shared.crypto.sealing import PlanKeys, peer_key, seal_message
from sealscore.shared.identity.identity import Identity
from sealscore.shared.messages.codec import Address
from sealscore.shared.messages.messages import Asked
from sealscore.simulations.bench import federation
from sealscore.simulations.bench.federation import _busy, _Call, _courier_age, _pace, _Party, _round_of, _seen


def call(asked: float, done: float, round: int | None = 1, courier: float | None = 0.1) -> _Call:
    return _Call(asked, done, round, courier, 100)


def sealed(phase: str, round: int) -> bytes:
    server, party = Identity.generate("server", "server"), Identity.generate("lender-1", "lender")
    plan = "ab" * 32
    key = peer_key(PlanKeys.generate(party, plan).certificate, party.card, plan)
    header = Address(plan, "run-1", phase, round, 1, "server", "lender-1")
    return seal_message(Asked(header, "SumRequest", b"", (), b"", {}), server, key)


def test_the_round_of_a_request_is_read_from_its_seal():
    assert _round_of(sealed("train_tower:lender", 7)) == 7
    assert _round_of(sealed("bin:lender", 1)) is None
    assert _round_of(bytes(3000)) is None


def test_nodes_at_work_at_once_are_counted_once():
    assert _busy([call(0, 2), call(1, 3), call(5, 6), call(5.5, 5.75)]) == pytest.approx(4.0)


def test_a_pace_leaves_the_first_rounds_out():
    began = [0.0, 9.0, 20.0, 21.0, 22.0, 23.0]
    assert began[federation.WARM_UP] == 21.0
    assert _pace(began) == pytest.approx(1.0)


def test_what_nodes_saw_is_of_training_after_the_first_rounds():
    parties = {}
    for name, late in (("a", 0.0), ("b", 0.1)):
        party = parties[name] = _Party(router=None)  # type: ignore[arg-type]
        party.calls = [call(99.0, 99.5, None)]
        for number in range(1, federation.WARM_UP + 4):
            party.calls.append(call(number * 2.0 + late, number * 2.0 + late + 0.2, number, 0.3))
    found = _seen(parties)
    assert found.round == pytest.approx(2.0)
    assert found.compute == pytest.approx(0.3)
    assert found.start == pytest.approx(0.3)
    assert found.size == 100


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks the kernel in Linux's way")
def test_a_couriers_age_is_that_of_the_executors_one_child():
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(30)'])"
    with subprocess.Popen([sys.executable, "-c", program], start_new_session=True) as executor:
        try:
            deadline = time.monotonic() + 10
            while (age := _courier_age(executor.pid)) is None:
                assert time.monotonic() < deadline
            assert 0 <= age < 10
        finally:
            os.killpg(executor.pid, 9)
    assert _courier_age(executor.pid) is None
    assert _courier_age(None) is None


def test_an_echo_stands_in_a_nodes_place_and_both_note_their_calls():
    class Host:
        name = "lender-1"

        def answer(self, request: bytes) -> bytes:
            return b"answer"

    party = _Party(Host())  # type: ignore[arg-type]
    assert party.answer(b"request") == b"answer"
    party.echo = True
    assert party.answer(b"request") == b"request"
    assert [(one.size, one.round, one.courier) for one in party.calls] == [(7, None, None)] * 2
    assert all(one.done >= one.asked for one in party.calls)


@pytest.mark.live
@pytest.mark.slow
def test_a_short_run_gives_every_figure(monkeypatch: pytest.MonkeyPatch):
    for name, value in (("NODES", (3,)), ("ROUNDS", 5), ("TURNS", 1)):
        monkeypatch.setattr(federation, name, value)
    found = federation.run()
    made_of = ("waits", "process_start", "transfer", "compute", "server")
    assert found["ratio_3"] == pytest.approx(found["round_seconds_3"] / found["trivial_round_seconds_3"])
    assert sum(found[f"{name}_3"] for name in made_of) == pytest.approx(found["round_seconds_3"])
    assert found["compute_3"] > 0
    assert found["request_bytes_3"] > 500
