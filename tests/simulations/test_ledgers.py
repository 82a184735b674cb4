"""A whole run leaves ledgers from which its claim follows, and receipts that hold them to it."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from builders import LENDERS, TRAIN, mechanisms, small_federation, small_plan, small_scenario
from doubles import DirectExchange, Quiet
from ledgers import state_of
from vertical_builders import federation_of, vertical_plan

from sealscore.compliance.verify.anchoring import kept_anchors
from sealscore.compliance.verify.verify import verify_ledger
from sealscore.server.run.run import run_coordinator
from sealscore.server.run.run_files import RECEIPTS
from sealscore.shared.identity.identity import Card
from sealscore.shared.ledger.budget_check import BudgetCheck, label_epsilon
from sealscore.shared.ledger.chain import Receipt, read_anchors
from sealscore.shared.ledger.entries import Answer, Approve, Identify, Open, Reserve, Settle
from sealscore.shared.ledger.ledger import read_ledger
from sealscore.shared.plan.plan import SERVER, Plan
from sealscore.simulations.data.scenario import Scenario
from sealscore.simulations.engine.federation import Federation
from sealscore.simulations.experiments.job import LEDGERS, run_job
from sealscore.simulations.experiments.runs import Run

ROUNDS = 5


def scenario(folder: Path, block: int) -> Scenario:
    settings = f"epsilon = 2.0 -> epsilon = 2.0\nreserve_block = {block}"
    return Scenario.load(small_scenario(folder, block=settings))


def ledgers(run: Run) -> dict[str, Path]:
    return {path.stem: path for path in sorted((run.folder / LEDGERS).glob("*.db"))}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Run]:
    """The small synthetic job under noise, with answers reserved one by one, and in blocks of 25."""
    found = {}
    for block in (1, 25):
        folder = tmp_path_factory.mktemp(f"block-{block}")
        found[block] = run_job(scenario(folder, block), observer=Quiet(), baselines=False, runs=folder / "runs")
    return found


BLOCKS = pytest.mark.parametrize("block", [1, 25])


class TestLedgers:
    @BLOCKS
    def test_every_party_has_one_that_folds_and_ends_with_the_plan(self, runs: dict[int, Run], block: int):
        run = runs[block]
        plan = Plan.from_canonical((run.folder / "plan.json").read_bytes())
        assert set(ledgers(run)) == {party.name for party in plan.parties}
        for path in ledgers(run).values():
            kinds = [type(stored.entry) for stored in read_ledger(path)]
            assert kinds[:3] == [Open, Identify, Approve]
            assert kinds[-1] is Settle
            (state,) = state_of(path).plans.values()
            assert (state.plan, state.state, state.refusals) == (plan, "settled", 0)
            assert state.spent == {phase.name: phase.rounds for phase in mechanisms(plan).phases}

    @BLOCKS
    def test_its_epsilon_is_the_runs_claim_and_not_above_the_plans(self, runs: dict[int, Run], block: int):
        privacy = runs[block].record["privacy"]
        assert 0 < privacy["epsilon"] <= privacy["epsilon_of_plan"] == 2.0
        for path in ledgers(runs[block]).values():
            own = BudgetCheck().epsilon(state_of(path))
            assert own == pytest.approx(privacy["epsilon"], rel=1e-9)
            assert own <= 2.0

    def test_in_blocks_there_are_fewer_entries_of_the_same_answers(self, runs: dict[int, Run]):
        counts = {
            block: Counter(type(stored.entry) for stored in read_ledger(next(iter(ledgers(run).values()))))
            for block, run in runs.items()
        }
        assert counts[1][Reserve] == counts[1][Answer] == ROUNDS + 3
        assert counts[25][Reserve] == counts[25][Answer] == 1 + 3

    def test_in_blocks_the_model_is_the_same_bit_for_bit(self, tmp_path: Path):
        """The plans differ, and with them the card that names them; under one name of the run, nothing else does."""
        files, figures = [], []
        for block in (1, 2, 25):
            plan, folder = small_plan(privacy__reserve_block=block), tmp_path / str(block)
            federation = Federation.of(plan, small_federation(), None, folder / LEDGERS)
            run_coordinator(federation.plan.canonical(), DirectExchange(federation.doors), folder, run="run-1")
            files.append((folder / "model" / "model.safetensors").read_bytes())
            record = json.loads((folder / "run.json").read_text())
            figures.append((record["score_tables"], record["privacy"]["epsilon"], record["answered"]))
            state = state_of(folder / LEDGERS / "lender-1.db").plans[federation.plan.hash]
            blocks = [r.entry.count for r in state.reservations.values() if r.entry.phase == TRAIN]
            assert blocks == {1: [1, 1, 1, 1], 2: [2, 2], 25: [4]}[block]
        assert files[0] == files[1] == files[2]
        assert figures[0] == figures[1] == figures[2]


class TestReceipts:
    @BLOCKS
    def test_each_is_for_an_entry_of_the_ledger_and_the_last_one_for_its_end(self, runs: dict[int, Run], block: int):
        run = runs[block]
        plan = Plan.from_canonical((run.folder / "plan.json").read_bytes())
        found = read_anchors(run.folder / RECEIPTS)
        hashes = {
            name: {stored.seq: stored.hash for stored in read_ledger(path)} for name, path in ledgers(run).items()
        }
        for receipt in found:
            assert isinstance(receipt, Receipt)
            receipt.check(plan.cards[SERVER], plan.cards[receipt.head.party])
            assert hashes[receipt.head.party][receipt.head.seq] == receipt.head.hash
        for name, entries in hashes.items():
            assert max(receipt.head.seq for receipt in found if receipt.head.party == name) == max(entries)

    @BLOCKS
    def test_parties_keep_each_others_heads_and_their_own_receipts(self, runs: dict[int, Run], block: int):
        paths = ledgers(runs[block])
        for name, path in paths.items():
            kept = list(kept_anchors(path))
            assert {anchor.party for anchor in kept if not isinstance(anchor, Receipt)} == set(paths) - {name}
            assert [anchor.head.party for anchor in kept if isinstance(anchor, Receipt)] == [name]

    @BLOCKS
    def test_a_reviewer_finds_nothing_wrong(self, runs: dict[int, Run], block: int):
        run = runs[block]
        plan = Plan.from_canonical((run.folder / "plan.json").read_bytes())
        anchors = read_anchors(run.folder / RECEIPTS)
        server: Card = plan.cards[SERVER]
        for name, path in ledgers(run).items():
            others = [anchor for other, held in ledgers(run).items() if other != name for anchor in kept_anchors(held)]
            found = verify_ledger(path, [*anchors, *others], server, simulation=True)
            assert found.ok, [str(finding) for finding in found.findings]
            assert not verify_ledger(path, anchors, server).ok  # a seeded source, but for a simulation

    def test_a_ledger_that_was_cut_is_found_by_them(self, runs: dict[int, Run], tmp_path: Path):
        """Entries taken off the end leave a whole chain; the receipts name what is missing."""
        run, name = runs[1], sorted(ledgers(runs[1]))[0]
        copy = Path(shutil.copy(ledgers(run)[name], tmp_path / "ledger.db"))
        with sqlite3.connect(copy) as database:
            database.execute("DROP TRIGGER entries_last")
            database.execute("DELETE FROM entries WHERE seq > (SELECT max(seq) - 3 FROM entries)")
            database.execute("DELETE FROM anchors")
        database.close()
        assert verify_ledger(copy, simulation=True).ok
        assert not verify_ledger(copy, read_anchors(run.folder / RECEIPTS), simulation=True).ok


def test_a_vertical_run_too(tmp_path: Path):
    """Lenders and platforms: each ledger verifies, and labels and disclosures are in it."""
    plan = vertical_plan(training__rounds=2)
    federation = Federation.of(plan, federation_of(plan), None, tmp_path / LEDGERS)
    federation.run(tmp_path)
    anchors: list[Any] = read_anchors(tmp_path / RECEIPTS)
    for name in ("lender-1", "wallet"):
        path = tmp_path / LEDGERS / f"{name}.db"
        found = verify_ledger(path, anchors, federation.plan.cards[SERVER], simulation=True)
        assert found.ok, [str(finding) for finding in found.findings]
        assert label_epsilon(state_of(path)) == (1.0 if name in LENDERS else 0.0)
