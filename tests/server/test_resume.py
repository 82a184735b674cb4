"""A coordinator killed at any point and started again on its journal: the model is the one that it would have been.

What a node with a simulation identity draws follows from (secret, phase, round, attempt). So a run that was killed
where no sum was under way gives the model of an unbroken run bit for bit, and one that was killed in mid-round that of
a run in which this attempt came to nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from doubles import DirectExchange
from rehearsal import (
    ATTEMPTS,
    LENDERS,
    PARTIES,
    PLATFORM,
    Nodes,
    carry_out,
    history_of,
    lost_attempts,
    model_of,
    rehearsal_plan,
    replayed,
)

from sealscore.server.run import run as entry
from sealscore.server.run.rounds import AttemptsSpent
from sealscore.server.transport.exchange import Delivered, PhaseFailed
from sealscore.shared.crypto.sealing import SealError, claimed_address
from sealscore.shared.ledger.chain import read_anchors
from sealscore.shared.ledger.entries import Disclose
from sealscore.shared.plan.plan import Plan

HORIZONTAL = rehearsal_plan("horizontal", platform=False)
VERTICAL = rehearsal_plan("vertical", alignment__method="exact", training__rounds=2)
WHEN = ("before", "between", "after")
BIN, TRAIN = "bin:lender", "train_tower:lender"
LABELS, SIGNAL = "release_labels:video", "disclose_signal:video"


class Killed(BaseException):
    """The coordinator dies here: nothing in it may catch this."""


class Deadly(DirectExchange):
    """An exchange whose user dies in its send `at` (from 0); with None it lives.

    "before": nobody was asked; "between": half of the parties have answered; "after": all have, and nobody heard it.
    `reached` are (party, phase, round, attempt) of what was asked in vain.
    """

    def __init__(self, nodes: Nodes, at: int | None = None, when: str = "before") -> None:
        super().__init__(nodes.responders)
        self.reached: set[tuple[str, str, int, int]] = set()
        self._at, self._when = at, when

    def send(self, requests: Mapping[str, bytes], timeout: float | None = None) -> dict[str, Delivered]:
        if len(self.log) != self._at:
            return super().send(requests, timeout)
        count = {"before": 0, "between": (len(requests) + 1) // 2, "after": len(requests)}[self._when]
        asked = {party: requests[party] for party in sorted(requests)[:count]}
        self.reached = {(party, *phase_of(raw)) for party, raw in asked.items()}
        super().send(asked, timeout)
        raise Killed


def killed(plan: Plan, exchange: Deadly, folder: Path) -> bool:
    """Carry out a plan until its coordinator dies; False where it came to its end before."""
    try:
        carry_out(plan, exchange, folder)
    except Killed:
        return True
    return False


def phase_of(raw: bytes) -> tuple[str, int, int]:
    """(phase, round, attempt) of a request on the wire."""
    try:
        info = claimed_address(raw)
    except SealError:
        return "", 0, 0
    return info.phase, info.round, info.attempt


class Restarting(DirectExchange):
    """An exchange in which a party is begun anew right after a step of lender-2's pair; `death` is raised then."""

    def __init__(
        self, nodes: Nodes, party: str, phase: str, step: int, death: type[BaseException] | None = None
    ) -> None:
        super().__init__(nodes.responders)
        self.done = False
        self._nodes, self._party, self._place, self._death = nodes, party, (phase, step, 1), death
        # The pairs are gone through in the order of the lenders.
        lender = (phase == SIGNAL) == (step == 2) if phase != "align:video" else step % 2 == 1
        self._answerer, self._wait = ("lender-2", 1) if lender else (PLATFORM, 2)

    def send(self, requests: Mapping[str, bytes], timeout: float | None = None) -> dict[str, Delivered]:
        replies = super().send(requests, timeout)
        if self._answerer in requests and phase_of(requests[self._answerer]) == self._place and not self.done:
            self._wait -= 1
            if self._wait == 0:
                self.done = True
                self._nodes.restart(self._party)
                if self._death is not None:
                    raise self._death
        return replies


class Bench:
    """Runs that were broken off, against those that were not."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        self._models: dict[tuple[str, tuple[tuple[str, ATTEMPTS], ...]], dict[str, bytes]] = {}
        self.sends: dict[str, int] = {}
        self.told: dict[str, dict[str, list[tuple[Any, ...]]]] = {}
        for plan in (HORIZONTAL, VERTICAL):
            nodes, run = Nodes(plan), self.folder()
            exchange = Deadly(nodes)
            carry_out(plan, exchange, run)
            self.sends[plan.name], self.told[plan.name] = len(exchange.log), disclosures(nodes)
            self._models[plan.name, tuple(history_of(run, plan).items())] = model_of(run)

    def folder(self) -> Path:
        self._count += 1
        return self._folder / str(self._count)

    def expected(self, plan: Plan, history: Mapping[str, Any], monkeypatch: Any) -> dict[str, bytes]:
        """The model of an unbroken run with the same attempts by the same cohorts."""
        key = plan.name, tuple(history.items())
        if key not in self._models:
            self._models[key] = replayed(plan, history, self.folder(), monkeypatch)
        return self._models[key]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with pytest.MonkeyPatch.context() as patch:
        # The claim in a run's record takes longer than the run.
        patch.setattr(entry, "_privacy", lambda plan, outcome: {})
        yield Bench(tmp_path_factory.mktemp("resume"))


def disclosures(nodes: Nodes) -> dict[str, list[tuple[Any, ...]]]:
    """What each party's ledger has of payloads: at which step, to whom, of how many persons, of how many anew."""

    def facts(entry: Disclose) -> tuple[Any, ...]:
        return entry.phase, entry.round, entry.peer, entry.persons, entry.fresh

    plans = {name: ledger.state.plans[nodes.plan.hash] for name, ledger in nodes.ledgers.items()}
    return {name: [facts(entry) for entry in plan.disclosures] for name, plan in plans.items()}


def check(
    bench: Bench, plan: Plan, nodes: Nodes, folder: Path, reached: set[tuple[str, str, int, int]], monkeypatch: Any
) -> None:
    """The model is that of the run's history, and every party was charged for just what it answered."""
    history = history_of(folder, plan)
    assert model_of(folder) == bench.expected(plan, history, monkeypatch)
    lost = set(lost_attempts(history))
    for name, ledger in nodes.ledgers.items():
        state = ledger.state.plans[plan.hash]
        assert state.state == "settled"
        for phase, attempts in history.items():
            answered = [
                (round, attempt)
                for round, attempt, cohort in attempts
                if name in cohort and ((phase, round, attempt) not in lost or (name, phase, round, attempt) in reached)
            ]
            assert state.spent[phase] == len(answered), (name, phase)
        assert all(reservation.entry.source == "seeded" for reservation in state.reservations.values())
    assert disclosures(nodes) == bench.told[plan.name]
    answered = json.loads((folder / "run.json").read_text())["answered"]
    for phase, counts in answered.items():
        assert counts == {
            name: count for name in PARTIES if (count := sum(name in cohort for _, _, cohort in history[phase]))
        }


def resumed(bench: Bench, plan: Plan, at: int, when: str, monkeypatch: Any) -> int:
    """Kill a run at a point, carry it on, check it; returns how many attempts were lost."""
    nodes, folder = Nodes(plan), bench.folder()
    exchange = Deadly(nodes, at, when)
    assert killed(plan, exchange, folder)
    assert not (folder / "run.json").exists()
    carry_out(plan, DirectExchange(nodes.responders), folder)
    check(bench, plan, nodes, folder, exchange.reached, monkeypatch)
    return len(lost_attempts(history_of(folder, plan)))


class TestKilledOnce:
    @pytest.mark.parametrize("when", WHEN)
    def test_anywhere_in_plain_training(self, bench: Bench, when: str, monkeypatch: pytest.MonkeyPatch):
        lost = [resumed(bench, HORIZONTAL, at, when, monkeypatch) for at in range(bench.sends["horizontal"])]
        # One for each sum (bins, four rounds, calibration, evaluation), the first of which begins with the three sends
        # of the set-up. All other points cost nothing.
        assert (sum(lost), max(lost)) == (7 + 3, 1)

    @pytest.mark.parametrize(("first", "when"), list(enumerate(WHEN)))
    def test_at_some_points_of_training_with_a_platform(
        self, bench: Bench, first: int, when: str, monkeypatch: pytest.MonkeyPatch
    ):
        for at in range(first * 4, bench.sends["vertical"], 12):
            assert resumed(bench, VERTICAL, at, when, monkeypatch) <= 1

    @pytest.mark.long
    def test_anywhere_in_training_with_a_platform(self, bench: Bench, monkeypatch: pytest.MonkeyPatch):
        lost = [resumed(bench, VERTICAL, at, "after", monkeypatch) for at in range(bench.sends["vertical"])]
        # The platform: bins, two rounds, edges. The lenders: bins, two rounds, calibration, evaluation. The set-up
        # belongs to the alignment here.
        assert (sum(lost), max(lost)) == (9, 1)


class TestKilledOften:
    def test_again_and_again(self, bench: Bench, monkeypatch: pytest.MonkeyPatch):
        """After the three sends of a set-up each life of the coordinator gets through two more at most."""
        nodes, folder, lives = Nodes(HORIZONTAL), bench.folder(), 1
        while killed(HORIZONTAL, Deadly(nodes, 5 + lives % 2, "before"), folder):
            lives += 1
        assert lives > 4
        history = history_of(folder, HORIZONTAL)
        assert lost_attempts(history)
        assert model_of(folder) == bench.expected(HORIZONTAL, history, monkeypatch)

    def test_lives_share_the_attempts_of_the_budget(self, bench: Bench):
        """Killed in the same round over and over, a run asks for no more attempts than were budgeted."""
        plan = rehearsal_plan("spent", platform=False)
        nodes, folder = Nodes(plan), bench.folder()
        # Joining, then the first sum.
        for _ in range(2):
            assert killed(plan, Deadly(nodes, 3, "after"), folder)
        with pytest.raises(AttemptsSpent, match="all 2 attempts are spent"):
            carry_out(plan, Deadly(nodes), folder)
        for name in LENDERS:
            assert nodes.ledgers[name].state.plans[plan.hash].spent[BIN] == 2

    def test_training_whose_attempts_are_spent_ends_early_in_any_life(self, bench: Bench):
        nodes, folder = Nodes(HORIZONTAL), bench.folder()
        # Joining, bins, their publication, the first round; from the second life on, bins are in the journal.
        for at in (5, 4, 4, 4, 4):
            assert killed(HORIZONTAL, Deadly(nodes, at, "after"), folder)
        carry_out(HORIZONTAL, Deadly(nodes), folder)
        record = json.loads((folder / "run.json").read_text())
        assert "all 6 attempts are spent in round 2" in record["early"][TRAIN]
        assert record["answered"][TRAIN] == dict.fromkeys(LENDERS, 6)


class TestNodesToo:
    """Coordinator and nodes die together: what nodes keep is on their disks."""

    def test_all_die_between_rounds(self, bench: Bench, monkeypatch: pytest.MonkeyPatch):
        # In training both sides are past what a restart would cost them.
        nodes, folder = Nodes(VERTICAL), bench.folder()
        last = bench.sends["vertical"] - 4
        exchange = Deadly(nodes, last, "before")
        assert killed(VERTICAL, exchange, folder)
        for name in nodes.names:
            nodes.restart(name)
        carry_out(VERTICAL, DirectExchange(nodes.responders), folder)
        check(bench, VERTICAL, nodes, folder, exchange.reached, monkeypatch)

    @pytest.mark.parametrize("party", [PLATFORM, "lender-2"])
    @pytest.mark.parametrize(("phase", "step"), [(LABELS, 1), (LABELS, 2), (SIGNAL, 1), (SIGNAL, 2)])
    @pytest.mark.parametrize("coordinator", [False, True], ids=["lives", "dies"])
    def test_a_party_restarted_after_a_step_of_a_pair(
        self, bench: Bench, party: str, phase: str, step: int, coordinator: bool, monkeypatch: pytest.MonkeyPatch
    ):
        """It cannot open what was sealed to its former key: the pair begins the phase again, and is not charged."""
        nodes, folder = Nodes(VERTICAL), bench.folder()
        exchange = Restarting(nodes, party, phase, step, Killed if coordinator else None)
        try:
            carry_out(VERTICAL, exchange, folder)
        except Killed:
            carry_out(VERTICAL, Deadly(nodes), folder)
        assert exchange.done
        history = history_of(folder, VERTICAL)
        # A sum that met the new node first was an attempt; nothing was charged at its door.
        assert len(lost_attempts(history)) <= 1
        assert model_of(folder) == bench.expected(VERTICAL, history, monkeypatch)
        if coordinator:
            assert not lost_attempts(history)
        for name, told in disclosures(nodes).items():
            usual = bench.told["vertical"][name]
            assert [fact for fact in told if fact[-1]] == usual
            # ToldValue again is told nothing new.
            assert {fact[:-1] for fact in told} == {fact[:-1] for fact in usual}

    @pytest.mark.parametrize(("party", "step"), [(PLATFORM, 2), ("lender-2", 1), ("lender-2", 2)])
    def test_an_alignment_is_lost_with_either_side_of_it(self, bench: Bench, party: str, step: int):
        """A lender gets one response in a run, since each tells which of the ids that it tried a platform knows."""
        nodes, folder = Nodes(VERTICAL), bench.folder()
        with pytest.raises(PhaseFailed, match=r"align:video: video-1 gave nothing for lender-2 at step (2|4): refused"):
            carry_out(VERTICAL, Restarting(nodes, party, "align:video", step), folder)

    def test_a_platform_restarted_before_it_answered_aligns_anew(self, bench: Bench, monkeypatch: pytest.MonkeyPatch):
        nodes, folder = Nodes(VERTICAL), bench.folder()
        carry_out(VERTICAL, Restarting(nodes, PLATFORM, "align:video", 1), folder)
        history = history_of(folder, VERTICAL)
        assert model_of(folder) == bench.expected(VERTICAL, history, monkeypatch)


class TestStopped:
    def test_a_run_that_lost_too_many_goes_on_when_they_are_back(self, bench: Bench, monkeypatch: pytest.MonkeyPatch):
        nodes, folder = Nodes(HORIZONTAL), bench.folder()
        exchange = Deadly(nodes)
        rounds = 0

        class Leaving(DirectExchange):
            def send(self, requests: Mapping[str, bytes], timeout: float | None = None) -> dict[str, Delivered]:
                nonlocal rounds
                rounds += any(phase_of(raw)[:2] == (TRAIN, 2) for raw in requests.values())
                if rounds:
                    self.away |= {"lender-1", "lender-2"}
                return super().send(requests, timeout)

        with pytest.raises(PhaseFailed, match=r"lender-1 \(unavailable\), lender-2 \(unavailable\)"):
            carry_out(HORIZONTAL, Leaving(nodes.responders), folder)
        carry_out(HORIZONTAL, exchange, folder)
        history = history_of(folder, HORIZONTAL)
        assert lost_attempts(history) == [(TRAIN, 2, 1)]
        assert model_of(folder) == bench.expected(HORIZONTAL, history, monkeypatch)
        spent = {name: nodes.ledgers[name].state.plans[HORIZONTAL.hash].spent[TRAIN] for name in LENDERS}
        assert spent == {"lender-1": 4, "lender-2": 4, "lender-3": 5}

    def test_a_receipt_that_was_not_written_whole_is_in_nobodys_way(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ):
        """Its head was passed on to nobody: the half line is cut off, and the run goes on."""
        nodes, folder = Nodes(HORIZONTAL), bench.folder()
        assert killed(HORIZONTAL, Deadly(nodes, 8, "before"), folder)
        receipts = folder / "receipts.jsonl"
        lines = receipts.read_bytes().splitlines(keepends=True)
        receipts.write_bytes(b"".join(lines) + lines[-1][: len(lines[-1]) // 2])
        carry_out(HORIZONTAL, Deadly(nodes), folder)
        history = history_of(folder, HORIZONTAL)
        assert model_of(folder) == bench.expected(HORIZONTAL, history, monkeypatch)
        after = receipts.read_bytes()
        assert after.startswith(b"".join(lines))
        assert len(read_anchors(receipts)) == after.count(b"\n") > len(lines)

    def test_who_follows_a_resumed_run_sees_all_its_rounds(self, bench: Bench):
        nodes, folder = Nodes(HORIZONTAL), bench.folder()
        assert killed(HORIZONTAL, Deadly(nodes, 8, "before"), folder)
        (folder / entry.PROGRESS).unlink()
        carry_out(HORIZONTAL, DirectExchange(nodes.responders), folder)
        lines = [json.loads(line) for line in (folder / entry.PROGRESS).read_text().splitlines()]
        assert [(line["phase"], line["round"]) for line in lines if "round" in line][:5] == [
            (BIN, 1),
            *((TRAIN, round) for round in range(1, 5)),
        ]

    @pytest.mark.parametrize("away", [False, True], ids=["nodes there", "nodes gone"])
    def test_a_run_killed_at_its_very_end_needs_its_nodes_no_more(
        self, bench: Bench, away: bool, monkeypatch: pytest.MonkeyPatch
    ):
        """They have been told that the run is over, and answer nothing under its plan any more."""
        nodes, folder = Nodes(HORIZONTAL), bench.folder()
        assert killed(HORIZONTAL, Deadly(nodes, bench.sends["horizontal"] - 1, "after"), folder)
        before = {name: nodes.ledgers[name].head.seq for name in LENDERS}
        exchange = Deadly(nodes)
        exchange.away |= set(LENDERS) if away else set()
        carry_out(HORIZONTAL, exchange, folder)
        assert model_of(folder) == bench.expected(HORIZONTAL, history_of(folder, HORIZONTAL), monkeypatch)
        assert {name: nodes.ledgers[name].head.seq for name in LENDERS} == before

    def test_an_end_that_a_party_missed_is_told_again(self, bench: Bench):
        nodes, folder = Nodes(HORIZONTAL), bench.folder()
        assert killed(HORIZONTAL, Deadly(nodes, bench.sends["horizontal"] - 1, "between"), folder)
        states = {name: nodes.ledgers[name].state.plans[HORIZONTAL.hash].state for name in LENDERS}
        assert states == {"lender-1": "settled", "lender-2": "settled", "lender-3": "live"}
        carry_out(HORIZONTAL, Deadly(nodes), folder)
        assert nodes.ledgers["lender-3"].state.plans[HORIZONTAL.hash].state == "settled"
