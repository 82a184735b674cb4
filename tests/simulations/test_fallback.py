"""The score for applicants without a signal: what it reads and costs, what a run leaves of it, and of the signals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import mechanisms
from doubles import DirectExchange, Quiet
from ledgers import own_epsilon, state_of
from vertical_builders import (
    LENDERS,
    PARTIES,
    REQUESTS,
    Wire,
    auto_vertical_plan,
    federation_of,
    only,
    quiet_plan,
    vertical_plan,
)

from sealscore.server.run.coordinator import Coordinator, RunOutcome
from sealscore.server.transport.exchange import ClearMessenger
from sealscore.server.transport.journal import Journal
from sealscore.shared.crypto.aggregation import PlainSum
from sealscore.shared.messages.codec import decode, digest
from sealscore.shared.messages.messages import PairRequest, SumRequest
from sealscore.shared.messages.parts import edges_from_bytes, weights_from_bytes
from sealscore.shared.model.additive.codes import Codes
from sealscore.shared.model.score_model import ScoreModel
from sealscore.shared.phases.bin_rule import bin_rule
from sealscore.shared.plan.plan import FALLBACK, Plan
from sealscore.simulations.engine.federation import Federation

CROSSES = {"groups__lender__crosses": [["income", "late"], ["signal.video", "income"]]}
TUNED = vertical_plan(model__fallback=True, **CROSSES)
AUTO = auto_vertical_plan(model__fallback=True)
PLANS = pytest.mark.parametrize("plan", [TUNED, AUTO], ids=["tuned", "auto"])
OWN = ["income", "late"]


class Killed(Exception):
    """The server's process ended."""


class KillsAt(Quiet):
    """Ends the run when a round of a phase is done, or where a phase begins."""

    def __init__(self, phase: str, round: int) -> None:
        super().__init__()
        self._at = phase, round

    def round(self, row: dict[str, Any]) -> None:
        super().round(row)
        if (row["phase"], row["round"]) == self._at:
            raise Killed


def coordinated(
    wire: Wire, journal: Path | None = None, observer: Quiet | None = None, away: tuple[str, ...] = ()
) -> RunOutcome:
    kept, exchange = Journal(wire.plan.hash, wire.run, journal), DirectExchange(wire.nodes)
    exchange.away.update(away)
    messenger = ClearMessenger(exchange)
    try:
        made = Coordinator(wire.plan, wire.run, messenger, PlainSum(), observer or Quiet(), 1.0, journal=kept)
        return made.run()
    finally:
        kept.close()


def bytes_of(outcome: RunOutcome, folder: Path) -> dict[str, bytes]:
    """All that scoring needs of an outcome, as files."""
    assert outcome.fallback is not None
    outcome.model.save(folder / "model")
    outcome.fallback.save(folder / FALLBACK)
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}
    return files | {f"{group}/{name}": body for group, parts in outcome.signals.items() for name, body in parts.items()}


@PLANS
def test_it_reads_no_signal_and_takes_the_lenders_bins(plan: Plan):
    outcome = coordinated(Wire(plan))
    fallback, model = outcome.fallback, outcome.model
    assert fallback is not None
    assert [feature.name for feature in fallback.features] == OWN
    assert [feature.name for feature in model.features] == [*OWN, "signal.video", "signal.wallet"]
    assert fallback.binning.features == model.binning.features[: len(OWN)]
    assert fallback.card["group"] == FALLBACK
    if fallback.coding is not None:
        assert fallback.coding.crosses.pairs == (("income", "late"),)
        assert fallback.calibration != model.calibration
    # It is not the score with its signals left out, and tells good from bad by itself.
    columns = {"income": np.array([10.0, 90.0]), "late": np.array([6.0, 0.0])}
    risky, sound = fallback.pd(columns)
    assert 0 < sound < risky < 1


@PLANS
def test_a_run_without_it_gives_the_same_models_as_ever(plan: Plan, tmp_path: Path):
    """No noise is drawn twice for it, and none is left out: without noise its presence moves no other model."""
    quiet = {"privacy__noise": "none", "privacy__label_epsilon": None, "training__sample_rate": 1.0}
    if plan.training.auto:
        del quiet["training__sample_rate"]
    found = [coordinated(Wire(plan.replace(**quiet, model__fallback=on))) for on in (False, True)]
    assert [outcome.fallback is None for outcome in found] == [True, False]
    for place, outcome in enumerate(found):
        outcome.model.card.clear()
        outcome.model.save(tmp_path / str(place))
    one, other = ((tmp_path / str(place) / "model.safetensors").read_bytes() for place in (0, 1))
    assert one == other


@PLANS
def test_all_that_it_costs_is_in_the_claim_and_charged(plan: Plan, tmp_path: Path):
    made = mechanisms(plan)
    assert made.claim() <= plan.privacy.epsilon
    assert made.claim() > 0.98 * plan.privacy.epsilon
    names = {phase.name for phase in made.phases if phase.tower == FALLBACK}
    Federation.of(plan, federation_of(plan), None, tmp_path / "ledgers").run(tmp_path)
    for party in PARTIES:
        state = state_of(tmp_path / "ledgers" / f"{party}.db")
        (under,) = state.plans.values()
        assert all((under.spent[name] > 0) == (party in LENDERS) for name in names)
        assert own_epsilon(state, under.plan) <= plan.privacy.epsilon
    record = json.loads((tmp_path / "run.json").read_text())
    assert {entry["phase"] for entry in record["privacy"]["phases"]} >= names
    assert record["privacy"]["epsilon"] <= plan.privacy.epsilon
    assert record[FALLBACK].keys() == {"all"}
    assert record[FALLBACK]["all"].keys() == record["evaluation"]["all"].keys()
    assert ScoreModel.load(tmp_path / FALLBACK).card["group"] == FALLBACK


@PLANS
def test_the_parts_of_signals_are_those_that_platforms_answered_under(plan: Plan, tmp_path: Path):
    wire = Wire(plan)
    exchange = DirectExchange(wire.nodes)
    outcome = Coordinator(plan, wire.run, ClearMessenger(exchange), PlainSum(), Quiet(), patience=1.0).run()
    asked = {}
    for raw in (raw for requests in exchange.log for raw in requests.values()):
        message = decode(raw, *REQUESTS)
        if isinstance(message, PairRequest) and message.header.phase.startswith("disclose_signal:") and message.parts:
            asked[message.header.phase.partition(":")[2]] = message.parts
    assert asked == {group: {n: digest(b) for n, b in parts.items()} for group, parts in outcome.signals.items()}
    assert set(asked) == set(plan.platforms)
    # They can be read as a platform reads them, and say what the tower in the run's folder says.
    for group, parts in outcome.signals.items():
        tower, rule = outcome.towers[group], bin_rule(plan, group)
        assert rule.read(parts["bins"]) == tower.binning
        assert len(edges_from_bytes(parts["edges"], plan.model.signal_levels)) == plan.model.signal_levels - 1
        if "codes" in parts:
            codes = Codes.from_bytes(parts["codes"], tower.binning.sizes)
            weights = weights_from_bytes(parts["tower"], codes.length)
            bins = np.zeros((len(tower.binning.sizes), 1), dtype=np.int16)
            assert codes.tables(weights).sums(bins) == pytest.approx(tower.logits_of_bins(bins.T))
        else:
            assert np.array_equal(weights_from_bytes(parts["tower"], len(tower.weights.vector)), tower.weights.vector)


@pytest.mark.parametrize(
    ("plan", "phase", "round"),
    [
        (TUNED, "disclose_signal:video", 1),
        (TUNED, "train_tower:fallback", 2),
        (AUTO, "fit_tables:fallback", 3),
    ],
)
def test_a_run_that_was_killed_leaves_the_same_bytes(plan: Plan, phase: str, round: int, tmp_path: Path):
    whole = bytes_of(coordinated(Wire(plan)), tmp_path / "whole")
    wire, journal = Wire(plan), tmp_path / "journal.db"
    with pytest.raises(Killed):
        coordinated(wire, journal, KillsAt(phase, round))
    assert bytes_of(coordinated(wire, journal), tmp_path / "resumed") == whole
    # All had come about: it is put together again without a party.
    assert bytes_of(coordinated(wire, journal, away=PARTIES), tmp_path / "again") == whole


@PLANS
def test_a_lender_refuses_it_at_the_length_of_the_other_score(plan: Plan):
    """The codes of the two towers differ, and so do the numbers at which each is asked."""
    wire = Wire(plan)
    exchange = DirectExchange(wire.nodes)
    Coordinator(plan, wire.run, ClearMessenger(exchange), PlainSum(), Quiet(), patience=1.0).run()
    role = wire.nodes[LENDERS[0]].role
    sums: dict[str, SumRequest] = {}
    bodies = dict(wire.nodes[LENDERS[0]]._parts)
    for raw in (requests[LENDERS[0]] for requests in exchange.log if LENDERS[0] in requests):
        message = decode(raw, *REQUESTS)
        if isinstance(message, SumRequest):
            sums[message.header.phase] = message
    lengths = {name: len(request.parameters) for name, request in sums.items()}
    for phase in (phase for phase in mechanisms(plan).phases if phase.tower == FALLBACK):
        parts = {name: bodies[key] for name, key in sums[phase.name].parts.items()}
        other = phase.name.replace(FALLBACK, "lender")
        assert lengths[other] != lengths[phase.name]
        role.sum(phase, sums[phase.name].parameters, parts)
        with pytest.raises(Exception, match="bad-parameters"):
            role.sum(phase, sums[other].parameters, parts)
        with pytest.raises(Exception, match="bad-part"):
            role.sum(phase, sums[other].parameters, parts | {"bins": bodies[sums[other].parts["bins"]]})


def test_a_plan_of_one_kind_of_platform_has_one_too():
    plan = only(quiet_plan(model__fallback=True), *LENDERS, "wallet")
    outcome = coordinated(Wire(plan))
    assert outcome.fallback is not None
    assert [feature.name for feature in outcome.fallback.features] == OWN
    assert set(outcome.signals) == {"wallet"}
