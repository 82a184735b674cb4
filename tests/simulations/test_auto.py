"""`training = "auto"` from the first phase to the published model, over all parties of a plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import PLAN, auto_plan, mechanisms, small_records
from doubles import DirectExchange, Quiet, nodes_of
from sklearn.metrics import roc_auc_score
from vertical_builders import auto_vertical_plan, federation_of

from sealscore.server.run.coordinator import Coordinator, RunOutcome
from sealscore.server.run.rounds import Observer
from sealscore.server.transport.exchange import ClearMessenger
from sealscore.server.transport.journal import Journal
from sealscore.shared.crypto.aggregation import PlainSum
from sealscore.shared.dp.events import Gaussian
from sealscore.shared.model.additive.table_score import TableScore
from sealscore.shared.model.score_model import ScoreModel
from sealscore.shared.persons.records import Records
from sealscore.shared.phases.order import Phase
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import Plan
from sealscore.simulations.engine.federation import Federation
from sealscore.simulations.experiments.central.fit import Budget, fit

RECORDS = {f"lender-{place}": small_records(1500, seed=place) for place in (1, 2, 3)}
BIG = auto_plan(parties=[party | {"nominal_records": 1500} for party in PLAN["parties"]])
TEST = small_records(4000, seed=9)


def coordinated(plan: Plan, records: dict[str, Records] = RECORDS) -> RunOutcome:
    exchange = DirectExchange(nodes_of(plan, records)[0])
    return Coordinator(plan, "run-1", ClearMessenger(exchange), PlainSum(), Quiet(), patience=0.0).run()


def auc(model: ScoreModel, records: Records = TEST) -> float:
    return float(roc_auc_score(records.label, model.logits(records.columns)))


def test_a_federation_fits_what_one_place_would():
    """Without noise only the rounding of sums is left between them."""
    plan = BIG.replace(privacy__noise="none")
    federated = coordinated(plan).model
    parts = [part.training_part() for part in RECORDS.values()]
    columns = {name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns}
    labels = np.concatenate([part.label for part in parts]).astype(float)
    features = plan.groups["lender"].table.scored
    central = fit(columns, labels, features, Budget(None), np.random.default_rng(0))
    assert isinstance(federated.weights, TableScore)
    assert federated.binning == central.binning
    assert federated.logits(TEST.columns) == pytest.approx(central.logits(TEST.columns), abs=0.05)


def test_a_run_at_its_budget_comes_near_the_one_without_noise():
    outcome = coordinated(BIG)
    assert auc(outcome.model) > auc(coordinated(BIG.replace(privacy__noise="none")).model) - 0.02
    assert outcome.early == {}
    rules = outcome.model.card["recipe"]
    assert rules["records"]["value"] == pytest.approx(3375, rel=0.1)
    assert all(rule["rule"] for rule in rules.values())


def test_a_run_is_the_same_twice():
    first, second = (coordinated(BIG).model for _ in range(2))
    assert np.array_equal(first.logits(TEST.columns), second.logits(TEST.columns))


def test_what_is_charged_is_within_the_claim():
    made = mechanisms(BIG)
    assert made.claim() <= BIG.privacy.epsilon
    assert made.claim() > 0.99 * BIG.privacy.epsilon
    twice = BIG.replace(privacy__max_records_per_person=2)
    for phase in mechanisms(twice).phases:
        event = mechanisms(twice).event(phase)
        assert isinstance(event, Gaussian)
        assert event.sensitivity == 2 * phase.summed.sensitivity(twice, phase.group)


def test_platforms_and_lenders_fit_in_turn(tmp_path: Path):
    plan = auto_vertical_plan()
    records = federation_of(plan, 3000)
    Federation.of(plan, records).run(tmp_path)
    model = ScoreModel.load(tmp_path / "model")
    assert isinstance(model.weights, TableScore)
    for group in plan.platforms:
        tower = ScoreModel.load(tmp_path / "towers" / group)
        assert isinstance(tower.weights, TableScore)
        assert tower.weights.curve is None
        assert tower.card["recipe"]["rate"] == model.card["recipe"]["rate"]
    # The signals stand in tables of their own.
    names = [feature.name for feature in model.features]
    assert names[-2:] == ["signal.video", "signal.wallet"]
    assert max(np.ptp(model.weights.tables.mains[names.index(name)]) for name in names[-2:]) > 0.2


def test_attempts_that_are_spent_end_a_phase_early_with_the_tables_so_far():
    class Tires(Quiet):
        """After a few rounds of the second phase two lenders fail in turn, until no attempt is left."""

        def round(self, row: dict[str, Any]) -> None:
            super().round(row)
            if row["phase"] == "fit_tables:lender":
                exchange.away.clear()
                exchange.away.update({("lender-1", "lender-2")[row["round"] % 2]} if row["round"] >= 4 else set())
            elif row["phase"] != "fit_tables:lender":
                exchange.away.clear()

    plan = BIG.replace(privacy__spare_attempts=0.05)
    exchange = DirectExchange(nodes_of(plan, RECORDS)[0])
    outcome = Coordinator(plan, "run-1", ClearMessenger(exchange), PlainSum(), Tires(), patience=0.0).run()
    assert set(outcome.early) == {"fit_tables:lender"}
    assert auc(outcome.model) > 0.75
    most = {phase.name: phase.attempts for phase in mechanisms(plan).phases}
    assert all(max(count.values()) <= most[name] for name, count in outcome.answered.items())


@pytest.mark.parametrize("gone_before", ["fit_features:lender", "fit_tables:lender"])
def test_a_party_that_drops_out_leaves_a_score_of_the_others(gone_before: str):
    class Leaves(Quiet):
        def phase(self, phase: Phase) -> None:
            if phase.name == gone_before:
                exchange.away.add("lender-3")

    plan = BIG.replace(privacy__noise="none")
    exchange = DirectExchange(nodes_of(plan, RECORDS)[0])
    left = Coordinator(plan, "run-1", ClearMessenger(exchange), PlainSum(), Leaves(), patience=0.0).run().model
    assert auc(left) > auc(coordinated(plan).model) - 0.01


class Killed(BaseException):
    """The coordinator dies here."""


@pytest.mark.parametrize("at", [("fit_features:lender", 7), ("sum_pairs:lender", 1), ("sum_residuals:lender", 1)])
def test_a_coordinator_that_died_goes_on_to_the_same_tables(at: tuple[str, int]):
    class Dies(Quiet):
        def round(self, row: dict[str, Any]) -> None:
            if (row["phase"], row["round"]) == at:
                raise Killed

    unbroken = coordinated(BIG).model
    exchange, journal = DirectExchange(nodes_of(BIG, RECORDS)[0]), Journal(BIG.hash, "run-1")

    def begun(observer: Observer) -> Coordinator:
        return Coordinator(BIG, "run-1", ClearMessenger(exchange), PlainSum(), observer, patience=0.0, journal=journal)

    with pytest.raises(Killed):
        begun(Dies()).run()
    model = begun(Quiet()).run().model
    assert np.array_equal(model.logits(TEST.columns), unbroken.logits(TEST.columns))
    assert model.card == unbroken.card


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"model__bins": 8}, "model.bins"),
        ({"model__hidden": 4}, "model.hidden"),
        ({"model__signal_weight": 2.0}, "model.signal_weight"),
        ({"privacy__clip_norm": 2.0}, "privacy.clip_norm"),
        ({"privacy__shares__bins": 0.1}, "privacy.shares.bins"),
        ({"groups__lender__clip_norm": 2.0}, "groups.lender.clip_norm"),
        ({"groups__lender__crosses": [["income", "months"]]}, "groups.lender.crosses"),
        ({"training__rounds": 60}, "auto"),
        ({"training__sample_rate": 0.5}, "auto"),
        ({"training__optimizer__momentum": 0.5}, "auto"),
    ],
)
def test_keys_that_have_no_use_are_refused(change, named):
    with pytest.raises(PlanError, match=named):
        auto_plan(**change)


def test_auto_is_one_word_in_a_file_and_stays_itself():
    plan = auto_plan(privacy__shares__evaluation=0.5)
    assert plan.training.auto
    assert Plan.from_canonical(plan.canonical()).hash == plan.hash
    assert plan.hash != Plan.parse(PLAN).hash
